package oracle

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Layer is a dense layer: W is W̃ = [W b], m × (n+1).
type Layer struct {
	W Mat
	F transfer.Func
}

// Network is a stack of dense layers under a loss.
type Network struct {
	Layers []Layer
	Loss   loss.Loss
}

// Pass is what a forward and a backward pass leave at one layer.
type Pass struct {
	X Mat // X̃ = [X 1]
	A Mat // pre-activations
	Y Mat // outputs
	D Mat // ∂L/∂A, L the mean loss over the batch
	G Mat // ∂L/∂W̃ = DᵀX̃
}

// Forward computes X̃, A and Y of every layer.
func (n *Network) Forward(x Mat) []Pass {
	passes := make([]Pass, len(n.Layers))
	for i, l := range n.Layers {
		p := &passes[i]
		p.X = WithOnes(x)
		p.A = Mul(p.X, l.W.T())
		p.Y = Apply(l.F, p.A)
		x = p.Y
	}
	return passes
}

// MeanLoss is L for inputs x and targets t.
func (n *Network) MeanLoss(x, t Mat) float64 {
	last := len(n.Layers) - 1
	return Loss(n.Loss, n.Layers[last].F, n.Forward(x)[last].A, t) / float64(x.Rows)
}

// Backward computes everything of [Pass] for every layer.
func (n *Network) Backward(x, t Mat) []Pass {
	passes := n.Forward(x)
	last := len(passes) - 1
	d := LossGradient(n.Loss, n.Layers[last].F, passes[last].A, t, 1/float64(x.Rows))
	for i := last; i >= 0; i-- {
		p := &passes[i]
		p.D, p.G = d, Mul(d.T(), p.X)
		if i > 0 {
			w := n.Layers[i].W
			d = Chain(n.Layers[i-1].F, Mul(d, w.Columns(0, w.Cols-1)), passes[i-1].A)
		}
	}
	return passes
}

// Optimizers returns the rule in its starting state for every layer.
func (n *Network) Optimizers(r optimizer.Rule) []*Optimizer {
	var opts []*Optimizer
	for _, l := range n.Layers {
		opts = append(opts, NewOptimizer(r, l.W.Rows, l.W.Cols))
	}
	return opts
}

// LocoProp holds the settings of a LocoProp step.
type LocoProp struct {
	Matching bool    // LocoProp-M; else LocoProp-S
	Gamma    float64 // γ
	Eta      float64 // η
	T        int     // local iterations
	Floor    float64 // the least factor of η over the local iterations; 0.25 in the paper
	Prox     bool    // the regulariser (1/2λ)‖Δ‖²
	Lambda   float64 // λ; 0 means Σ_t η_t
}

// Rates gives η·scale·max(1 − t/T, Floor) for t = 0 … T−1.
func (c LocoProp) Rates(scale float64) []float64 {
	rates := make([]float64, c.T)
	for t := range rates {
		rates[t] = c.Eta * scale * math.Max(1-float64(t)/float64(c.T), c.Floor)
	}
	return rates
}

// StepLocoProp trains on one batch: every layer solves its local problem from the
// weights that the batch started with. opts holds an optimiser per layer.
func (n *Network) StepLocoProp(c LocoProp, opts []*Optimizer, x, t Mat, scale float64) {
	rates := c.Rates(scale)
	var prox float64
	if c.Prox {
		lambda := c.Lambda
		if lambda == 0 {
			for _, r := range rates {
				lambda += r
			}
		}
		if lambda == 0 {
			return // a rate of 0 everywhere: the default λ allows no step
		}
		prox = 1 / lambda
	}
	for i, p := range n.Backward(x, t) {
		problem := Problem{F: transfer.Identity, X: p.X, Ahat: p.A, D: p.D, Gamma: c.Gamma, Prox: prox}
		if c.Matching {
			problem.F = n.Layers[i].F
		}
		n.Layers[i].W = problem.Solve(n.Layers[i].W, opts[i], rates)
	}
}

// StepBackprop trains on one batch: one step of each layer's optimiser along the
// gradient of the mean loss, at rate eta.
func (n *Network) StepBackprop(opts []*Optimizer, x, t Mat, eta float64) {
	for i, p := range n.Backward(x, t) {
		opts[i].Step(n.Layers[i].W, p.G, eta)
	}
}
