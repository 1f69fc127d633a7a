// Package plan is what every training method is made of: a [Method] makes, once, a
// plan with all its memory (a [Stepper]); each step of it runs a few [Phase]s of
// independent [Task]s on a [Pool] of workers.
//
// The plan is data: its tasks name the rows they write, so it can be printed,
// simulated and checked for disjointness. Tasks never depend on the number of
// workers, hence the results don't either.
package plan

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// DefaultBlock is the number of units per task unless another is set. It changes
// results in the last bits, which is why it is a setting and never follows from the
// number of workers.
const DefaultBlock = 128

// Method is a way of training: LocoProp, back-propagation with an optimiser, …
type Method interface {
	// Name is the method's name on the command line.
	Name() string
	// Rate is the learning rate η that a schedule's factor multiplies.
	Rate() float64
	// Plan checks everything and allocates all memory for training n on batches of the
	// given size. The stepper works on n's own weights.
	Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (Stepper, error)
}

// RateIgnorer is a method some of whose settings leave the rate without effect.
type RateIgnorer interface {
	Method
	// IgnoresRate reports whether no step depends on Rate, nor on the schedule's factor
	// unless that is 0.
	IgnoresRate() bool
}

// Stepper performs training steps of a planned method.
type Stepper interface {
	// Step trains on one batch: x is B × Inputs, t is B × Outputs, scale the factor of
	// the schedule. Loss is that of the weights before the step. A *DivergedError
	// leaves the weights as they were. It doesn't allocate after the first call.
	Step(p *Pool, x, t backend.Mat, scale float64) (Report, error)
	// State lists everything that changes from step to step, weights included, by name
	// and in fixed order: all that a checkpoint needs. The slices are the live memory.
	State() []Tensor
	// EvalWeights are the weights that evaluation and files use.
	EvalWeights() []backend.Mat
	// Explain tells, per layer, what was chosen and what a step costs.
	Explain() []LayerPlan
}

// Report is what a step saw.
type Report struct {
	Loss float64 // mean loss over the batch, before the step
	// Layers is what happened layer by layer, in steps that were to be diagnosed, else
	// nil. It is the stepper's memory, until its next step.
	Layers []LayerReport
}

// DivergedError says where a value that isn't finite first appeared, or what a layer's
// numbers didn't allow to be made, such as the inverse of a matrix that has none.
type DivergedError struct {
	Layer int     // from 0; −1 for the input and the target
	What  string  // input, target, pre-activations, loss, or what a [Job] makes
	Value float64 // what was found, where Err is nil
	Err   error   // why it couldn't be made, or nil
}

func (e *DivergedError) Error() string {
	what := e.What
	if e.Layer >= 0 {
		what = fmt.Sprintf("%s of layer %d", e.What, e.Layer)
	}
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", what, e.Err)
	}
	return fmt.Sprintf("%s: found %v", what, e.Value)
}

// Unwrap gives the cause; nil where a value that isn't finite is all there is to say.
func (e *DivergedError) Unwrap() error { return e.Err }

// LayerPlan is what a plan does for one layer in one step.
type LayerPlan struct {
	Layer         int
	Inputs, Units int    // n and m
	Transfer      string // f
	Form          string // how the local problem is solved; "" where there is none
	Tasks         int    // tasks of the layer that may run at once
	ForwardFlops  float64
	BackwardFlops float64
	LocalFlops    float64 // gradient, local iterations or preconditioning, and products of the update
	StateBytes    float64 // what the method carries from step to step beside the weights
	MemoryBytes   float64 // what the local solve keeps allocated beside the state, without scratch
	ScratchBytes  float64 // scratch of the local solve's largest task, which every worker has; 0: no local solve
	Bytes         float64 // predicted bytes that the kernels of the local solve read and write; 0: no prediction
	Seconds       float64 // predicted time of the local solve on one core; 0: no prediction
}

// Flops is the number of floating-point operations that the mathematics of a step
// needs in matrix products, a multiplication and an addition counted as two.
func Flops(layers []LayerPlan) float64 {
	var sum float64
	for _, l := range layers {
		sum += l.ForwardFlops + l.BackwardFlops + l.LocalFlops
	}
	return sum
}

// PassFlops fills in what the forward and backward pass cost for a network and batch:
// 2B(n+1)m forward, 2Bnm backward in all layers but the first.
func PassFlops(n *nn.Network, batch int) []LayerPlan {
	plans := make([]LayerPlan, len(n.Layers))
	for ℓ, l := range n.Layers {
		w := l.Weights()
		rows := float64(batch * l.Positions())
		plans[ℓ] = LayerPlan{
			Layer: ℓ, Inputs: w.Cols - 1, Units: w.Rows, Transfer: l.Transfer().String(),
			ForwardFlops: 2 * rows * float64(w.Cols) * float64(w.Rows),
		}
		if ℓ > 0 {
			plans[ℓ].BackwardFlops = 2 * rows * float64(w.Cols-1) * float64(w.Rows)
		}
	}
	return plans
}

// Tensor is a named array of a stepper's state. Exactly one of F32, F64 and I64 is
// set; it is row-major and holds the product of Shape elements.
type Tensor struct {
	Name  string // layers.3.w, layers.3.rmsprop.v, layers.3.step
	Shape []int
	F32   []float32
	F64   []float64
	I64   []int64
}

// Restore copies saved tensors into a stepper's live state. Names, order, shapes and
// types must agree; otherwise nothing is changed and the error names the difference.
func Restore(live, saved []Tensor) error {
	if len(live) != len(saved) {
		return fmt.Errorf("state has %d tensors, and this method needs %d", len(saved), len(live))
	}
	for i, l := range live {
		s := saved[i]
		if l.Name != s.Name {
			return fmt.Errorf("state tensor %d is %q, and this method needs %q", i, s.Name, l.Name)
		}
		if len(l.F32) != len(s.F32) || len(l.F64) != len(s.F64) || len(l.I64) != len(s.I64) || !equal(l.Shape, s.Shape) {
			return fmt.Errorf("state tensor %q has shape %v, and this method needs %v of the same type", l.Name, s.Shape, l.Shape)
		}
	}
	for i, l := range live {
		copy(l.F32, saved[i].F32)
		copy(l.F64, saved[i].F64)
		copy(l.I64, saved[i].I64)
	}
	return nil
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
