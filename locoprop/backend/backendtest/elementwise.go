package backendtest

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Transfers lists the transfer functions that the suite tries, every built-in one.
func Transfers() []transfer.Func {
	return []transfer.Func{
		transfer.Identity, transfer.Tanh, transfer.ReLU, transfer.LeakyReLU(0.25), transfer.Sigmoid, transfer.Softmax,
		transfer.ReLU2, transfer.Arctan, transfer.Softplus, transfer.Softsign, transfer.ELU(1), transfer.ELU(1.5),
		transfer.HardTanh, transfer.Exp, transfer.GELU, transfer.SiLU, transfer.TemperedSoftmax(1.5),
	}
}

// steepness is max(1, |f′|), by which f passes on an error of its argument.
func steepness(f transfer.Func, a oracle.Mat) oracle.Mat {
	if f.RowCoupled() {
		return a.Map(func(float64) float64 { return 1 })
	}
	return oracle.Chain(f, a.Map(func(float64) float64 { return 1 }), a).Map(func(v float64) float64 { return math.Max(1, math.Abs(v)) })
}

// applyBound is how far f(a) may be from the exact one. Element-wise functions get 8ε
// of the result, 4 units in the last place. Softmax in float32 subtracts the row's
// maximum, which is off by ε·|a − max| and e^x turns that into a relative error; the sum
// of m terms adds √m·ε.
func applyBound(f transfer.Func, a oracle.Mat) oracle.Mat {
	y := oracle.Apply(f, a)
	if !f.RowCoupled() {
		return scaled(8*epsilon, y)
	}
	r := oracle.New(a.Rows, a.Cols)
	for i := range a.Rows {
		top := math.Inf(-1)
		for _, v := range a.Row(i) {
			top = math.Max(top, v)
		}
		for j, v := range a.Row(i) {
			r.Set(i, j, (8+math.Sqrt(float64(a.Cols))+top-v)*epsilon*y.At(i, j)+tiny)
		}
	}
	return r
}

// applied makes the float32 matrix f(a), rounded from float64: what a kernel is handed
// as an earlier kernel's result.
func (a *arena) applied(f transfer.Func, pre backend.Mat) backend.Mat {
	y := oracle.Apply(f, oracle.From32(pre))
	m := a.in(pre.Rows, pre.Cols, nan)
	for i := range m.Rows {
		for j := range m.Cols {
			m.Data[i*m.Stride+j] = float32(y.At(i, j))
		}
	}
	b := &a.blocks[len(a.blocks)-1]
	b.before = bits(b.whole)
	return m
}

// transfers lists Apply and Chain for every transfer function.
func transfers() []operation {
	var ops []operation
	for _, f := range Transfers() {
		ops = append(ops,
			operation{name: fmt.Sprintf("Apply/%v", f), prep: func(ar *arena, s Shape) call {
				a, y := ar.in(s.B, s.M, preActivation), ar.out(s.B, s.M, nan)
				want := func() expected { x := oracle.From32(a); return one(oracle.Apply(f, x), applyBound(f, x)) }
				return elementwise(s, 2, want, y, func(k backend.Kernels) { k.Apply(y, a, f) })
			}},
			operation{name: fmt.Sprintf("Apply/%v,inplace", f), thin: true, prep: func(ar *arena, s Shape) call {
				y := ar.out(s.B, s.M, preActivation)
				want := func() expected { x := oracle.From32(y); return one(oracle.Apply(f, x), applyBound(f, x)) }
				return elementwise(s, 2, want, y, func(k backend.Kernels) { k.Apply(y, y, f) })
			}},
			operation{name: fmt.Sprintf("Chain/%v", f), prep: func(ar *arena, s Shape) call {
				a, d := ar.in(s.B, s.M, preActivation), ar.out(s.B, s.M, symmetric)
				y := ar.applied(f, a)
				want := func() expected {
					x, dd := oracle.From32(a), oracle.From32(d)
					return one(oracle.Chain(f, dd, x), chainBound(f, dd, x))
				}
				return elementwise(s, 4, want, d, func(k backend.Kernels) { k.Chain(d, a, y, f) })
			}})
	}
	return ops
}

