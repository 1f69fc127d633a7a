package oracle

import "github.com/locoprop/locoprop-go/locoprop/transfer"

// Problem is a layer's local problem in terms of Δ = W̃ − W̃ₖ, with A = Â + X̃Δᵀ:
//
//	ℓ(Δ) = Σ D_F(A, Â) + γ⟨D, A − Â⟩ + ½·Prox·‖Δ‖²
//
// which is LocoProp-M for the layer's transfer function and LocoProp-S for the
// identity, relative to their value at Δ = 0.
type Problem struct {
	F           transfer.Func
	X, Ahat, D  Mat
	Gamma, Prox float64
}

// Pre is A = Â + X̃Δᵀ.
func (p Problem) Pre(delta Mat) Mat { return Plus(p.Ahat, 1, Mul(p.X, delta.T())) }

// Value is ℓ(Δ).
func (p Problem) Value(delta Mat) float64 {
	a := p.Pre(delta)
	linear := p.Gamma * Dot(p.D, Plus(a, -1, p.Ahat))
	return Divergence(p.F, a, p.Ahat) + linear + p.Prox/2*Dot(delta, delta)
}

// Residual is the gradient in A: (f(A) − f(Â)) + γD.
func (p Problem) Residual(delta Mat) Mat { return p.residualAt(p.Pre(delta)) }

// residualAt is Residual at pre-activations A.
func (p Problem) residualAt(a Mat) Mat {
	return Plus(Plus(Apply(p.F, a), -1, Apply(p.F, p.Ahat)), p.Gamma, p.D)
}

// Gradient is ∂ℓ/∂Δ = RᵀX̃ + Prox·Δ.
func (p Problem) Gradient(delta Mat) Mat {
	return Plus(Mul(p.Residual(delta).T(), p.X), p.Prox, delta)
}

// Solve takes one step of opt per rate, starting at the weights w, and returns the new
// weights. opt keeps its state.
func (p Problem) Solve(w Mat, opt *Optimizer, rates []float64) Mat {
	now := w.Clone()
	for _, eta := range rates {
		opt.Step(now, p.Gradient(Plus(now, -1, w)), eta)
	}
	return now
}
