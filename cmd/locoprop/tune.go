package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/journal"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/tune"
	"github.com/urfave/cli/v2"
)

// Names of the files that tune writes into a contender's folder.
const (
	bestConfig  = "best.toml"
	trialsTable = "trials.csv"
	tuneReport  = "result.json"
)

const (
	defaultTrials = 10
	shownTrials   = 5
)

// tuneKeys are the settings of the problem that tune takes: how a run is watched and
// saved has no part in it, and a limit by time would make its result depend on the clock.
func tuneKeys() []string {
	without := []string{"time-limit", "eval-every", "eval-steps", "checkpoint-every", "keep", "on-divergence"}
	return slices.DeleteFunc(catalog.ProblemKeys(), func(key string) bool { return slices.Contains(without, key) })
}

func tuneCommand() *cli.Command {
	return &cli.Command{
		Name:      "tune",
		Usage:     "find a method's best settings for a problem",
		UsageText: "locoprop tune [--methods NAME,...] [--trials N] [--epochs N] [--out FOLDER] [flags of the problem]\nlocoprop tune --list",
		Description: "Tries each contender's default point and points spread evenly over its search space, ends the worse trials\n" +
			"early (successive halving), and runs half and double the best one's rate beside it. --list shows the spaces.\n" +
			"Every contender gets the same budget. The problem is that of the preset, changed by the flags of data,\n" +
			"network and length. A search that was interrupted goes on when the same command is given again.\n" +
			"Each contender's folder then has " + bestConfig + " (for train --config), " + trialsTable + ", " + tuneReport + " and the trials' runs.",
		Flags: append(flagsFor(tuneKeys()...),
			&cli.StringFlag{
				Name: "config", Category: groupExperiment, DefaultText: "none",
				Usage: "`FILE` of a run's settings, such as its config.toml, for the problem; what it says of the method is left aside",
			},
			&cli.StringFlag{Name: "methods", Category: groupMethod, Usage: "`NAMES` of contenders, with commas between: " + strings.Join(contenderNames(), ", "), DefaultText: "fast"},
			&cli.StringFlag{Name: "trials", Category: groupMethod, Usage: fmt.Sprintf("`NUMBER` of trials of each, the default point counted, from 1 to %d", tune.MostTrials), DefaultText: strconv.Itoa(defaultTrials)},
			&cli.StringFlag{
				Name: "halving", Category: groupMethod, DefaultText: strconv.Itoa(tune.DefaultReduction),
				Usage: "one trial in `NUMBER` goes on, to a length as many times as long; 1: all run to the end",
			},
			&cli.StringFlag{Name: "search-seed", Category: groupMethod, Usage: "whole `NUMBER` that fixes the points", DefaultText: "1"},
			&cli.StringFlag{Name: "out", Category: groupOutput, Usage: "`FOLDER` for a folder of each contender", DefaultText: "runs/tune-PRESET-SEED"},
			&cli.BoolFlag{Name: "list", Category: groupOutput, Usage: "print the contenders with their default points and spaces, and search nothing"},
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print each contender's " + tuneReport + ", and nothing else, on standard output"},
		),
		Action: tuneAction,
	}
}

func contenderNames() []string {
	var names []string
	for _, c := range catalog.Contenders() {
		names = append(names, c.Name)
	}
	return names
}

// tuningRun is one call of `locoprop tune`.
type tuningRun struct {
	stdout, stderr io.Writer
	json           bool
	contenders     []catalog.Contender
	problem        []catalog.Layer
	e              catalog.Experiment // the problem, with a method that has no part in it
	kernels        backend.Kernels
	data           *dataset.Data
	trials         int
	reduction      int
	seed           uint32
	out            string
}

