package transfer

import "math"

// At is f at one pre-activation, in float64. It panics for a row-coupled f.
func (f Func) At(a float64) float64 {
	switch f.kind {
	case KindIdentity:
		return a
	case KindTanh:
		return math.Tanh(a)
	case KindLeakyReLU:
		return leaky(a, float64(f.alpha))
	case KindSigmoid:
		return sigmoid(a)
	case KindReLU2:
		a = leaky(a, 0)
		return a * a
	case KindArctan:
		return math.Atan(a)
	case KindSoftplus:
		return softplus(a)
	case KindSoftsign:
		return softsign(a)
	case KindELU:
		if a > 0 {
			return a
		}
		return float64(f.alpha) * math.Expm1(a)
	case KindHardTanh:
		return math.Max(-1, math.Min(a, 1)) // NaN wins in both
	case KindExp:
		return math.Exp(a)
	case KindGELU:
		return gelu(a)
	case KindSiLU:
		return silu(a)
	case KindCustom:
		return float64(f.custom.at(float32(a)))
	}
	panic("transfer: At of a row-coupled function")
}

// Deriv is f′ at one pre-activation, in float64. At a kink it is the value that
// training uses: α at 0 for (leaky) ReLU and ELU, 0 at ±1 for hard tanh. It panics for
// a row-coupled f.
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
	case KindReLU2:
		return 2 * leaky(a, 0)
	case KindArctan:
		return 1 / (1 + a*a)
	case KindSoftplus:
		return sigmoid(a)
	case KindSoftsign:
		r := 1 / (1 + math.Abs(a))
		return r * r
	case KindELU:
		if a > 0 {
			return 1
		}
		return float64(f.alpha) * math.Exp(a)
	case KindHardTanh:
		if math.Abs(a) >= 1 {
			return 0
		}
		return 1
	case KindExp:
		return math.Exp(a)
	case KindGELU:
		return geluDeriv(a)
	case KindSiLU:
		return siluDeriv(a)
	case KindCustom:
		return float64(f.custom.Deriv(float32(a), f.custom.at(float32(a))))
	}
	panic("transfer: Deriv of a row-coupled function")
}

// leaky is a for a > 0, else αa; for α = 0 it is 0 at −∞ too, where a product is NaN.
func leaky(a, alpha float64) float64 {
	switch {
	case a > 0 || math.IsNaN(a):
		return a
	case alpha == 0:
		return 0
	}
	return alpha * a
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

func softplus(a float64) float64 {
	return math.Max(a, 0) + math.Log1p(math.Exp(-math.Abs(a)))
}

func softsign(a float64) float64 {
	if math.IsInf(a, 0) {
		return math.Copysign(1, a)
	}
	return a / (1 + math.Abs(a))
}

// From here on down, Φ(a) and σ(a) are 0 in float64 and GELU and SiLU far below the
// least float32; −∞ goes there, or it would meet a 0 and give NaN.
const lowest = -800

// gelu is a·Φ(a), with the tail of Φ from erfc, which keeps its digits.
func gelu(a float64) float64 {
	if a < lowest {
		return 0
	}
	return a * math.Erfc(-a/math.Sqrt2) / 2
}

func geluDeriv(a float64) float64 {
	if math.Abs(a) > -lowest { // where ∞·0 would be NaN
		return math.Erfc(-a/math.Sqrt2) / 2
	}
	return math.Erfc(-a/math.Sqrt2)/2 + a*math.Exp(-a*a/2)/math.Sqrt(2*math.Pi)
}

func silu(a float64) float64 {
	if a < lowest {
		return 0
	}
	return a * sigmoid(a)
}

func siluDeriv(a float64) float64 {
	if math.Abs(a) > -lowest {
		return sigmoid(a)
	}
	return sigmoid(a) * (1 + a*sigmoid(-a))
}
