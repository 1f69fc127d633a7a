package bench

import (
	"runtime"
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// trial is a planned step and its measurements.
type trial struct {
	info        backend.Info
	rival       string
	stepper     plan.Stepper
	x, t        backend.Mat
	flops       float64
	memory      Memory
	cycle       int // steps after which the work repeats
	repeat      int // steps of a measurement, whole cycles
	seconds     []float64
	local       []float64 // in other phases than the passes
	allocations []float64
}

// stepScale is the schedule's factor of the steps: small, so that weights stay where
// arithmetic is fast.
const stepScale = 1e-3

func newTrial(c Config, k backend.Kernels, pool *plan.Pool) (*trial, error) {
	before := heap()
	net, err := nn.New(c.Arch)
	if err != nil {
		return nil, err
	}
	net.Init(nn.Glorot, 1)
	s, err := c.Method.Plan(net, c.Loss, c.Batch, k)
	if err != nil {
		return nil, err
	}
	t := &trial{info: k.Info(), stepper: s, x: backend.NewPadded(c.Batch, net.Inputs()), t: backend.NewPadded(c.Batch, net.Outputs())}
	fill(t.x, 1)
	switch {
	case c.Loss == loss.SoftmaxCE:
		for i := range c.Batch {
			t.t.Data[i*t.t.Stride+i%t.t.Cols] = 1
		}
	case t.t.Cols == t.x.Cols:
		t.t = t.x
	default:
		fill(t.t, 2)
	}
	layers := s.Explain()
	t.flops = plan.Flops(layers)
	sample := c.Sample
	if sample == 0 {
		sample = 20 * time.Millisecond
	}
	cycle := plan.CycleOf(s)
	t.cycle = cycle.Length
	for range max(2, cycle.Begin) { // the first step touches pages and grows scratch
		start := time.Now()
		if _, err = s.Step(pool, t.x, t.t, stepScale); err != nil {
			return nil, err
		}
		t.repeat = 1 + int(sample/max(time.Since(start), time.Microsecond))
	}
	t.repeat = (t.repeat + t.cycle - 1) / t.cycle * t.cycle
	t.memory = memoryOf(net, layers, c.Batch, heap()-before, pool)
	return t, nil
}

// step measures a round's steps.
func (t *trial) step(pool *plan.Pool) error {
	var local time.Duration
	pool.Observe(func(x plan.Timing) {
		if x.Phase != plan.PassPhase {
			local += x.Wall
		}
	})
	defer pool.Observe(nil)
	return t.measure(pool, &local)
}

func (t *trial) measure(pool *plan.Pool, local *time.Duration) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range t.repeat {
		if _, err := t.stepper.Step(pool, t.x, t.t, stepScale); err != nil {
			return err
		}
	}
	seconds := time.Since(start).Seconds()
	runtime.ReadMemStats(&after)
	t.seconds = append(t.seconds, seconds/float64(t.repeat))
	t.local = append(t.local, local.Seconds()/float64(t.repeat))
	t.allocations = append(t.allocations, float64(after.Mallocs-before.Mallocs)/float64(t.repeat))
	return nil
}

func (t *trial) sum(sgemm, fma, limit []float64, first *trial) Step {
	var rate, ofSgemm, ofFMA, ofCeiling []float64
	for i, s := range t.seconds {
		rate = append(rate, t.flops/s)
		ofSgemm = append(ofSgemm, t.flops/s/sgemm[i])
		ofCeiling = append(ofCeiling, t.flops/s/limit[i])
		if i < len(fma) {
			ofFMA = append(ofFMA, t.flops/s/fma[i])
		}
	}
	step := Step{
		Backend: t.info.Name, Rival: t.rival, Detail: t.info.Detail, Seconds: spread(t.seconds), Local: spread(t.local),
		Rate: median(rate), OfSgemm: spread(ofSgemm), OfCeiling: spread(ofCeiling),
		Ratio: spread(ratios(t.seconds, first.seconds)), LocalRatio: spread(ratios(t.local, first.local)),
		Allocations: slices.Min(t.allocations), // other goroutines may allocate meanwhile: the least is the step's
	}
	if len(ofFMA) > 0 {
		s := spread(ofFMA)
		step.OfFMA = &s
	}
	return step
}

// Memory is what a step keeps, in bytes.
type Memory struct {
	Total   float64 `json:"total"`   // of the heap
	Needed  float64 `json:"needed"`  // weights, state, activations and the batch
	Scratch float64 `json:"scratch"` // of all workers
}

func memoryOf(n *nn.Network, layers []plan.LayerPlan, batch int, total float64, pool *plan.Pool) Memory {
	const float = 4
	m := Memory{Total: total, Scratch: float64(pool.ScratchBytes())}
	m.Needed = float * float64(batch*(n.Inputs()+n.Outputs()))
	for ℓ, w := range n.Weights() { // weights; X̃, A and D
		m.Needed += float*float64(w.Rows*w.Cols+batch*(w.Cols+2*w.Rows)) + layers[ℓ].StateBytes
	}
	return m
}

// heap is the memory of the heap in use.
func heap() float64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc)
}
