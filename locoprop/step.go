package locoprop

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// stepper is a plan of LocoProp in direct form: after the tape's phase, one phase of
// independent local problems, a task per layer and block of units.
type stepper struct {
	o       Options
	net     *nn.Network
	tape    *plan.Tape
	kernels backend.Kernels
	solver  backend.BlockSolver // nil: the generic loop
	slots   *plan.Slots
	updates []optimizer.Update // one per local iteration, made anew at every step
	blocks  []backend.Block    // by Task.ID: views made once, so that a step allocates nothing
	local   *plan.Phase
}

// planLocal cuts every layer into blocks of units and makes their views.
func (s *stepper) planLocal() {
	var tasks []plan.Task
	scratch := 0
	for ℓ, layer := range s.net.Layers {
		w := layer.Weights()
		f := s.o.Loss.localTransfer(layer.Transfer())
		x := s.tape.Design[ℓ]
		perUnit := directFlops(x.Rows, x.Cols, 1, s.o.Steps)
		for _, t := range plan.UnitTasks(ℓ, w.Rows, s.o.Block, f.RowCoupled(), perUnit) {
			t.ID = len(s.blocks)
			tasks = append(tasks, t)
			s.blocks = append(s.blocks, backend.Block{
				X:     x,
				Ahat:  backend.Cols(s.tape.A[ℓ], t.Lo, t.Hi),
				Yhat:  backend.Cols(s.tape.Y[ℓ], t.Lo, t.Hi),
				D:     backend.Cols(s.tape.D[ℓ], t.Lo, t.Hi),
				W:     backend.Rows(w, t.Lo, t.Hi),
				Slots: s.slots.Rows(ℓ, t.Lo, t.Hi),
				F:     f,
				Gamma: float32(s.o.Gamma),
			})
			scratch = max(scratch, backend.ScratchLen(x.Rows, x.Cols, t.Hi-t.Lo))
		}
	}
	s.local = plan.NewPhase("local problems", tasks, scratch, func(t *plan.Task, scratch []float32) error {
		b := &s.blocks[t.ID]
		if s.solver != nil {
			return s.solver.SolveBlock(b, s.updates, scratch)
		}
		SolveBlock(s.kernels, b, s.updates, scratch)
		return nil
	})
}

// directFlops counts the products of the direct form: T gradients and T − 1 forward
// products of 2·B·(n+1)·m each.
func directFlops(batch, cols, units, steps int) float64 {
	return (4*float64(steps) - 2) * float64(batch) * float64(cols) * float64(units)
}

// Step makes one training step; see plan.Stepper.
func (s *stepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	mean, err := s.tape.Run(p, x, t)
	if err != nil {
		return plan.Report{Loss: mean}, err
	}
	// All layers have made the same number of updates.
	done := s.slots.Count[0]
	for i := range s.updates {
		s.updates[i] = s.o.Optimizer.At(s.o.eta(scale, i), done+int64(i)+1)
	}
	if err := p.Run(s.local); err != nil {
		return plan.Report{Loss: mean}, fmt.Errorf("local problems: %w", err)
	}
	for ℓ := range s.slots.Count {
		s.slots.Count[ℓ] += int64(s.o.Steps)
	}
	return plan.Report{Loss: mean}, nil
}

// eta is ηₜ = η·s·max(1 − t/T, φ).
func (o Options) eta(scale float64, t int) float64 {
	decay := math.Max(1-float64(t)/float64(o.Steps), o.Floor)
	return float64(float64(o.Eta*scale) * decay)
}

func (s *stepper) State() []plan.Tensor { return s.slots.State(s.net) }

func (s *stepper) EvalWeights() []backend.Mat { return s.net.Weights() }

func (s *stepper) Explain() []plan.LayerPlan {
	layers := plan.PassFlops(s.net, s.tape.Batch)
	for _, t := range s.local.Tasks {
		layers[t.Layer].Tasks++
	}
	for ℓ := range layers {
		x, w := s.tape.Design[ℓ], s.net.Weights()[ℓ]
		layers[ℓ].Form = "direct"
		layers[ℓ].LocalFlops = directFlops(x.Rows, x.Cols, w.Rows, s.o.Steps)
		layers[ℓ].StateBytes = s.slots.Bytes(ℓ)
	}
	return layers
}
