package transfer

import "math"

// Eval writes f(a) for one row: y and a have equal length, y may be a. Inner
// arithmetic is float64, rounded once; softmax subtracts the row's maximum.
func (f Func) Eval(y, a []float32) {
	y = y[:len(a)]
	switch f.kind {
	case KindIdentity:
		copy(y, a)
	case KindTanh:
		tanhRow(y, a)
	case KindLeakyReLU:
		for i, v := range a {
			switch {
			case v > 0:
			case f.alpha == 0 && v <= 0: // not α·v, which is NaN at −∞
				v = 0
			default: // NaN too, which stays NaN
				v *= f.alpha
			}
			y[i] = v
		}
	case KindSigmoid:
		sigmoidRow(y, a)
	case KindSoftmax:
		softmax(y, a)
	case KindTemperedSoftmax:
		temperedSoftmax(y, a, float64(f.alpha))
	case KindCustom:
		f.custom.eval(y, a)
	default:
		for i, v := range a {
			y[i] = float32(f.At(float64(v)))
		}
	}
}

// EvalDeriv multiplies d by the derivative, for one row: d ← d ∘ f′(a), or the row's
// symmetric Jacobian, (diag(y) − y yᵀ) d for softmax. a holds the pre-activations,
// y = f(a).
func (f Func) EvalDeriv(d, a, y []float32) {
	switch f.kind {
	case KindIdentity:
	case KindTanh:
		for i, v := range y {
			d[i] *= 1 - float32(v*v)
		}
	case KindLeakyReLU:
		for i, v := range a {
			if !(v > 0) { // f′(0) = α
				d[i] *= f.alpha
			}
		}
	case KindSigmoid:
		for i, v := range y {
			d[i] *= v * (1 - v)
		}
	case KindSoftmax:
		var dot float64
		for i, v := range y {
			dot += float64(v) * float64(d[i])
		}
		for i, v := range y {
			d[i] = float32(float64(v) * (float64(d[i]) - dot))
		}
	case KindTemperedSoftmax:
		temperedJacobian(d, y, float64(f.alpha))
	case KindELU:
		for i, v := range a {
			if !(v > 0) { // f′(0) = α
				d[i] *= y[i] + f.alpha
			}
		}
	case KindExp:
		for i, v := range y {
			d[i] *= v
		}
	case KindCustom:
		for i, v := range a {
			d[i] *= f.custom.Deriv(v, y[i])
		}
	default: // from a: y doesn't tell f′, or has lost digits of it
		for i, v := range a {
			d[i] = float32(float64(d[i]) * f.Deriv(float64(v)))
		}
	}
}

// LogSumExp is log Σ eᵃ over a row, in float64, computed from the row's maximum.
func LogSumExp(a []float32) float64 {
	top := maximum(a)
	var sum float64
	for _, v := range a {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

func maximum(a []float32) float64 {
	top := math.Inf(-1)
	for _, v := range a {
		top = math.Max(top, float64(v)) // NaN wins
	}
	return top
}

func softmax(y, a []float32) {
	top := maximum(a)
	var sum float64
	for _, v := range a {
		sum += math.Exp(float64(v) - top)
	}
	for i, v := range a {
		y[i] = float32(math.Exp(float64(v)-top) / sum)
	}
}
