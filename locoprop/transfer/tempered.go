package transfer

import "math"

// ExpT is the tempered exponential exp_t(x) = [1 + (1−t)x]₊^(1/(1−t)) for x ≤ 0 and
// t ≥ 1; t = 1 is eˣ. It falls like a power, so far classes keep some probability.
func ExpT(x, t float64) float64 { return math.Exp(LogExpT(x, t)) }

// LogExpT is log exp_t(x), for x ≤ 0 and t ≥ 1.
func LogExpT(x, t float64) float64 {
	if t == 1 {
		return x
	}
	return -math.Log1p((t-1)*-x) / (t - 1)
}

// Normaliser is the ν for which Σ exp_t(aᵢ − ν) = 1, t ≥ 1, in two parts, top + shift with top
// the row's maximum: a − top is exact where a − ν loses digits. For t = 1, ν is log Σ eᵃ.
//
// Newton's method on G(ν) = S^(1−t), S = Σ exp_t(aᵢ − ν) (on log S for t = 1), which rises
// and is concave, as a norm of the 1 + (t−1)(ν − aᵢ) with exponent −1/(t−1): from the row's
// maximum, where S ≥ 1, it comes up to G = 1 from the left. Where all elements are equal, or
// one outweighs all others, G is a straight line and one step does; else 2 to 7.
func Normaliser(a []float32, t float64) (top, shift float64) {
	top = maximum(a)
	for range 100 {
		var sum, escort float64
		for _, v := range a {
			l := LogExpT(float64(v)-top-shift, t)
			sum += math.Exp(l)
			escort += math.Exp(t * l)
		}
		step := math.Log(sum)
		if t > 1 {
			step = sum * math.Expm1((t-1)*step) / ((t - 1) * escort)
		}
		shift += step
		// A step below 2⁻²⁴ of what the terms change over leaves less than 1e-10. NaN stops too.
		if !(step > 0x1p-24*(1+(t-1)*shift)) {
			break
		}
	}
	return top, shift
}

func temperedSoftmax(y, a []float32, t float64) {
	top, shift := Normaliser(a, t)
	for i, v := range a {
		y[i] = float32(ExpT(float64(v)-top-shift, t))
	}
}

// temperedJacobian is d ← (diag(yᵗ) − yᵗ yᵗᵀ/Σyᵗ) d.
func temperedJacobian(d, y []float32, t float64) {
	var sum, dot float64
	for i, v := range y {
		w := math.Pow(float64(v), t)
		sum += w
		dot += w * float64(d[i])
	}
	mean := dot / sum
	for i, v := range y {
		d[i] = float32(math.Pow(float64(v), t) * (float64(d[i]) - mean))
	}
}

// temperedIntegral is the F whose gradient is tempered softmax, with ŷ = f(a):
//
//	F(a) = ⟨ŷ, a⟩ − Σ (ŷ^(2−t)/(2−t) − ŷ)/(1−t)
//
// up to a constant of the row's length for t ≥ 2, which keeps it finite at t = 2. Since
// ŷ^(1−t) = 1 + (1−t)(a − ν) and Σŷ = 1, for t < 2 it is ((1−t)⟨ŷ, a⟩ + ν + 1)/(2−t).
func temperedIntegral(a []float32, t float64) float64 {
	top, shift := Normaliser(a, t)
	var dot, rest float64
	for _, v := range a {
		l := LogExpT(float64(v)-top-shift, t)
		y := math.Exp(l)
		dot += y * float64(v)
		if t == 2 {
			rest += y - l
		} else if t > 2 {
			rest += (math.Expm1((2-t)*l)/(2-t) - y) / (1 - t)
		}
	}
	if t < 2 {
		return ((1-t)*dot + top + shift + 1) / (2 - t)
	}
	return dot - rest
}
