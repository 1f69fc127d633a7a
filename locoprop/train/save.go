package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// maxRollbacks bounds how often a run is rolled back: the rate is 1/256 of its own then.
const maxRollbacks = 8

// noBest is the best evaluation before there is one.
var noBest = Best{TestLoss: math.Inf(1)}

// save writes the checkpoint and then the model, where they aren't those of the
// position already.
func (t *Trainer) save() error {
	if t.folder == nil || t.saved {
		return nil
	}
	was, best := t.best, t.isBest()
	if best {
		t.best = Best{t.last.Epoch, t.last.Step, t.last.TestLoss}
	}
	t.savedAt = time.Now()
	if err := t.folder.save(t, best); err != nil {
		t.best = was
		return err
	}
	t.saved = true
	return nil
}

// saveIfDue saves where Config.CheckpointEvery says so, and after the best evaluation so
// far.
func (t *Trainer) saveIfDue() error {
	if t.folder == nil {
		return nil
	}
	epochs := t.epoch
	if t.batch > 0 {
		epochs = 0
	}
	if !t.isBest() && !t.c.CheckpointEvery.Due(epochs, t.step, time.Since(t.savedAt)) {
		return nil
	}
	if t.batch > 0 {
		if err := t.checkFinite(); err != nil { // at the end of an epoch it is done already
			return err
		}
	}
	return t.carryOn(t.save())
}

// isBest tells whether the position has the best evaluation so far.
func (t *Trainer) isBest() bool {
	return t.step > 0 && t.batch < t.batches && t.last.Step == t.step && t.last.TestLoss < t.best.TestLoss
}

// saveInterrupted saves between steps, unless the weights are no good.
func (t *Trainer) saveInterrupted() error {
	if t.folder == nil || t.saved {
		return nil
	}
	if err := t.checkFinite(); err != nil {
		return err
	}
	if err := t.save(); err != nil {
		return fmt.Errorf("interrupted, but what was reached isn't saved: %w", err)
	}
	return nil
}

// carryOn makes a warning of an error, which a run can go on after if anyone is told.
func (t *Trainer) carryOn(err error) error {
	if err == nil || t.c.OnWarning == nil {
		return err
	}
	t.c.OnWarning(err)
	return nil
}

// warn tells of what is no error even where nobody is told.
func (t *Trainer) warn(err error) {
	if t.c.OnWarning != nil {
		t.c.OnWarning(err)
	}
}

// rollbackFactor is what rollbacks have left of the rate, a power of two.
func (t *Trainer) rollbackFactor() float64 { return math.Ldexp(1, -len(t.rollbacks)) }

// rate is η, before the schedule's factor.
func (t *Trainer) rate() float64 { return t.c.Method.Rate() * t.rollbackFactor() }

// reversible is the divergence, if an error is one, that a checkpoint and a lower rate
// may help against; one of the initial weights isn't, nor one that no rate acts on.
func (t *Trainer) reversible(err error) *DivergedError {
	d, diverged := err.(*DivergedError) //nolint:errorlint // one that came with another error ends the run
	if diverged && t.c.Rollback && t.folder != nil && d.Epoch > 0 && !d.Rateless && len(t.rollbacks) < maxRollbacks {
		return d
	}
	return nil
}

// rollBack returns to the newest good checkpoint, at half the rate, and records that in
// its place. The clock goes on.
func (t *Trainer) rollBack(d *DivergedError) error {
	before, trained, evaluated := t.rollbacks, t.trained, t.evaluated
	if err := t.folder.restore(t); err != nil {
		return errors.Join(d, err)
	}
	t.trained, t.evaluated = trained, evaluated // what was in vain took its time, too
	t.rollbacks = append(slices.Clip(before), Rollback{Step: d.Step, To: t.step, Rate: d.Rate / 2, Found: d.Err.Error()})
	t.warn(fmt.Errorf("%s; rolled back to the checkpoint after %d steps, going on at half the rate (η = %g)", d.found(), t.step, d.Rate/2))
	t.begun = false
	if err := t.begin(); err != nil {
		return errors.Join(d, err)
	}
	return t.carryOn(t.folder.checkpoint(t, false))
}
