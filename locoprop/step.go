package locoprop

import (
	"errors"
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
	o       Options
	layers  []*layer
	solvers []solver
	phases  []phase

	decay         *plan.Decay
	backup        *plan.Backup
	backupSampled bool      // needed in sampled batches only
	rates         []float64 // η·s of each layer
	memory        *memory   // momentum on D; nil: off
	diagnoses     []*diagnosis
	reports       []plan.LayerReport
	step          int // batches done
}

// phase is a phase, run in sampled batches only where it says so.
type phase struct {
	*plan.Phase
	sampled bool
}

// planPhases lines up the work of all layers, or, where the forward correction makes
// the layers sequential, that of each layer after the one before.
func (s *stepper) planPhases() {
	s.planBackup()
	if s.o.Correction == 0 {
		s.planLayers(0, len(s.layers))
		return
	}
	for ℓ := range s.layers {
		s.planLayers(ℓ, ℓ+1)
	}
}

// planBackup plans to keep W̃ₖ where something needs it: a job that may fail when others
// have moved weights, a guard, or, in sampled batches, diagnostics.
func (s *stepper) planBackup() {
	needed := false
	for ℓ, l := range s.layers {
		stages := s.solvers[ℓ].stages()
		needed = needed || l.o.Safety.Cap > 0 || l.o.Safety.Reject
		for i, stage := range stages {
			// With the forward correction, layers before this one have moved.
			needed = needed || plan.MayDiverge(stage) && (i == len(stages)-1 || s.o.Correction > 0 && ℓ > 0)
		}
	}
	if !needed && s.o.Diagnose == 0 {
		return
	}
	s.backup, s.backupSampled = plan.NewBackup(s.net, s.o.Block), !needed
	for ℓ, l := range s.layers {
		l.before = s.backup.Before(ℓ)
	}
}

// planLayers lines up the work of some layers: what precedes the solvers, the solvers'
// stages, what looks at their outcome.
func (s *stepper) planLayers(lo, hi int) {
	var solvers [][][]plan.Job
	var targets, safety, diagnoses, corrections []plan.Job
	for ℓ := lo; ℓ < hi; ℓ++ {
		l, solver := s.layers[ℓ], s.solvers[ℓ]
		solvers = append(solvers, solver.stages())
		targets = append(targets, s.targetWork(l)...)
		safety = append(safety, l.safetyWork(solver)...)
		if s.o.Diagnose > 0 {
			d := newDiagnosis(l, solver)
			diagnoses = append(diagnoses, d.work()...)
			s.diagnoses = append(s.diagnoses, d)
			s.reports = append(s.reports, plan.LayerReport{})
		}
		corrections = append(corrections, s.correctionWork(l)...)
	}
	s.plan("targets", targets, false)
	for i, stage := range plan.Stages(solvers...) {
		s.plan(fmt.Sprintf("local problems %d", i), stage, false)
	}
	s.plan("safety", safety, false)
	s.plan("diagnostics", diagnoses, true)
	s.plan("forward correction", corrections, false)
}

// plan makes a phase of jobs, none where there are none.
func (s *stepper) plan(name string, jobs []plan.Job, sampled bool) {
	if len(jobs) > 0 {
		s.phases = append(s.phases, phase{plan.NewJobPhase(name, jobs), sampled})
	}
}

// planDecay plans the weight decay of the layers that have one.
func (s *stepper) planDecay(k backend.Kernels) {
	wd := make([]float64, len(s.layers))
	for ℓ, l := range s.layers {
		wd[ℓ] = l.o.WeightDecay
	}
	s.decay = plan.NewDecay(s.net, wd, s.o.Block, k)
}

// SetStep tells how many batches the run has done; see plan.CountingStepper.
func (s *stepper) SetStep(step int) { s.step = step }

// Step makes one training step; see plan.Stepper.
func (s *stepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	if s.memory != nil && s.memory.ids == nil {
		return plan.Report{}, errors.New("locoprop: momentum on D: the examples of the batch weren't set")
	}
	for ℓ, l := range s.layers {
		s.rates[ℓ] = l.o.Eta * scale
	}
	if err := s.decay.Run(p, s.rates); err != nil {
		return plan.Report{}, err
	}
	mean, err := s.tape.Run(p, x, t)
	report := plan.Report{Loss: mean}
	if err != nil {
		s.decay.Undo()
		return report, err
	}
	for i, l := range s.layers {
		l.begin(scale)
		s.solvers[i].begin()
	}
	sampled := s.o.Diagnose > 0 && s.step%s.o.Diagnose == 0
	if err := s.solve(p, sampled); err != nil {
		s.decay.Undo()
		return report, err
	}
	if m := s.memory; m != nil {
		for _, id := range m.ids {
			m.visited[id] = 1
		}
		m.ids = nil
	}
	if sampled {
		report.Layers = s.diagnose()
	}
	s.step++
	return report, nil
}

// solve runs the phases. After an error the weights are those before it.
func (s *stepper) solve(p *plan.Pool, sampled bool) error {
	if sampled || !s.backupSampled {
		if err := s.backup.Keep(p); err != nil {
			return err
		}
	}
	for _, phase := range s.phases {
		if phase.sampled && !sampled {
			continue
		}
		if err := p.Run(phase.Phase); err != nil {
			if !s.backupSampled {
				s.backup.Undo()
			}
			return err
		}
	}
	return nil
}

// Cycle is that of the solvers that have one; see plan.CyclicStepper.
func (s *stepper) Cycle() plan.Cycle {
	c := plan.Cycle{Length: 1}
	for _, solver := range s.solvers {
		if solver, ok := solver.(interface{ cycle() plan.Cycle }); ok {
			c = c.With(solver.cycle())
		}
	}
	return c
}

// diagnose makes the reports of a batch.
func (s *stepper) diagnose() []plan.LayerReport {
	for i, d := range s.diagnoses {
		s.reports[i] = d.report(s.step)
		if s.o.OnLayer != nil {
			s.o.OnLayer(s.reports[i])
		}
	}
	return s.reports
}

// State lists, layer by layer, the weights and what the solver carries along.
func (s *stepper) State() []plan.Tensor {
	var state []plan.Tensor
	for i, l := range s.layers {
		state = append(state, plan.MatTensor(i, "w", l.w))
		state = append(state, s.solvers[i].state()...)
	}
	if m := s.memory; m != nil {
		for i, mean := range m.mean {
			state = append(state, plan.MatTensor(i, "d.mean", mean))
		}
		state = append(state, plan.Tensor{Name: "d.visited", Shape: []int{len(m.visited)}, I64: m.visited})
	}
	return state
}

func (s *stepper) EvalWeights() []backend.Mat { return s.net.Weights() }

func (s *stepper) Explain() []plan.LayerPlan {
	layers := plan.PassFlops(s.net, s.tape.Batch)
	for i, solver := range s.solvers {
		solver.explain(&layers[i])
		for _, stage := range solver.stages() {
			for _, job := range stage {
				layers[i].ScratchBytes = max(layers[i].ScratchBytes, 4*float64(job.Scratch))
			}
		}
		if s.memory != nil {
			layers[i].StateBytes += 4 * float64(len(s.memory.mean[i].Data))
		}
	}
	return layers
}
