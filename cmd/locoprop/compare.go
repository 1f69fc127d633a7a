package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/compare"
	"github.com/locoprop/locoprop-go/locoprop/report"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

const (
	compareConfig = "compare.toml" // in a comparison's folder: all that repeats it
	comparePage   = "report.html"
)

// What a comparison is without flags.
const (
	defaultMethods = "fast,locoprop-m,adam"
	defaultSeeds   = "1,2,3"
	defaultSeconds = 45
	compareSaves   = "30s" // runs of small data have many epochs a second
)

var errAllRunsDiverged = errors.New("every run diverged")

// sharedKeys are the settings of the problem that compare takes; how long runs are and
// with which seeds it says in flags of its own.
func sharedKeys() []string {
	own := []string{"seed", "epochs", "steps", "schedule-epochs", "schedule-steps", "time-limit"}
	return slices.DeleteFunc(catalog.ProblemKeys(), func(key string) bool { return slices.Contains(own, key) })
}

func compareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "train several methods on one problem and tell what each reaches, by the epoch and by the clock",
		UsageText: "locoprop compare [--methods NAME,...] [--seeds N,...] [--epochs N|--steps N|--seconds N] [--target-loss X]... [flags of data and network]\nlocoprop compare --config FILE [flags]\nlocoprop compare --resume FOLDER\nlocoprop compare --list",
		Description: "Every run gets the same data in the same order, the same initial weights for the same seed, the same evaluation,\n" +
			"backend and workers. Runs are made one after the other; their clock counts training, the method's set-up\n" +
			"included, and no evaluation. --seconds makes each run as many steps long as fit, measured beforehand, and its\n" +
			"schedule as long as the run. Ctrl-C leaves a folder that --resume goes on with; finished runs aren't repeated.\n" +
			"The folder holds " + compare.JournalName + ", a folder for each run, " + compare.CSVName + ", " + compare.JSONName + ", pictures and " + comparePage + ".",
		Flags: append(sharedFlags(),
			&cli.StringFlag{
				Name: "methods", Category: groupMethod, DefaultText: defaultMethods,
				Usage: "`NAMES` with commas between: contenders (" + strings.Join(contenderNames(), ", ") +
					"; paper for locoprop-m), or NAME=FILE for the method settings of a configuration, such as the best.toml of locoprop tune",
			},
			&cli.StringFlag{Name: "seeds", Category: groupExperiment, DefaultText: defaultSeeds, Usage: "whole `NUMBERS` with commas between: a run of each method for each"},
			&cli.StringFlag{Name: "epochs", Category: groupSchedule, DefaultText: "none", Usage: "`NUMBER` of epochs of each run"},
			&cli.StringFlag{Name: "steps", Category: groupSchedule, DefaultText: "none", Usage: "`NUMBER` of steps of each run"},
			&cli.StringFlag{
				Name: "seconds", Category: groupSchedule, DefaultText: strconv.Itoa(defaultSeconds) + " where neither epochs nor steps are given",
				Usage: "planned `SECONDS` of training of each run",
			},
			&cli.StringSliceFlag{Name: "target-loss", Category: groupOutput, DefaultText: "none", Usage: "`LOSS` of the test data whose first evaluation at or below is told; may be repeated"},
			&cli.StringFlag{Name: "config", Category: groupExperiment, DefaultText: "none", Usage: "`FILE` that says what is compared, such as the " + compareConfig + " of a comparison"},
			&cli.StringFlag{Name: "out", Category: groupOutput, DefaultText: "runs/compare-PRESET, or with -2, -3, ... where that exists", Usage: "`FOLDER` for everything; one that holds the same comparison is gone on with"},
			&cli.StringFlag{Name: "resume", Category: groupExperiment, DefaultText: "none", Usage: "`FOLDER` of a comparison to go on with; only --json may stand beside it"},
			&cli.BoolFlag{Name: "list", Category: groupOutput, Usage: "print the contenders with their settings and where these come from, and compare nothing"},
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print " + compare.JSONName + ", and nothing else, on standard output"},
		),
		Action: compareAction,
	}
}

// sharedFlags are those of sharedKeys.
func sharedFlags() []cli.Flag {
	flags := flagsFor(sharedKeys()...)
	for _, f := range flags {
		switch f, _ := f.(*cli.StringFlag); {
		case f == nil:
		case f.Name == "checkpoint-every":
			f.DefaultText = compareSaves
		case f.Name == "eval-every", f.Name == "eval-steps":
			f.DefaultText += "; with --seconds, and neither of the two given, 20 times in all"
		}
	}
	return flags
}

func compareAction(c *cli.Context) error {
	if c.Bool("list") {
		printContenders(c.App.Writer)
		return nil
	}
	r := &comparison{stdout: c.App.Writer, stderr: c.App.ErrWriter, json: c.Bool("json")}
	spec, err := compareSpecOf(c)
	if err != nil {
		return err
	}
	if err := r.settle(c.Context, spec); err != nil {
		return err
	}
	defer closeBackend(r.o.Backend)
	if err := r.chooseFolder(c); err != nil {
		return err
	}
	return r.run(c.Context, spec)
}

