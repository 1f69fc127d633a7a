package optimizer

import "math"

// The rules of this file are mirror descent: a step −ηg of a link of the weight, arsinh
// or the gradient of a squared norm, instead of the weight.

// maxExponent bounds |u| = |ηg| of egu and egu-gd, so that one step changes a weight by a
// factor of at most e⁴.
const maxExponent = 4

func exponent(eta, g float32) float32 {
	u := float32(eta * g)
	switch {
	case u > maxExponent:
		return maxExponent
	case u < -maxExponent:
		return -maxExponent
	}
	return u
}

// egu adds w(cosh u − 1) − √(w²+4β²)·sinh u, the change alone: a sum as large as w would
// lose what a small u changes.
func (u Update) egu(delta, w0 []float32, grad func(int) float32) {
	c := u.C
	for i := range delta {
		x := float64(exponent(c[0], grad(i)))
		w := float64(weight(delta, w0, i))
		root := math.Sqrt(float64(w*w) + float64(c[1]))
		half := math.Sinh(x / 2)
		delta[i] += float32(float64(2*w*float64(half*half)) - float64(root*math.Sinh(x)))
	}
}

// eguGD moves p and q and adds what that changes in (p² − q²)/4, with h = u/2:
//
//	h/4·(h(p² − q²) − 2(p² + q²))
//
// Taking the weight anew from p and q would round it at its own size.
func (u Update) eguGD(delta []float32, grad func(int) float32, p, q []float32) {
	for i := range delta {
		h := exponent(u.C[0], grad(i)) / 2
		p2, q2 := float32(p[i]*p[i]), float32(q[i]*q[i])
		delta[i] += float32(float32(0.25*h) * (float32(h*(p2-q2)) - float32(2*(p2+q2))))
		p[i] -= float32(h * p[i])
		q[i] += float32(h * q[i])
	}
}

// pNorm makes θ of the row w, a step, and w of θ again, in float64 since powers magnify
// rounding. Twice the same θ is cheaper than memory for a row of them.
func (u Update) pNorm(delta, w0 []float32, grad func(int) float32) {
	// Without a gradient the row stays as it is. The way there and back rounds, and where p
	// is large the smallest weights would feel it.
	moved := false
	for i := range delta {
		moved = moved || grad(i) != 0
	}
	if !moved {
		return
	}
	p := float64(u.C[1])
	q := p / (p - 1)
	at := func(i int) float64 {
		if w0 == nil {
			return float64(delta[i])
		}
		return float64(delta[i]) + float64(w0[i])
	}
	largest := 0.0
	for i := range delta {
		largest = math.Max(largest, math.Abs(at(i))) // NaN if any is
	}
	norm := 0.0
	if largest > 0 {
		for i := range delta {
			norm += math.Pow(math.Abs(at(i))/largest, p)
		}
		norm = float64(largest * math.Pow(norm, 1/p))
	}
	eta := float64(u.C[0])
	theta := func(i int) float64 { return link(at(i), norm, p) - float64(eta*float64(grad(i))) }
	dual := 0.0
	for i := range delta {
		dual += math.Pow(math.Abs(theta(i)), q) // no overflow: q ≤ 2, and θ is of float32's range
	}
	dual = math.Pow(dual, 1/q)
	for i := range delta {
		w := link(theta(i), dual, q)
		if w0 != nil {
			w -= float64(w0[i])
		}
		delta[i] = float32(w)
	}
}

// link is an element of ∇½‖x‖ᵣ² = sgn(x)|x|ʳ⁻¹/‖x‖ᵣʳ⁻², by the quotient |x|/‖x‖ ≤ 1.
// r = 2 leaves x as it is.
func link(x, norm, r float64) float64 {
	if x == 0 || r == 2 {
		return x
	}
	return math.Copysign(float64(norm*math.Pow(math.Abs(x)/norm, r-1)), x)
}
