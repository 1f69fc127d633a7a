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
	PartTransfer = "transfer functions, residuals, loss"
	PartUpdate   = "updates"
	PartFactors  = "factorisations, solves"
	PartTasks    = "Go between kernels"
	PartWaiting  = "waiting, scheduling"
	PartSerial   = "Go between phases"
)

var kindNames = [kinds]string{PartProducts, PartTransfer, PartUpdate, PartFactors}

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
	calls   int64
	steps   int
}

func newProbe(c Config, k backend.Kernels, pool *plan.Pool) (*probe, error) {
	p := &probe{kernels: &timed{Kernels: k, counts: map[product]int{}}}
	var err error
	if p.trial, err = newTrial(c, p.kernels, pool); err != nil {
		return nil, err
	}
	p.kernels.recording = true
	_, err = p.trial.stepper.Step(pool, p.trial.x, p.trial.t, stepScale)
	p.kernels.recording = false
	return p, err
}

// measure makes a round's steps, as many as the step that it explains.
func (p *probe) measure(pool *plan.Pool, repeat int) error {
	p.kernels.reset()
	pool.Observe(func(t plan.Timing) {
		p.phases.Wall += t.Wall
		p.phases.Busy += t.Busy
	})
	defer pool.Observe(nil)
	p.trial.repeat = repeat
	if err := p.trial.step(pool); err != nil {
		return err
	}
	for i := range p.spent {
		p.spent[i] += time.Duration(p.kernels.spent[i].Load())
	}
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

// ceiling measures how long the products of a step would take if nothing else were
// done: every product of its shapes, by the backend's own kernels, on all workers at
// once.
type ceiling struct {
	kernels backend.Kernels
	pool    *plan.Pool
	shapes  []product
	counts  []int
	memory  [][3][]float32 // per worker: a, b, c of any of the shapes
}

const ceilingTime = 5 * time.Millisecond // for each shape and round

func newCeiling(k backend.Kernels, pool *plan.Pool, counts map[product]int) *ceiling {
	c := &ceiling{kernels: k, pool: pool}
	var most [3]int
	for p, n := range counts {
		c.shapes, c.counts = append(c.shapes, p), append(c.counts, n)
		for i, s := range []size{p.a, p.b, p.c} {
			most[i] = max(most[i], s.rows*s.stride)
		}
	}
	for range pool.Workers() {
		var m [3][]float32
		for i := range m {
			m[i] = backend.Alloc(most[i])
			fill(backend.Mat{Rows: 1, Cols: most[i], Stride: most[i], Data: m[i]}, uint64(i))
		}
		c.memory = append(c.memory, m)
	}
	return c
}

// seconds is the time of all products of a step, shared out evenly among the workers.
func (c *ceiling) seconds() float64 {
	sum := 0.0
	for i, p := range c.shapes {
		sum += float64(c.counts[i]) * c.shape(p)
	}
	return sum / float64(c.pool.Workers())
}

// shape is the time of one product while all workers do the same.
func (c *ceiling) shape(p product) float64 {
	workers := c.pool.Workers()
	times := make([]float64, workers)
	each(c.pool, func(w int) {
		m := &c.memory[w]
		a, b, out := p.a.of(m[0]), p.b.of(m[1]), p.c.of(m[2])
		c.call(p, a, b, out)
		start, count := time.Now(), 0
		for count == 0 || time.Since(start) < ceilingTime {
			c.call(p, a, b, out)
			count++
		}
		times[w] = time.Since(start).Seconds() / float64(count)
	})
	rate := 0.0
	for _, t := range times {
		rate += 1 / t
	}
	return float64(workers) / rate
}

func (c *ceiling) call(p product, a, b, out backend.Mat) {
	if p.self {
		c.kernels.Syrk(p.transA, 1, a, 0, out)
		return
	}
	c.kernels.Gemm(p.transA, p.transB, 1, a, b, 0, out)
}

func (s size) of(memory []float32) backend.Mat {
	return backend.Mat{Rows: s.rows, Cols: s.cols, Stride: s.stride, Data: memory[:s.rows*s.stride]}
}
