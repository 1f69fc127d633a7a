package plan

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// ShortPlanner is a method whose step on a short batch isn't the one that Plan makes for
// a batch of that size.
type ShortPlanner interface {
	Method
	// PlanShort plans steps on short examples, beside full, which Plan made for the same
	// network and a batch of batch examples. Both have the same State, by names and shapes.
	PlanShort(full Stepper, n *nn.Network, l loss.Loss, batch, short int, k backend.Kernels) (Stepper, error)
}

// WithShort plans a method for batches of batch examples and for the last one of an
// epoch, of short examples, 1 ≤ short < batch. Both go through one Stepper, which tells
// them by their rows. The mean of the loss is over the examples that there are, so that
// D carries 1/short.
//
// Its State, EvalWeights and Explain are those of the full batch. The short one has
// memory of its own for what a method carries along beside the weights, and gets it
// before, and gives it back after, each of its steps.
func WithShort(m Method, n *nn.Network, l loss.Loss, batch, short int, k backend.Kernels) (Stepper, error) {
	if short < 1 || short >= batch {
		return nil, fmt.Errorf("short batch of %d examples; must be 1 to %d", short, batch-1)
	}
	full, err := m.Plan(n, l, batch, k)
	if err != nil {
		return nil, err
	}
	var less Stepper
	if own, ok := m.(ShortPlanner); ok {
		less, err = own.PlanShort(full, n, l, batch, short, k)
	} else {
		less, err = m.Plan(n, l, short, k)
	}
	if err != nil {
		return nil, fmt.Errorf("short batch of %d examples: %w", short, err)
	}
	s := &withShort{Stepper: full, short: less, rows: short}
	a, b := full.State(), less.State()
	if err := Restore(b, a); err != nil { // the weights are shared, all else is at its start
		return nil, fmt.Errorf("short batch of %d examples: %w", short, err)
	}
	for i := range a {
		if !sameMemory(a[i], b[i]) {
			s.mine, s.its = append(s.mine, a[i]), append(s.its, b[i])
		}
	}
	if full, ok := full.(ExampleStepper); ok {
		return &examplesWithShort{s, full, less.(ExampleStepper)}, nil
	}
	return s, nil
}

func sameMemory(a, b Tensor) bool {
	return same(a.F32, b.F32) && same(a.F64, b.F64) && same(a.I64, b.I64)
}

func same[T any](a, b []T) bool { return len(a) == 0 || &a[0] == &b[0] }

// withShort is a stepper for two sizes of batches.
type withShort struct {
	Stepper   // of the full batch
	short     Stepper
	rows      int      // of the short batch
	mine, its []Tensor // the parts of both states that aren't the same memory
	step      int      // batches done
}

// Cycle is that of full batches.
func (s *withShort) Cycle() Cycle { return CycleOf(s.Stepper) }

var _ CountingStepper = (*withShort)(nil)

// SetStep tells how many batches the run has done; see [CountingStepper].
func (s *withShort) SetStep(step int) { s.step = step }

// Step makes a step on a batch of either size; see [Stepper].
func (s *withShort) Step(p *Pool, x, t backend.Mat, scale float64) (Report, error) {
	if x.Rows != s.rows {
		return s.make(s.Stepper, p, x, t, scale)
	}
	transfer(s.its, s.mine)
	r, err := s.make(s.short, p, x, t, scale)
	if err == nil {
		transfer(s.mine, s.its)
	}
	return r, err
}

func (s *withShort) make(to Stepper, p *Pool, x, t backend.Mat, scale float64) (Report, error) {
	if c, ok := to.(CountingStepper); ok {
		c.SetStep(s.step)
	}
	r, err := to.Step(p, x, t, scale)
	if err == nil {
		s.step++
	}
	return r, err
}

func transfer(to, from []Tensor) {
	for i, f := range from {
		copy(to[i].F32, f.F32)
		copy(to[i].F64, f.F64)
		copy(to[i].I64, f.I64)
	}
}

// examplesWithShort is one that needs to know a batch's examples.
type examplesWithShort struct {
	*withShort
	full, less ExampleStepper
}

// SetExamples names the examples of the next batch; see [ExampleStepper].
func (s *examplesWithShort) SetExamples(ids []int) error {
	if len(ids) == s.rows {
		return s.less.SetExamples(ids)
	}
	return s.full.SetExamples(ids)
}
