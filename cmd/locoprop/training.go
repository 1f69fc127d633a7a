package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// training is one call of `locoprop train`.
type training struct {
	stdout, stderr io.Writer
	json           bool
	verbosity      verbosity
	tensorboard    bool
	out            string // --out
	resume         string // --resume

	source string // the configuration that it repeats or goes on with, "" for none
	before string // what that one's run was computed with

	e       catalog.Experiment
	rate    *catalog.Rate // the pair's, where the experiment took it
	kernels backend.Kernels
	folder  *train.Folder
	made    string // the folder, where this call made it
	data    *dataset.Data
	trainer *train.Trainer
	events  *events // nil: none
	begun   bool    // the run has started: its folder stays, whatever comes
	start   float64 // training loss before the first step; 0: not measured, the run goes on
	status  status
}

// say prints a line for people.
func (r *training) say(format string, args ...any) {
	if r.verbosity != quiet {
		r.status.say(r.stderr, fmt.Sprintf(format, args...))
	}
}

// warn tells of something wrong that doesn't end the run.
func (r *training) warn(err error) {
	r.status.say(r.stderr, fmt.Sprintf("locoprop: warning: %v", err))
}

func (r *training) run(ctx context.Context) (err error) {
	defer closeBackend(r.kernels)
	defer r.answerSignals()()
	defer func() {
		if err != nil && !r.begun && exitCode(err) != exitInterrupted {
			r.abandon()
		}
	}()
	if err := r.makeFolder(); err != nil {
		return err
	}
	r.announce()
	if err := r.prepare(ctx); err != nil {
		return r.explain(err)
	}
	defer r.trainer.Close()
	r.begun = true
	defer r.recordMachine()()
	meter, err := r.newMeter(ctx)
	if err != nil {
		return err
	}
	if r.events, err = r.openEvents(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.events.close()) }()
	r.status.show(newReporter(r.stderr, meter, r.verbosity))
	tellBy(ctx, func(line string) { r.status.say(r.stderr, line) })
	result, err := r.trainer.Run(ctx)
	r.status.close()
	if err != nil {
		return r.explain(err)
	}
	return r.explain(r.conclude(ctx, result))
}

// newMeter makes the run's meter. Where there is a live view, or a line for every step,
// it knows how fast the machine can be, from a short measurement.
func (r *training) newMeter(ctx context.Context) (*meter, error) {
	at := r.trainer.Result()
	m := &meter{
		epochs: r.runEpochs(), batches: at.Batches, all: r.e.Steps, limit: r.e.TimeLimit.Seconds(),
		batch: r.e.Batch, flops: plan.Flops(r.trainer.Explain()), floor: at.TrainFloor,
	}
	if m.all == 0 {
		m.all = m.epochs * m.batches
	}
	if r.verbosity == quiet || r.verbosity == normal && terminalWidth(r.stderr) == 0 {
		return m, nil
	}
	var err error
	if m.peak, m.peakName, err = bench.QuickPeak(ctx, r.kernels, r.e.Workers); err != nil {
		return nil, r.explain(fmt.Errorf("%w: %w", train.ErrInterrupted, err))
	}
	r.say("%s by a short measurement: %.1f GF/s", m.peakName, m.peak/1e9)
	return m, nil
}

// announce says what will be trained, before anything takes time.
func (r *training) announce() {
	e := &r.e
	r.sayRate()
	verb := "training"
	if r.resume != "" {
		verb = "going on with"
	}
	s, _ := e.BuildSchedule() // checked when the experiment was made
	length := lengthText(e.Epochs, e.Steps)
	if e.TimeLimit > 0 {
		length += fmt.Sprintf(" (at most %v)", schedule.Interval{Time: e.TimeLimit})
	}
	r.say("%s preset %s: %s, %s of data set %s, batch %d, seed %d", verb, e.Preset, e.MethodText(), length, e.Dataset, e.Batch, e.Seed)
	r.say("%s, schedule %s", describeMethod(e), describeSchedule(s))
	for _, line := range describeLayers(e) {
		r.say("%s", line)
	}
	info := r.kernels.Info()
	r.say("backend %s (%s), %d workers; files go to %s", info.Name, info.Detail, e.Workers, r.folder.Dir())
	if whyPure != "" {
		r.say("%s", whyPure)
	}
	r.warnOfBits()
	if s.Kind != schedule.Constant && (e.Steps == 0 && s.Epochs > 0 && e.Epochs > s.Epochs || s.Steps > 0 && e.Steps > s.Steps) {
		text := "the rate is 0 from there on"
		if e.Coasts() {
			text += ", but momentum carried from before goes on moving the weights, which may make the model worse"
		}
		r.say("the schedule ends after %s: %s", lengthText(s.Epochs, s.Steps), text)
	}
}

// sayRate tells of a rate that nobody named.
func (r *training) sayRate() {
	if r.rate != nil {
		r.say("%v: taking the default rate of this pair, lr %v", r.rate.Pair, r.rate.Eta)
	}
}

