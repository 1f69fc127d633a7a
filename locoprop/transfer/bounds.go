package transfer

// MaxSlope returns sup f′, the least c for which f is Lipschitz with constant c: for a
// row-coupled f that of a whole row, the largest eigenvalue of its Jacobian. ok is
// false where there is no bound.
//
//	identity, tanh, ReLU    1
//	leaky ReLU              max(1, α)
//	sigmoid                 1/4, at a = 0
//	softmax                 1/2: the row sums of |diag(y) − y yᵀ| are 2yᵢ(1 − yᵢ)
func (f Func) MaxSlope() (c float64, ok bool) {
	switch f.kind {
	case KindIdentity, KindTanh:
		return 1, true
	case KindLeakyReLU:
		return max(1, float64(f.alpha)), true
	case KindSigmoid:
		return 0.25, true
	case KindSoftmax:
		return 0.5, true
	}
	return 0, false
}
