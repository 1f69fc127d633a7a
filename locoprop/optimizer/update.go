package optimizer

import "math"

// Update is a rule at one iteration: every scalar that its element-wise loop needs,
// derived in float64 and rounded to float32 once, so that all backends compute with
// the same numbers. Made by [Rule.At].
type Update struct {
	Kind Kind
	// Prox is 1/λ of the proximal term (1/2λ)‖Δ‖², 0 without one: kernels add
	// Prox·Δ to the gradient before anything else.
	Prox float32
	// C holds the constants in the order that the kernels document:
	//
	//	sgd            η
	//	momentum       η, μ                 lr-in-buffer too
	//	nesterov       η, μ
	//	adagrad        η
	//	rmsprop        η, μ, ρ, 1−ρ, ε
	//	adam tf1       η√(1−β₂ᵏ)/(1−β₁ᵏ), β₁, 1−β₁, β₂, 1−β₂, ε
	//	adam torch     η/(1−β₁ᵏ), β₁, 1−β₁, β₂, 1−β₂, ε, 1/(1−β₂ᵏ)
	//	amsgrad        as adam torch
	//	adamw          as adam torch, then η·wd
	//	nadamw         ηβ₁b/(1−β₁ᵏ⁺¹), β₁, 1−β₁, β₂, 1−β₂, εb, η(1−β₁)b/(1−β₁ᵏ), η·wd
	//	schedule-free  ηb, β₁, c, β₂, 1−β₂, εb, η·wd
	//	               with b = √(1−β₂ᵏ), by which both parts of the quotient are multiplied
	//	egu            η, 4β²
	//	egu-gd         η
	//	p-norm         η, p
	C [8]float32
}

// At gives the update for learning rate eta at the k-th update since the start,
// k = 1, 2, … Schedule-free's c is 1/k, what a constant rate makes of it; for others
// see [Rule.AtShare].
func (r Rule) At(eta float64, k int64) Update { return r.AtShare(eta, k, 1/float64(k)) }

// AtShare is At with schedule-free's c given: η²/Ση², the sum running over the updates
// so far and this one (0 where it is 0). The other rules take no notice of it.
func (r Rule) AtShare(eta float64, k int64, share float64) Update {
	u := Update{Kind: r.Kind}
	set := func(v ...float64) {
		for i, x := range v {
			u.C[i] = float32(x)
		}
	}
	switch r.Kind {
	case SGD, AdaGrad, EGUGD:
		set(eta)
	case Momentum, Nesterov, MomentumBuffer:
		set(eta, r.Momentum)
	case RMSPropTF1, RMSPropTorch:
		set(eta, r.Momentum, r.Rho, 1-r.Rho, r.Epsilon)
	case EGU:
		set(eta, float64(4*r.Beta)*r.Beta)
	case PNorm:
		set(eta, r.P)
	default:
		constants := r.adamConstants(eta, k, share)
		set(constants[:]...)
	}
	return u
}

// adamConstants are the constants of adam and its kin.
func (r Rule) adamConstants(eta float64, k int64, share float64) [8]float64 {
	// β ≤ 0.9…9 to an integer power: only products, hence the same bits everywhere.
	c1, c2 := 1-math.Pow(r.Beta1, float64(k)), 1-math.Pow(r.Beta2, float64(k))
	b := math.Sqrt(c2)
	decay := float64(eta * r.WeightDecay)
	switch r.Kind {
	case NadamW:
		next := 1 - math.Pow(r.Beta1, float64(k)+1)
		return [8]float64{
			float64(eta*r.Beta1) * b / next, r.Beta1, 1 - r.Beta1, r.Beta2, 1 - r.Beta2, float64(r.Epsilon * b),
			float64(eta*(1-r.Beta1)) * b / c1, decay,
		}
	case ScheduleFree:
		return [8]float64{float64(eta * b), r.Beta1, share, r.Beta2, 1 - r.Beta2, float64(r.Epsilon * b), decay}
	case AdamTF1:
		return [8]float64{float64(eta*b) / c1, r.Beta1, 1 - r.Beta1, r.Beta2, 1 - r.Beta2, r.Epsilon, 1 / c2}
	}
	return [8]float64{eta / c1, r.Beta1, 1 - r.Beta1, r.Beta2, 1 - r.Beta2, r.Epsilon, 1 / c2, decay}
}
