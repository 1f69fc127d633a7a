package transfer

import "math"

// Where GELU and SiLU are least, and how steep they get; rounded outwards, by more than a
// float32 result may be off.
const (
	geluLeast = -0.1699714 // at −0.7517916
	siluLeast = -0.278465  // at −1.2784645
	siluSlope = 1.0998393201
)

// MaxSlope returns sup |f′|, the least c for which f is Lipschitz with constant c: for a
// row-coupled f that of a whole row, the largest eigenvalue of its Jacobian. ok is
// false where there is no bound (ReLU², exp) or none is known (tempered softmax, a
// registered function that didn't name its own).
//
//	identity, tanh, ReLU, arctan,
//	softplus, softsign, hard tanh    1
//	leaky ReLU, ELU                  max(1, α)
//	sigmoid                          1/4, at a = 0
//	softmax                          1/2: the row sums of |diag(y) − y yᵀ| are 2yᵢ(1 − yᵢ)
//	GELU, SiLU                       1.1289…, at a = √2; 1.0998…, near a = 2.4
func (f Func) MaxSlope() (c float64, ok bool) {
	switch f.kind {
	case KindIdentity, KindTanh, KindArctan, KindSoftplus, KindSoftsign, KindHardTanh:
		return 1, true
	case KindLeakyReLU, KindELU:
		return max(1, float64(f.alpha)), true
	case KindSigmoid:
		return 0.25, true
	case KindSoftmax:
		return 0.5, true
	case KindGELU:
		return geluDeriv(math.Sqrt2), true
	case KindSiLU:
		return siluSlope, true
	case KindCustom:
		return f.custom.MaxSlope, f.custom.MaxSlope > 0
	}
	return 0, false
}

// margin is how far, relative to the range, a clipped target stays from an end of the
// range that f doesn't reach.
const margin = 1e-6

// Clip gives the interval that LocoProp-M's targets may be clipped into, a little
// inside the range where f doesn't reach its end, so that a clipped target is the image
// of a finite pre-activation:
//
//	tanh, softsign          ±(1 − 10⁻⁶)
//	arctan                  ±(π/2)(1 − 10⁻⁶)
//	hard tanh               ±1
//	sigmoid                 [10⁻⁶, 1 − 10⁻⁶]
//	softplus, exp           10⁻⁶ and above
//	softmax, tempered too   10⁻⁶ and above; the row is then divided by its sum
//	ELU                     −α(1 − 10⁻⁶) and above
//	ReLU, ReLU²             0 and above
//	others                  no bound: ∓∞, and ok is false
func (f Func) Clip() (lo, hi float64, ok bool) {
	lo, hi = f.clipBounds()
	return lo, hi, !math.IsInf(lo, -1) || !math.IsInf(hi, 1)
}

func (f Func) clipBounds() (lo, hi float64) {
	lo, hi = math.Inf(-1), math.Inf(1)
	switch f.kind {
	case KindTanh, KindSoftsign:
		return -(1 - margin), 1 - margin
	case KindArctan:
		return -math.Pi / 2 * (1 - margin), math.Pi / 2 * (1 - margin)
	case KindHardTanh:
		return -1, 1
	case KindSigmoid:
		return margin, 1 - margin
	case KindSoftplus, KindExp, KindSoftmax, KindTemperedSoftmax:
		return margin, hi
	case KindELU:
		return -float64(f.alpha) * (1 - margin), hi
	case KindReLU2:
		return 0, hi
	case KindLeakyReLU:
		if f.alpha == 0 {
			return 0, hi
		}
	}
	return lo, hi
}
