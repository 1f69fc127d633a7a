// Package train is the training loop: epochs in a reproducible order, evaluation,
// metrics, checkpoints and cancellation.
//
//	t, err := train.New(ctx, train.Config{Network: n, Loss: loss.SigmoidCE, Method: m, Data: d, Batch: 250, Epochs: 10})
//	…
//	defer t.Close()
//	result, err := t.Run(ctx)
//
// Everything random is a function of the seed and of what it is for: epoch e (from 0)
// visits the training examples in the order of dataset.OrderWithin(seed, e), batch i being
// entries iB to iB+B−1; a last short batch is left out, or trained on with
// Config.KeepLast. Evaluation takes every
// example of both splits. The weights after any number of steps are the same bits for
// any number of workers, in a second run, and in a run that was interrupted and resumed.
package train

import (
	"errors"
	"fmt"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
)

// Target is what the network is trained to give for an example.
type Target = model.Target

// The targets.
const (
	TargetInput = model.Input // the example itself; the default
	TargetLabel = model.Label // 1 for its class and 0 for all others
)

// Config says what to train, how, on what and for how long. Fields without a default
// must be given.
type Config struct {
	// Network is trained in place, from the weights that it comes with; see
	// nn.Network.Init.
	Network *nn.Network
	Loss    loss.Loss // the zero value is sigmoid cross-entropy
	Method  plan.Method
	Backend backend.Kernels // nil: pure Go, gonum.New()

	Data *dataset.Data // Test may be nil or empty: its metrics are then NaN
	// Target is the example itself (the default) or its label. The network needs as
	// many outputs as examples have values, or as Data has classes.
	Target Target

	Batch int // B, examples in a batch, 1 to the number of training examples
	// KeepLast trains on the N mod B examples that are left at the end of an epoch too, as
	// one short batch: a step like the others, for the schedule too. The mean of its loss is
	// over its own b examples, and LocoProp's γ is multiplied by b/B. By default they are
	// left out; the next epoch's order is another.
	KeepLast bool
	Epochs   int // when to stop; 0 only evaluates the untrained network
	// Steps is when to stop in batches in place of Epochs, within an epoch too; 0 means that
	// Epochs says it.
	Steps int
	// TimeLimit ends the run before that, at the first step after which it has trained for so
	// long, evaluation and saving not counted and the time before an interruption counted; 0
	// means no such limit. Where it ends a run is up to the clock, and so are its bits.
	TimeLimit time.Duration
	EvalEvery int // evaluate every so many epochs, besides epoch 0 and the end; 0 means 1
	EvalSteps int // evaluate every so many steps too, within epochs; 0 means not to
	Schedule  schedule.Schedule
	Seed      uint32 // of the order of examples
	// Window is the number of examples that are shuffled together; 0 means all of them.
	// See dataset.OrderWithin: a smaller one suits data that don't fit into memory.
	Window  int
	Workers int // as in Compute; doesn't change results

	// What follows is for runs with a folder.

	CheckpointEvery schedule.Interval // how often the run is saved; the zero value is every epoch
	Keep            int               // checkpoints kept, the newest counted and the best not; 0 means 2
	// Rollback makes a run that diverges return to its newest checkpoint and go on from
	// there at half the rate, up to 8 times; otherwise it ends. Where that leads depends
	// on which checkpoints there are, so on where the run was interrupted too. A run whose
	// method no rate acts on ends: see plan.RateIgnorer.
	Rollback bool

	// Settings are further settings by name that a checkpoint of this run depends on,
	// such as the method's own (gamma: 10). They are recorded with it and compared when
	// it is restored. What other fields say needn't be repeated.
	Settings map[string]string

	// OnEpoch is called after each evaluation, once its line and checkpoint are written.
	// An error ends the run, in a state that can go on.
	OnEpoch func(Metrics) error
	// OnStep is called after each step, on the goroutine of Run. It costs training time
	// but isn't counted in it.
	OnStep func(Progress)
	// OnLayers is called after each step that the method diagnoses (locoprop.Options.Diagnose),
	// before OnStep, with a report on each layer. They are the callback's to keep.
	OnLayers func([]plan.LayerReport)
	// OnWarning is told of what went wrong where the run goes on all the same: a damaged
	// checkpoint in whose place the one before was taken, a checkpoint or line that
	// couldn't be written, for which it tries again when the next is due, a rollback.
	// Where it is nil, all but the last end the run. That the end of a run couldn't be
	// saved is always an error.
	OnWarning func(error)
}

// check returns all that is wrong with the configuration, as far as it can be told
// without touching the data.
func (c *Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Network == nil {
		bad("no network")
	}
	if c.Method == nil {
		bad("no training method")
	}
	if c.Data == nil || c.Data.Train == nil {
		bad("no data")
	}
	if int(c.Target) >= len(model.TargetNames) {
		bad("unknown target %d", c.Target)
	}
	if c.Epochs < 0 {
		bad("%d epochs; must be 0 or more", c.Epochs)
	}
	if c.Steps < 0 {
		bad("%d steps; must be 0 or more", c.Steps)
	}
	if c.TimeLimit < 0 {
		bad("time limit of %v; must be 0 or more", c.TimeLimit)
	}
	if c.EvalSteps < 0 {
		bad("evaluation every %d steps; must be 0 or more", c.EvalSteps)
	}
	if c.EvalEvery < 0 {
		bad("evaluation every %d epochs; must be 1 or more", c.EvalEvery)
	}
	if c.Window < 0 {
		bad("window of %d examples; must be 0 or more", c.Window)
	}
	if c.Batch < 1 {
		bad("batch of %d examples; must be 1 or more", c.Batch)
	}
	if c.Keep < 0 {
		bad("%d checkpoints to keep; must be 1 or more", c.Keep)
	}
	if err := c.CheckpointEvery.Check(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Schedule.Check(); err != nil {
		errs = append(errs, err)
	}
	if c.Network == nil || c.Data == nil || c.Data.Train == nil {
		return errors.Join(errs...)
	}
	if n := c.Data.Train.Len(); c.Batch > n {
		bad("batch of %d examples; there are only %d training examples", c.Batch, n)
	}
	if err := checkDims(c.Data, c.Network); err != nil {
		errs = append(errs, err)
	}
	if n := c.Network.Outputs(); c.Target == TargetLabel && c.Data.Classes > 0 && n != c.Data.Classes {
		bad("network gives %d outputs; the labels have %d classes", n, c.Data.Classes)
	}
	if err := c.Loss.CheckTransfer(c.Network.Last().Transfer()); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
