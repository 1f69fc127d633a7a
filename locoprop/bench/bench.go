// Package bench measures training steps against what the machine can do: the peak of
// its fused multiply-add units, the rate of square matrix products (sgemm), and the
// same step on other backends, all interleaved in one run, because a shared machine's
// speed drifts between runs.
//
// A rate counts the mathematics' floating-point operations only (plan.Flops), so that
// what a step does besides matrix products shows as a lower rate.
package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// PeakMeter is what a backend offers if it can measure the fused multiply-add peak of
// the calling thread.
type PeakMeter interface {
	// FMAPeak runs independent vector multiply-adds for about the given time and returns
	// floating-point operations per second.
	FMAPeak(d time.Duration) float64
}

// Config says what to measure. Arch, Method, Batch and Backends must be given.
type Config struct {
	Arch     nn.Arch
	Loss     loss.Loss // the zero value is sigmoid cross-entropy
	Method   plan.Method
	Batch    int               // examples in a step, from 1
	Workers  int               // 0 means GOMAXPROCS
	Rounds   int               // rounds of measurements, each measuring everything once; 0 means 5
	Backends []backend.Kernels // the others are compared with the first
	OnRound  func(done int)    // called after each round; nil: nothing
	Sample   time.Duration     // least time of a measurement, filled up with steps; 0 means 20 ms
	Sizes    []int             // orders of the square products tried, the fastest being the peak; nil: 512, 1024, 2048
	Rivals   []Rival           // other ways to make the step, measured in the same rounds on the first backend
}

// Rival is a method whose step is compared with the one that is measured.
type Rival struct {
	Name   string
	Method plan.Method
}

const defaultRounds = 5

// check returns all that is wrong with the configuration.
func (c *Config) check() error {
	errs := checks{}
	if len(c.Backends) == 0 {
		errs.bad("no backend given")
	}
	if c.Method == nil {
		errs.bad("no method given")
	}
	if err := c.Arch.Check(); err != nil {
		errs.bad("%w", err)
	} else if err := c.Loss.CheckTransfer(c.Arch.Transfer[len(c.Arch.Transfer)-1]); err != nil {
		errs.bad("%w", err)
	}
	if c.Batch < 1 {
		errs.bad("batch of %d examples; must be 1 or more", c.Batch)
	}
	errs.numbers(c.Workers, c.Rounds, c.Sample, c.Sizes)
	return errors.Join(errs...)
}

// checks are what is wrong with a configuration.
type checks []error

func (c *checks) bad(format string, args ...any) {
	*c = append(*c, fmt.Errorf("bench: "+format, args...))
}

// numbers checks what all configurations have; 0 stands for a default.
func (c *checks) numbers(workers, rounds int, sample time.Duration, sizes []int) {
	if workers < 0 {
		c.bad("%d workers; must be 1 or more, or 0 for GOMAXPROCS", workers)
	}
	if rounds < 0 {
		c.bad("%d rounds; must be 1 or more, or 0 for %d", rounds, defaultRounds)
	}
	if sample < 0 {
		c.bad("sample of %v; must be above 0, or 0 for the default", sample)
	}
	for _, n := range sizes {
		if n < 1 {
			c.bad("square products of order %d; must be 1 or more", n)
		}
	}
}

// Spread sums up repeated measurements.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Count  int     `json:"count"`
}

// Step is the measurement of one training step. Ratios are formed within a round.
type Step struct {
	Backend     string  `json:"backend"`
	Rival       string  `json:"rival,omitempty"`
	Detail      string  `json:"detail"`
	Seconds     Spread  `json:"seconds"`
	Local       Spread  `json:"local_seconds"`         // in what follows the passes: local problems, updates
	Rate        float64 `json:"flops_per_second"`      // median over rounds
	OfSgemm     Spread  `json:"of_sgemm"`              // rate over the sgemm rate of the round
	OfCeiling   Spread  `json:"of_ceiling"`            // likewise over the ceiling
	OfFMA       *Spread `json:"of_fma,omitempty"`      // likewise over the FMA peak; nil if unknown
	Ratio       Spread  `json:"time_over_first"`       // time over that of the first
	LocalRatio  Spread  `json:"local_time_over_first"` // likewise of Local
	Allocations float64 `json:"allocations"`           // per step after the first
}

