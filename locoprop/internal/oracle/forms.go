package oracle

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"gonum.org/v1/gonum/mat"
)

// The forms of docs/method.md once more, each by its own formulas, to hold against Solve
// and Minimum.

// Gram is Solve of LocoProp-S by ∂ℓ/∂Δ = ΔC + γG + Prox·Δ, with C = X̃ᵀX̃ and G = DᵀX̃.
func (p Problem) Gram(w Mat, opt *Optimizer, rates []float64) Mat {
	c, g := Mul(p.X.T(), p.X), Mul(p.D.T(), p.X)
	now := w.Clone()
	for _, eta := range rates {
		delta := Plus(now, -1, w)
		opt.Step(now, Plus(Plus(Mul(delta, c), p.Gamma, g), p.Prox, delta), eta)
	}
	return now
}

// Kernel is Solve in dual variables, for SGD, momentum, Nesterov and momentum with its
// rate in the buffer, whose velocity V₀ is carried along:
//
//	Δ = ZᵀX̃ + qV₀,  V = UᵀX̃ + aV₀,  dA = KZ + qX̃V₀ᵀ
func (p Problem) Kernel(w Mat, opt *Optimizer, rates []float64) Mat {
	k := Mul(p.X, p.X.T())
	z, u := New(p.X.Rows, w.Rows), New(p.X.Rows, w.Rows)
	q, a, mu := 0.0, 1.0, opt.Rule.Momentum
	v0 := New(w.Rows, w.Cols)
	if len(opt.Slots) > 0 {
		v0 = opt.Slots[0].Clone()
	}
	av := Mul(p.X, v0.T())
	for _, eta := range rates {
		r := p.residualAt(Plus(Plus(p.Ahat, 1, Mul(k, z)), q, av))
		r = Plus(r, p.Prox, z)
		s := p.Prox * q
		switch opt.Rule.Kind {
		case optimizer.SGD:
			z = Plus(z, -eta, r)
		case optimizer.Momentum:
			u, a = Plus(r, mu, u), s+mu*a
			z, q = Plus(z, -eta, u), q-eta*a
		case optimizer.Nesterov:
			u, a = Plus(r, mu, u), s+mu*a
			z, q = Plus(Plus(z, -eta, r), -eta*mu, u), q-eta*(s+mu*a)
		case optimizer.MomentumBuffer:
			u, a = Plus(u.Map(func(x float64) float64 { return mu * x }), eta, r), mu*a+eta*s
			z, q = Plus(z, -1, u), q-a
		default:
			panic(fmt.Sprintf("oracle: %s has no kernel form", opt.Rule.Name()))
		}
	}
	if len(opt.Slots) > 0 {
		opt.Slots[0] = Plus(Mul(u.T(), p.X), a, v0)
	}
	opt.K += int64(len(rates))
	return Plus(Plus(w, 1, Mul(z.T(), p.X)), q, v0)
}

// Spectral is Δ of plain SGD on LocoProp-S from 0, all steps at once:
// −γ(GQ) diag q(Λ) Qᵀ with C = QΛQᵀ, q(c) = (1 − Πₜ(1 − ηₜ(c + Prox)))/(c + Prox).
func (p Problem) Spectral(rates []float64) Mat {
	c := Mul(p.X.T(), p.X)
	var eigen mat.EigenSym
	if !eigen.Factorize(mat.NewSymDense(c.Rows, c.Data), true) {
		panic("oracle: no eigenvalues")
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	q := New(c.Rows, c.Rows)
	for i := range q.Rows {
		for j := range q.Cols {
			q.Set(i, j, vectors.At(i, j))
		}
	}
	gq := Mul(Mul(p.D.T(), p.X), q)
	for j, value := range eigen.Values(nil) {
		value += p.Prox
		sum, left := 0.0, 1.0
		for _, eta := range rates {
			sum += eta
			left *= 1 - eta*value
		}
		share := sum
		if math.Abs(value) > 1e-12 {
			share = (1 - left) / value
		}
		for i := range gq.Rows {
			gq.Set(i, j, -p.Gamma*share*gq.At(i, j))
		}
	}
	return Mul(gq, q.T())
}

// Primal is Minimum of LocoProp-S: −γG(C + Prox·I)⁻¹.
func (p Problem) Primal() Mat {
	c := Plus(Mul(p.X.T(), p.X), p.Prox, Eye(p.X.Cols, 1))
	return solveDense(c, Mul(p.X.T(), p.D)).T().Map(func(v float64) float64 { return -p.Gamma * v })
}

// Dual is Minimum of LocoProp-S: −γ[X̃ᵀ(K + Prox·I)⁻¹D]ᵀ.
func (p Problem) Dual() Mat {
	k := Plus(Mul(p.X, p.X.T()), p.Prox, Eye(p.X.Rows, 1))
	z := solveDense(k, p.D).Map(func(v float64) float64 { return -p.Gamma * v })
	return Mul(z.T(), p.X)
}
