package locoprop

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// stepper is a plan of LocoProp: after the tape's phase, a phase for each stage of the
// layers' solvers.
type stepper struct {
	net     *nn.Network
	tape    *plan.Tape
	layers  []*layer
	solvers []solver
	phases  []*plan.Phase
}

// planStages merges stage s of all layers into one phase.
func (s *stepper) planStages() {
	var stages [][]work
	for _, solver := range s.solvers {
		for i, stage := range solver.stages() {
			if i == len(stages) {
				stages = append(stages, nil)
			}
			stages[i] = append(stages[i], stage...)
		}
	}
	for i, stage := range stages {
		tasks := make([]plan.Task, len(stage))
		scratch := 0
		for j := range stage {
			stage[j].ID = j
			tasks[j] = stage[j].Task
			scratch = max(scratch, stage[j].scratch)
		}
		s.phases = append(s.phases, plan.NewPhase(fmt.Sprintf("local problems %d", i), tasks, scratch,
			func(t *plan.Task, scratch []float32) error {
				if err := stage[t.ID].do(scratch); err != nil {
					return fmt.Errorf("layer %d: %w", t.Layer, err)
				}
				return nil
			}))
	}
}

// Step makes one training step; see plan.Stepper.
func (s *stepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	mean, err := s.tape.Run(p, x, t)
	report := plan.Report{Loss: mean}
	if err != nil {
		return report, err
	}
	for i, l := range s.layers {
		l.begin(scale)
		s.solvers[i].begin()
	}
	for _, phase := range s.phases {
		if err := p.Run(phase); err != nil {
			return report, err
		}
	}
	return report, nil
}

// State lists, layer by layer, the weights and what the solver carries along.
func (s *stepper) State() []plan.Tensor {
	var state []plan.Tensor
	for i, l := range s.layers {
		state = append(state, plan.MatTensor(i, "w", l.w))
		state = append(state, s.solvers[i].state()...)
	}
	return state
}

func (s *stepper) EvalWeights() []backend.Mat { return s.net.Weights() }

func (s *stepper) Explain() []plan.LayerPlan {
	layers := plan.PassFlops(s.net, s.tape.Batch)
	for i, solver := range s.solvers {
		solver.explain(&layers[i])
	}
	return layers
}