func elementwise(s Shape, words float64, want func() expected, out backend.Mat, run func(k backend.Kernels)) call {
	return call{run: run, outs: []backend.Mat{out}, want: want, bytes: 4 * words * float64(s.B) * float64(s.M)}
}

// chainBound is how far d∘f′ may be from the exact one. f′ comes from a rounded y, and
// 1 − y² or y(1 − y) loses what it cancels: an error of 8ε against d itself. Softmax
// multiplies by y what is left of d_j − Σ y d: 2(8 + √m)ε of the sum of absolute values.
func chainBound(f transfer.Func, d, a oracle.Mat) oracle.Mat {
	if !f.RowCoupled() {
		return scaled(8*epsilon, combine(d, steepness(f, a), func(d, s float64) float64 { return d * s }))
	}
	if f.Kind() == transfer.KindTemperedSoftmax {
		// yᵗ in float64 from a rounded y: t·ε, and the mean of d by its escort weights.
		y := oracle.Apply(f, a)
		r := oracle.New(d.Rows, d.Cols)
		for i := range d.Rows {
			var top float64
			for _, v := range d.Row(i) {
				top = math.Max(top, math.Abs(v))
			}
			for j := range d.Row(i) {
				r.Set(i, j, 16*epsilon*math.Pow(y.At(i, j), float64(f.Param()))*top+tiny)
			}
		}
		return r
	}
	y := oracle.Apply(f, a)
	r := oracle.New(d.Rows, d.Cols)
	for i := range d.Rows {
		var sum float64
		for j, v := range d.Row(i) {
			sum += y.At(i, j) * math.Abs(v)
		}
		for j, v := range d.Row(i) {
			r.Set(i, j, 2*(8+math.Sqrt(float64(d.Cols)))*epsilon*y.At(i, j)*(math.Abs(v)+sum)+tiny)
		}
	}
	return r
}

// biTempered are the temperatures that the suite tries.
var biTempered = []loss.Loss{loss.BiTempered(0.8, 1.2), loss.BiTempered(1, 1), loss.BiTempered(0.5, 2)}

// losses lists Loss for every pair of loss and transfer function, with D and without.
func losses() []operation {
	type pair struct {
		l loss.Loss
		f transfer.Func
	}
	pairs := []pair{{loss.SigmoidCE, transfer.Sigmoid}, {loss.SoftmaxCE, transfer.Softmax}}
	for _, l := range biTempered {
		pairs = append(pairs, pair{l, l.Transfer()})
	}
	for _, f := range Transfers() {
		pairs = append(pairs, pair{loss.Squared, f})
	}
	var ops []operation
	for _, p := range pairs {
		for _, gradient := range []bool{true, false} {
			name := fmt.Sprintf("Loss/%v,%v,d=%v", p.l, p.f, gradient)
			ops = append(ops, operation{name: name, thin: !gradient, prep: func(ar *arena, s Shape) call { return lossCall(ar, s, p.l, p.f, gradient) }})
		}
	}
	return ops
}

