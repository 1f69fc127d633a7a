package train

import (
	"errors"
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
)

// ErrInterrupted is what errors.Is finds in the error of a run that its context ended.
// The context's own error is in there too. The run can go on: see [Trainer.Run].
var ErrInterrupted = errors.New("interrupted")

// ErrRunExists is what errors.Is finds in the error of [Create] for a folder that
// holds a run already.
var ErrRunExists = errors.New("folder holds a run already")

// ErrRunInUse is what errors.Is finds in the error of [Create] and [Open] for a folder
// that another process uses.
var ErrRunInUse = errors.New("run is in use")

// damagedError tells that a checkpoint isn't whole: one before it may be.
type damagedError struct{ error }

func (e *damagedError) Unwrap() error { return e.error }

// ConfigError tells that the configuration is wrong: the caller's fault, whatever the
// data. Err lists all that is wrong.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap gives the list.
func (e *ConfigError) Unwrap() error { return e.Err }

// configErrors is a *ConfigError of those errors that aren't nil, or nil.
func configErrors(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return &ConfigError{err}
	}
	return nil
}

// DataError tells of an example that can't be trained or evaluated on.
// errors.Is(err, dataset.ErrData) holds.
type DataError struct {
	Split   string // training, test or input
	Example int    // from 0
	Err     error  // what was found and what is allowed
}

func (e *DataError) Error() string {
	return fmt.Sprintf("%s example %d: %v", e.Split, e.Example, e.Err)
}

// Unwrap gives the cause.
func (e *DataError) Unwrap() error { return e.Err }

// Is makes errors.Is(e, dataset.ErrData) hold.
func (e *DataError) Is(target error) bool { return target == dataset.ErrData }

// DivergedError tells where training left the finite numbers. Nothing is saved from
// there on: files keep the last good state.
type DivergedError struct {
	Epoch   int     // the epoch being trained, from 1; 0 before the first
	Batch   int     // the batch of it, from 1; 0 where it was found after the epoch's last
	Batches int     // in an epoch
	Step    int     // steps made before
	Rate    float64 // η, before the schedule's factor
	Err     error   // what was found where; a *plan.DivergedError where a layer is known

	Rollbacks int // how often the run was rolled back before

	// Rateless tells that the rate changes no step of the method (plan.RateIgnorer): neither
	// a smaller one nor a rollback would lead elsewhere.
	Rateless bool
}

func (e *DivergedError) Error() string {
	if e.Epoch == 0 {
		return fmt.Sprintf("initial weights give no finite loss: %v", e.Err)
	}
	if e.Rateless {
		return e.found() + "; no rate acts on this method, so that to roll back would lead here again: try a smaller gamma, or more damping (a smaller λ)"
	}
	text := fmt.Sprintf("%s; try a smaller learning rate (now η = %g) or more warm-up steps", e.found(), e.Rate)
	if e.Rollbacks > 0 {
		text += fmt.Sprintf("; the run was rolled back %d times", e.Rollbacks)
	}
	return text
}

// found tells what was found where.
func (e *DivergedError) found() string {
	where := fmt.Sprintf("in epoch %d, batch %d of %d", e.Epoch, e.Batch, e.Batches)
	if e.Batch == 0 {
		where = fmt.Sprintf("at the end of epoch %d", e.Epoch)
	}
	return fmt.Sprintf("diverged %s, after %d steps: %v", where, e.Step, e.Err)
}

// Unwrap gives the cause.
func (e *DivergedError) Unwrap() error { return e.Err }
