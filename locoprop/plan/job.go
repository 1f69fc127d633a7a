package plan

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// Job is a task of one layer, or of all where Layer is −1, with what it does.
type Job struct {
	Task
	Scratch int // float32 that Do needs
	// What names what Do makes, for a job that only its numbers can fail, such as the
	// inverse of a matrix that may not be positive definite: its errors are divergence. A
	// job without has no errors but the programmer's.
	What string
	// Do is called with at least Scratch float32, 64-byte aligned and of unspecified
	// content. It returns errors without naming its layer.
	Do func(scratch []float32) error
}

// fail is what the error of a job is to the step.
func (j *Job) fail(err error) error {
	switch {
	case err == nil:
		return nil
	case j.What != "":
		return &DivergedError{Layer: j.Layer, What: j.What, Err: err}
	case j.Layer >= 0:
		return fmt.Errorf("layer %d: %w", j.Layer, err)
	}
	return err
}

// NewJobPhase makes a phase of jobs, which take the numbers of their places in the list as
// IDs. The error of a job that has a What is a *DivergedError; that of another gets its
// layer's number.
func NewJobPhase(name string, jobs []Job) *Phase {
	tasks := make([]Task, len(jobs))
	scratch := 0
	for i := range jobs {
		jobs[i].ID = i
		tasks[i] = jobs[i].Task
		scratch = max(scratch, jobs[i].Scratch)
	}
	return NewPhase(name, tasks, scratch, func(t *Task, scratch []float32) error {
		j := &jobs[t.ID]
		return j.fail(j.Do(scratch))
	})
}

// Stages lines up the stages of several layers' jobs, each of which runs once those of
// the stage before have ended. They end together: where weights move in the last stage
// of each layer, none has moved before every layer has come so far.
func Stages(layers ...[][]Job) [][]Job {
	count := 0
	for _, stages := range layers {
		count = max(count, len(stages))
	}
	lined := make([][]Job, count)
	for _, stages := range layers {
		first := count - len(stages)
		for i, jobs := range stages {
			lined[first+i] = append(lined[first+i], jobs...)
		}
	}
	return lined
}

// MayDiverge reports whether the numbers of any of the jobs can fail it.
func MayDiverge(jobs []Job) bool {
	for i := range jobs {
		if jobs[i].What != "" {
			return true
		}
	}
	return false
}

// Backup keeps the weights that a step begins with, for steps in which a job may fail
// when others have moved weights already. A nil *Backup does nothing.
type Backup struct {
	weights, before []backend.Mat
	phase           *Phase
}

// NewBackup plans the copies; block is the number of units per task.
func NewBackup(n *nn.Network, block int) *Backup {
	b := &Backup{weights: n.Weights()}
	var tasks []Task
	for ℓ, w := range b.weights {
		b.before = append(b.before, backend.NewMat(w.Rows, w.Cols))
		tasks = append(tasks, UnitTasks(ℓ, w.Rows, block, false, ElementCost*float64(w.Cols))...)
	}
	b.phase = NewPhase("weights before", tasks, 0, func(t *Task, _ []float32) error {
		backend.Copy(backend.Rows(b.before[t.Layer], t.Lo, t.Hi), backend.Rows(b.weights[t.Layer], t.Lo, t.Hi))
		return nil
	})
	return b
}

// Keep copies the weights.
func (b *Backup) Keep(p *Pool) error {
	if b == nil {
		return nil
	}
	return p.Run(b.phase)
}

// Before is a layer's weights as they were when they were last kept.
func (b *Backup) Before(layer int) backend.Mat { return b.before[layer] }

// Undo gives back the weights that were last kept.
func (b *Backup) Undo() {
	if b == nil {
		return
	}
	for ℓ, w := range b.weights {
		backend.Copy(w, b.before[ℓ])
	}
}
