package transfer

import "math"

// Eval writes f(a) for one row: y and a have equal length, y may be a. Inner
// arithmetic is float64, rounded once; softmax subtracts the row's maximum.
func (f Func) Eval(y, a []float32) {
	y = y[:len(a)]
	switch f.kind {
	case KindTanh:
		for i, v := range a {
			y[i] = float32(math.Tanh(float64(v)))
		}
	case KindLeakyReLU:
		for i, v := range a {
			if !(v > 0) { // NaN goes through α·NaN and stays NaN
				v *= f.alpha
			}
			y[i] = v
		}
	case KindSigmoid:
		for i, v := range a {
			y[i] = float32(sigmoid(float64(v)))
		}
	case KindSoftmax:
		softmax(y, a)
	default:
		copy(y, a)
	}
}

// EvalDeriv multiplies d by the derivative, for one row: d ← d ∘ f′(a), or
// d ← (diag(y) − y yᵀ) d for softmax. a holds the pre-activations, y = f(a).
func (f Func) EvalDeriv(d, a, y []float32) {
	switch f.kind {
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
	}
}

// At is f at one pre-activation, in float64. It panics for a row-coupled f.
func (f Func) At(a float64) float64 {
	switch f.kind {
	case KindIdentity:
		return a
	case KindTanh:
		return math.Tanh(a)
	case KindLeakyReLU:
		if a > 0 {
			return a
		}
		return float64(f.alpha) * a
	case KindSigmoid:
		return sigmoid(a)
	}
	panic("transfer: At of a row-coupled function")
}

// Deriv is f′ at one pre-activation, in float64; at the kink of (leaky) ReLU it
// is α. It panics for a row-coupled f.
func (f Func) Deriv(a float64) float64 {
	switch f.kind {
	case KindIdentity:
		return 1
	case KindTanh:
		y := math.Tanh(a)
		return 1 - y*y
	case KindLeakyReLU:
		if a > 0 {
			return 1
		}
		return float64(f.alpha)
	case KindSigmoid:
		y := sigmoid(a)
		return y * (1 - y)
	}
	panic("transfer: Deriv of a row-coupled function")
}

// Integral is Σ F over one row of pre-activations, in float64, where F′ = f; it
// doesn't overflow for any finite float32:
//
//	identity     a²/2
//	tanh         log cosh a = |a| + log1p(e^(−2|a|)) − log 2
//	leaky ReLU   a·f(a)/2
//	sigmoid      log(1 + eᵃ) = max(a, 0) + log1p(e^(−|a|))
//	softmax      log Σ eᵃ, one value for the row
func (f Func) Integral(a []float32) float64 {
	var sum float64
	switch f.kind {
	case KindIdentity, KindLeakyReLU:
		for _, v := range a {
			sum += float64(v) * f.At(float64(v)) / 2
		}
	case KindTanh:
		for _, v := range a {
			x := math.Abs(float64(v))
			sum += x + math.Log1p(math.Exp(-2*x)) - math.Ln2
		}
	case KindSigmoid:
		for _, v := range a {
			sum += math.Max(float64(v), 0) + math.Log1p(math.Exp(-math.Abs(float64(v))))
		}
	case KindSoftmax:
		sum = LogSumExp(a)
	}
	return sum
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

// sigmoid never overflows: e^(−|a|) is at most 1.
func sigmoid(a float64) float64 {
	e := math.Exp(-math.Abs(a))
	if a >= 0 {
		return 1 / (1 + e)
	}
	if a < 0 {
		return e / (1 + e)
	}
	return a // NaN
}