// comparison is one call of `locoprop compare`, or one part of a longer study.
type comparison struct {
	stdout, stderr io.Writer
	json           bool
	o              compare.Options
	e              catalog.Experiment // the problem, with a method that has no part in it
	made           bool               // the folder, by this call
	shown          reporter           // bars, on a terminal
}

func (r *comparison) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if r.shown != nil {
		r.shown.say(line)
		return
	}
	fmt.Fprintln(r.stderr, line)
}

// settle makes the options of what is asked for, with a backend and the data.
func (r *comparison) settle(ctx context.Context, spec *compareSpec) error {
	var err error
	if r.e, _, err = catalog.Resolve(catalog.Layer{Values: spec.problem}); err != nil {
		return &usageError{err}
	}
	if err := locateData(&r.e); err != nil {
		return err
	}
	kernels, err := openBackend(r.e.Backend)
	if err != nil {
		return err
	}
	workers, err := workersFor(r.e.Workers, kernels)
	if err == nil {
		r.o, err = r.options(ctx, spec, kernels, workers)
	}
	if err != nil {
		closeBackend(kernels)
	}
	return err
}

func (r *comparison) options(ctx context.Context, spec *compareSpec, kernels backend.Kernels, workers int) (compare.Options, error) {
	if spec.problem["checkpoint-every"] == "" {
		spec.problem["checkpoint-every"] = compareSaves
	}
	spec.problem["preset"], spec.problem["dataset"] = r.e.Preset, r.e.Dataset
	// What the program found out goes with the problem: another machine's times are others.
	spec.problem["backend"], spec.problem["workers"] = kernels.Info().Name, strconv.Itoa(workers)
	for _, key := range []string{"data", "test-data"} {
		if text := r.e.Values()[key]; text != "" {
			spec.problem[key] = text
		}
	}
	data, err := r.e.LoadData(ctx)
	if err != nil {
		return compare.Options{}, err
	}
	encode := func(e *catalog.Experiment) ([]byte, error) {
		return encodeConfig(e, train.Arithmetic(kernels, e.Block))
	}
	return compare.Options{
		Problem: spec.problem, Contenders: spec.contenders, Seeds: spec.seeds, Length: spec.length, Targets: spec.targets,
		Data: data, Backend: kernels, Machine: thisMachine(kernels), Encode: encode,
		Log: func(text string) { r.say("%s", text) }, OnBegin: r.begin, OnStep: r.step, OnEvaluation: r.evaluation, OnEnd: r.end,
	}, nil
}

// thisMachine is what a result says of where it was made.
func thisMachine(k backend.Kernels) map[string]string {
	info, here := k.Info(), bench.ThisMachine()
	return map[string]string{
		"cpu": or(here.CPU, "model unknown"), "processors": strconv.Itoa(here.CPUs), "system": here.OS + "/" + here.Arch,
		"backend": fmt.Sprintf("%s (%s)", info.Name, info.Detail), "go": here.Go, "locoprop": version(),
	}
}

// chooseFolder settles the folder: the one that is named, or a new one.
func (r *comparison) chooseFolder(c *cli.Context) error {
	r.o.Dir = or(c.String("resume"), c.String("out"))
	if r.o.Dir == "" {
		if c.IsSet("out") {
			return usagef("--out : must be a folder")
		}
		var err error
		r.o.Dir, err = freeFolder(filepath.Join("runs", "compare-"+r.e.Preset))
		r.made = err == nil
		return err
	}
	if train.HoldsRun(r.o.Dir) {
		return usagef("--out %s: the folder holds a run of train; name another", r.o.Dir)
	}
	return nil
}

// run compares and shows the result.
func (r *comparison) run(ctx context.Context, spec *compareSpec) error {
	tell := func() {
		r.say("comparing %s on data set %s, %d seeds, %s each; files go to %s", strings.Join(spec.names(), ", "), r.e.Dataset, len(r.o.Seeds), r.o.Length, r.o.Dir)
	}
	r.o.Prepare = func() (func(), error) {
		undo, err := r.keepSpec(spec)
		if err == nil {
			tell() // from here on it can be gone on with
		}
		return undo, err
	}
	if _, err := os.Stat(filepath.Join(r.o.Dir, compare.JournalName)); err == nil {
		tell()
	}
	result, err := compare.Run(ctx, r.o)
	switch {
	case errors.Is(err, train.ErrInterrupted):
		return fmt.Errorf("%w; go on with: locoprop compare --resume %s", train.ErrInterrupted, quote(r.o.Dir))
	case err != nil:
		if r.made {
			_ = os.Remove(r.o.Dir) // only if empty
		}
		return err
	}
	return r.conclude(result)
}

