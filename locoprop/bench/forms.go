package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Shape is that of one layer's local problem: n inputs, m units, B examples.
type Shape struct {
	Inputs int `json:"inputs"`
	Units  int `json:"units"`
	Batch  int `json:"batch"`
}

func (s Shape) String() string { return fmt.Sprintf("%dx%dx%d", s.Inputs, s.Units, s.Batch) }

// AllShapes are those that the forms are compared on: all of n and m in {30, 250, 1000,
// 4000} and B in {64, 256, 1000, 4096}, the cheapest first.
func AllShapes() []Shape {
	var all []Shape
	for _, b := range []int{64, 256, 1000, 4096} {
		for _, n := range []int{30, 250, 1000, 4000} {
			for _, m := range []int{30, 250, 1000, 4000} {
				all = append(all, Shape{n, m, b})
			}
		}
	}
	return all
}

// Problem is a kind of local problem with the ways to solve it. Forms that make the
// same steps are compared with what FormAuto picks; the others are measured beside them.
type Problem struct {
	Name   string
	Same   []locoprop.Options // direct, Gram, kernel, as far as valid
	Others []locoprop.Options
}

// formsEta is a local rate so small that weights hardly move while they are measured:
// neither divergence nor convergence changes what is measured.
const formsEta = 1e-9

// Problems are the kinds of local problems that are measured where no others are named,
// each with T local iterations.
func Problems(steps int) []Problem {
	base := func(l locoprop.LocalLoss, k optimizer.Kind) locoprop.Options {
		return locoprop.Options{Loss: l, Eta: formsEta, Steps: steps, Optimizer: optimizer.New(k)}
	}
	forms := func(o locoprop.Options, forms ...locoprop.Form) (all []locoprop.Options) {
		for _, f := range forms {
			o.Form = f
			all = append(all, o)
		}
		return all
	}
	const s, m = locoprop.Squared, locoprop.Matching
	squared, matching := base(s, optimizer.SGD), base(m, optimizer.SGD)
	squared.Prox, matching.Prox = locoprop.ProxAuto, locoprop.ProxAuto
	metric := locoprop.Options{Form: locoprop.FormMetric, Metric: locoprop.Metric{Every: 1, Refresh: 1}}
	return []Problem{
		{
			"locoprop-s sgd", forms(base(s, optimizer.SGD), locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel),
			append(forms(base(s, optimizer.SGD), locoprop.FormSpectral), forms(squared, locoprop.FormExact, locoprop.FormStatistics)...),
		},
		{"locoprop-s momentum", forms(base(s, optimizer.Momentum), locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel), nil},
		{"locoprop-s rmsprop", forms(base(s, optimizer.RMSPropTF1), locoprop.FormDirect, locoprop.FormGram), nil},
		{
			"locoprop-m momentum", forms(base(m, optimizer.Momentum), locoprop.FormDirect, locoprop.FormKernel),
			append(forms(matching, locoprop.FormMajorised, locoprop.FormImplicit), metric),
		},
	}
}

// FormsConfig says which forms to measure on which layers. Kernels, Shapes and Problems
// must be given.
type FormsConfig struct {
	Kernels  backend.Kernels
	Workers  int // 0 means GOMAXPROCS
	Shapes   []Shape
	Problems []Problem
	Rounds   int                                // rounds of measurements; 0 means 5
	Sample   time.Duration                      // least time of one measurement, filled up with batches; 0 means 10 ms
	Limit    time.Duration                      // forms expected to take longer for a batch on one core aren't measured; 0: no limit
	Budget   time.Duration                      // layers that would begin later than this aren't measured; 0: no limit
	OnLayer  func(done, all int, l *LayerForms) // called after each layer and problem; nil: nothing
	Sizes    []int                              // as Config.Sizes
}

// check returns all that is wrong with the configuration.
func (c *FormsConfig) check() error {
	errs := checks{}
	if c.Kernels == nil {
		errs.bad("no backend given")
	}
	if len(c.Shapes) == 0 {
		errs.bad("no shapes of layers given")
	}
	for _, s := range c.Shapes {
		if s.Inputs < 1 || s.Units < 1 || s.Batch < 1 {
			errs.bad("layer %v; inputs, units and batch must be 1 or more", s)
		}
	}
	if len(c.Problems) == 0 {
		errs.bad("no problems given")
	}
	if c.Limit < 0 {
		errs.bad("limit of %v; must be above 0, or 0 for none", c.Limit)
	}
	if c.Budget < 0 {
		errs.bad("budget of %v; must be above 0, or 0 for none", c.Budget)
	}
	errs.numbers(c.Workers, c.Rounds, c.Sample, c.Sizes)
	return errors.Join(errs...)
}

