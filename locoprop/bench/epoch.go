package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// Epoch is where the time of a training run goes, from its first epoch's begin on.
type Epoch struct {
	Steps      int     `json:"steps"`      // in an epoch
	Seconds    Spread  `json:"seconds"`    // of an epoch, its evaluation included
	Step       Spread  `json:"step"`       // share of steps
	Evaluation Spread  `json:"evaluation"` // share of evaluation
	Rest       Spread  `json:"rest"`       // share of all else: order, input, metrics, checkpoints
	OfSgemm    Spread  `json:"of_sgemm"`   // evaluation's rate over that of square products beside it
	Sgemm      Spread  `json:"sgemm_flops_per_second"`
	Test       float64 `json:"examples_evaluated"` // in an epoch
}

const (
	epochSteps = 10
	epochTest  = 2 // batches of test examples
)

// MeasureEpoch trains an epoch in each of a number of rounds, with the first backend and
// on generated images, as a run with a folder does; dir is that of the runs, one for each
// round. The network must read and give images of dataset.CurveSide² pixels.
func MeasureEpoch(ctx context.Context, c Config, dir string) (*Epoch, error) {
	if len(c.Backends) == 0 {
		return nil, errors.New("bench: no backend given")
	}
	data := dataset.Curves(1, epochSteps*c.Batch, epochTest*c.Batch)
	pool := plan.NewPool(c.Workers)
	defer pool.Close()
	meter := newPeaks(c.Backends[0], pool, c.Sizes)
	e := &Epoch{Steps: epochSteps, Test: float64((epochSteps + epochTest) * c.Batch)}
	var seconds, step, evaluation, rest, sgemm, ofSgemm []float64
	for round := range max(c.Rounds, 1) {
		peak := meter.sgemm()
		r, err := trainEpoch(ctx, c, data, fmt.Sprintf("%s/%d", dir, round))
		if err != nil {
			return nil, fmt.Errorf("bench: epoch: %w", err)
		}
		sgemm, seconds = append(sgemm, peak), append(seconds, r.wall)
		step, evaluation = append(step, r.step/r.wall), append(evaluation, r.evaluation/r.wall)
		rest = append(rest, (r.wall-r.step-r.evaluation)/r.wall)
		ofSgemm = append(ofSgemm, r.flops*e.Test/r.evaluation/peak)
	}
	e.Seconds, e.Step, e.Evaluation, e.Rest = spread(seconds), spread(step), spread(evaluation), spread(rest)
	e.Sgemm, e.OfSgemm = spread(sgemm), spread(ofSgemm)
	return e, nil
}

// epochTimes are the seconds of an epoch's parts, and the flops of evaluating an example.
type epochTimes struct{ wall, step, evaluation, flops float64 }

func trainEpoch(ctx context.Context, c Config, data *dataset.Data, dir string) (r epochTimes, err error) {
	net, err := nn.New(c.Arch)
	if err != nil {
		return r, err
	}
	net.Init(nn.Glorot, 1)
	for _, p := range plan.PassFlops(net, 1) {
		r.flops += p.ForwardFlops
	}
	stepped := &stopwatch{Method: c.Method}
	var start time.Time
	var evaluated float64
	t, err := train.New(ctx, train.Config{
		Network: net, Loss: c.Loss, Method: stepped, Backend: c.Backends[0], Data: data, Batch: c.Batch, Epochs: 1, Workers: c.Workers,
		OnEpoch: func(m train.Metrics) error {
			if m.Epoch == 0 {
				start, evaluated = time.Now(), m.EvalSeconds
			} else {
				r.wall, r.evaluation = time.Since(start).Seconds(), m.EvalSeconds-evaluated
			}
			return nil
		},
	})
	if err != nil {
		return r, err
	}
	defer t.Close()
	folder, err := train.Create(dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	if err := folder.Attach(t); err != nil {
		return r, err
	}
	if _, err := t.Run(ctx); err != nil {
		return r, err
	}
	r.step = stepped.spent.Seconds()
	return r, nil
}

// stopwatch is a method that adds up the time of its steps, at a rate so small that
// weights stay where arithmetic is fast.
type stopwatch struct {
	plan.Method
	spent time.Duration
}

type timedStepper struct {
	plan.Stepper
	watch *stopwatch
}

func (w *stopwatch) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	s, err := w.Method.Plan(n, l, batch, k)
	return &timedStepper{s, w}, err
}

func (s *timedStepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	start := time.Now()
	r, err := s.Stepper.Step(p, x, t, stepScale*scale)
	s.watch.spent += time.Since(start)
	return r, err
}
