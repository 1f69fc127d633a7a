// Package compare trains several contenders on one problem, with several seeds each, and
// tells what each reaches by the epoch and by the clock.
//
// Every run gets the same data in the same order, initial weights that depend on its seed
// alone, the same evaluation, backend and workers; method, batch and course of the rate
// are the contender's. Runs are made one at a time, one seed of all contenders after the
// other, so that whatever the machine does besides falls on all alike. The clock of a run
// counts training, the method's set-up included, and nothing else.
//
// A comparison lives in a folder: a journal that is only added to, and a folder for each
// run, which is an ordinary one. [Run] goes on with what the folder holds, after whatever
// end of the process before; [Read] tells what was reached so far.
package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/lockfile"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// Names of a comparison's files, relative to its folder.
const (
	JournalName = "journal.jsonl" // what was planned, begun and finished, a line of JSON each
	RunsName    = "runs"          // a folder for each run: runs/CONTENDER-SEED
	lockName    = "lock"
)

// Contender is one of the ways to train that are compared.
type Contender struct {
	Name   string // letters, digits, points, underscores and hyphens; unique
	Title  string // for people; "": the name
	Source string // where its settings come from, for people
	// Settings are put over those of the problem. They say all that isn't the problem's:
	// method, batch, course of the rate.
	Settings catalog.Values
	// Suited makes the settings suit data and length: no batch has more examples than there
	// are, and no warm-up takes more than a fifth of the run, as
	// [catalog.Contender.Suited] has it.
	Suited bool
}

// Length is how long every run is. At most one field is above 0; the zero value leaves the
// length to the problem.
type Length struct {
	Epochs int
	Steps  int
	// Time is the planned training time: the number of steps is what fits into it as
	// measured on a throw-away copy beforehand, so that a run repeats bit for bit. The
	// runs' own times show how well that was met.
	Time time.Duration
}

// String is the length for people: 45s, 1 epochs, 300 steps, as the problem says.
func (l Length) String() string {
	switch {
	case l.Time > 0:
		return fmt.Sprintf("%v of training", l.Time)
	case l.Steps > 0:
		return fmt.Sprintf("%d steps", l.Steps)
	case l.Epochs > 0:
		return fmt.Sprintf("%d epochs", l.Epochs)
	}
	return "as the problem says"
}

// Options say what is compared, and where.
type Options struct {
	Dir        string
	Problem    catalog.Values // settings that all contenders share: preset, data, network, evaluation
	Contenders []Contender
	Seeds      []uint32
	Length     Length
	// Fitting are numbers of steps that fit into Length.Time, by contender, where they are
	// known already: [Fit] has measured them. Others are measured.
	Fitting map[string]int
	// Evaluations is how often runs of a given time are evaluated, where the problem
	// says nothing about it; 0 means 20. It makes a time to a target as exact for long epochs
	// as for short ones.
	Evaluations int
	// Targets are test losses (training losses where there are no test examples) whose
	// first evaluation at or below is looked for.
	Targets []float64

	Data    *dataset.Data     // what the problem's settings load
	Backend backend.Kernels   // as the problem's settings name it
	Machine map[string]string // facts about it, for the record
	// Encode writes the config.toml of a run; nil: there is none.
	Encode func(*catalog.Experiment) ([]byte, error)
	// Prepare is called where the folder holds no comparison yet, while no other process can
	// begin one there; nil: nothing is. Where the comparison then can't begin, and wasn't
	// merely interrupted, undo takes back what it did; it may be nil.
	Prepare func() (undo func(), err error)

	Log          func(text string) // told what happens, a line each; may be nil
	OnBegin      func(Job)         // before each run that is made; may be nil
	OnStep       func(train.Progress)
	OnEvaluation func(train.Metrics)
	OnEnd        func(Job, error) // after it, diverged or not

	// time replaces the measurement of how many steps fit into a time.
	time func(context.Context, *Contender) (steps int, perStep float64, err error)
}

// Job is a run that is to be made.
type Job struct {
	Contender string
	Seed      uint32
	Number    int // from 1
	Of        int
	Epochs    int // that it begins
	Batches   int // in an epoch
	Steps     int // in all
	Batch     int // examples in a step
}

const defaultEvaluations = 20

