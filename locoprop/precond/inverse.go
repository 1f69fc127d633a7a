package precond

// Second is C̄ where its structure is Full: live memory.
func (m *Moment) Second() Mat {
	must(m.o.Structure == Full, "precond: Second of statistics that aren't full")
	return m.blocks[0].second
}

// InverseScratch is the length of the scratch that Inverse needs.
func (m *Moment) InverseScratch() int {
	return 2*m.cols*m.cols + FactorScratch(m.ops, m.cols)
}

// Inverse writes P = (C̄ + ρI)⁻¹, symmetric but for rounding, for statistics whose
// structure is Full: for callers that use it often between two refreshes, so that a
// product with P is worth more than a pair of solves. It is made in float64 and rounded
// once. The error is a *[FactorError].
func (m *Moment) Inverse(p Mat, rho float64, scratch []float64) error {
	n := m.cols
	must(m.o.Structure == Full, "precond: Inverse of statistics that aren't full")
	must(p.Rows == n && p.Cols == n, "precond: Inverse needs p (n+1) × (n+1)")
	size := n * n
	f := NewFactor(m.ops, n, scratch[:size:size])
	if err := f.Make(m.blocks[0].fill, rho, m.Mean(), scratch[2*size:]); err != nil {
		return err
	}
	inverse := scratch[size : 2*size]
	f.invert(inverse)
	for i := range n {
		pi := row(p, i)
		for j := range pi {
			pi[j] = float32(inverse[i*n+j])
		}
	}
	return nil
}

// invert writes (A + ρI)⁻¹, row-major.
func (f *Factor) invert(inverse []float64) {
	clear(inverse)
	for i := range f.n {
		inverse[i*f.n+i] = 1
	}
	f.Solve(inverse, f.n)
}