func lossCall(ar *arena, s Shape, l loss.Loss, f transfer.Func, gradient bool) call {
	const scale = 0.125
	inputs := preActivation
	if f == transfer.Exp {
		inputs = symmetric // e^a is its own derivative: the gradient's square overflows above 44
	}
	a := ar.in(s.B, s.M, inputs)
	y := ar.applied(f, a)
	t := ar.out(s.B, s.M, unit) // an output for the moment it is normalised
	if l == loss.SoftmaxCE || l.Kind() == loss.KindBiTempered {
		normalise(t)
	}
	b := &ar.blocks[len(ar.blocks)-1]
	b.before, b.output = bits(b.whole), false

	var d backend.Mat
	c := call{sum: new(float64), bytes: 4 * 3 * float64(s.B) * float64(s.M)}
	if gradient {
		d = ar.out(s.B, s.M, nan)
		c.outs = []backend.Mat{d}
		c.bytes += 4 * float64(s.B) * float64(s.M)
	}
	c.run = func(k backend.Kernels) { *c.sum = k.Loss(d, a, y, t, f, l, scale) }
	c.want = func() expected {
		x, tt := oracle.From32(a), oracle.From32(t)
		e := expected{sum: oracle.Loss(l, f, x, tt), sumBound: lossBound(l, f, x, tt)}
		if gradient {
			e.outs = []oracle.Mat{oracle.LossGradient(l, f, x, tt, scale)}
			e.bounds = []oracle.Mat{lossGradientBound(l, f, x, tt, scale)}
		}
		return e
	}
	return c
}

// normalise makes each row of targets sum to 1.
func normalise(t backend.Mat) {
	for i := range t.Rows {
		row := t.Data[i*t.Stride : i*t.Stride+t.Cols]
		sum := 0.0
		if len(row) > 0 {
			row[0] += 0.5 // never a row of zeros
		}
		for _, v := range row {
			sum += float64(v)
		}
		for j := range row {
			row[j] = float32(float64(row[j]) / sum)
		}
	}
}

// lossBound is 16ε of the sum of the absolute values of all terms, each of which may be
// computed in float32; the terms are added in float64. The errors of y and y − t in a
// square count twice.
func lossBound(l loss.Loss, f transfer.Func, a, t oracle.Mat) float64 {
	y := oracle.Apply(f, a)
	dy := applyBound(f, a)
	var sum float64
	for i := range a.Rows {
		var top float64
		for _, v := range a.Row(i) {
			top = math.Max(top, math.Abs(v))
		}
		for j := range a.Cols {
			v, w := math.Abs(a.At(i, j)), math.Abs(t.At(i, j))
			switch l.Kind() {
			case loss.KindSigmoidCE:
				sum += 16 * epsilon * (v + v*w + 1)
			case loss.KindSoftmaxCE:
				sum += 16 * epsilon * w * (v + top + math.Log(float64(a.Cols)) + 1)
			case loss.KindBiTempered: // 1/(1 − t₁) grows what cancels
				sum += 64 * epsilon * (w*(v+top+1) + 1)
			case loss.KindSquared:
				e := math.Abs(y.At(i, j) - t.At(i, j))
				sum += (e + dy.At(i, j)) * (dy.At(i, j) + 2*epsilon*e)
			}
		}
	}
	return sum + tiny
}

// lossGradientBound: y and t are exact to applyBound and 4ε, their difference and its
// scaling to 4ε more; the chain rule of the squared error adds chainBound.
func lossGradientBound(l loss.Loss, f transfer.Func, a, t oracle.Mat, scale float64) oracle.Mat {
	y, dy := oracle.Apply(f, a), applyBound(f, a)
	diff := combine(y, t, func(y, t float64) float64 { return scale * (y - t) })
	off := combine(dy, combine(y, t, func(y, t float64) float64 { return 8 * epsilon * (math.Abs(y) + math.Abs(t)) }),
		func(p, q float64) float64 { return scale*(p+q) + tiny })
	if l.Kind() == loss.KindBiTempered { // |∂ℓ/∂a| ≤ 2, in float64
		return off.Map(func(v float64) float64 { return v + 4*epsilon*scale })
	}
	if l.Kind() != loss.KindSquared {
		return off
	}
	if f.RowCoupled() {
		// The Jacobian's rows have absolute sums of at most 2y: it passes on the errors of
		// the whole row, at most 2·max of them.
		for i := range off.Rows {
			var top float64
			for _, v := range off.Row(i) {
				top = max(top, v)
			}
			for j := range off.Row(i) {
				off.Set(i, j, 2*y.At(i, j)*top+tiny)
			}
		}
	}
	off = combine(off, steepness(f, a), func(v, s float64) float64 { return v * s })
	return oracle.Plus(off, 1, chainBound(f, diff, a))
}

