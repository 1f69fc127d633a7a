package oracle

import "math"

// average takes X̃ᵀX̃/B into C̄ with weight 1 − min(β, 1 − 1/k), k the updates so far.
func (s *layerState) average(x Mat, c Second) {
	s.updates++
	beta := math.Min(c.Average, 1-1/float64(s.updates))
	now := Mul(x.T(), x)
	for i := range now.Rows {
		for j := range now.Cols {
			if c.Block > 0 && i/c.Block != j/c.Block {
				now.Set(i, j, 0)
			}
		}
	}
	s.second = Plus(s.second.Map(func(v float64) float64 { return beta * v }), (1-beta)/float64(x.Rows), now)
}

// damped is (C + ρI)⁻¹, ρ = damping + relative·tr(C)/n.
func damped(c Mat, damping, relative float64) Mat {
	a, unit := c.Clone(), New(c.Rows, c.Rows)
	var trace float64
	for i := range c.Rows {
		trace += c.At(i, i)
	}
	for i := range c.Rows {
		a.Set(i, i, a.At(i, i)+damping+relative*trace/float64(c.Rows))
		unit.Set(i, i, 1)
	}
	return solveDense(a, unit)
}

// statistics is the update from running statistics: −γ̄G(C̄ + ρI)⁻¹ with γ̄ = γ/B and
// ρ = 1/(λB) unless given, or T steps Δ ← Δ − Bηₜ(Δ(C̄ + ρI) + γ̄G).
func (t *Trainer) statistics(ℓ int, p Problem, rates []float64) Mat {
	s, st := t.Layers[ℓ].Second, &t.state[ℓ]
	b := float64(p.X.Rows)
	st.average(p.X, s)
	g := Mul(p.D.T(), p.X).Map(func(v float64) float64 { return p.Gamma / b * v })
	delta := New(g.Rows, g.Cols)
	if s.Steps {
		for _, eta := range rates {
			sum := Plus(Mul(delta, st.second), p.Prox/b, delta)
			delta = Plus(delta, -b*eta, Plus(sum, 1, g))
		}
		return delta
	}
	damping := s.Damping
	if damping == 0 && s.Relative == 0 {
		damping = p.Prox / b
		if damping == 0 {
			return delta // λ = 0
		}
	}
	if t.batches%s.Refresh == 0 {
		st.inverse = damped(st.second, damping, s.Relative)
	}
	return Plus(delta, -1, Mul(g, st.inverse))
}

// metric is the update of the metric form, with its Nesterov step of factor alpha. B is
// the examples where d = BD, and the rows of X̃ where C̄ averages over them.
func (t *Trainer) metric(ℓ int, p Problem, examples int, alpha float64) Mat {
	s, st := t.Layers[ℓ], &t.state[ℓ]
	b, i := float64(examples), t.batches
	gamma := p.Gamma
	if s.Fisher {
		mean := b * b * Dot(p.D, p.D) / float64(len(p.D.Data))
		if i == 0 {
			st.scale = mean
		} else {
			st.scale = 0.99*st.scale + 0.01*mean
		}
		gamma *= b / (1.001 * math.Max(st.scale, mean)) // of D, where E = γ_ℓ·BD
	}
	if i%s.Every == 0 {
		st.average(p.X, s.Second)
		st.stale = true
	}
	if st.stale && (i < 20 || i < 100 && i%3 == 0 || i%s.Second.Refresh == 0) {
		st.inverse = damped(st.second, 0, s.Second.Relative)
		st.stale = false
	}
	xp := Mul(p.X, st.inverse)
	k := Mul(xp, p.X.T())
	eta := s.Step / power(k)
	yhat, z := Apply(p.F, p.Ahat), New(p.D.Rows, p.D.Cols)
	for range s.T {
		r := Plus(Apply(p.F, Plus(p.Ahat, 1, Mul(k, z))), -1, yhat)
		z = Plus(z, -eta, Plus(r, gamma, p.D))
	}
	delta := Mul(z.T(), xp).Map(func(v float64) float64 { return alpha * v })
	st.outer = Plus(delta, s.OuterMomentum, st.outer)
	return Plus(delta, s.OuterMomentum, st.outer)
}

// power estimates ‖K‖₂ by six products from ones.
func power(k Mat) float64 {
	u := New(k.Rows, 1).Map(func(float64) float64 { return 1 })
	for range 6 {
		length := norm(u)
		u = Mul(k, u.Map(func(v float64) float64 { return v / length }))
	}
	return norm(u)
}
