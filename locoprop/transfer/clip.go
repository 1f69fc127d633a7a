package transfer

import "math"

// clipMargin keeps a clipped target inside an open range, where the inverse of f is
// finite.
const clipMargin = 1e-6

// Clip gives the bounds into which target clipping brings a target Y* of LocoProp-M:
// the range of f, closed, and where it is open a little narrower. A side without a
// bound is infinite; ok is false where neither has one. A row of a row-coupled f is
// then divided by its sum.
//
//	tanh       ±(1 − 1e-6)
//	sigmoid    1e-6, 1 − 1e-6
//	ReLU       0, ∞
//	softmax    1e-6, ∞
func (f Func) Clip() (lo, hi float64, ok bool) {
	switch f.kind {
	case KindTanh:
		return clipMargin - 1, 1 - clipMargin, true
	case KindSigmoid:
		return clipMargin, 1 - clipMargin, true
	case KindSoftmax:
		return clipMargin, math.Inf(1), true
	case KindLeakyReLU:
		if f.alpha == 0 {
			return 0, math.Inf(1), true
		}
	}
	return math.Inf(-1), math.Inf(1), false
}
