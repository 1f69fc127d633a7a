// Package precond preconditions a layer's gradient by running statistics of its input:
// LocoProp-S for training loops that don't keep, or don't hand out, a layer's inputs.
//
// # What it computes
//
// A layer with n inputs and m units sees X̃ = [X 1], B × (n+1), a row per example and a
// last column of ones for the bias; its gradient is G = ∂L/∂W̃ = DᵀX̃, m × (n+1), L the
// mean loss over the batch. After every batch k = 1, 2, … the second moment of the
// input is averaged, and the layer's update follows from G and C̄ alone:
//
//	C̄ ← βₖC̄ + (1 − βₖ)X̃ᵀX̃/B,  βₖ = min(β, 1 − 1/k)
//
//	converged:  Δ = −γ̄ G (C̄ + ρI)⁻¹
//	T steps:    Δ ← Δ − η̄ₜ(Δ(C̄ + ρI) + γ̄G), from Δ = 0
//
// With β = 0 the first is the exact minimiser of LocoProp-S's local problem with
// activation learning rate γ and proximal term ‖Δ‖²/(2λ), and the second its T
// iterations of gradient descent with rates ηₜ, where
//
//	γ̄ = γ/B,  η̄ₜ = Bηₜ,  ρ = 1/(λB)
//
// C̄ may be kept whole, or in diagonal blocks of p columns in their order (the last may
// be short), or as its diagonal.
//
// # How to use it
//
// [New] makes a [Preconditioner], which holds all the memory that a layer needs. At
// every batch call Observe, then Update or Steps. Programs that share a layer's work
// between goroutines use its parts: see [Moment].
//
// A wrong shape is a programmer's error and panics with constant text. What data can
// cause comes back as an error: a second moment that can't be factored whatever its
// damping (*[FactorError]), or an update that isn't finite ([ErrNotFinite]). An update
// is never NaN.
//
// # Sources
//
// Amid, Anil, Warmuth, "LocoProp: Enhancing BackProp via Local Loss Optimization",
// AISTATS 2022, for the local problem. The converged update is FOOF: Benzing, "Gradient
// Descent on Neurons and its Link to Approximate Second-Order Optimization", ICML 2022.
// With γ = 1, β = 0 and λ its τ it is the exact step of ProxProp: Frerix et al.,
// "Proximal Backpropagation", ICLR 2018. The mathematics in full is docs/method.md.
package precond
