package bench

import (
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Overhead is what Go, cgo and scheduling cost a step: kernel calls times what a call
// without work takes, phases times what starting and ending one takes, and what workers
// do between kernels and phases. Waiting for a longer task isn't counted: it depends on
// how the work is cut.
type Overhead struct {
	CallSeconds  float64 `json:"call_seconds"`  // of a kernel call without work
	PhaseSeconds float64 `json:"phase_seconds"` // of a phase without work on all workers
	Phases       float64 `json:"phases"`        // in a step
	Share        float64 `json:"share"`         // of all workers' time
}

const emptyCalls = 20000

// overhead measures calls and phases without work, for the step that w is of. Its calls
// are those of the step by single kernels, of which a backend's own solvers need fewer.
func (p *probe) overhead(k backend.Kernels, pool *plan.Pool, w *Waterfall) *Overhead {
	o := &Overhead{Phases: float64(p.ran) / float64(p.steps)}
	none := backend.Mat{Cols: 1, Stride: 1}
	start := time.Now()
	for range emptyCalls {
		k.AddInto(none, none)
	}
	o.CallSeconds = time.Since(start).Seconds() / emptyCalls
	o.PhaseSeconds = phaseSeconds(pool)
	step := w.Seconds.Median
	o.Share = w.Calls*o.CallSeconds/(step*float64(pool.Workers())) + o.Phases*o.PhaseSeconds/step + w.Share(PartTasks, PartSerial)
	return o
}
