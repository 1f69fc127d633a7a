package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Run trains until Config.Epochs or Config.Steps are done or Config.TimeLimit is over,
// from wherever the trainer stands, and returns what was reached, with an error too. It
// evaluates epoch 0, every EvalEvery-th, every EvalSteps steps, and the end.
//
// Where ctx ends, the step in hand is finished, the state saved (with a folder) and an
// error returned for which errors.Is(err, ErrInterrupted) holds; calling Run again goes
// on as if nothing had happened. A number that isn't finite gives a *DivergedError:
// nothing is saved then, and only [Trainer.Restore] helps, or Config.Rollback
// does by itself. Called at the end, Run has nothing to do.
func (t *Trainer) Run(ctx context.Context) (Result, error) {
	if t.failed != nil {
		return t.Result(), t.failed
	}
	err := t.attempt(ctx)
	for d := t.reversible(err); d != nil; d = t.reversible(err) {
		if err = t.rollBack(d); err == nil {
			err = t.attempt(ctx)
		}
	}
	return t.Result(), err
}

// attempt runs until the end, an interruption or an error.
func (t *Trainer) attempt(ctx context.Context) error {
	err := t.begin()
	if err == nil {
		err = t.run(ctx)
	}
	if errors.Is(err, ErrInterrupted) {
		if saveErr := t.saveInterrupted(); saveErr != nil {
			err = saveErr
		}
	}
	return err
}

// interruption is an error that says so where ctx has ended.
func interruption(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	return nil
}

func (t *Trainer) begin() error {
	switch {
	case t.c.Steps > 0 && t.step > t.c.Steps:
		return &ConfigError{fmt.Errorf("training has made %d steps; it can't end after %d", t.step, t.c.Steps)}
	case t.c.Steps == 0 && t.epoch >= t.c.Epochs && t.batch > 0:
		return &ConfigError{fmt.Errorf("training is %d batches into epoch %d; it can't end after epoch %d", t.batch, t.epoch+1, t.c.Epochs)}
	}
	if t.folder == nil || t.begun {
		return nil
	}
	if err := t.folder.begin(t); err != nil {
		return err
	}
	t.begun, t.savedAt = true, time.Now()
	return nil
}

func (t *Trainer) run(ctx context.Context) error {
	if t.lines == 0 && t.step == 0 {
		if err := t.evaluateAndReport(ctx, 0); err != nil {
			return err
		}
	}
	for !t.ended() {
		if err := t.trainEpoch(ctx); err != nil {
			return err
		}
		if t.batch < t.batches { // the end came first
			break
		}
		if err := t.endEpoch(ctx); err != nil {
			return err
		}
	}
	if t.last.Step != t.step { // it ends where no evaluation was due
		if err := t.checkFinite(); err != nil {
			return err
		}
		if err := t.evaluateAndReport(ctx, t.epoch); err != nil {
			return err
		}
	}
	return t.save()
}

// ended tells whether no step is left to make. An epoch whose batches are done is still to
// be ended.
func (t *Trainer) ended() bool {
	switch {
	case t.batch == t.batches:
		return false
	case t.c.TimeLimit > 0 && t.step > 0 && t.trained >= t.c.TimeLimit:
		return true
	case t.c.Steps > 0:
		return t.step >= t.c.Steps
	}
	return t.epoch >= t.c.Epochs
}

// finished tells whether there is nothing left to do.
func (t *Trainer) finished() bool {
	within := t.c.Steps == 0 && t.epoch >= t.c.Epochs && t.batch > 0 // Run refuses that
	return t.lines > 0 && t.ended() && !within && t.last.Step == t.step
}

// evaluationDue tells whether Config.EvalSteps asks for an evaluation at the position.
func (t *Trainer) evaluationDue() bool {
	return t.c.EvalSteps > 0 && t.step%t.c.EvalSteps == 0 && t.last.Step != t.step
}

// trainEpoch makes the steps that are left of an epoch.
func (t *Trainer) trainEpoch(ctx context.Context) error {
	if t.batch == t.batches {
		return nil
	}
	start := time.Now()
	dataset.OrderWithin(t.order, t.c.Seed, t.epoch, t.c.Window)
	t.trained += time.Since(start)
	if err := t.evaluateWithin(ctx); err != nil { // interrupted in that
		return err
	}
	for t.batch < t.batches && !t.ended() {
		if err := interruption(ctx); err != nil {
			return err
		}
		if err := t.makeStep(); err != nil {
			return err
		}
		if t.batch == t.batches { // the end of the epoch is next
			return nil
		}
		if err := t.evaluateWithin(ctx); err != nil {
			return err
		}
		if err := t.saveIfDue(); err != nil {
			return err
		}
	}
	return nil
}

