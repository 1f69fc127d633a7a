// Package foof trains by FOOF: the gradient times the inverse of the layer's own second
// moment of inputs.
//
// With the input X̃ of a layer and the gradient G = DᵀX̃ of the mean loss:
//
//	C̄ ← βₖC̄ + (1 − βₖ)X̃ᵀX̃/B,  βₖ = min(β, 1 − 1/k)
//	P = G(C̄ + ρI)⁻¹                  factored every r-th batch
//	W̃ ← W̃ − ηP                      or another optimiser's step along P
//
// A large r is unsafe at the start of a run, where activations move most: a factor of the
// first batch, kept for twenty, can make steps run away.
//
// Without averaging it is LocoProp-S solved exactly (package locoprop, FormExact) with
// γ = ηB and λ = 1/(ρB); package precond has the formulas.
//
// Source: Benzing, "Gradient Descent on Neurons and its Link to Approximate Second-Order
// Optimization", ICML 2022, section 4. ρ relative to C̄'s mean diagonal is this library's
// default.
package foof

import (
	"errors"
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

// Options are the settings of FOOF. Zero values are the defaults, but for Eta, which must
// be given.
type Options struct {
	Eta       float64        // η > 0
	Optimizer optimizer.Rule // of the step along P; the zero rule is plain SGD
	Damping   float64        // ρ > 0; 0: see Relative
	Relative  float64        // ρ = Relative·tr(C̄)/(n+1) where Damping is 0; 0 means 0.3
	Average   float64        // β in (0, 1); 0 means 0.95; see NoAverage
	NoAverage bool           // β = 0
	Refresh   int            // r ≥ 1; 0 means 1
	Block     int            // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

func (o Options) precond() precond.Options {
	return precond.Options{Damping: o.Damping, Relative: o.Relative, Average: o.Average, NoAverage: o.NoAverage, Refresh: o.Refresh}
}

// Method is FOOF with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	layerwise.Default(&o.Block, plan.DefaultBlock)
	p := o.precond().WithDefaults()
	o.Relative, o.Average, o.Refresh = p.Relative, p.Average, p.Refresh
	c := layerwise.Checks{Method: "foof"}
	c.Positive("learning rate", o.Eta)
	c.AtLeast1("block", o.Block)
	c.CheckOuter(o.Optimizer)
	if err := p.Check(); err != nil {
		c.Errs = append(c.Errs, fmt.Errorf("foof: %w", err))
	}
	if err := errors.Join(c.Errs...); err != nil {
		return nil, err
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is foof.
func (m *Method) Name() string { return "foof" }

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	return layerwise.NewStepper("foof", n, l, batch, k, m.o.Eta, m.o.Block, func(l *layerwise.Layer) (layerwise.Rule, error) {
		return layerwise.NewPreconditioned(l, m.o.precond(), 1, m.o.Optimizer)
	})
}
