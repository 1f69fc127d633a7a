package transfer

import "math"

// Divergence is the matching loss of one row, in float64, never negative:
//
//	D_F(a, â) = F(a) − F(â) − ⟨f(â), a − â⟩
//
// 0 at a = â; for softmax also where they differ by a shift. NaN where f has no convex F.
//
// Between close points the terms of this formula cancel to nothing. So it is used for
// registered functions and tempered softmax alone; the other functions have formulas whose
// terms don't cancel, or an integral over f′, which are good to a few units of the
// result's last place however close the points are; docs/method.md has the bounds.
func (f Func) Divergence(a, ahat []float32) float64 {
	ahat = ahat[:len(a)]
	switch f.kind {
	case KindSoftmax:
		return softmaxDivergence(a, ahat)
	case KindTemperedSoftmax:
		return temperedDivergence(f, a, ahat)
	}
	if !f.Monotone() {
		return math.NaN()
	}
	var sum float64
	for i, v := range a {
		if x, x0 := float64(v), float64(ahat[i]); x != x0 {
			sum += math.Max(0, f.divergence(x, x0))
		}
	}
	return sum
}

// divergence is D_F of one pre-activation, x ≠ x0.
func (f Func) divergence(x, x0 float64) float64 {
	if math.IsNaN(x) || math.IsNaN(x0) {
		return math.NaN()
	}
	d, alpha := x-x0, float64(f.alpha)
	switch f.kind {
	case KindIdentity:
		return d * d / 2
	case KindTanh: // 2σ(2a) − 1
		return sigmoidDivergence(2*x, 2*x0)
	case KindLeakyReLU:
		switch {
		case x > 0 && x0 > 0:
			return d * d / 2
		case x > 0:
			return (x*x + alpha*x0*(x0-2*x)) / 2
		case x0 > 0:
			return alpha*x*x/2 + x0*(x0/2-x)
		}
		return alpha * (d * d) / 2
	case KindSigmoid:
		return sigmoidDivergence(x, x0)
	case KindReLU2:
		switch {
		case x > 0 && x0 > 0:
			return d * d * (x + 2*x0) / 3
		case x > 0:
			return x * x * x / 3
		case x0 > 0:
			return x0 * x0 * (2*x0/3 - x)
		}
		return 0
	case KindArctan:
		if math.Abs(d) <= math.Hypot(1, x0)/4 {
			return f.nearDivergence(x0, d)
		}
		// The angle between (1, x̂) and (1, x), and the ratio of their lengths.
		return x*math.Atan2(d, 1+x*x0) - math.Log((1+x*x)/(1+x0*x0))/2
	case KindSoftplus:
		if math.Abs(d) <= 1 {
			return f.nearDivergence(x0, d)
		}
		return softplusDivergence(x, x0)
	case KindSoftsign:
		return softsignDivergence(x, x0)
	case KindELU:
		switch {
		case x > 0 && x0 > 0:
			return d * d / 2
		case x > 0:
			return x*x/2 + alpha*(expDivergence(0, x0)-math.Expm1(x0)*x)
		case x0 > 0:
			return alpha*expm1Excess(x) + x0*(x0/2-x)
		}
		return alpha * expDivergence(x, x0)
	case KindHardTanh: // from x0 into [−1, 1] at no cost, then within it, then beyond
		end := f.At(x)
		e := end - f.At(x0)
		if e == 0 {
			return 0
		}
		return e*e/2 + e*(x-end)
	case KindExp:
		return expDivergence(x, x0)
	}
	return f.integral(x) - f.integral(x0) - f.At(x0)*d
}

// nearDivergence is d² ∫ (1 − s) f′(x0 + sd) ds over [0, 1], by Gauss's rule on panels so
// short against the distance to f′'s poles that its error is rounding.
func (f Func) nearDivergence(x0, d float64) float64 {
	const panels = 8
	var sum float64
	for p := range panels {
		for i, x := range gaussNodes {
			s := (float64(p) + (x+1)/2) / panels
			sum += gaussWeights[i] * (1 - s) * f.Deriv(x0+s*d)
		}
	}
	return d * d * sum / (2 * panels)
}

// farOut is a distance at which e to its power is far from overflow.
const farOut = 64

// sigmoidDivergence is D_F of F = log(1 + eᵃ). It doesn't change when both arguments
// change sign, as F(a) − F(−a) is linear. Near, it is Kullback and Leibler's of the
// probabilities (1 − q, q): log Σ pe^u = log(1 + Σ p(e^u − 1 − u)) for u of mean 0.
func sigmoidDivergence(a, ahat float64) float64 {
	if ahat < 0 {
		a, ahat = -a, -ahat
	}
	q, d := sigmoid(-ahat), a-ahat
	switch tail := math.Log1p(math.Exp(-math.Abs(a))); {
	case math.Abs(d) <= farOut:
		return math.Log1p(q*expm1Excess(-(1-q)*d) + (1-q)*expm1Excess(q*d))
	case a >= 0:
		return q*d + (tail - math.Log1p(math.Exp(-ahat)))
	default:
		return -a + tail - math.Log1p(math.Exp(-ahat)) + q*d
	}
}