// residuals lists Residual, Scale and AddInto.
func residuals() []operation {
	var ops []operation
	for _, f := range Transfers() {
		for _, inplace := range []bool{false, true} {
			name := fmt.Sprintf("Residual/%v,inplace=%v", f, inplace)
			ops = append(ops, operation{name: name, thin: !inplace, prep: func(ar *arena, s Shape) call { return residualCall(ar, s, f, inplace) }})
		}
	}
	for _, inplace := range []bool{false, true} {
		ops = append(ops, operation{name: fmt.Sprintf("Scale/inplace=%v", inplace), prep: func(ar *arena, s Shape) call {
			e := ar.out(s.B, s.M, symmetric)
			d := e
			if !inplace {
				d = ar.in(s.B, s.M, symmetric)
			}
			want := func() expected {
				v := oracle.From32(d).Map(func(v float64) float64 { return 10 * v })
				return one(v, scaled(epsilon, v))
			}
			return elementwise(s, 2, want, e, func(k backend.Kernels) { k.Scale(e, d, 10) })
		}})
	}
	return append(ops, operation{name: "AddInto", prep: func(ar *arena, s Shape) call {
		w, d := ar.out(s.M, s.N+1, symmetric), ar.in(s.M, s.N+1, symmetric)
		want := func() expected {
			v := oracle.Plus(oracle.From32(w), 1, oracle.From32(d))
			return one(v, scaled(epsilon, v))
		}
		c := elementwise(s, 0, want, w, func(k backend.Kernels) { k.AddInto(w, d) })
		c.bytes = 4 * 3 * float64(s.M) * float64(s.N+1)
		return c
	}})
}

func residualCall(ar *arena, s Shape, f transfer.Func, inplace bool) call {
	ahat, e := ar.in(s.B, s.M, preActivation), ar.in(s.B, s.M, symmetric)
	yhat := ar.applied(f, ahat)
	r := ar.out(s.B, s.M, symmetric)
	da := r
	if !inplace {
		da = ar.in(s.B, s.M, symmetric)
	}
	want := func() expected {
		move, ee := oracle.From32(da), oracle.From32(e)
		if f == transfer.Identity {
			v := oracle.Plus(move, 1, ee)
			return one(v, scaled(epsilon, v))
		}
		a := oracle.Plus(oracle.From32(ahat), 1, move)
		y, y0 := oracle.Apply(f, a), oracle.From32(yhat)
		value := oracle.Plus(oracle.Plus(y, -1, y0), 1, ee)
		return one(value, residualBound(f, a, y0, ee))
	}
	return elementwise(s, 5, want, r, func(k backend.Kernels) { k.Residual(r, da, ahat, yhat, e, f) })
}

// residualBound: a = Â + dA is off by ε|a| (softmax: the row's largest), which f passes on
// by its slope; f itself by applyBound; the two sums by ε of their terms.
func residualBound(f transfer.Func, a, yhat, e oracle.Mat) oracle.Mat {
	y, bound, slope := oracle.Apply(f, a), applyBound(f, a), steepness(f, a)
	for i := range a.Rows {
		var top float64
		for _, v := range a.Row(i) {
			top = math.Max(top, math.Abs(v))
		}
		for j, v := range a.Row(i) {
			off := 2 * epsilon * math.Abs(v) * slope.At(i, j)
			if f.RowCoupled() {
				off = 4 * epsilon * top * y.At(i, j)
			}
			off += 2 * epsilon * (math.Abs(y.At(i, j)) + math.Abs(yhat.At(i, j)) + math.Abs(e.At(i, j)))
			bound.Set(i, j, bound.At(i, j)+off)
		}
	}
	return bound
}
