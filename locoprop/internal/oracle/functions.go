package oracle

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Apply is Y = f(A), row by row.
func Apply(f transfer.Func, a Mat) Mat {
	y := New(a.Rows, a.Cols)
	for i := range a.Rows {
		applyRow(f, y.Row(i), a.Row(i))
	}
	return y
}

func applyRow(f transfer.Func, y, a []float64) {
	if f.Kind() == transfer.KindSoftmax {
		lse := logSumExp(a)
		for j, v := range a {
			y[j] = math.Exp(v - lse)
		}
		return
	}
	if f.Kind() == transfer.KindTemperedSoftmax {
		tempered(float64(f.Param()), y, a)
		return
	}
	for j, v := range a {
		y[j] = apply(f, v)
	}
}

func apply(f transfer.Func, a float64) float64 {
	switch f.Kind() {
	case transfer.KindIdentity:
		return a
	case transfer.KindTanh:
		return math.Tanh(a)
	case transfer.KindLeakyReLU:
		if f.Param() == 0 {
			return math.Max(a, 0)
		}
		return math.Max(a, 0) + float64(f.Param())*math.Min(a, 0)
	case transfer.KindSigmoid:
		return math.Exp(-softplus(-a)) // 1/(1 + e⁻ᵃ)
	}
	return moreApply(f, a)
}

func moreApply(f transfer.Func, a float64) float64 {
	switch f.Kind() {
	case transfer.KindReLU2:
		return math.Pow(math.Max(a, 0), 2)
	case transfer.KindArctan:
		return math.Atan(a)
	case transfer.KindSoftplus:
		return softplus(a)
	case transfer.KindSoftsign:
		return math.Copysign(1/(1+1/math.Abs(a)), a)
	case transfer.KindELU:
		return math.Max(a, 0) + float64(f.Param())*math.Expm1(math.Min(a, 0))
	case transfer.KindHardTanh:
		return math.Max(math.Min(a, 1), -1)
	case transfer.KindExp:
		return math.Exp(a)
	case transfer.KindGELU:
		return math.Max(a, -1e3) * math.Erfc(-a/math.Sqrt2) / 2
	case transfer.KindSiLU:
		return math.Max(a, -1e3) * math.Exp(-softplus(-a))
	}
	panic("oracle: unknown transfer function")
}

func softplus(a float64) float64 { return math.Max(a, 0) + math.Log1p(math.Exp(-math.Abs(a))) }

