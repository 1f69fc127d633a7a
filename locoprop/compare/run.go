package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/journal"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// runner makes the runs of a comparison.
type runner struct {
	Options
	journal *records
	data    string // what tells the data apart
	workers int
	worked  bool   // this process has, so that the system's count of processes has its own
	undo    func() // what Prepare returned
}

func (r *runner) log(format string, args ...any) {
	if r.Log != nil {
		r.Log(fmt.Sprintf(format, args...))
	}
}

func (r *runner) run(ctx context.Context) error {
	if err := r.open(); err != nil {
		return err
	}
	if err := r.checkContenders(ctx); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	if err := r.plan(ctx); err != nil {
		return err
	}
	number := 0
	for _, seed := range r.Seeds {
		for i := range r.Contenders {
			number++
			if _, done := r.journal.finished[runKey{r.Contenders[i].Name, seed}]; done {
				continue
			}
			if err := r.make(ctx, &r.Contenders[i], seed, number); err != nil {
				return fmt.Errorf("%s, seed %d: %w", r.Contenders[i].Name, seed, err)
			}
		}
	}
	return nil
}

// open reads the journal and refuses one of another comparison; where there is none it
// prepares the folder.
func (r *runner) open() error {
	var err error
	if r.journal, err = readJournal(r.Dir); err != nil {
		return err
	}
	if r.journal.header == nil {
		if r.Prepare != nil {
			r.undo, err = r.Prepare()
		}
		return err
	}
	if err := r.journal.header.differences(r.header()); err != nil {
		return &train.ConfigError{Err: fmt.Errorf("%s holds another comparison: %w", r.Dir, err)}
	}
	return nil
}

func (r *runner) header() *header {
	h := &header{
		Version: journalVersion, Problem: r.Problem, Seeds: r.Seeds, Length: r.Length.String(), Targets: r.Targets, Data: r.data, Machine: r.Machine,
	}
	if r.Length.Time > 0 {
		h.Often = cmp.Or(r.Evaluations, defaultEvaluations)
	}
	for _, c := range r.Contenders {
		h.Contenders = append(h.Contenders, headerEntry(c))
	}
	return h
}

// begin writes the journal's first line, or sees whether it goes on as it was begun.
func (r *runner) begin() error {
	if h := r.journal.header; h != nil {
		if h.Data != r.data {
			return &train.ConfigError{Err: fmt.Errorf("%s holds a comparison on other data: %s there and %s here", r.Dir, h.Data, r.data)}
		}
		return r.seeMachine(h)
	}
	if err := os.MkdirAll(filepath.Join(r.Dir, RunsName), 0o777); err != nil {
		return err
	}
	h := r.header()
	var err error
	if h.Warnings, err = r.warnings(); err != nil {
		return err
	}
	for _, w := range h.Warnings {
		r.log("warning: %s", w)
	}
	return r.journal.add(record{Event: eventBegun, Comparison: h, Time: now()})
}

// seeMachine warns where runs are still to be made and would be made on another machine, or
// by another program, than those before.
func (r *runner) seeMachine(h *header) error {
	if len(r.journal.finished) == len(r.Seeds)*len(r.Contenders) {
		return nil
	}
	for _, d := range journal.Differences(h.Machine, r.Machine) {
		if err := r.warn("%s was %s when the comparison was begun, and is %s for a part of it: times differ by that, too", d.What, d.There, d.Here); err != nil {
			return err
		}
	}
	return nil
}