// Report is what a run measured.
type Report struct {
	Workers   int     `json:"workers"`
	Batch     int     `json:"batch"`
	Arch      string  `json:"arch"`
	Method    string  `json:"method"`
	Flops     float64 `json:"flops_per_step"`
	FMA       *Spread `json:"fma_flops_per_second,omitempty"`
	Sgemm     Spread  `json:"sgemm_flops_per_second"`
	SgemmSize int     `json:"sgemm_size"`
	Steps     []Step  `json:"steps"`            // of each backend
	Rivals    []Step  `json:"rivals,omitempty"` // of each rival; rates are over the flops of its own mathematics
	// Cycle is the number of steps after which a method's work repeats; all times are
	// means over whole cycles.
	Cycle int `json:"cycle"`
	// Ceiling is the rate of the step's products and factorisations alone: Flops over the
	// time that all of them take at their sizes, by single calls of the first backend on
	// all workers at once. Products on panels count as those of the same sizes, those of a
	// pass of some examples with all weights, that pack in each call, and may be faster.
	Ceiling   Spread     `json:"ceiling_flops_per_second"`
	Alone     []Alone    `json:"alone"`     // what the ceiling is made of
	Traffic   *Traffic   `json:"traffic"`   // of an update, for the first backend
	Overhead  *Overhead  `json:"overhead"`  // of the first backend
	Memory    Memory     `json:"memory"`    // of the first backend
	Waterfall *Waterfall `json:"waterfall"` // of the first backend
}

// Run measures. Every round takes, in this order, the FMA peak, the sgemm rate of the
// first backend, a step of each backend, the first's step once more by single kernels, the
// bandwidth of memory, and the products and factorisations of that step alone; figures are
// medians over rounds. First steps aren't counted.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Rounds == 0 {
		c.Rounds = defaultRounds
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	pool := plan.NewPool(c.Workers)
	defer pool.Close()
	trials := make([]*trial, 0, len(c.Backends)+len(c.Rivals))
	for _, k := range c.Backends {
		t, err := newTrial(c, k, pool)
		if err != nil {
			return nil, fmt.Errorf("bench: backend %s: %w", k.Info().Name, err)
		}
		trials = append(trials, t)
	}
	for _, rival := range c.Rivals {
		other := c
		other.Method = rival.Method
		t, err := newTrial(other, c.Backends[0], pool)
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %w", rival.Name, err)
		}
		t.rival = rival.Name
		trials = append(trials, t)
	}
	explained, err := newProbe(c, c.Backends[0], pool)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	top := newCeiling(c.Backends[0], pool, explained.kernels.counts, explained.trial.cycle)
	memory := newStream(c.Backends[0], pool, trials[0].stepper.EvalWeights(), trials[0].stepper.Explain())
	meter := newPeaks(c.Backends[0], pool, c.Sizes)
	r := &Report{
		Workers: pool.Workers(), Batch: c.Batch, Arch: c.Arch.String(), Method: c.Method.Name(),
		Flops: plan.Flops(trials[0].stepper.Explain()), SgemmSize: meter.size, Cycle: trials[0].cycle,
	}
	var fma, sgemm, limit []float64
	for round := range c.Rounds {
		if f := meter.fma(); f > 0 {
			fma = append(fma, f)
		}
		sgemm = append(sgemm, meter.sgemm())
		for _, t := range trials {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err := t.step(pool); err != nil {
				return nil, fmt.Errorf("bench: backend %s: %w", t.info.Name, err)
			}
		}
		if err := explained.measure(pool, trials[0].repeat); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		memory.round()
		limit = append(limit, r.Flops/top.round())
		if c.OnRound != nil {
			c.OnRound(round + 1)
		}
	}
	r.Sgemm, r.Ceiling = spread(sgemm), spread(limit)
	if len(fma) > 0 {
		s := spread(fma)
		r.FMA = &s
	}
	for i, t := range trials {
		step := t.sum(sgemm, fma, limit, trials[0])
		if i < len(c.Backends) {
			r.Steps = append(r.Steps, step)
		} else {
			r.Rivals = append(r.Rivals, step)
		}
	}
	r.Alone, r.Traffic = top.parts(), memory.traffic(r.Steps[0].Seconds.Median, explained.updates)
	r.Waterfall = explained.waterfall(pool.Workers(), trials[0].seconds)
	r.Overhead = explained.overhead(c.Backends[0], pool, r.Waterfall)
	r.Memory = trials[0].memory
	return r, nil
}

// fill writes uniform numbers in (0, 1), a function of stream alone.
func fill(m backend.Mat, stream uint64) {
	u := philox.New(1, philox.Order, stream)
	for i := range m.Rows {
		for j := range m.Cols {
			m.Data[i*m.Stride+j] = float32(u.Uniform(uint64(i*m.Cols + j)))
		}
	}
}

func spread(v []float64) Spread {
	return Spread{Median: median(v), Min: slices.Min(v), Max: slices.Max(v), Count: len(v)}
}

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}