func tuneAction(c *cli.Context) error {
	if c.Bool("list") {
		printContenders(c.App.Writer)
		return nil
	}
	r := &tuningRun{stdout: c.App.Writer, stderr: c.App.ErrWriter, json: c.Bool("json")}
	if err := r.settle(c); err != nil {
		return err
	}
	defer closeBackend(r.kernels)
	var err error
	if r.data, err = r.e.LoadData(c.Context); err != nil {
		return err
	}
	var failed []error
	for _, contender := range r.contenders {
		err := r.tune(c.Context, contender)
		if err != nil && !errors.Is(err, tune.ErrAllDiverged) {
			return err
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// settle reads the flags.
func (r *tuningRun) settle(c *cli.Context) error {
	var err error
	if r.contenders, err = contendersOf(c.String("methods")); err != nil {
		return err
	}
	if r.trials, err = wholeFlag(c, "trials", defaultTrials, 1, tune.MostTrials); err != nil {
		return err
	}
	if r.reduction, err = wholeFlag(c, "halving", tune.DefaultReduction, 1, tune.MostTrials); err != nil {
		return err
	}
	seed, err := wholeFlag(c, "search-seed", 1, 0, math.MaxUint32)
	if err != nil {
		return err
	}
	r.seed = uint32(seed)
	if r.problem, err = problemLayers(c); err != nil {
		return err
	}
	if r.e, _, err = catalog.Resolve(r.problem...); err != nil {
		return &usageError{err}
	}
	if err := locateData(&r.e); err != nil {
		return err
	}
	if r.out = c.String("out"); r.out == "" {
		if c.IsSet("out") {
			return usagef("--out : must be a folder")
		}
		r.out = filepath.Join("runs", fmt.Sprintf("tune-%s-%d", r.e.Preset, r.e.Seed))
	}
	if r.kernels, err = openBackend(r.e.Backend); err != nil {
		return err
	}
	workers, err := workersFor(r.e.Workers, r.kernels)
	if err != nil {
		closeBackend(r.kernels)
		return err
	}
	// What the program found out goes with the problem, so that the trials' configurations name it.
	known := catalog.Values{"backend": r.kernels.Info().Name, "workers": strconv.Itoa(workers)}
	for _, key := range []string{"data", "test-data"} {
		if text := r.e.Values()[key]; text != "" {
			known[key] = text
		}
	}
	r.problem = append(r.problem, catalog.Layer{Values: known})
	return nil
}

// problemLayers are the settings of the problem: those of the file that --config names,
// what it says of the method left aside, then the environment's, then the flags.
func problemLayers(c *cli.Context) ([]catalog.Layer, error) {
	layers := []catalog.Layer{environment(tuneKeys()), flagLayer(c)}
	if !c.IsSet("config") {
		return layers, nil
	}
	for _, l := range layers {
		if l.Values["preset"] != "" {
			return nil, usagef("--config with --preset or %s: the file names its own preset; give one of them", variableOf("preset"))
		}
	}
	file, err := readConfig(c.String("config"))
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(file.Values, func(key, _ string) bool { return !slices.Contains(tuneKeys(), key) })
	for _, key := range []string{"workers", "backend"} { // of the machine it ran on
		delete(file.Values, key)
	}
	for _, key := range []string{"schedule-epochs", "schedule-steps"} { // the method's course of the rate; here it is as long as the run
		delete(file.Values, key)
	}
	return append([]catalog.Layer{file}, layers...), nil
}

// contendersOf reads a list of names.
func contendersOf(list string) ([]catalog.Contender, error) {
	if list == "" {
		list = "fast"
	}
	var contenders []catalog.Contender
	for name := range strings.SplitSeq(list, ",") {
		c, err := catalog.ContenderNamed(strings.TrimSpace(name))
		if err != nil {
			return nil, usagef("--methods: %w", err)
		}
		if slices.ContainsFunc(contenders, func(x catalog.Contender) bool { return x.Name == c.Name }) {
			return nil, usagef("--methods: %s is there twice", c.Name)
		}
		contenders = append(contenders, c)
	}
	return contenders, nil
}

// wholeFlag reads a whole number of a flag, usual where it isn't set.
func wholeFlag(c *cli.Context, name string, usual, low, high int) (int, error) {
	if !c.IsSet(name) {
		return usual, nil
	}
	v, err := strconv.ParseInt(c.String(name), 10, 64)
	if err != nil || v < int64(low) || v > int64(high) {
		return 0, usagef("--%s %s: must be a whole number from %d to %d", name, c.String(name), low, high)
	}
	return int(v), nil
}

func (r *tuningRun) say(format string, args ...any) { fmt.Fprintf(r.stderr, format+"\n", args...) }

// tune searches for the settings of one contender and writes its files.
func (r *tuningRun) tune(ctx context.Context, c catalog.Contender) error {
	dir := filepath.Join(r.out, c.Name)
	t := &experiment.Tuner{
		Contender: c, Problem: r.problem, Data: r.data, Backend: r.kernels,
		Trials: r.trials, Reduction: r.reduction, Seed: r.seed, Dir: dir,
		WriteConfig: writeConfigTo,
		OnWarning:   func(err error) { r.say("locoprop: warning: %s: %v", c.Name, err) },
	}
	full := 0
	t.OnStart = func(b tune.Budget) {
		full = b.Full
		r.say("%s (%s): %d trials and %d beside the best, %.3g full runs in all; files go to %s", c.Name, c.Title, b.Trials, b.Probes, float64(b.Length)/float64(b.Full), dir)
	}
	trial, steps, last := tune.Trial{}, 0, time.Time{}
	t.OnTrial = func(t tune.Trial, n int) { trial, steps, last = t, n, time.Now() }
	t.OnStep = func(p train.Progress) {
		if time.Since(last) >= quietFor {
			last = time.Now()
			r.say("%s: %s, step %d of %d, batch loss %s", c.Name, trialName(trial), p.Step, steps, figure(p.Loss))
		}
	}
	t.OnResult = func(res tune.Result) { r.say("%s: %s", c.Name, describeResult(res, full)) }
	tuned, err := t.Run(ctx)
	switch {
	case errors.Is(err, train.ErrInterrupted):
		return fmt.Errorf("%w; go on with the same command, files are in %s", train.ErrInterrupted, quote(r.out))
	case errors.Is(err, journal.ErrInUse):
		return usagef("%s: %w", c.Name, err)
	case errors.Is(err, tune.ErrJournal) && !errors.Is(err, dataset.ErrData):
		return usagef("%s: %w; repeat it as it was begun, or name another folder with --out", c.Name, err)
	case err != nil:
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	report := tuned.Report()
	if err := r.writeFiles(dir, tuned, &report); err != nil {
		return err
	}
	if r.json {
		return encodeReport(r.stdout, &report, "")
	}
	return printTuned(r.stdout, dir, tuned.Contender.Space, &report)
}