// keepSpec writes what is compared into a folder that holds no comparison yet. A file of
// somebody's own stays, and stops a comparison that it doesn't describe: --resume would
// read it.
func (r *comparison) keepSpec(spec *compareSpec) (undo func(), err error) {
	path := filepath.Join(r.o.Dir, compareConfig)
	content, err := spec.encode()
	if err != nil {
		return nil, err
	}
	switch was, err := os.ReadFile(path); {
	case errors.Is(err, fs.ErrNotExist):
		return func() { _ = os.Remove(path) }, writeBytes(path, content)
	case err != nil:
		return nil, err
	case !spec.is(path) && !bytes.Equal(was, content):
		return nil, usagef("%s: it describes another comparison, which never began; remove it, or name another folder with --out", path)
	}
	return nil, nil
}

func (r *comparison) begin(j compare.Job) {
	r.say("run %d of %d: %s, seed %d", j.Number, j.Of, j.Contender, j.Seed)
	if terminalWidth(r.stderr) > 0 {
		r.shown = newReporter(r.stderr, &meter{epochs: j.Epochs, batches: j.Batches, all: j.Steps, batch: j.Batch, floor: math.NaN()}, normal)
	}
}

func (r *comparison) step(p train.Progress) {
	if r.shown != nil {
		r.shown.step(p)
	}
}

// evaluation tells of one.
func (r *comparison) evaluation(m train.Metrics) {
	if r.shown != nil {
		r.shown.epoch(m)
		return
	}
	if m.Step == 0 {
		return
	}
	r.say("  step %d, %.1f s: train loss %.4f, test loss %.4f", m.Step, m.Seconds, m.TrainLoss, m.TestLoss)
}

func (r *comparison) end(_ compare.Job, err error) {
	if r.shown != nil {
		r.shown.close()
		r.shown = nil
	}
	if err != nil && !errors.Is(err, train.ErrInterrupted) {
		r.say("  %v", err)
	}
}

// conclude writes the files of a result and shows it.
func (r *comparison) conclude(result *compare.Result) error {
	names, err := result.WriteFiles(r.o.Dir)
	if err != nil {
		return err
	}
	page := comparisonPage(result)
	if err := train.WriteFile(filepath.Join(r.o.Dir, comparePage), page.Write); err != nil {
		return err
	}
	if r.json {
		if err := result.WriteJSON(r.stdout); err != nil {
			return err
		}
	} else if err := r.show(result, append(names, comparePage)); err != nil {
		return err
	}
	if !slices.ContainsFunc(result.Contenders, func(s compare.Summary) bool { return s.Diverged < s.Runs }) {
		return errAllRunsDiverged
	}
	return nil
}

// Size of the plot where there is no terminal to fit it to.
const (
	plotWidth  = 80
	plotHeight = 20
)

func (r *comparison) show(result *compare.Result, names []string) error {
	fmt.Fprintln(r.stdout)
	if err := result.WriteTable(r.stdout); err != nil {
		return err
	}
	width := plotWidth
	if w := terminalWidth(r.stdout); w > 0 {
		width = min(w, 120)
	}
	fmt.Fprintf(r.stdout, "\n%s\n", result.ChartBySeconds().Text(width, plotHeight))
	_, err := fmt.Fprintf(r.stdout, "files in %s: %s\n", r.o.Dir, strings.Join(names, " "))
	return err
}

// comparisonPage is the result as a page.
func comparisonPage(result *compare.Result) report.Page {
	columns, cells := result.Table()
	table := report.Table{Head: columns, Numbers: true}
	for _, row := range cells {
		table.Rows = append(table.Rows, report.Row{Cells: row})
	}
	contenders := report.Table{Head: []string{"contender", "what it is", "settings", "from"}}
	for i := range result.Contenders {
		s := &result.Contenders[i]
		var items []string
		for _, key := range catalog.Keys() {
			if text, named := s.Settings[key]; named {
				items = append(items, key+" "+text)
			}
		}
		contenders.Rows = append(contenders.Rows, report.Row{Cells: []string{s.Name, s.Title, strings.Join(items, ", "), s.Source}})
	}
	return report.Page{
		Title: "Comparison", About: strings.Join(result.Notes(), " "),
		Sections: []report.Section{
			{
				Title: "What was reached", Tables: []report.Table{table},
				Plots: []report.Plot{{Title: "Loss", Log: true, Charts: []report.Chart{result.ChartBySeconds(), result.ChartByEpoch()}}},
			},
			{Title: "Contenders", Tables: []report.Table{contenders}},
			{Title: "Problem and machine", Tables: []report.Table{valuesTable("setting", result.Problem), valuesTable("machine", result.Machine)}},
		},
	}
}

func valuesTable(name string, values map[string]string) report.Table {
	t := report.Table{Head: []string{name, "value"}}
	for _, key := range sortedKeys(values) {
		t.Rows = append(t.Rows, report.Row{Cells: []string{key, values[key]}})
	}
	return t
}
