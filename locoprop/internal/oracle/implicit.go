package oracle

import "math"

// Minimum is the Δ at which the gradient of a local problem with Prox > 0 vanishes, by
// Newton's method on the whole layer at once, so that softmax needs nothing of its own.
func (p Problem) Minimum() Mat { return p.Newton(60) }

// Newton is where at most so many iterations of Minimum end.
func (p Problem) Newton(iterations int) Mat {
	delta := New(p.Ahat.Cols, p.X.Cols)
	for range iterations {
		g := p.Gradient(delta)
		step := solveDense(p.hessian(delta), Mat{len(g.Data), 1, g.Data})
		step = Mat{g.Rows, g.Cols, step.Data}
		if MaxAbs(step) <= 1e-13*MaxAbs(delta) {
			break
		}
		s, here := 1.0, p.Value(delta)
		for s > 1e-9 && p.Value(Plus(delta, -s, step)) > here-1e-4*s*Dot(g, step)+1e-14*math.Abs(here) {
			s /= 2
		}
		if s <= 1e-9 {
			break // what is left is rounding
		}
		delta = Plus(delta, -s, step)
	}
	return delta
}

// hessian of the local loss, with the elements of Δ in row-major order: column k is the
// change of the gradient along element k.
func (p Problem) hessian(delta Mat) Mat {
	a, size := p.Pre(delta), len(delta.Data)
	h := New(size, size)
	for k := range size {
		unit := New(delta.Rows, delta.Cols)
		unit.Data[k] = 1
		change := Plus(Mul(Chain(p.F, Mul(p.X, unit.T()), a).T(), p.X), p.Prox, unit)
		for i, v := range change.Data {
			h.Set(i, k, v)
		}
	}
	return h
}

// Majorised takes steps Δ ← Δ − ∇(slope·X̃ᵀX̃ + Prox·I)⁻¹ from Δ = 0.
func (p Problem) Majorised(slope float64, steps int) Mat {
	m := Mul(p.X.T(), p.X)
	for i := range m.Rows {
		for j := range m.Cols {
			m.Set(i, j, slope*m.At(i, j))
		}
		m.Set(i, i, m.At(i, i)+p.Prox)
	}
	delta := New(p.Ahat.Cols, p.X.Cols)
	for range steps {
		delta = Plus(delta, -1, solveDense(m, p.Gradient(delta).T()).T())
	}
	return delta
}

// solveDense is A⁻¹B, by elimination with row exchanges.
func solveDense(a, b Mat) Mat {
	a, b = a.Clone(), b.Clone()
	n := a.Rows
	for c := range n {
		pivot := c
		for i := c + 1; i < n; i++ {
			if math.Abs(a.At(i, c)) > math.Abs(a.At(pivot, c)) {
				pivot = i
			}
		}
		swap(a.Row(c), a.Row(pivot))
		swap(b.Row(c), b.Row(pivot))
		for i := range n {
			if i != c {
				factor := a.At(i, c) / a.At(c, c)
				subtractRow(a.Row(i), factor, a.Row(c))
				subtractRow(b.Row(i), factor, b.Row(c))
			}
		}
	}
	for i := range n {
		for j := range b.Cols {
			b.Set(i, j, b.At(i, j)/a.At(i, i))
		}
	}
	return b
}

func swap(x, y []float64) {
	for i := range x {
		x[i], y[i] = y[i], x[i]
	}
}

func subtractRow(dst []float64, factor float64, src []float64) {
	for i, v := range src {
		dst[i] -= factor * v
	}
}