// warn tells of what the result is to tell of, too.
func (r *runner) warn(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if slices.Contains(r.journal.warnings, text) {
		return nil
	}
	r.log("warning: %s", text)
	return r.journal.add(record{Event: eventWarned, Warning: text, Time: now()})
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// checkContenders plans each contender once: all that is wrong with it, or with the data,
// shows before the first run.
func (r *runner) checkContenders(ctx context.Context) error {
	var errs []error
	for i := range r.Contenders {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", train.ErrInterrupted, err)
		}
		c := &r.Contenders[i]
		e, err := r.Resolve(c, r.Seeds[0], r.provisional())
		if err == nil {
			err = r.try(ctx, &e)
		}
		if errors.Is(err, train.ErrInterrupted) {
			return err
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("contender %s: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// provisional is a number of steps for runs whose own isn't measured yet.
func (r *runner) provisional() int {
	if r.Length.Time > 0 {
		return 1_000_000
	}
	return 0
}

func (r *runner) try(ctx context.Context, e *catalog.Experiment) error {
	c, err := experiment.Config(e, r.Data, r.Backend)
	if err != nil {
		return err
	}
	t, err := train.New(ctx, c)
	if err != nil {
		return err
	}
	r.data, r.workers = t.DataDigest(), c.Workers
	t.Close()
	return nil
}

// plan settles how many steps of each contender fit into the given time.
func (r *runner) plan(ctx context.Context) error {
	if r.Length.Time == 0 {
		return nil
	}
	for i := range r.Contenders {
		c := &r.Contenders[i]
		if _, done := r.journal.planned[c.Name]; done {
			continue
		}
		steps, known := r.Fitting[c.Name]
		plan := record{Event: eventPlanned, Contender: c.Name, Seconds: r.Length.Time.Seconds()}
		if !known {
			plan.Load, plan.Loaded = r.seeLoad()
			r.log("%s: measuring the time of a step", c.Name)
			var perStep float64
			var err error
			if steps, perStep, err = r.time(ctx, c); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			r.worked, plan.StepSeconds = true, perStep
			r.log("%s: %.4g s a step, so that %d steps fit into %v", c.Name, perStep, steps, r.Length.Time)
		}
		plan.Steps = steps
		if err := r.journal.add(plan); err != nil {
			return err
		}
	}
	return nil
}

// seeLoad looks at what the machine does besides, and warns where that takes time of runs.
func (r *runner) seeLoad() (load float64, loaded bool) {
	load = LoadAverage()
	if loaded = load > r.mostLoad(runtime.NumCPU()); loaded {
		r.log("warning: the machine is loaded (%.1f processes for %d processors): times will be wrong", load, runtime.NumCPU())
	}
	return load, loaded
}

// mostLoad is the load at which runs still have the processors that they need: once this
// process has worked, its own part is in it.
func (r *runner) mostLoad(cpus int) float64 {
	if !r.worked {
		return float64(cpus)
	}
	return float64(cpus+max(r.workers, 1)) + loadMargin
}

// loadMargin is what this process does beside its workers, in processes.
const loadMargin = 0.5

// folderName is a run's folder, relative to the comparison's.
func folderName(contender string, seed uint32) string {
	return filepath.Join(RunsName, fmt.Sprintf("%s-%d", contender, seed))
}

// make makes a run, or goes on with it.
func (r *runner) make(ctx context.Context, c *Contender, seed uint32, number int) (err error) {
	e, err := r.Resolve(c, seed, r.journal.planned[c.Name].Steps)
	if err != nil {
		return err
	}
	dir := filepath.Join(r.Dir, folderName(c.Name, seed))
	if _, begun := r.journal.started[runKey{c.Name, seed}]; !begun {
		if err := os.RemoveAll(dir); err != nil { // of a journal that was lost
			return err
		}
		load, loaded := r.seeLoad()
		if err := r.journal.add(record{Event: eventStarted, Contender: c.Name, Seed: seed, Time: now(), Load: load, Loaded: loaded}); err != nil {
			return err
		}
	}
	open := train.Create
	if train.HoldsRun(dir) {
		open = train.Open
	}
	folder, err := open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	config, err := experiment.Config(&e, r.Data, r.Backend)
	if err != nil {
		return err
	}
	if r.Encode != nil {
		content, err := r.Encode(&e)
		if err == nil {
			err = folder.WriteFile(train.ConfigName, content)
		}
		if err != nil {
			return err
		}
	}
	config.OnStep = r.OnStep
	config.OnEpoch = func(m train.Metrics) error {
		if r.OnEvaluation != nil {
			r.OnEvaluation(m)
		}
		return nil
	}
	config.OnWarning = func(err error) { r.log("warning: %v", err) }
	examples := r.Data.Train.Len()
	job := Job{
		Contender: c.Name, Seed: seed, Number: number, Of: len(r.Seeds) * len(r.Contenders),
		Epochs: e.RunEpochs(examples), Batches: e.Batches(examples), Steps: e.Steps, Batch: e.Batch,
	}
	if job.Steps == 0 {
		job.Steps = job.Epochs * job.Batches
	}
	if r.OnBegin != nil {
		r.OnBegin(job)
	}
	r.worked = true
	record, err := train1(ctx, config, folder)
	if r.OnEnd != nil {
		end := err
		if record.Outcome != nil && record.Outcome.Diverged != "" {
			end = errors.New(record.Outcome.Diverged)
		}
		r.OnEnd(job, end)
	}
	if err != nil {
		return err
	}
	record.Event, record.Contender, record.Seed, record.Time = eventFinished, c.Name, seed, now()
	record.Outcome.Settings = e.Values()
	return r.journal.add(record)
}

// train1 trains to the end and returns what the journal says about it.
func train1(ctx context.Context, c train.Config, folder *train.Folder) (record, error) {
	t, err := train.New(ctx, c)
	if err != nil {
		return record{}, err
	}
	defer t.Close()
	if err := folder.Attach(t); err != nil {
		return record{}, err
	}
	result, err := t.Run(ctx)
	var diverged *train.DivergedError
	text := ""
	switch {
	case errors.As(err, &diverged):
		text = diverged.Error()
	case err != nil:
		return record{}, err
	}
	return record{Steps: result.Step, Outcome: &outcome{
		Diverged: text, Rollbacks: len(result.Rollbacks), Batches: result.Batches, Seconds: result.Seconds, EvalTime: result.EvalSeconds,
		StateBytes: t.StateBytes(), Parameters: result.Parameters,
		TrainFloor: Number(result.TrainFloor), TestFloor: Number(result.TestFloor),
	}}, nil
}
