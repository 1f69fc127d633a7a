package kbfgs

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

const (
	average     = 0.9 // of gradients and pairs
	firstShare  = 0.2 // of yᵀHy, below which s is damped
	leastCosine = 1e-4
)

// factors is what K-BFGS keeps of one layer.
type factors struct {
	*layerwise.Layer
	o        Options
	secant   backend.Secant
	ridge    float64         // √λ
	input    *precond.Moment // C̄
	ha       backend.Mat     // H_a, (n+1) × (n+1)
	hg       backend.Mat     // H_g, m × m; none where limited
	gradient backend.Mat     // M
	half     backend.Mat     // G; M H_a
	a        backend.Mat     // A, of the last pass

	s, y             []float32   // averages of the pairs
	xBar, aBar, dBar []float64   // means before the step; dBar is that of B·D
	in, out          pair        // of H_a and of H_g
	usable           bool        // out
	pairS, pairY     backend.Mat // Limited: the pairs, a ring of rows
	count            []int64     // pairs ever stored
}

func newFactors(l *layerwise.Layer, input *precond.Moment, a backend.Mat, o Options) *factors {
	m, n := l.W.Rows, l.W.Cols
	vector := func(n int) []float64 { return make([]float64, n) }
	f := &factors{
		Layer: l, o: o, secant: backend.SecantOf(l.Kernels), ridge: math.Sqrt(o.Damping), input: input, a: a,
		ha: backend.NewMat(n, n), gradient: backend.NewMat(m, n), half: backend.NewMat(m, n),
		s: make([]float32, m), y: make([]float32, m), xBar: vector(n), aBar: vector(m), dBar: vector(m),
		in: pair{vector(n), vector(n), vector(n)}, out: pair{vector(m), vector(m), vector(m)},
	}
	if o.Limited {
		f.pairS, f.pairY, f.count = backend.NewMat(o.Memory, m), backend.NewMat(o.Memory, m), make([]int64, 1)
		return f
	}
	f.hg = backend.NewMat(m, m)
	for i := range m {
		f.hg.Data[i*m+i] = 1
	}
	return f
}

func (f *factors) state() []plan.Tensor {
	state := []plan.Tensor{
		f.Tensor("kbfgs.gradient", f.gradient), f.Tensor("kbfgs.second", f.input.Second()),
		f.Counter("kbfgs.batches", f.input.State().Batches), f.Tensor("kbfgs.input", f.ha),
		f.Vector("kbfgs.s", f.s), f.Vector("kbfgs.y", f.y),
	}
	if f.o.Limited {
		return append(state, f.Tensor("kbfgs.pairs_s", f.pairS), f.Tensor("kbfgs.pairs_y", f.pairY), f.Counter("kbfgs.pairs", f.count))
	}
	return append(state, f.Tensor("kbfgs.output", f.hg))
}

// take takes G of rows lo ≤ u < hi, which half holds, into M.
func (f *factors) take(lo, hi int) {
	layerwise.InCache(lo, hi, func(lo, hi int) {
		g := backend.Rows(f.half, lo, hi)
		if f.o.L2 != 0 {
			layerwise.AddScaled(f.Kernels, g, float32(f.o.L2), backend.Rows(f.W, lo, hi))
		}
		layerwise.Average(f.Kernels, backend.Rows(f.gradient, lo, hi), average, g)
	})
}

// means keeps the means of this batch before the step.
func (f *factors) means() {
	f.mean(f.xBar, f.X)
	f.mean(f.aBar, f.a)
	f.secant.ColumnSums(f.D, f.dBar) // the mean of B·D
}

// mean makes the mean of m's rows.
func (f *factors) mean(to []float64, m backend.Mat) {
	f.secant.ColumnSums(m, to)
	for j := range to {
		to[j] /= float64(m.Rows)
	}
}

// start makes H_a of the first batch.
func (f *factors) start(scratch []float32) error {
	return f.input.Inverse(f.ha, f.ridge, mat.Float64s(scratch))
}

