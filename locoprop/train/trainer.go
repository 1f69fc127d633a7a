package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Trainer trains one network. Make one with [New]; use by one goroutine at a time.
type Trainer struct {
	c       Config
	kernels backend.Kernels
	workers int
	pool    *plan.Pool
	stepper plan.Stepper
	splits  [2]split // training, test
	digest  uint64   // of all data
	batches int      // in an epoch

	order  []int       // of the training examples in this epoch
	x, t   backend.Mat // the batch and its targets; t is x where the target is the input
	gather *plan.Phase // fills them
	short  *plan.Phase // the same for the last, short batch of an epoch; nil where there is none

	position
	folder  *Folder   // nil: nothing is saved
	begun   bool      // the folder is ready
	saved   bool      // the folder's model is that of the position
	savedAt time.Time // when that was last tried
	failed  error     // why it can't go on
}

// split is what evaluation needs of one.
type split struct {
	src   *source
	eval  *evaluator
	floor float64
}

// position is where a run stands: with the stepper's state, all that a checkpoint
// holds. An epoch whose batches are done but which isn't evaluated and saved yet
// has batch = batches.
type position struct {
	epoch, batch, step int // epochs completed, batches of the next, batches in all
	lines              int // evaluations so far: lines of metrics.jsonl
	layerLines         int // lines of layers.jsonl
	trained, evaluated time.Duration
	last               Metrics // of the last evaluation
	best               Best
	rollbacks          []Rollback
}

// New checks the configuration and the data and plans all memory. Everything that is
// wrong with the configuration is in one *ConfigError. Unsuitable data, such as a value
// that is NaN, give an error for which errors.Is(err, dataset.ErrData) holds. It looks at
// every example once; where ctx ends meanwhile, it returns ErrInterrupted. ctx is not that of
// the training: see [Trainer.Run].
func New(ctx context.Context, c Config) (*Trainer, error) {
	if c.EvalEvery == 0 {
		c.EvalEvery = 1
	}
	if c.Keep == 0 {
		c.Keep = defaultKeep
	}
	k, workers, err := Compute{c.Backend, c.Workers}.resolve()
	if err := configErrors(c.check(), err); err != nil {
		return nil, err
	}
	t := &Trainer{c: c, kernels: k, workers: workers, position: position{best: noBest}}
	start := time.Now()
	if short := t.shortBatch(); short > 0 {
		t.stepper, err = plan.WithShort(c.Method, c.Network, c.Loss, c.Batch, short, k)
	} else {
		t.stepper, err = c.Method.Plan(c.Network, c.Loss, c.Batch, k)
	}
	if err != nil {
		return nil, &ConfigError{err}
	}
	t.trained = time.Since(start)
	t.pool = plan.NewPool(workers)
	if err := t.prepare(ctx); err != nil {
		t.pool.Close()
		return nil, err
	}
	return t, nil
}

// shortBatch is the number of examples in a last, short batch of an epoch; 0: there is
// none, or it isn't trained on.
func (t *Trainer) shortBatch() int {
	if !t.c.KeepLast {
		return 0
	}
	return t.c.Data.Train.Len() % t.c.Batch
}

// batchSize is the number of examples in the batch that comes next.
func (t *Trainer) batchSize() int { return min(t.c.Batch, len(t.order)-t.batch*t.c.Batch) }

// prepare looks at the data and allocates what steps and evaluations need.
func (t *Trainer) prepare(ctx context.Context) error {
	outputs := t.c.Network.Outputs()
	for i, d := range []dataset.Split{t.c.Data.Train, t.c.Data.Test} {
		s := &t.splits[i]
		var err error
		if s.src, err = newSource([]string{"training", "test"}[i], d, t.c.Target, outputs); err != nil {
			return err
		}
		var digest uint64
		if s.floor, digest, err = s.src.inspect(ctx, t.pool, t.c.Loss); err != nil {
			return err
		}
		t.digest = (t.digest ^ digest) * fnvPrime
		s.eval = newEvaluator(t.kernels, t.c.Network, t.c.Loss, s.src, t.pool.Workers(), false)
	}
	t.splits[1].eval.share(t.splits[0].eval.forward)

	train := t.splits[0].src
	t.batches = train.n / t.c.Batch
	t.order = make([]int, train.n)
	t.x = backend.NewPadded(t.c.Batch, t.c.Network.Inputs())
	t.t = t.x
	if train.labels != nil {
		t.t = backend.NewPadded(t.c.Batch, outputs)
	}
	gather := func(size int) *plan.Phase {
		return plan.NewPhase("batch", plan.ExampleTasks(size, train.cost()), 0, func(task *plan.Task, _ []float32) error {
			first := t.batch * t.c.Batch
			return train.fill(backend.Rows(t.x, task.Lo, task.Hi), backend.Rows(t.t, task.Lo, task.Hi), t.order[first+task.Lo:first+task.Hi])
		})
	}
	t.gather = gather(t.c.Batch)
	if short := t.shortBatch(); short > 0 {
		t.batches++
		t.short = gather(short)
	}
	return nil
}

// Close ends the workers. A Trainer can't run afterwards; what it trained stays.
func (t *Trainer) Close() {
	if t.pool != nil {
		t.pool.Close()
		t.pool = nil
		t.failed = errors.New("trainer is closed")
	}
}