// prepare loads the data and makes the trainer, at its checkpoint if it has one.
func (r *training) prepare(ctx context.Context) error {
	start := time.Now()
	var err error
	if r.data, err = r.e.LoadData(ctx); err != nil {
		return err
	}
	r.say("data set %s: %d training and %d test examples of %d values, ready in %.1f s",
		r.data.Name, r.data.Train.Len(), r.data.Test.Len(), r.data.Dim(), time.Since(start).Seconds())
	if r.data.Scaling != nil {
		r.say("inputs are scaled (%v); the model records it", r.e.Scale)
	}
	if names := r.data.ClassNames; names != nil {
		r.say("classes, in the order of the outputs: %s", strings.Join(names, ", "))
	}
	if err := r.makeTrainer(ctx); err != nil {
		return err
	}
	if err := r.attach(); err != nil {
		r.trainer.Close()
		return err
	}
	return nil
}

func (r *training) makeTrainer(ctx context.Context) error {
	c, err := experiment.Config(&r.e, r.data, r.kernels)
	if err != nil {
		return err
	}
	r.say("network %v: %d parameters", r.e.Arch, c.Network.Params())
	c.OnEpoch, c.OnStep, c.OnLayers, c.OnWarning = r.onEpoch, r.onStep, r.onLayers, r.warn
	if r.trainer, err = train.New(ctx, c); err != nil {
		return err
	}
	if r.e.DMomentum > 0 {
		bytes := 0.0
		for _, l := range c.Network.Layers {
			bytes += 4 * float64(l.Positions()*l.Weights().Rows) * float64(r.e.Examples)
		}
		r.say("momentum on D keeps %.1f MB, a row for each of %d examples in every layer", bytes/1e6, r.e.Examples)
	}
	if forms := describeForms(r.trainer.Explain()); forms != "" {
		r.say("forms: %s", forms)
	}
	return nil
}

// attach gives the trainer its folder, and the folder its configuration, whose
// architecture is settled by now.
func (r *training) attach() error {
	if err := r.folder.Attach(r.trainer); err != nil {
		return err
	}
	switch at := r.trainer.Result(); {
	case r.e.Steps > 0 && r.e.Steps < at.Step:
		return usagef("--steps %d: the run has made %d steps already", r.e.Steps, at.Step)
	case r.e.Steps == 0 && (r.e.Epochs < at.Epoch || (r.e.Epochs == at.Epoch && at.Batch > 0)):
		return usagef("--epochs %d: the run has trained %d epochs and %d batches already", r.e.Epochs, at.Epoch, at.Batch)
	}
	return r.writeConfig()
}

// runEpochs is the number of epochs that the run begins.
func (r *training) runEpochs() int {
	if r.e.Steps == 0 {
		return r.e.Epochs // known before the data are
	}
	return r.e.RunEpochs(r.data.Train.Len())
}

func (r *training) onStep(p train.Progress) { r.status.step(p) }

func (r *training) onLayers(reports []plan.LayerReport) { r.events.layers(reports) }

func (r *training) onEpoch(m train.Metrics) error {
	r.status.epoch(m)
	r.events.epoch(m)
	if m.Step == 0 {
		r.start = m.TrainLoss
	}
	if !r.json {
		return nil
	}
	line, err := json.Marshal(m)
	if err == nil {
		_, err = r.stdout.Write(append(line, '\n'))
	}
	return err
}

// explain adds what to do about an error, nil where there is none.
func (r *training) explain(err error) error {
	dir := r.folder.Dir()
	var diverged *train.DivergedError
	switch {
	case errors.Is(err, train.ErrInterrupted), errors.Is(err, context.Canceled): // the latter while data are loaded
		at := ""
		if r.trainer != nil {
			res := r.trainer.Result()
			at = fmt.Sprintf(" after %d epochs and %d batches", res.Epoch, res.Batch)
		}
		return fmt.Errorf("%w%s; go on with: locoprop train --resume %s", train.ErrInterrupted, at, quote(dir))
	case errors.As(err, &diverged):
		hint := ""
		if !r.e.Rollback && diverged.Epoch > 0 && !diverged.Rateless {
			hint = fmt.Sprintf(", or go on at half of it by --resume %s --on-divergence rollback", quote(dir))
		}
		return fmt.Errorf("%w%s%s", err, hint, lastGood(dir))
	}
	return err
}

// lastGood tells where the last model is that is worth keeping.
func lastGood(dir string) string {
	path := filepath.Join(dir, train.ModelName)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return fmt.Sprintf("; %s is still the last good model", path)
}

// quote writes a path as a shell takes it.
func quote(path string) string {
	for _, c := range path {
		if c == ' ' || c == '\'' || c == '"' || c == '$' {
			return strconv.Quote(path)
		}
	}
	return path
}
