// Package proxprop trains by proximal back-propagation: a layer's weights go to the
// minimiser of its linearised problem and their distance, or some conjugate gradient steps
// towards it.
//
// With the input X̃ of a layer, D = ∂L/∂A and G = DᵀX̃ of the mean loss L, a layer looks
// for the minimiser of ½‖X̃Δᵀ + D‖² + ‖Δ‖²/(2τ),
//
//	(X̃ᵀX̃ + I/τ)Δᵀ = −Gᵀ
//
// which is LocoProp-S with γ = 1 and λ = τ. Exact solves it; else every unit takes N steps
// of the conjugate gradient method from Δ = 0, the first of which is, for row u,
//
//	Δᵤ = −αᵤGᵤ,  αᵤ = ‖Gᵤ‖²/(Gᵤ(X̃ᵀX̃ + I/τ)Gᵤᵀ + 1e-6)
//
// X̃ᵀX̃ is never formed then. An optimiser takes −Δ in place of the gradient: plain SGD with
// η = 1, the default, makes the step Δ itself.
//
// Source: Frerix, Möllenhoff, Moeller, Cremers, "Proximal Backpropagation", ICLR 2018,
// section 3 and algorithm 1. As there, the target moves by the gradient of the mean loss
// while X̃ᵀX̃ sums over the batch.
package proxprop

import (
	"errors"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

const leastCurvature = 1e-6 // added to pᵀ(X̃ᵀX̃ + I/τ)p

// Options are the settings of ProxProp. Zero values are the defaults.
type Options struct {
	Eta       float64        // η of the optimiser; 0 means 1
	Optimizer optimizer.Rule // the zero rule is plain SGD
	Tau       float64        // τ > 0; 0 means 1
	Exact     bool           // solve the problem
	Steps     int            // N of the conjugate gradient method; 0 means 1
	Block     int            // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

// Method is ProxProp with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.ShortPlanner = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	layerwise.Default(&o.Eta, 1)
	layerwise.Default(&o.Tau, 1)
	layerwise.Default(&o.Block, plan.DefaultBlock)
	c := layerwise.Checks{Method: "proxprop"}
	if o.Exact && o.Steps != 0 {
		c.Bad("%d conjugate gradient steps, but the solution is to be exact; give one of both", o.Steps)
	}
	if !o.Exact {
		layerwise.Default(&o.Steps, 1)
		c.AtLeast1("conjugate gradient steps", o.Steps)
	}
	c.Positive("learning rate", o.Eta)
	c.Positive("tau", o.Tau)
	c.AtLeast1("block", o.Block)
	c.CheckOuter(o.Optimizer)
	if err := errors.Join(c.Errs...); err != nil {
		return nil, err
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is proxprop.
func (m *Method) Name() string { return "proxprop" }

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	return m.plan(n, l, batch, k, 1)
}

// PlanShort plans steps on the last, short batch of an epoch; see plan.ShortPlanner. γ is
// short/batch there, so that an example's target is as far from its activation as in a
// full batch.
func (m *Method) PlanShort(_ plan.Stepper, n *nn.Network, l loss.Loss, batch, short int, k backend.Kernels) (plan.Stepper, error) {
	return m.plan(n, l, short, k, float64(short)/float64(batch))
}

// plan is Plan for γ.
func (m *Method) plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels, gamma float64) (plan.Stepper, error) {
	return layerwise.NewStepper("proxprop", n, l, batch, k, m.o.Eta, m.o.Block, func(l *layerwise.Layer) (layerwise.Rule, error) {
		if !m.o.Exact {
			return newConjugate(l, m.o, gamma), nil
		}
		// γG(C + I/τ)⁻¹ = (γ/B)·G(C/B + I/(τB))⁻¹, B the rows of X̃.
		rows := float64(l.X.Rows)
		o := precond.Options{NoAverage: true, Damping: 1 / (m.o.Tau * rows)}
		return layerwise.NewPreconditioned(l, o, gamma/rows, m.o.Optimizer)
	})
}

// conjugate is the conjugate gradient form on one layer.
type conjugate struct {
	*layerwise.Outer
	o     Options
	gamma float32
}

func newConjugate(l *layerwise.Layer, o Options, gamma float64) *conjugate {
	return &conjugate{layerwise.NewOuter(l, o.Optimizer), o, float32(gamma)}
}

func (c *conjugate) Stages() [][]plan.Job {
	units, cols := min(c.Block, c.W.Rows), c.W.Cols
	scratch := 3*mat.RoundLine(units*cols) + mat.RoundLine(c.X.Rows*units)
	work := c.Units(scratch, func(lo, hi int, g backend.Mat, scratch []float32) error {
		delta, scratch := mat.Carve(scratch, hi-lo, cols)
		if c.gamma != 1 {
			c.Kernels.Scale(g, g, c.gamma)
		}
		c.solve(delta, g, scratch)
		c.Move(lo, delta)
		return nil
	})
	for i := range work {
		work[i].Cost *= 1 + 2*float64(c.o.Steps)
	}
	return [][]plan.Job{work}
}

// solve writes to delta what N steps make of (X̃ᵀX̃ + I/τ)δ = g for each row, from 0: −Δ.
// g is overwritten by the residuals.
func (c *conjugate) solve(delta, g backend.Mat, scratch []float32) {
	p, scratch := mat.Carve(scratch, g.Rows, g.Cols)
	q, scratch := mat.Carve(scratch, g.Rows, g.Cols)
	a, _ := mat.Carve(scratch, c.X.Rows, g.Rows)
	clear(delta.Data)
	backend.Copy(p, g)
	for step := range c.o.Steps {
		c.Kernels.Affine(a, c.X, p)
		c.Kernels.Grad(q, a, c.X)
		for u := range g.Rows {
			du, ru, pu, qu := backend.Rows(delta, u, u+1), backend.Rows(g, u, u+1), backend.Rows(p, u, u+1), backend.Rows(q, u, u+1)
			before := mat.SumSquares(ru)
			α := float32(before / (mat.Dot(pu, qu) + mat.SumSquares(pu)/c.o.Tau + leastCurvature))
			ridge := float32(1 / c.o.Tau)
			for j, v := range pu.Data {
				du.Data[j] += α * v
				ru.Data[j] -= α * (qu.Data[j] + ridge*v)
			}
			if step == c.o.Steps-1 || before == 0 {
				continue
			}
			β := float32(mat.SumSquares(ru) / before)
			for j, v := range ru.Data {
				pu.Data[j] = v + β*pu.Data[j]
			}
		}
	}
}

func (c *conjugate) Explain(l *plan.LayerPlan) {
	l.Form, l.Tasks = "conjugate gradients", (c.W.Rows+c.Block-1)/c.Block
	l.LocalFlops = c.GradFlops() * (1 + 2*float64(c.o.Steps))
}
