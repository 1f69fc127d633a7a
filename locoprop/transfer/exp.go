package transfer

import "math"

// tanh and sigmoid of a row, which take most of the time that a step's transfer functions
// take. Package math is more exact than a result in float32 can tell: the exponential here
// is off by 2⁻³³ of eˣ − 1, which leaves 0.502 units in the last place of what is rounded
// from it. No branch depends on a sign, for a processor can't foresee those of
// pre-activations. [Func.At] is the reference.

const pieces = 32 // of an octave

// powers are 2^(i/pieces).
var powers = func() (p [pieces]float64) {
	for i := range p {
		p[i] = math.Exp2(float64(i) / pieces)
	}
	return p
}()

// exp gives eˣ as s + p with p near 0, so that (s − 1) + p is eˣ − 1 with the digits of x,
// for |x| ≤ 700, and NaN for NaN:
//
//	x = n·(log 2)/32 + r,  |r| ≤ (log 2)/64,  s = 2^(n/32),  p = s(eʳ − 1)
func exp(x float64) (s, p float64) {
	const round = 0x1.8p52 // what is added to it becomes an integer, in its last bits
	sum := x*(pieces/math.Ln2) + round
	n := math.Float64bits(sum)
	r := x - (sum-round)*(math.Ln2/pieces)
	s = math.Float64frombits(math.Float64bits(powers[n%pieces]) + n/pieces<<52)
	return s, s * (r + r*r*(1./2+r*(1./6+r*(1./24))))
}

// tanhRow is (e²ᵃ − 1)/(e²ᵃ + 1), ±1 in float32 long before ±20.
func tanhRow(y, a []float32) {
	y = y[:len(a)]
	for i, v := range a {
		s, p := exp(2 * clamp(float64(v), 20))
		e1 := (s - 1) + p                                    // e²ᵃ − 1
		y[i] = float32(math.Copysign(e1/(e1+2), float64(v))) // for −0
	}
}

// sigmoidRow is 1/(1 + e⁻ᵃ), 0 in float32 before −110.
func sigmoidRow(y, a []float32) {
	y = y[:len(a)]
	for i, v := range a {
		s, p := exp(-clamp(float64(v), 110))
		y[i] = float32(1 / (1 + (s + p)))
	}
}

// clamp is x within ±bound; NaN stays.
func clamp(x, bound float64) float64 {
	if x > bound {
		return bound
	}
	if x < -bound {
		return -bound
	}
	return x
}
