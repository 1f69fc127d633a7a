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

var (
	_ plan.ShortPlanner = (*Method)(nil)
	_ plan.RateIgnorer  = (*Method)(nil)
)

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

// layer is the settings of one layer of the network.
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

// IgnoresRate reports whether η changes no step of any layer; see Options.UsesRate.
func (m *Method) IgnoresRate() bool {
	uses := m.o.UsesRate()
	for _, l := range m.o.Layers {
		uses = uses || l.UsesRate()
	}
	return !uses
}

// Plan makes a stepper for n. Under Matching it refuses a transfer function that isn't
// the gradient of a convex function.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	return m.plan(n, l, batch, k, nil)
}

// PlanShort plans steps on the last, short batch of an epoch; see plan.ShortPlanner. γ is
// that of the full batch times short/batch, so that an example's target is as far from
// its activation as in a full batch (the metric form's fisher rule does so by itself).
// Each layer has the form of the full batch; K and C are those of the short one.
func (m *Method) PlanShort(full plan.Stepper, n *nn.Network, l loss.Loss, batch, short int, k backend.Kernels) (plan.Stepper, error) {
	of, ok := full.(*stepper)
	if x, also := full.(examples); also {
		of, ok = x.stepper, true
	}
	if !ok || len(of.layers) != len(n.Layers) {
		return nil, fmt.Errorf("locoprop: the stepper of the full batch, a %T, isn't one that Plan made for this network", full)
	}
	less := &Method{m.o}
	less.o.Layers = make(map[int]Options, len(n.Layers))
	for ℓ := range n.Layers {
		o := m.layer(ℓ)
		o.Form = of.layers[ℓ].o.Form
		if o.GammaRule != GammaFisher {
			o.Gamma, o.GammaPerExample = 0, o.gamma(batch)/float64(batch)
		}
		less.o.Layers[ℓ] = o
	}
	return less.plan(n, l, short, k, of.memory)
}

// plan is Plan, with the memory of momentum on D if there is one already.
func (m *Method) plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels, given *memory) (plan.Stepper, error) {
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
	s := &stepper{net: n, tape: tape, o: m.o, memory: given, rates: make([]float64, len(n.Layers))}
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
	s.planDecay(k)
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
	l.o.Form = form
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
