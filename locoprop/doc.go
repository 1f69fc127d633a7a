// Package locoprop trains networks with LocoProp: at every batch each layer gets a
// target and a small local problem of its own, which it solves by a few cheap
// iterations on fixed inputs.
//
// # Notation
//
//	B            examples in a batch, a row each
//	X̃ = [X 1]    B × (n+1)   a layer's input, fixed while its local problem is solved
//	W̃ = [W b]    m × (n+1)   weights, a row per unit, the bias last; W̃ₖ at the batch's start
//	A = X̃W̃ᵀ      B × m       pre-activations; Â at W̃ₖ
//	Y = f(A)     B × m       outputs; Ŷ at W̃ₖ
//	D = ∂L/∂A    B × m       L the mean loss over the batch
//	Δ = W̃ − W̃ₖ   m × (n+1)
//	γ            activation learning rate: how far a target lies from the activation
//	η, ηₜ        local learning rate, and that of local iteration t
//	T            local iterations per batch
//
// # One step
//
// A forward and a backward pass give Â, Ŷ and D of every layer at the weights W̃ₖ.
// They set the layers' targets: A* = Â − γD for LocoProp-S, which measures distance
// by the squared loss on pre-activations, and Y* = Ŷ − γD for LocoProp-M, which
// measures it by the matching (Bregman) loss of the transfer function, convex in the
// weights for every non-decreasing f. With dA = A − Â = X̃Δᵀ the gradients in A are
//
//	S:  R = dA + γD
//	M:  R = (f(Â + dA) − Ŷ) + γD
//
// and ∂W̃ = RᵀX̃, summed over the batch. Each layer makes T iterations of an optimiser
// on its own problem, starting at Δ = 0 (where R = γD), with rates
// ηₜ = η·s·max(1 − t/T, φ), s the schedule's factor, φ = 0.25. All targets are fixed
// before any weight moves, so layers, and within a layer units, are solved at once.
// T = 1 with plain SGD is a BackProp step times γ.
//
// Source: Amid, Anil, Warmuth, "LocoProp: Enhancing BackProp via Local Loss
// Optimization", AISTATS 2022 (arXiv 2106.06199), sections 3 and 4, and its authors'
// public settings. The mathematics in full is docs/method.md.
package locoprop