// FormTime is the measurement of one form on one layer: of the local solve alone, without
// the forward and backward pass.
type FormTime struct {
	Form      string         `json:"form"`
	Flops     float64        `json:"flops"`
	Seconds   Spread         `json:"seconds"`                     // of a batch
	Rate      float64        `json:"flops_per_second"`            // median
	OfSgemm   float64        `json:"of_sgemm"`                    // median of the rounds' ratios to the sgemm rate beside it
	Predicted float64        `json:"predicted_seconds,omitempty"` // by the cost model, on one core; 0: not planned
	Work      *locoprop.Work `json:"work,omitempty"`              // what costs are fitted to: of direct, gram and kernel alone
	Skipped   string         `json:"skipped,omitempty"`           // why it wasn't measured
	Over      float64        `json:"auto_over,omitempty"`         // median of the rounds' ratios of the time of what auto picks to this one's
}

// LayerForms is the measurement of a problem's forms on one layer.
type LayerForms struct {
	Shape
	Problem string     `json:"problem"`
	Auto    string     `json:"auto"`                     // the form that auto picks
	Ratio   float64    `json:"auto_over_best,omitempty"` // time of that form over the best of those that make the same steps; 0: fewer than two were measured
	Forms   []FormTime `json:"forms"`
}

// FormsReport is what [Forms] measured.
type FormsReport struct {
	Backend   string       `json:"backend"`
	Detail    string       `json:"detail"`
	Workers   int          `json:"workers"`
	Rounds    int          `json:"rounds"`
	Sgemm     Spread       `json:"sgemm_flops_per_second"`
	SgemmSize int          `json:"sgemm_size"`
	Layers    []LayerForms `json:"layers"`
	Compared  int          `json:"compared"`             // layers with a Ratio
	Worst     float64      `json:"worst_auto_over_best"` // largest Ratio
	Mean      float64      `json:"mean_auto_over_best"`  // geometric mean
	Skipped   []string     `json:"skipped,omitempty"`    // layers that the budget left out

	Fitted *locoprop.Costs `json:"fitted_costs,omitempty"` // by Fit, where it was asked for
}

// Forms measures how long each form takes to solve the local problem of one layer, and
// how far what FormAuto picks is from the best. Every round measures the sgemm rate and
// then each form once, so that ratios are of measurements close in time. A form's time
// is that of all its phases, on all workers, for one batch of a layer that trains alone:
// what a form does in one task can't be shared out. A first step isn't counted.
func Forms(ctx context.Context, c FormsConfig) (*FormsReport, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Rounds == 0 {
		c.Rounds = defaultRounds
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Sample == 0 {
		c.Sample = 10 * time.Millisecond
	}
	pool := plan.NewPool(c.Workers)
	defer pool.Close()
	begun, count := time.Now(), 0
	f := &formMeter{FormsConfig: c, pool: pool, peaks: newPeaks(c.Kernels, pool, c.Sizes)}
	f.peaks.time = formsSgemmTime
	pool.Observe(f.observe)
	info := c.Kernels.Info()
	r := &FormsReport{Backend: info.Name, Detail: info.Detail, Workers: pool.Workers(), Rounds: c.Rounds, SgemmSize: f.peaks.size}
	for _, shape := range c.Shapes {
		for _, p := range c.Problems {
			count++
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if c.Budget > 0 && time.Since(begun) > c.Budget {
				r.Skipped = append(r.Skipped, p.Name+" "+shape.String())
				continue
			}
			l, err := f.layer(ctx, shape, p)
			if err != nil {
				return nil, fmt.Errorf("bench: %s, layer %v: %w", p.Name, shape, err)
			}
			r.Layers = append(r.Layers, *l)
			if c.OnLayer != nil {
				c.OnLayer(count, len(c.Shapes)*len(c.Problems), l)
			}
		}
	}
	if len(f.rates) > 0 {
		r.Sgemm = spread(f.rates)
	}
	r.sum()
	return r, nil
}

// sum forms the ratios over all layers.
func (r *FormsReport) sum() {
	logs := 0.0
	for _, l := range r.Layers {
		if l.Ratio > 0 {
			r.Compared++
			r.Worst = math.Max(r.Worst, l.Ratio)
			logs += math.Log(l.Ratio)
		}
	}
	if r.Compared > 0 {
		r.Mean = math.Exp(logs / float64(r.Compared))
	}
}
