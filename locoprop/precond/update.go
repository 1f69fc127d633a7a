package precond

// ConvergedScratch is the length of the scratch that Converged needs for a number of
// units.
func (m *Moment) ConvergedScratch(units int) int {
	if m.o.Structure == Diagonal || m.o.StepsOnly {
		return 0
	}
	return m.blocks[0].hi * units
}

// Converged computes Δ = −γ̄ G (C̄ + ρI)⁻¹ with the factor that Refactor made last.
// delta, g: units × (n+1), which may be the same; gamma is γ̄. It returns ErrNotFinite
// where Δ isn't finite; delta is of no use then.
func (m *Moment) Converged(delta, g Mat, gamma float64, scratch []float64) error {
	must(!m.o.StepsOnly, stepsOnly)
	m.checkUpdate(delta, g)
	for i := range m.blocks {
		must(m.due[i] == 0, "precond: Converged before Refactor")
		b := &m.blocks[i]
		if m.o.Structure == Diagonal {
			for u := range g.Rows {
				d, gu := row(delta, u), row(g, u)
				for j, c := range m.factors {
					d[j] = float32(-gamma * float64(gu[j]) / c)
				}
			}
			continue
		}
		// The system is symmetric: column u of (C̄ + ρI)⁻¹Gᵀ is row u of G(C̄ + ρI)⁻¹.
		units, n := g.Rows, b.hi-b.lo
		x := scratch[:n*units]
		for j := range n {
			for u := range units {
				x[j*units+u] = -gamma * float64(g.Data[u*g.Stride+b.lo+j])
			}
		}
		b.factor.Solve(x, units)
		for u := range units {
			d := row(delta, u)[b.lo:b.hi]
			for j := range d {
				d[j] = float32(x[j*units+u])
			}
		}
	}
	if !finite(delta) {
		return ErrNotFinite
	}
	return nil
}

// StepsScratch is the length of the scratch that Steps needs for a number of units.
func (m *Moment) StepsScratch(units int) int {
	if m.o.Structure == Diagonal {
		return 0
	}
	return m.blocks[0].hi * units
}

// Steps computes Δ by gradient descent, a step per rate:
//
//	Δ ← Δ − η̄ₜ(Δ(C̄ + ρI) + γ̄G), from Δ = 0
//
// on C̄ as it is now. delta, g: units × (n+1), apart from each other; gamma is γ̄, rho is
// ρ ≥ 0, that of a proximal term (0: none; Options' damping has no part here), rates are
// η̄ₜ. It converges for rates below 2/‖C̄ + ρI‖₂. It returns ErrNotFinite where Δ isn't
// finite; delta is of no use then.
func (m *Moment) Steps(delta, g Mat, gamma, rho float64, rates []float64, scratch []float32) error {
	m.checkUpdate(delta, g)
	if m.o.Structure == Diagonal {
		for j, c := range m.second {
			q := float32(-gamma * polynomial(float64(c)+rho, rates))
			for u := range g.Rows {
				delta.Data[u*delta.Stride+j] = q * g.Data[u*g.Stride+j]
			}
		}
	} else {
		for i := range m.blocks {
			b := &m.blocks[i]
			n := b.hi - b.lo
			product := Mat{Rows: g.Rows, Cols: n, Stride: n, Data: scratch[:g.Rows*n]}
			m.steps(view(delta, 0, g.Rows, b.lo, b.hi), view(g, 0, g.Rows, b.lo, b.hi), b.second, product, gamma, rho, rates)
		}
	}
	if !finite(delta) {
		return ErrNotFinite
	}
	return nil
}

// steps is Steps on one block of columns. product: as delta.
func (m *Moment) steps(delta, g, second, product Mat, gamma, rho float64, rates []float64) {
	for u := range delta.Rows {
		clear(row(delta, u))
	}
	for t, eta := range rates {
		keep, by, toward := float32(1-eta*rho), float32(eta), float32(eta*gamma)
		if t == 0 {
			clear(product.Data)
		} else {
			m.ops.Gemm(false, false, 1, delta, second, 0, product)
		}
		for u := range delta.Rows {
			d, gu, p := row(delta, u), row(g, u), row(product, u)
			for j, v := range d {
				d[j] = (keep*v - by*p[j]) - toward*gu[j]
			}
		}
	}
}

// polynomial is (1 − Πₜ(1 − ηₜc))/c, which T steps multiply a gradient by along an
// eigenvector with eigenvalue c, by the recursion that they are: no quotient, hence
// right at c = 0 too.
func polynomial(c float64, rates []float64) (q float64) {
	for _, eta := range rates {
		q += eta * (1 - c*q)
	}
	return q
}

func (m *Moment) checkUpdate(delta, g Mat) {
	must(g.Cols == m.cols && delta.Rows == g.Rows && delta.Cols == g.Cols, "precond: update needs delta and g units × (n+1)")
}