// softplusDivergence is D_F of softplus for |a − â| > 1: with its F, what is quadratic
// apart from what dies away.
func softplusDivergence(a, ahat float64) float64 {
	d, slope := a-ahat, math.Log1p(math.Exp(-math.Abs(ahat)))
	end, start := negDilog(math.Exp(-math.Abs(a))), negDilog(math.Exp(-math.Abs(ahat)))
	const whole = math.Pi * math.Pi / 6
	switch {
	case a > 0 && ahat > 0:
		return d*d/2 - (end - start) - slope*d
	case a > 0:
		return a*a/2 + (whole - end - start) - slope*d
	case ahat > 0:
		return ahat*(ahat/2-a) - (whole - end - start) - slope*d
	}
	return end - start - slope*d
}

// softsignDivergence is D_F of F = |a| − log(1 + |a|), which is even.
func softsignDivergence(a, ahat float64) float64 {
	if ahat < 0 {
		a, ahat = -a, -ahat
	}
	// From x̂ ≥ 0 to x ≥ 0: r − log(1 + r) with 1 + r = (1 + x)/(1 + x̂).
	same := func(x float64) float64 {
		r := (x - ahat) / (1 + ahat)
		if r > -0.5 {
			return logExcess(r)
		}
		return r - math.Log((1+x)/(1+ahat))
	}
	if a >= 0 {
		return same(a)
	}
	return same(0) - softsign(ahat)*a + logExcess(-a) // by way of 0
}

// expDivergence is D_F of F = eᵃ.
func expDivergence(a, ahat float64) float64 {
	d := a - ahat
	if d > 1 {
		return math.Exp(a) * (1 - math.Exp(-d)*(1+d))
	}
	return math.Exp(ahat) * expm1Excess(d)
}

// expm1Excess is eˣ − 1 − x, by Taylor's series where that cancels.
func expm1Excess(x float64) float64 {
	if !(math.Abs(x) <= 0.5) {
		return math.Expm1(x) - x
	}
	s := 1.0
	for k := 16.0; k >= 3; k-- {
		s = 1 + x/k*s
	}
	return x * x / 2 * s
}

// logExcess is r − log(1 + r), r > −1: where that cancels by log(1 + r) = 2 artanh s, whose
// first term is r − rs.
func logExcess(r float64) float64 {
	if !(math.Abs(r) <= 0.25) {
		return r - math.Log1p(r)
	}
	s := r / (2 + r)
	var t float64
	for k := 21.0; k >= 3; k -= 2 {
		t = t*s*s + 1/k
	}
	return r*s - 2*s*s*s*t
}

// softmaxDivergence is Kullback and Leibler's of ŷ from y: log Σ ŷe^u where u is a − â less
// its mean under ŷ; see sigmoidDivergence. Differences are taken from those of the class
// of the largest ŷ, so that a shift of the row is no large number.
func softmaxDivergence(a, ahat []float32) float64 {
	if len(a) == 0 {
		return 0
	}
	k := 0
	for i, v := range ahat {
		if v > ahat[k] {
			k = i
		}
	}
	moved := func(i int) float64 { return (float64(a[i]) - float64(a[k])) - below(ahat, i, k) }
	var sum, mean float64
	for i := range ahat {
		e := math.Exp(below(ahat, i, k))
		sum += e
		if e > 0 {
			mean += e * moved(i)
		}
	}
	mean /= sum
	top, excess := 0.0, 0.0
	for i := range ahat {
		u := moved(i) - mean
		if p := math.Exp(below(ahat, i, k)) / sum; p > 0 {
			excess += p * expm1Excess(u)
		}
		top = math.Max(top, u)
	}
	if top <= 10*farOut {
		return math.Log1p(excess)
	}
	// So far a step overflows that sum: log Σ e^(log ŷ + u), from its largest exponent.
	largest := math.Inf(-1)
	for i := range ahat {
		largest = math.Max(largest, below(ahat, i, k)+(moved(i)-mean))
	}
	excess = 0
	for i := range ahat {
		excess += math.Exp(below(ahat, i, k) + (moved(i) - mean) - largest)
	}
	return math.Max(0, largest+math.Log(excess/sum))
}

// below is aᵢ − aₖ.
func below(a []float32, i, k int) float64 { return float64(a[i]) - float64(a[k]) }

func temperedDivergence(f Func, a, ahat []float32) float64 {
	t := float64(f.alpha)
	top, shift := Normaliser(ahat, t)
	var slope float64
	same := true
	for i, v := range ahat {
		slope += ExpT(float64(v)-top-shift, t) * (float64(a[i]) - float64(v))
		same = same && a[i] == v
	}
	if same {
		return 0
	}
	return math.Max(0, f.Integral(a)-f.Integral(ahat)-slope)
}