var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// check returns all that is wrong with the options.
func (o *Options) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Dir == "" {
		bad("no folder")
	}
	if len(o.Contenders) == 0 {
		bad("no contenders")
	}
	if len(o.Seeds) == 0 {
		bad("no seeds")
	}
	if o.Data == nil {
		bad("no data")
	}
	seen := map[string]bool{}
	for _, c := range o.Contenders {
		switch {
		case !names.MatchString(c.Name):
			bad("contender %q: a name has letters, digits, points, underscores and hyphens, and begins with one of the first two", c.Name)
		case seen[c.Name]:
			bad("contender %s is there twice", c.Name)
		}
		seen[c.Name] = true
		for _, key := range slices.Sorted(maps.Keys(c.Settings)) {
			if slices.Contains(catalog.ProblemKeys(), key) {
				bad("contender %s: %s belongs to the problem, which all contenders share", c.Name, key)
			}
		}
	}
	for i, s := range o.Seeds {
		if slices.Contains(o.Seeds[:i], s) {
			bad("seed %d is there twice", s)
		}
	}
	if o.Evaluations < 0 {
		bad("%d evaluations; must be 0 or more", o.Evaluations)
	}
	set := 0
	for _, n := range []int64{int64(o.Length.Epochs), int64(o.Length.Steps), int64(o.Length.Time)} {
		switch {
		case n < 0:
			bad("length of %d epochs, %d steps and %v; must not be below 0", o.Length.Epochs, o.Length.Steps, o.Length.Time)
		case n > 0:
			set++
		}
	}
	if set > 1 {
		bad("length of %d epochs, %d steps and %v; only one of them can be set", o.Length.Epochs, o.Length.Steps, o.Length.Time)
	}
	for _, key := range []string{"seed", "epochs", "steps", "schedule-epochs", "schedule-steps", "time-limit"} {
		if _, given := o.Problem[key]; given && (key == "seed" || key == "time-limit" || set > 0) {
			bad("problem: %s is for the comparison to say", key)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &train.ConfigError{Err: err}
	}
	return nil
}

// Resolve is a contender's experiment for a seed. steps is what fits into Length.Time, 0
// where the length is another.
func (o *Options) Resolve(c *Contender, seed uint32, steps int) (catalog.Experiment, error) {
	own := catalog.Values{"seed": strconv.FormatUint(uint64(seed), 10)}
	length := catalog.Values{}
	switch l := o.Length; {
	case l.Epochs > 0:
		length["epochs"], length["schedule-epochs"] = strconv.Itoa(l.Epochs), strconv.Itoa(l.Epochs)
	case l.Steps > 0:
		steps = l.Steps
		fallthrough
	case steps > 0:
		length["steps"], length["schedule-steps"] = strconv.Itoa(steps), strconv.Itoa(steps)
	}
	_, every := o.Problem["eval-every"]
	_, often := o.Problem["eval-steps"]
	if o.Length.Time > 0 && !every && !often {
		often := cmp.Or(o.Evaluations, defaultEvaluations)
		length["eval-every"], length["eval-steps"] = strconv.Itoa(catalog.MaxCount), strconv.Itoa(max(1, (steps+often-1)/often))
	}
	settings, err := o.suited(c, steps)
	if err != nil {
		return catalog.Experiment{}, err
	}
	e, _, err := catalog.Resolve(
		catalog.Layer{Source: "problem", Values: o.Problem},
		catalog.Layer{Source: "contender " + c.Name, Values: settings},
		catalog.Layer{Source: "comparison", Values: length}, catalog.Layer{Source: "comparison", Values: own})
	if err != nil {
		return catalog.Experiment{}, &train.ConfigError{Err: err}
	}
	return e, nil
}

// suited are a contender's settings for a run of so many steps, 0 where its length is in
// epochs.
func (o *Options) suited(c *Contender, steps int) (catalog.Values, error) {
	if !c.Suited {
		return c.Settings, nil
	}
	epochs := o.Length.Epochs
	if epochs == 0 && steps == 0 {
		e, _, err := catalog.Resolve(catalog.Layer{Source: "problem", Values: o.Problem})
		if err != nil {
			return nil, &train.ConfigError{Err: err}
		}
		epochs, steps = e.Epochs, e.Steps
	}
	own := catalog.Contender{Settings: c.Settings}
	own = own.Suited(o.Data.Train.Len(), epochs, steps)
	maps.DeleteFunc(own.Settings, func(_, text string) bool { return text == "" }) // what wasn't there
	return own.Settings, nil
}

// Run makes the runs that the folder doesn't hold yet and returns the result. It begins
// with a check of data and contenders, and refuses a folder of another comparison, naming
// what differs, in a *[train.ConfigError]. Where ctx ends, what was reached is saved and an
// error returned for which errors.Is(err, train.ErrInterrupted) holds. A run that diverges
// is a result and no error.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &runner{Options: o}
	if r.time == nil {
		r.time = r.fit
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return nil, fmt.Errorf("folder of the comparison: %w", err)
	}
	lock, err := lockfile.Take(filepath.Join(o.Dir, lockName))
	switch {
	case errors.Is(err, lockfile.ErrHeld):
		return nil, &train.ConfigError{Err: fmt.Errorf("%s: %w: %w", o.Dir, train.ErrRunInUse, err)}
	case err != nil:
		return nil, fmt.Errorf("folder of the comparison: %w", err)
	}
	err = r.run(ctx)
	if err != nil && r.undo != nil && r.journal.header == nil && !errors.Is(err, train.ErrInterrupted) {
		r.undo()
	}
	if err := errors.Join(err, lock.Release()); err != nil {
		return nil, err
	}
	return Read(o.Dir)
}
