// Package adafactor trains by Adafactor: a second moment of gradients that is the product
// of a row's and a column's mean, and steps relative to the size of the weights.
//
// For the weights W (m × n) of a layer with gradient g of the mean loss, step k = 1, 2, …:
//
//	β = 1 − k^(−0.8)
//	rᵢ ← βrᵢ + (1 − β)·mean over j of (gᵢⱼ² + 1e-30),  cⱼ likewise over i
//	V = r cᵀ/mean(r),  U = g/√V,  U ← U/max(1, rms(U))
//	W ← W − η·max(1e-3, rms(W))·min(0.01, 1/√k)·U
//
// The biases are a tensor of their own, with V kept whole. Fixed takes W ← W − ηU instead.
// There is no momentum.
//
// Source: Shazeer & Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost",
// ICML 2018, algorithms 4 and 5 with the constants of section 9; η is a factor of the
// paper's relative step.
package adafactor

import (
	"errors"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Options are the settings of Adafactor. Zero values are the defaults.
type Options struct {
	Eta   float64 // η; 0 means 1, a factor of the relative step. Fixed needs one
	Fixed bool    // steps of size η, not relative to the weights
	Block int     // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

// Method is Adafactor with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	layerwise.Default(&o.Block, plan.DefaultBlock)
	if !o.Fixed {
		layerwise.Default(&o.Eta, 1)
	}
	c := layerwise.Checks{Method: "adafactor"}
	c.Positive("learning rate", o.Eta)
	c.AtLeast1("block", o.Block)
	if err := errors.Join(c.Errs...); err != nil {
		return nil, err
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is adafactor.
func (m *Method) Name() string { return "adafactor" }

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	return layerwise.NewStepper("adafactor", n, l, batch, k, m.o.Eta, m.o.Block, func(l *layerwise.Layer) (layerwise.Rule, error) {
		return newRule(l, m.o), nil
	})
}
