package transfer

import "math"

// Integral is Σ F over one row of pre-activations, in float64, where F′ = f; it
// doesn't overflow for any finite float32, but for exp, which is +Inf above 709.78, and
// keeps its digits where it is small (docs/method.md has the bounds):
//
//	identity           a²/2
//	tanh               log cosh a = |a| + log1p(e^(−2|a|)) − log 2
//	leaky ReLU         a·f(a)/2
//	ReLU²              max(a, 0)³/3
//	sigmoid            log(1 + eᵃ) = max(a, 0) + log1p(e^(−|a|))
//	arctan             a·arctan a − ½ log(1 + a²)
//	softplus           −Li₂(−eᵃ); for a > 0, a²/2 + π²/6 + Li₂(−e⁻ᵃ)
//	softsign           |a| − log(1 + |a|)
//	ELU                a²/2 for a > 0, else α(eᵃ − 1 − a)
//	hard tanh          a²/2 in [−1, 1], else |a| − ½
//	exp                eᵃ
//	softmax            log Σ eᵃ, one value for the row
//	tempered softmax   see [TemperedSoftmax]; one value for the row
//
// GELU and SiLU have no convex F: NaN. A registered function without an Integral of its
// own is integrated from 0 numerically.
func (f Func) Integral(a []float32) float64 {
	switch f.kind {
	case KindSoftmax:
		return LogSumExp(a)
	case KindTemperedSoftmax:
		return temperedIntegral(a, float64(f.alpha))
	}
	var sum float64
	for _, v := range a {
		sum += f.integral(float64(v))
	}
	return sum
}

// integral is F at one pre-activation.
func (f Func) integral(a float64) float64 {
	x := math.Abs(a)
	switch f.kind {
	case KindIdentity, KindLeakyReLU:
		return a * f.At(a) / 2
	case KindTanh:
		if x < 1 { // cosh a − 1
			h := math.Sinh(x / 2)
			return math.Log1p(2 * h * h)
		}
		return x + math.Log1p(math.Exp(-2*x)) - math.Ln2
	case KindSigmoid:
		return softplus(a)
	case KindReLU2:
		a = leaky(a, 0)
		return a * a * a / 3
	case KindArctan:
		if x > 1 {
			return x*math.Atan(x) - math.Log(x) - math.Log1p(1/(x*x))/2
		}
		return a*math.Atan(a) - math.Log1p(a*a)/2
	case KindSoftplus:
		if a <= 0 {
			return negDilog(math.Exp(a))
		}
		return a*a/2 + math.Pi*math.Pi/6 - negDilog(math.Exp(-a))
	case KindSoftsign:
		return logExcess(x)
	case KindELU:
		if a > 0 {
			return a * a / 2
		}
		return float64(f.alpha) * expm1Excess(a)
	case KindHardTanh:
		if x > 1 {
			return x - 0.5
		}
		return a * a / 2
	case KindExp:
		return math.Exp(a)
	case KindCustom:
		return f.custom.integral(a)
	}
	return math.NaN()
}

// negDilog is −Li₂(−z) = ∫ log(1 + s)/s ds over [0, z] for 0 ≤ z ≤ 1, by the series in
// u = log(1 + z) ≤ log 2 with Bernoulli's numbers Bₖ (Lewin, Polylogarithms and
// Associated Functions, 1981, section 1.8 for the substitution):
//
//	−Li₂(−z) = Σ Bₖ⁺ uᵏ⁺¹/(k+1)! = u + u²/4 + u³/36 − u⁵/3600 + …
func negDilog(z float64) float64 {
	u := math.Log1p(z)
	u2 := u * u
	// B₂ₖ/(2k+1)!; the first left out adds less than 1e-17 of the sum.
	c := [...]float64{
		1.0 / 36, -1.0 / 3600, 1.0 / 211680, -1.0 / 10886400, 1.0 / 526901760,
		-691.0 / 2730 / 6227020800, 7.0 / 6 / 1307674368000, -3617.0 / 510 / 355687428096000,
	}
	var s float64
	for k := len(c) - 1; k >= 0; k-- {
		s = s*u2 + c[k]
	}
	return u + u2/4 + u*u2*s
}