// Workers is the number of workers.
func (t *Trainer) Workers() int { return t.workers }

// Kernels is the backend.
func (t *Trainer) Kernels() backend.Kernels { return t.kernels }

// Explain tells, per layer, what was planned and what a step costs.
func (t *Trainer) Explain() []plan.LayerPlan { return t.stepper.Explain() }

// Cycle says how the work of the method's steps repeats.
func (t *Trainer) Cycle() plan.Cycle { return plan.CycleOf(t.stepper) }

// StateBytes is the memory of the method's state: of all that a checkpoint holds, the
// weights included.
func (t *Trainer) StateBytes() int64 {
	var n int64
	for _, s := range t.stepper.State() {
		n += 4*int64(len(s.F32)) + 8*int64(len(s.F64)+len(s.I64))
	}
	return n
}

// Model is the network as it stands, with the weights that evaluation uses. It shares
// memory with the trainer.
func (t *Trainer) Model() *model.Model {
	return &model.Model{
		Network: t.c.Network, Weights: t.stepper.EvalWeights(),
		Loss: t.c.Loss, Target: t.c.Target, Scale: t.scale(),
		Scaling: t.c.Data.Scaling, Classes: t.classes(),
	}
}

// classes are the names of the outputs, where they are classes with names.
func (t *Trainer) classes() []string {
	if t.c.Target != TargetLabel {
		return nil
	}
	return t.c.Data.ClassNames
}

// scale is the data's; data made by hand needn't have one.
func (t *Trainer) scale() float64 {
	if t.c.Data.Scale == 0 {
		return 1
	}
	return t.c.Data.Scale
}

// Result is what has been reached so far.
func (t *Trainer) Result() Result {
	r := Result{
		Last: t.last, Best: t.best, Rollbacks: slices.Clone(t.rollbacks), Epoch: t.epoch, Batch: t.batch, Batches: t.batches, Step: t.step,
		Seconds: t.trained.Seconds(), EvalSeconds: t.evaluated.Seconds(),
		TrainFloor: t.splits[0].floor, TestFloor: t.splits[1].floor,
		TrainLen: t.splits[0].src.n, TestLen: t.splits[1].src.n,
		Parameters: t.c.Network.Params(),
	}
	r.Finished = t.finished()
	return r
}

// evaluate measures both splits, where so many epochs are completed.
func (t *Trainer) evaluate(ctx context.Context, epoch int) (Metrics, error) {
	start := time.Now()
	var scores [2]score
	for i := range t.splits {
		var err error
		if scores[i], err = t.splits[i].eval.measure(ctx, t.pool, t.stepper.EvalWeights()); err != nil {
			return Metrics{}, err
		}
	}
	t.evaluated += time.Since(start)
	m := Metrics{
		Epoch: epoch, Step: t.step,
		TrainLoss: scores[0].loss, TrainExcess: scores[0].loss - t.splits[0].floor,
		TestLoss: scores[1].loss, TestExcess: scores[1].loss - t.splits[1].floor,
		Seconds: t.trained.Seconds(), EvalSeconds: t.evaluated.Seconds(),
	}
	if t.step > 0 {
		m.LR = t.rate() * t.c.Schedule.At((t.step-1)/t.batches, (t.step-1)%t.batches, t.batches)
	}
	if t.lines == 0 {
		m.Forms = t.forms()
	}
	if t.c.Target == TargetLabel {
		m.TrainAccuracy, m.TestAccuracy = &scores[0].accuracy, &scores[1].accuracy
	}
	return m, nil
}

// forms are the forms of the layers, nil where the method has none.
func (t *Trainer) forms() []string {
	var forms []string
	some := false
	for _, l := range t.Explain() {
		forms = append(forms, l.Form)
		some = some || l.Form != ""
	}
	if !some {
		return nil
	}
	return forms
}

// checkFinite looks for a number in the weights or the method's state that isn't
// finite: nothing is saved from then on.
func (t *Trainer) checkFinite() error {
	if ℓ, v := plan.FirstNonFinite(t.stepper.EvalWeights()); ℓ >= 0 {
		return t.diverged(&plan.DivergedError{Layer: ℓ, What: "weights", Value: v}, 0)
	}
	for _, s := range t.stepper.State() {
		for _, v := range s.F64 {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return t.diverged(&plan.DivergedError{Layer: -1, What: s.Name, Value: v}, 0)
			}
		}
		if _, finite := mix(0, s.F32); !finite {
			return t.diverged(fmt.Errorf("%s: %w", s.Name, errNotFinite), 0)
		}
	}
	return nil
}

// diverged makes the error that ends a run for good. batch is that of the step, from 1,
// or 0 where no step is at fault.
func (t *Trainer) diverged(err error, batch int) error {
	e := &DivergedError{Epoch: t.epoch + 1, Batch: batch, Batches: t.batches, Step: t.step, Rate: t.rate(), Err: err, Rollbacks: len(t.rollbacks)}
	if m, ok := t.c.Method.(plan.RateIgnorer); ok {
		e.Rateless = m.IgnoresRate()
	}
	switch {
	case batch > 0 || t.batch == t.batches:
	case t.batch == 0:
		e.Epoch = t.epoch
	default:
		e.Batch = t.batch
	}
	t.failed = e
	return e
}