// pair is what a BFGS update of a factor H takes: the pair s, y and Hy.
type pair struct{ s, y, hy []float64 }

// multiply makes rows lo ≤ i < hi of Hy.
func (p *pair) multiply(k backend.Secant, h backend.Mat, lo, hi int) {
	k.Times(p.hy[lo:hi], backend.Rows(h, lo, hi), p.y)
}

// update updates rows lo ≤ i < hi of H.
func (p *pair) update(k backend.Secant, h backend.Mat, lo, hi int) {
	ρ := 1 / dot(p.s, p.y)
	k.RankTwo(backend.Rows(h, lo, hi), lo, float64(ρ*ρ)*dot(p.y, p.hy)+ρ, ρ, p.s, p.hy)
}

func dot(x, y []float64) (sum float64) {
	for i, v := range x {
		sum += float64(v * y[i])
	}
	return sum
}

// inputY makes rows lo ≤ i < hi of y = (C̄ + √λ I)s.
func (f *factors) inputY(lo, hi int) {
	f.secant.Times(f.in.y[lo:hi], backend.Rows(f.input.Second(), lo, hi), f.in.s)
	for i := lo; i < hi; i++ {
		f.in.y[i] += float64(f.ridge * f.in.s[i])
	}
}

// updateInput brings rows lo ≤ i < hi of H_a nearer to those of (C̄ + √λ I)⁻¹.
func (f *factors) updateInput(lo, hi int) {
	if sy := dot(f.in.s, f.in.y); sy > 0 && !math.IsInf(sy, 0) {
		f.in.update(f.secant, f.ha, lo, hi)
	}
}

// observeOutput takes what the step did to the layer's means into the averages of pairs.
func (f *factors) observeOutput() {
	s, y := f.out.s, f.out.y
	f.mean(s, f.a)
	f.secant.ColumnSums(f.D, y)
	for u := range s {
		f.s[u] = float32(average*float64(f.s[u]) + (1-average)*(s[u]-f.aBar[u]))
		f.y[u] = float32(average*float64(f.y[u]) + (1-average)*(y[u]-f.dBar[u]))
		s[u], y[u] = float64(f.s[u]), float64(f.y[u])
	}
}

// choose damps the pair of H_g, of which Hy is known, and decides whether it is used.
func (f *factors) choose() {
	f.damp(f.out.s, f.out.y, f.out.hy)
	ss, sy := dot(f.out.s, f.out.s), dot(f.out.s, f.out.y)
	f.usable = sy > leastCosine*ss*math.Sqrt(dot(f.dBar, f.dBar)) && !math.IsInf(sy, 0)
	if f.usable && f.o.Limited {
		f.keep(sy)
	}
}

// keep adds the pair of H_g, sᵀy = sy, to those of the limited form.
func (f *factors) keep(sy float64) {
	// A common factor of s and y changes nothing; this one, sᵀy = 1, keeps small pairs, and
	// what they are divided by, within float32.
	at, scale := int(f.count[0])%f.o.Memory, 1/math.Sqrt(sy)
	for u, v := range f.out.s {
		f.pairS.Data[at*f.pairS.Stride+u], f.pairY.Data[at*f.pairY.Stride+u] = float32(scale*v), float32(scale*f.out.y[u])
	}
	f.count[0]++
}

// damp makes a pair safe for H_g. hy is H_g y.
func (f *factors) damp(s, y, hy []float64) {
	yhy, sy := dot(y, hy), dot(s, y)
	if sy < firstShare*yhy {
		θ := (1 - firstShare) * yhy / (yhy - sy)
		for u := range s {
			s[u] = float64(θ*s[u]) + float64((1-θ)*hy[u])
		}
	}
	ss, sy := dot(s, s), dot(s, y)
	if sy < f.ridge*ss {
		θ := (1 - f.ridge) * ss / (ss - sy)
		for u := range y {
			y[u] = float64(θ*y[u]) + float64((1-θ)*s[u])
		}
	}
}
