// Package muon trains by Muon: hidden layers' momentum, made nearly orthogonal.
//
// For the weights W (m × n) of a hidden layer, one that is neither first nor last, with
// gradient G of the mean loss:
//
//	M ← μM + (1 − μ)G,  U = (1 − μ)G + μM                  μ = 0.95
//	X = U/(‖U‖ + 1e-7), then five times
//	    A = XXᵀ;  X ← 3.4445X + (−4.7750A + 2.0315A²)X     (of Xᵀ where m > n)
//	W ← (1 − η·wd)W − η·√max(1, m/n)·X
//
// The iteration takes singular values that are at least a hundredth of ‖U‖ to between 0.68
// and 1.14, and leaves those near 0 there. First and last layer, and all biases, are trained by
// AdamW with a rate of its own: 3e-4, β₁ = 0.9, β₂ = 0.95, ε = 1e-10, the same wd. A
// network of one or two layers has no hidden weights, and is AdamW's altogether.
//
// Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
// with the momentum and the factor of its public code. Gradients are of the mean loss; the
// step doesn't change with their scale.
package muon

import (
	"errors"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Options are the settings of Muon. Zero values are the defaults.
type Options struct {
	Eta         float64 // η of hidden layers; 0 means 0.02
	AdamEta     float64 // rate of all else; 0 means 3e-4. The schedule's factor multiplies both
	Momentum    float64 // μ in [0, 1); 0 means 0.95; see NoMomentum
	NoMomentum  bool    // μ = 0
	WeightDecay float64 // wd ≥ 0 of weights, not biases
	Block       int     // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

// Method is Muon with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	layerwise.Default(&o.Eta, 0.02)
	layerwise.Default(&o.AdamEta, 3e-4)
	layerwise.Default(&o.Block, plan.DefaultBlock)
	c := layerwise.Checks{Method: "muon"}
	c.NotBoth("momentum", o.Momentum, o.NoMomentum)
	if !o.NoMomentum {
		layerwise.Default(&o.Momentum, 0.95)
	}
	c.Positive("learning rate", o.Eta)
	c.Positive("learning rate of AdamW", o.AdamEta)
	c.Below1("momentum", o.Momentum)
	c.NotNegative("weight decay", o.WeightDecay)
	c.AtLeast1("block", o.Block)
	if err := errors.Join(c.Errs...); err != nil {
		return nil, err
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is muon.
func (m *Method) Name() string { return "muon" }

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	return layerwise.NewStepper("muon", n, l, batch, k, m.o.Eta, m.o.Block, func(l *layerwise.Layer) (layerwise.Rule, error) {
		if l.First || l.Last {
			return newElementwise(l, m.o), nil
		}
		return newOrthogonal(l, m.o), nil
	})
}

func adamW(o Options) optimizer.Rule {
	return optimizer.Rule{Kind: optimizer.AdamW, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-10, WeightDecay: o.WeightDecay}
}

// elementwise trains some columns of a layer by AdamW: all of them, or the bias.
type elementwise struct {
	*layerwise.Layer
	o      Options
	first  int // column
	slots  *plan.Slots
	update optimizer.Update
}

func newElementwise(l *layerwise.Layer, o Options) *elementwise {
	return &elementwise{Layer: l, o: o, slots: plan.NewSlots(l.W, adamW(o))}
}

// task updates rows lo ≤ u < hi, whose gradient is g.
func (e *elementwise) task(lo, hi int) func(g backend.Mat) {
	w, slots := backend.View(e.W, lo, hi, e.first, e.W.Cols), e.slots.Rows(lo, hi)
	return func(g backend.Mat) {
		e.Kernels.Update(e.update, w, backend.Mat{}, backend.Cols(g, e.first, g.Cols), slots)
	}
}

func (e *elementwise) Stages() [][]plan.Job {
	var tasks []func(g backend.Mat)
	for lo := 0; lo < e.W.Rows; lo += e.Block {
		tasks = append(tasks, e.task(lo, min(lo+e.Block, e.W.Rows)))
	}
	return [][]plan.Job{e.Units(0, func(lo, _ int, g backend.Mat, _ []float32) error {
		tasks[lo/e.Block](g)
		return nil
	})}
}

func (e *elementwise) Begin(rate float64) { e.update = e.slots.Next(e.o.AdamEta * (rate / e.o.Eta)) }

func (e *elementwise) State() []plan.Tensor { return e.slots.Tensors(e.Index) }

func (e *elementwise) Explain(p *plan.LayerPlan) {
	p.Form, p.Tasks, p.LocalFlops = "adamw", (e.W.Rows+e.Block-1)/e.Block, e.GradFlops()
}
