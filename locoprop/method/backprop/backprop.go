// Package backprop trains by back-propagation with an element-wise optimiser: the
// first-order baselines.
//
// A step takes the gradient of the mean loss, G = DᵀX̃ (m × (n+1), D carrying the 1/B
// of the mean), and makes one update of the optimiser with rate η·s, s the schedule's
// factor. A short last batch takes the mean over its own examples (plan.WithShort).
// With plain SGD at rate ηγ it is LocoProp with T = 1.
package backprop

import (
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Options are the settings of back-propagation.
type Options struct {
	Eta       float64        // learning rate η > 0; must be given
	Optimizer optimizer.Rule // the zero rule is plain SGD
	// WeightDecay is wd ≥ 0 of W ← (1 − η·s·wd)W before each forward pass, for optimisers
	// without a decay of their own; η·wd must be below 1. Biases don't decay. See plan.Decay.
	WeightDecay float64
	Block       int // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

// Method is back-propagation with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	if o.Block == 0 {
		o.Block = plan.DefaultBlock
	}
	var errs []error
	if !(o.Eta > 0) || math.IsInf(o.Eta, 0) {
		errs = append(errs, fmt.Errorf("backprop: learning rate is %v; must be a positive finite number", o.Eta))
	}
	switch wd := o.WeightDecay; {
	case wd == 0:
	case !(wd > 0) || math.IsInf(wd, 0):
		errs = append(errs, fmt.Errorf("backprop: weight decay is %v; must be a positive finite number, or 0 for none", wd))
	case o.Eta*wd >= 1:
		errs = append(errs, fmt.Errorf("backprop: weight decay %v times learning rate %v is %v; must be below 1", wd, o.Eta, o.Eta*wd))
	default:
		if err := o.Optimizer.CheckDecay(); err != nil {
			errs = append(errs, fmt.Errorf("backprop: weight decay is %v, but %w", wd, err))
		}
	}
	if o.Block < 1 {
		errs = append(errs, fmt.Errorf("backprop: block of %d units; must be 1 or more", o.Block))
	}
	if err := o.Optimizer.Check(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is backprop.
func (m *Method) Name() string { return "backprop" }

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	tape, err := plan.NewTape(n, l, batch, k)
	if err != nil {
		return nil, err
	}
	tape.LeaveA()
	s := &stepper{o: m.o, net: n, tape: tape, kernels: k}
	for _, w := range n.Weights() {
		slots := plan.NewSlots(w, m.o.Optimizer.ForLayer(w.Cols-1, w.Rows))
		s.slots = append(s.slots, slots)
		s.results = append(s.results, slots.Result())
	}
	s.updates = make([]optimizer.Update, len(s.slots))
	s.planUpdates()
	wd := make([]float64, len(s.slots))
	for ℓ := range wd {
		wd[ℓ] = m.o.WeightDecay
	}
	s.decay, s.rates = plan.NewDecay(n, wd, m.o.Block, k), make([]float64, len(s.slots))
	return s, nil
}

// part is some units of a task of the update phase: views made once, so that a step allocates
// nothing.
type part struct {
	gradient backend.Gradient
	kept     backend.Kept // D in panels; where it has none, d
	x, d, w  backend.Mat
	slots    []backend.Mat
}

type stepper struct {
	o       Options
	net     *nn.Network
	tape    *plan.Tape
	kernels backend.Kernels
	slots   []*plan.Slots // per layer
	results []backend.Mat // per layer: its weights, or their average where the optimiser keeps one
	updates []optimizer.Update
	parts   [][]part // by Task.ID
	phase   *plan.Phase
	decay   *plan.Decay
	rates   []float64 // η·s, for each layer the same
}

// planUpdates cuts every layer into blocks of units: a task forms the gradient of its
// rows and updates them, a few at a time.
func (s *stepper) planUpdates() {
	var tasks []plan.Task
	scratch := 0
	for ℓ, layer := range s.net.Layers {
		w, x := layer.Weights(), s.tape.Design[ℓ]
		gradient := backend.NewGradient(s.kernels, x.Rows)
		panels := gradient.Panels()
		var kept backend.Kept
		if panels != nil {
			kept = s.tape.Keep(ℓ, s.o.Block, 1, false)
		}
		step := gradient.Units(x.Cols, s.o.Block)
		for _, t := range plan.UnitTasks(ℓ, w.Rows, s.o.Block, false, gradFlops(x.Rows, x.Cols, 1)) {
			t.ID = len(s.parts)
			tasks = append(tasks, t)
			var parts []part
			for lo := t.Lo; lo < t.Hi; lo += step {
				hi := min(lo+step, t.Hi)
				p := part{gradient: gradient, x: x, w: backend.Rows(w, lo, hi), slots: s.slots[ℓ].Rows(lo, hi)}
				if kept.E != nil {
					p.kept = kept.Units(panels, x.Rows, lo, hi)
				} else {
					p.d = backend.Cols(s.tape.D[ℓ], lo, hi)
				}
				parts = append(parts, p)
				scratch = max(scratch, mat.RoundLine((hi-lo)*x.Cols)+gradient.ScratchLen(x.Cols, hi-lo))
			}
			s.parts = append(s.parts, parts)
		}
	}
	s.phase = plan.NewPhase("gradients and updates", tasks, scratch, func(t *plan.Task, scratch []float32) error {
		for _, v := range s.parts[t.ID] {
			g, rest := mat.Carve(scratch, v.w.Rows, v.w.Cols)
			if v.kept.E != nil {
				v.gradient.OfKept(g, v.kept, v.x, rest)
			} else {
				v.gradient.Of(g, v.d, v.x, rest)
			}
			s.kernels.Update(s.updates[t.Layer], v.w, backend.Mat{}, g, v.slots)
		}
		return nil
	})
}

// gradFlops counts G = DᵀX̃.
func gradFlops(batch, cols, units int) float64 {
	return 2 * float64(batch) * float64(cols) * float64(units)
}

// Step makes one training step; see plan.Stepper.
func (s *stepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	for ℓ := range s.rates {
		s.rates[ℓ] = s.o.Eta * scale
	}
	if err := s.decay.Run(p, s.rates); err != nil {
		return plan.Report{}, err
	}
	mean, err := s.tape.Run(p, x, t)
	if err != nil {
		s.decay.Undo()
		return plan.Report{Loss: mean}, err
	}
	for ℓ, slots := range s.slots {
		s.updates[ℓ] = slots.Next(float64(s.o.Eta * scale))
	}
	if err := p.Run(s.phase); err != nil {
		return plan.Report{Loss: mean}, fmt.Errorf("gradients and updates: %w", err)
	}
	return plan.Report{Loss: mean}, nil
}

// State lists, layer by layer, the weights and the optimiser's state.
func (s *stepper) State() []plan.Tensor {
	var state []plan.Tensor
	for ℓ, w := range s.net.Weights() {
		state = append(state, plan.MatTensor(ℓ, "w", w))
		state = append(state, s.slots[ℓ].Tensors(ℓ)...)
	}
	return state
}

// EvalWeights are the weights, or schedule-free's averages x: the weights of the forward
// pass are the points at which its gradients are taken.
func (s *stepper) EvalWeights() []backend.Mat { return s.results }

func (s *stepper) Explain() []plan.LayerPlan {
	layers := plan.PassFlops(s.net, s.tape.Batch)
	for _, t := range s.phase.Tasks {
		layers[t.Layer].Tasks++
	}
	for ℓ := range layers {
		x, w := s.tape.Design[ℓ], s.net.Weights()[ℓ]
		layers[ℓ].LocalFlops = gradFlops(x.Rows, x.Cols, w.Rows)
		layers[ℓ].StateBytes = s.slots[ℓ].Bytes()
	}
	return layers
}