func logSumExp(a []float64) float64 {
	top := math.Inf(-1)
	for _, v := range a {
		top = math.Max(top, v)
	}
	var sum float64
	for _, v := range a {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}

// Chain is D times the derivative of f at A: D ∘ f′(A), or each row through the
// Jacobian diag(y) − y yᵀ of softmax. f′ comes from a, not from a rounded y.
func Chain(f transfer.Func, d, a Mat) Mat {
	r := New(d.Rows, d.Cols)
	for i := range d.Rows {
		di, ai, ri := d.Row(i), a.Row(i), r.Row(i)
		if f.Kind() == transfer.KindSoftmax {
			y := make([]float64, len(ai))
			applyRow(f, y, ai)
			var dot float64
			for j := range y {
				dot += y[j] * di[j]
			}
			for j := range y {
				ri[j] = y[j] * (di[j] - dot)
			}
			continue
		}
		if f.Kind() == transfer.KindTemperedSoftmax {
			temperedChain(float64(f.Param()), ri, di, ai)
			continue
		}
		for j := range ri {
			ri[j] = di[j] * derivative(f, ai[j])
		}
	}
	return r
}

func derivative(f transfer.Func, a float64) float64 {
	switch f.Kind() {
	case transfer.KindIdentity:
		return 1
	case transfer.KindTanh:
		return 1 / (math.Cosh(a) * math.Cosh(a))
	case transfer.KindLeakyReLU:
		if a > 0 {
			return 1
		}
		return float64(f.Param())
	case transfer.KindSigmoid:
		return math.Exp(-softplus(a) - softplus(-a)) // σ(a)·σ(−a)
	case transfer.KindReLU2:
		return 2 * math.Max(a, 0)
	case transfer.KindArctan:
		return 1 / (1 + a*a)
	case transfer.KindSoftplus:
		return math.Exp(-softplus(-a))
	case transfer.KindSoftsign:
		return math.Pow(1+math.Abs(a), -2)
	case transfer.KindELU:
		if a > 0 {
			return 1
		}
		return float64(f.Param()) * math.Exp(a)
	case transfer.KindHardTanh:
		if a > -1 && a < 1 {
			return 1
		}
		return 0
	case transfer.KindExp:
		return math.Exp(a)
	case transfer.KindGELU:
		return math.Erfc(-a/math.Sqrt2)/2 + a*math.Exp(-a*a/2)/math.Sqrt(2*math.Pi)
	case transfer.KindSiLU: // σ(a)(1 + a·σ(−a))
		return math.Exp(-softplus(-a)) * (1 + a*math.Exp(-softplus(a)))
	}
	panic("oracle: unknown transfer function")
}

// Integral is Σ F over a row, F′ = f.
func Integral(f transfer.Func, a []float64) float64 {
	if f.Kind() == transfer.KindSoftmax {
		return logSumExp(a)
	}
	if f.Kind() == transfer.KindTemperedSoftmax {
		return temperedIntegral(float64(f.Param()), a)
	}
	var sum float64
	for _, v := range a {
		switch f.Kind() {
		case transfer.KindIdentity, transfer.KindLeakyReLU:
			sum += v * apply(f, v) / 2
		case transfer.KindTanh:
			sum += softplus(-2*v) + v - math.Ln2 // log((eᵛ + e⁻ᵛ)/2)
		case transfer.KindSigmoid:
			sum += softplus(v)
		default:
			sum += moreIntegral(f, v)
		}
	}
	return sum
}

// Divergence is Σ D_F(A, Â) = Σ F(A) − F(Â) − ⟨f(Â), A − Â⟩ over all rows.
func Divergence(f transfer.Func, a, ahat Mat) float64 {
	var sum float64
	y := Apply(f, ahat)
	for i := range a.Rows {
		sum += Integral(f, a.Row(i)) - Integral(f, ahat.Row(i))
		for j := range a.Cols {
			sum -= y.At(i, j) * (a.At(i, j) - ahat.At(i, j))
		}
	}
	return sum
}

// Loss is Σ ℓ(a, t) over the rows, for pre-activations A and targets T.
func Loss(l loss.Loss, f transfer.Func, a, t Mat) float64 {
	var sum float64
	y := Apply(f, a)
	for i := range a.Rows {
		lse := logSumExp(a.Row(i))
		for j := range a.Cols {
			v, w := a.At(i, j), t.At(i, j)
			switch l.Kind() {
			case loss.KindSigmoidCE: // −t log σ(a) − (1−t) log σ(−a)
				sum += w*softplus(-v) + (1-w)*softplus(v)
			case loss.KindSoftmaxCE: // −t log y
				sum += w * (lse - v)
			case loss.KindBiTempered:
				t1, _ := l.Temperatures()
				sum += w*(logT(w, t1)-logT(y.At(i, j), t1)) - (math.Pow(w, 2-t1)-math.Pow(y.At(i, j), 2-t1))/(2-t1)
			case loss.KindSquared:
				sum += (y.At(i, j) - w) * (y.At(i, j) - w) / 2
			}
		}
	}
	return sum
}

// LossGradient is D = scale·∂ℓ/∂A.
func LossGradient(l loss.Loss, f transfer.Func, a, t Mat, scale float64) Mat {
	d := Apply(f, a)
	for i := range d.Rows {
		var total float64
		for _, v := range t.Row(i) {
			total += v
		}
		for j, y := range d.Row(i) {
			if l.Kind() == loss.KindSoftmaxCE {
				y *= total
			}
			d.Set(i, j, scale*(y-t.At(i, j)))
		}
	}
	switch l.Kind() {
	case loss.KindSquared:
		return Chain(f, d, a)
	case loss.KindBiTempered: // ∂ℓ/∂y = (y − t)·y^(−t₁), then the Jacobian
		t1, _ := l.Temperatures()
		y := Apply(f, a)
		for i := range d.Data {
			d.Data[i] *= math.Pow(y.Data[i], -t1)
		}
		return Chain(f, d, a)
	}
	return d
}
