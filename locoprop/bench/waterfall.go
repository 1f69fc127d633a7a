package bench

import (
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Part is a share of a step's time on all workers.
type Part struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
}

// Waterfall says where a step's time goes: all workers' time from its begin to its end,
// added up over rounds, in parts that sum to 1. It is of the step made by single
// kernels, which can be timed; OverStep says how that compares with the step itself.
type Waterfall struct {
	Seconds  Spread  `json:"seconds"`
	OverStep float64 `json:"time_over_step"` // median of the rounds' ratios
	Calls    float64 `json:"kernel_calls"`   // in a step
	Parts    []Part  `json:"parts"`
}

// Names of a waterfall's parts.
const (
	PartProducts = "matrix products"
	PartPacking  = "packing"
	PartTransfer = "transfer functions, residuals, loss"
	PartUpdate   = "updates"
	PartFactors  = "factorisations, solves"
	PartTasks    = "Go between kernels"
	PartWaiting  = "waiting, scheduling"
	PartSerial   = "Go between phases"
)

var kindNames = [kinds]string{PartProducts, PartPacking, PartTransfer, PartUpdate, PartFactors}

// Share adds up the shares of some parts.
func (w *Waterfall) Share(names ...string) float64 {
	sum := 0.0
	for _, p := range w.Parts {
		if slices.Contains(names, p.Name) {
			sum += p.Share
		}
	}
	return sum
}

// probe measures the step of a method by single kernels.
type probe struct {
	kernels *timed
	trial   *trial
	phases  plan.Timing // sums over all that were observed
	total   time.Duration
	spent   [kinds]time.Duration
	updates []float64 // per round: seconds of a step's updates on all workers at once
	calls   int64
	ran     int // phases
	steps   int
}

func newProbe(c Config, k backend.Kernels, pool *plan.Pool) (*probe, error) {
	p := &probe{kernels: &timed{Kernels: k, counts: map[operation]int{}}}
	var err error
	kernels := backend.Kernels(p.kernels)
	if panels, ok := k.(backend.Panels); ok {
		kernels = timedPanels{p.kernels, panels}
	}
	if p.trial, err = newTrial(c, kernels, pool); err != nil {
		return nil, err
	}
	p.kernels.recording = true
	defer func() { p.kernels.recording = false }()
	for range p.trial.cycle {
		if _, err = p.trial.stepper.Step(pool, p.trial.x, p.trial.t, stepScale); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// measure makes a round's steps, as many as the step that it explains.
func (p *probe) measure(pool *plan.Pool, repeat int) error {
	p.kernels.reset()
	var local time.Duration
	pool.Observe(func(t plan.Timing) {
		p.phases.Wall += t.Wall
		p.phases.Busy += t.Busy
		p.ran++
	})
	defer pool.Observe(nil)
	p.trial.repeat = repeat
	if err := p.trial.measure(pool, &local); err != nil {
		return err
	}
	for i := range p.spent {
		p.spent[i] += time.Duration(p.kernels.spent[i].Load())
	}
	inRound := time.Duration(p.kernels.spent[updates].Load()).Seconds()
	p.updates = append(p.updates, inRound/float64(repeat*pool.Workers()))
	p.calls += p.kernels.calls.Load()
	p.steps += repeat
	p.total += time.Duration(float64(repeat) * p.trial.seconds[len(p.trial.seconds)-1] * float64(time.Second))
	return nil
}

// waterfall sums up, for a step that took seconds in the same rounds.
func (p *probe) waterfall(workers int, seconds []float64) *Waterfall {
	all := time.Duration(workers) * p.total
	w := &Waterfall{
		Seconds: spread(p.trial.seconds), OverStep: median(ratios(p.trial.seconds, seconds)),
		Calls: float64(p.calls) / float64(p.steps),
	}
	add := func(name string, d time.Duration) {
		if d > 0 {
			w.Parts = append(w.Parts, Part{name, float64(d) / float64(all)})
		}
	}
	kernels := time.Duration(0)
	for i, d := range p.spent {
		kernels += d
		add(kindNames[i], d)
	}
	add(PartTasks, p.phases.Busy-kernels)
	add(PartWaiting, time.Duration(workers)*p.phases.Wall-p.phases.Busy)
	add(PartSerial, time.Duration(workers)*(p.total-p.phases.Wall))
	return w
}
