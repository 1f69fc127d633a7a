package locoprop

import (
	"errors"
	"fmt"
	"maps"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Method is LocoProp with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	o = o.withDefaults()
	errs := []error{o.check()}
	o.Layers = maps.Clone(o.Layers)
	for ℓ, l := range o.Layers {
		l.Block, l.Layers = o.Block, nil
		l.Correction, l.Momentum, l.Diagnose, l.OnLayer = o.Correction, o.Momentum, o.Diagnose, o.OnLayer
		l = l.withDefaults()
		if err := l.check(); err != nil {
			errs = append(errs, fmt.Errorf("layer %d: %w", ℓ, err))
		}
		o.Layers[ℓ] = l
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// layer is the settings of one layer.
func (m *Method) layer(ℓ int) Options {
	if o, ok := m.o.Layers[ℓ]; ok {
		return o
	}
	return m.o
}

// Name is locoprop-m or locoprop-s.
func (m *Method) Name() string {
	if m.o.Loss == Squared {
		return "locoprop-s"
	}
	return "locoprop-m"
}

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n. Under Matching it refuses a transfer function that isn't
// the gradient of a convex function.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	for ℓ := range m.o.Layers {
		if ℓ < 0 || ℓ >= len(n.Layers) {
			return nil, fmt.Errorf("locoprop: settings for layer %d; the network has layers 0 to %d", ℓ, len(n.Layers)-1)
		}
	}
	for ℓ, layer := range n.Layers {
		if m.layer(ℓ).Loss == Matching && !layer.Transfer().Monotone() {
			return nil, fmt.Errorf("layer %d: LocoProp-M needs a non-decreasing transfer function, which %v isn't; use locoprop-s",
				ℓ, layer.Transfer())
		}
	}
	tape, err := plan.NewTape(n, l, batch, k)
	if err != nil {
		return nil, err
	}
	s := &stepper{net: n, tape: tape, o: m.o}
	if err := s.planVariants(); err != nil {
		return nil, fmt.Errorf("locoprop: %w", err)
	}
	for ℓ := range n.Layers {
		c := newLayer(m.layer(ℓ), ℓ, tape, n, k)
		s.planTarget(c)
		solver, err := newSolver(c)
		if err != nil {
			return nil, fmt.Errorf("locoprop: layer %d: %w", ℓ, err)
		}
		s.layers = append(s.layers, c)
		s.solvers = append(s.solvers, solver)
	}
	s.planPhases()
	if s.memory != nil {
		return examples{s}, nil
	}
	return s, nil
}

// newSolver makes the form that a layer's settings name.
func newSolver(l *layer) (solver, error) {
	form := l.o.Form
	if form == FormAuto {
		form = l.cheapest()
	}
	if err := l.o.valid(form, l.f); err != nil {
		return nil, err
	}
	switch form {
	case FormMetric:
		return newMetric(l), nil
	case FormGram:
		return newGram(l), nil
	case FormKernel:
		return newKernel(l), nil
	case FormImplicit:
		return newImplicit(l)
	case FormMajorised:
		return newMajorised(l)
	case FormExact:
		return newExact(l)
	case FormSpectral:
		return newSpectral(l)
	case FormStatistics:
		return newStatistics(l)
	default:
		return newDirect(l), nil
	}
}
