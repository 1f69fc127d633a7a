package precond

// Second is C̄ where its structure is Full: live memory.
func (m *Moment) Second() Mat {
	must(m.o.Structure == Full, "precond: Second of statistics that aren't full")
	return m.blocks[0].second
}

// InverseScratch is the length of the scratch that Inverse needs.
func (m *Moment) InverseScratch() int {
	return m.cols*m.cols + FactorScratch(m.ops, m.cols)
}

// Inverse writes P = (C̄ + ρI)⁻¹, symmetric to the bit, for statistics whose
// structure is Full: for callers that use it often between two refreshes, so that a
// product with P is worth more than a pair of solves. It is made in float64 and rounded
// once. The error is a *[FactorError].
func (m *Moment) Inverse(p Mat, rho float64, scratch []float64) error {
	n := m.cols
	must(m.o.Structure == Full, "precond: Inverse of statistics that aren't full")
	must(p.Rows == n && p.Cols == n, "precond: Inverse needs p (n+1) × (n+1)")
	size := n * n
	f := NewFactor(m.ops, n, scratch[:size:size])
	if err := f.Make(m.blocks[0].fill, rho, m.Mean(), scratch[size:]); err != nil {
		return err
	}
	m.ops.Invert(f.L, n)
	for i := range n {
		pi := row(p, i)
		for j := range pi {
			pi[j] = float32(f.L[i*n+j])
		}
	}
	return nil
}