// evaluateWithin evaluates within an epoch where that is due.
func (t *Trainer) evaluateWithin(ctx context.Context) error {
	if t.step == 0 || !t.evaluationDue() {
		return nil
	}
	if err := t.checkFinite(); err != nil {
		return err
	}
	return t.evaluateAndReport(ctx, t.epoch)
}

// makeStep trains on one batch. After the first it doesn't allocate.
func (t *Trainer) makeStep() error {
	start := time.Now()
	scale := t.c.Schedule.At(t.epoch, t.batch, t.batches) * t.rollbackFactor()
	gather, size := t.gather, t.batchSize()
	if size < t.c.Batch {
		gather = t.short
	}
	if err := t.pool.Run(gather); err != nil {
		return fmt.Errorf("epoch %d, batch %d: %w", t.epoch+1, t.batch+1, err)
	}
	if s, ok := t.stepper.(plan.ExampleStepper); ok {
		first := t.batch * t.c.Batch
		if err := s.SetExamples(t.order[first : first+size]); err != nil {
			return t.stepFailed(err)
		}
	}
	if s, ok := t.stepper.(plan.CountingStepper); ok {
		s.SetStep(t.step)
	}
	report, err := t.stepper.Step(t.pool, backend.Rows(t.x, 0, size), backend.Rows(t.t, 0, size), scale)
	if err != nil {
		return t.stepFailed(err)
	}
	t.saved = false
	t.batch++
	t.step++
	t.trained += time.Since(start)
	if err := t.recordLayers(report.Layers); err != nil {
		return err
	}
	if t.c.OnStep != nil {
		t.c.OnStep(Progress{
			Epoch: t.epoch + 1, Batch: t.batch, Batches: t.batches, Step: t.step,
			Loss: report.Loss, Rate: t.c.Method.Rate() * scale, Seconds: t.trained.Seconds(),
		})
	}
	return nil
}

// stepFailed tells divergence, which leaves the weights as they were, from anything
// else, which may have left them half updated.
func (t *Trainer) stepFailed(err error) error {
	var d *plan.DivergedError
	if errors.As(err, &d) {
		return t.diverged(err, t.batch+1)
	}
	t.failed = fmt.Errorf("epoch %d, batch %d: %w", t.epoch+1, t.batch+1, err)
	return t.failed
}

// endEpoch evaluates where that is due, and saves. Until then the epoch counts as not
// completed, so that a run interrupted meanwhile does this when it goes on.
func (t *Trainer) endEpoch(ctx context.Context) error {
	if err := t.checkFinite(); err != nil {
		return err
	}
	done := t.epoch + 1
	t.saved = false
	if done%t.c.EvalEvery != 0 && (t.c.Steps > 0 || done != t.c.Epochs) && !t.evaluationDue() {
		t.epoch, t.batch = done, 0
		return t.saveIfDue()
	}
	m, err := t.evaluate(ctx, done)
	if err != nil {
		return err
	}
	if err := t.record(m); err != nil {
		return err
	}
	t.epoch, t.batch = done, 0
	if err := t.saveIfDue(); err != nil {
		return err
	}
	return t.report(m)
}

// evaluateAndReport evaluates elsewhere than at the end of an epoch; the caller saves.
func (t *Trainer) evaluateAndReport(ctx context.Context, epoch int) error {
	m, err := t.evaluate(ctx, epoch)
	if err != nil {
		return err
	}
	if err := t.record(m); err != nil {
		return err
	}
	return t.report(m)
}

// record writes the line of an evaluation. A loss that isn't finite is recorded and
// reported too, and then is the end.
func (t *Trainer) record(m Metrics) error {
	if t.folder != nil {
		if err := t.carryOn(t.folder.appendLine(m)); err != nil {
			t.begun = false // the next Run begins by cutting off what there is of the line
			return err
		}
	}
	t.lines++
	t.last = m
	if m.Step == 0 && m.TestLoss < t.best.TestLoss {
		t.best = Best{TestLoss: m.TestLoss}
	}
	t.saved = false
	for i, loss := range []float64{m.TrainLoss, m.TestLoss} {
		if s := t.splits[i].src; s.n > 0 && (math.IsNaN(loss) || math.IsInf(loss, 0)) {
			err := t.diverged(fmt.Errorf("%s loss: found %v", s.name, loss), 0)
			if reportErr := t.report(m); reportErr != nil {
				return errors.Join(err, reportErr)
			}
			return err
		}
	}
	return nil
}

func (t *Trainer) report(m Metrics) error {
	if t.c.OnEpoch == nil {
		return nil
	}
	return t.c.OnEpoch(m)
}
