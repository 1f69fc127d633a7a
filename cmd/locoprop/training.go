package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// training is one call of `locoprop train`.
type training struct {
	stdout, stderr io.Writer
	json           bool
	out            string // --out
	resume         string // --resume

	e       catalog.Experiment
	rate    *catalog.Rate // the pair's, where the experiment took it
	kernels backend.Kernels
	folder  *train.Folder
	made    string // the folder, where this call made it
	data    *dataset.Data
	trainer *train.Trainer
	begun   bool // the run has started: its folder stays, whatever comes
	status  status
}

// say prints a line for people.
func (r *training) say(format string, args ...any) {
	r.status.say(r.stderr, fmt.Sprintf(format, args...))
}

// warn tells of something wrong that doesn't end the run.
func (r *training) warn(err error) { r.say("locoprop: warning: %v", err) }

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
	r.status.show(newReporter(r.stderr, r.runEpochs()))
	result, err := r.trainer.Run(ctx)
	r.status.close()
	if err != nil {
		return r.explain(err)
	}
	return r.conclude(ctx, result)
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
	if r.data, err = r.e.LoadData(); err != nil {
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
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", train.ErrInterrupted, err)
	}
	net, err := r.network()
	if err != nil {
		return err
	}
	if err := r.makeTrainer(net); err != nil {
		return err
	}
	if err := r.attach(); err != nil {
		r.trainer.Close()
		return err
	}
	return nil
}

// network is the untrained network, fitted to the data.
func (r *training) network() (*nn.Network, error) {
	arch, err := r.e.FitArch(r.data)
	if err != nil {
		return nil, &usageError{err}
	}
	if n := r.data.Train.Len(); r.e.Batch > n {
		return nil, batchError(r.e.Batch, n)
	}
	net, err := nn.New(arch)
	if err != nil {
		return nil, &usageError{err}
	}
	net.Init(r.e.Init, r.e.Seed)
	r.say("network %v: %d parameters", r.e.Arch, net.Params())
	return net, nil
}

func (r *training) makeTrainer(net *nn.Network) error {
	method, err := r.e.BuildMethod()
	if err != nil {
		return &usageError{err}
	}
	course, err := r.e.BuildSchedule()
	if err != nil {
		return &usageError{err}
	}
	r.trainer, err = train.New(train.Config{
		Network: net, Loss: r.e.Loss, Method: method, Backend: r.kernels, Data: r.data, Target: r.e.Target,
		Batch: r.e.Batch, KeepLast: r.e.KeepLast, Epochs: r.e.Epochs, Steps: r.e.Steps, TimeLimit: r.e.TimeLimit,
		EvalEvery: r.e.EvalEvery, EvalSteps: r.e.EvalSteps, Schedule: course,
		Seed: r.e.Seed, Window: r.e.Window, Workers: r.e.Workers, Settings: r.methodSettings(),
		CheckpointEvery: r.e.CheckpointEvery, Keep: r.e.Keep, Rollback: r.e.Rollback,
		OnEpoch: r.onEpoch, OnStep: r.onStep, OnWarning: r.warn,
	})
	if err != nil {
		return err
	}
	if r.e.DMomentum > 0 {
		bytes := 0.0
		for _, l := range net.Layers {
			bytes += 4 * float64(l.Positions()*l.Weights().Rows) * float64(r.e.Examples)
		}
		r.say("momentum on D keeps %.1f MB, a row for each of %d examples in every layer", bytes/1e6, r.e.Examples)
	}
	if forms := describeForms(r.trainer.Explain()); forms != "" {
		r.say("forms: %s", forms)
	}
	return nil
}

// methodSettings are those of the method's settings that a checkpoint depends on: all
// of local problems, of the run and of single layers. The run's rate is in the trainer's
// own record.
func (r *training) methodSettings() map[string]string {
	settings := map[string]string{}
	own := append(catalog.LayerKeys(), "block", "init", "correction", "d-momentum")
	if catalog.MethodKeysOf(r.e.Method) != nil { // the trainer's record has the name alone
		own = append(own, "method")
	}
	for key, text := range r.e.Values() {
		_, _, ofLayer := catalog.SplitLayerKey(key)
		if ofLayer || key != "lr" && slices.Contains(own, key) {
			settings[key] = text
		}
	}
	return settings
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
func (r *training) runEpochs() int { return r.e.RunEpochs(r.data.Train.Len()) }

func (r *training) onStep(p train.Progress) { r.status.step(p) }

func (r *training) onEpoch(m train.Metrics) error {
	r.status.epoch(m)
	if !r.json {
		return nil
	}
	line, err := json.Marshal(m)
	if err == nil {
		_, err = r.stdout.Write(append(line, '\n'))
	}
	return err
}

// explain adds what to do about an error.
func (r *training) explain(err error) error {
	dir := r.folder.Dir()
	var diverged *train.DivergedError
	switch {
	case errors.Is(err, train.ErrInterrupted):
		at := ""
		if r.trainer != nil {
			res := r.trainer.Result()
			at = fmt.Sprintf(" after %d epochs and %d batches", res.Epoch, res.Batch)
		}
		return fmt.Errorf("%w%s; go on with: locoprop train --resume %s", train.ErrInterrupted, at, quote(dir))
	case errors.As(err, &diverged):
		hint := ""
		if !r.e.Rollback && diverged.Epoch > 0 {
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
