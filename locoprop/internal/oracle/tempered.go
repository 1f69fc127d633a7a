package oracle

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// expT and logT are the tempered exponential and logarithm by their definitions.
func expT(x, t float64) float64 {
	if t == 1 {
		return math.Exp(x)
	}
	return math.Pow(math.Max(0, 1+(1-t)*x), 1/(1-t))
}

func logT(x, t float64) float64 {
	switch {
	case x == 0: // it stands beside a factor of 0
		return 0
	case t == 1:
		return math.Log(x)
	}
	return (math.Pow(x, 1-t) - 1) / (1 - t)
}

// normaliser finds ν by bisection of the bracket that one and m equal classes give.
func normaliser(t float64, a []float64) float64 {
	lo := math.Inf(-1)
	for _, v := range a {
		lo = math.Max(lo, v)
	}
	hi := lo - logT(1/float64(len(a)), t)
	for range 200 {
		mid := lo + (hi-lo)/2
		if !(lo < mid && mid < hi) {
			break // the bracket is as narrow as it gets
		}
		var sum float64
		for _, v := range a {
			sum += expT(v-mid, t)
		}
		if sum > 1 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

func tempered(t float64, y, a []float64) {
	nu := normaliser(t, a)
	for j, v := range a {
		y[j] = expT(v-nu, t)
	}
	for _, v := range a {
		if math.IsNaN(v) || math.IsInf(v, 1) { // as softmax: ∞ − ∞ spoils the row
			for j := range y {
				y[j] = math.NaN()
			}
		}
	}
}

func temperedChain(t float64, r, d, a []float64) {
	y := make([]float64, len(a))
	tempered(t, y, a)
	var sum, dot float64
	for j, v := range y {
		sum += math.Pow(v, t)
		dot += math.Pow(v, t) * d[j]
	}
	for j, v := range y {
		r[j] = math.Pow(v, t) * (d[j] - dot/sum)
	}
}

func temperedIntegral(t float64, a []float64) float64 {
	y := make([]float64, len(a))
	tempered(t, y, a)
	var sum float64
	for j, v := range y {
		if t == 2 {
			sum += v*a[j] - (v - math.Log(v))
		} else {
			sum += v*a[j] - (math.Pow(v, 2-t)/(2-t)-v)/(1-t)
		}
	}
	return sum
}

// moreIntegral is F of the functions that Integral doesn't have itself.
func moreIntegral(f transfer.Func, a float64) float64 {
	switch f.Kind() {
	case transfer.KindReLU2:
		return math.Pow(math.Max(a, 0), 3) / 3
	case transfer.KindArctan:
		return a*math.Atan(a) - math.Log(math.Hypot(1, a))
	case transfer.KindSoftplus: // the integral of softplus over [−40, a], by Simpson's rule
		const n = 4000
		h := (a + 40) / n
		sum := softplus(-40) + softplus(a)
		for i := 1; i < n; i++ {
			sum += float64(2+2*(i%2)) * softplus(-40+float64(i)*h)
		}
		return sum * h / 3
	case transfer.KindSoftsign:
		return math.Abs(a) - math.Log(1+math.Abs(a))
	case transfer.KindELU:
		if a > 0 {
			return a * a / 2
		}
		return float64(f.Param()) * (math.Exp(a) - 1 - a)
	case transfer.KindHardTanh:
		return math.Max(math.Abs(a)-0.5, math.Min(a*a, 1)/2)
	case transfer.KindExp:
		return math.Exp(a)
	}
	return math.NaN()
}
