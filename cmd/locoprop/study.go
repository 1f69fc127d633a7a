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

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/compare"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/journal"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/tune"
	"github.com/urfave/cli/v2"
)

// Files and folders of a study, relative to its folder.
const (
	studyJournal = "steps.jsonl" // how many steps of each contender fit into its time
	studyTuning  = "tune"
	studyFinals  = "compare"
)

// Seeds of tuning, others than those of the finals.
const (
	tuningSeed = 1000
	pointsSeed = 1
)

// studyCommand is what `make comparison` runs, in the folder of the source.
func studyCommand() *cli.Command {
	return &cli.Command{
		Name:      "study",
		Usage:     "tune contenders with equal budgets on several problems, compare the tuned ones, and write the page on it",
		UsageText: "locoprop study --config FILE --out FOLDER [--page FILE]",
		Hidden:    true,
		Description: "Everything is resumable by the same command. For each problem: how many steps of each contender fit into the planned\n" +
			"time is measured; its settings but the batch are tuned for runs of that length; and runs of the best settings\n" +
			"are compared. The page says what came of it, with charts beside it.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "`FILE` that says what is studied", Required: true},
			&cli.StringFlag{Name: "out", Usage: "`FOLDER` for everything", Required: true},
			&cli.StringFlag{Name: "page", Usage: "`FILE` of Markdown to write at the end", DefaultText: "none"},
		},
		Action: studyAction,
	}
}

// study is one call of `locoprop study`.
type study struct {
	stdout, stderr io.Writer
	file           studyFile
	contenders     []catalog.Contender
	out, page      string
	steps          map[string]map[string]int // by problem and contender
	journal        *journal.File             // of them
}

// studied is what came of a problem.
type studied struct {
	studyProblem
	tuned  []experiment.TuneReport // in the order of the contenders
	steps  map[string]int
	result *compare.Result
}

func studyAction(c *cli.Context) error {
	s := &study{stdout: c.App.Writer, stderr: c.App.ErrWriter, out: c.String("out"), page: c.String("page")}
	if err := s.read(c.String("config")); err != nil {
		return err
	}
	var problems []*comparison
	defer func() {
		for _, r := range problems {
			closeBackend(r.o.Backend)
		}
	}()
	for i := range s.file.Problems { // all data before any work
		r, err := s.settle(c.Context, &s.file.Problems[i])
		if err != nil {
			return fmt.Errorf("problem %s: %w", s.file.Problems[i].Name, err)
		}
		problems = append(problems, r)
	}
	if err := os.MkdirAll(s.out, 0o777); err != nil {
		return fmt.Errorf("folder of the study: %w", err)
	}
	if err := s.openSteps(); err != nil {
		return err
	}
	defer s.journal.Close() // every line is on the disk
	var results []studied
	for i, r := range problems {
		x, err := s.study(c.Context, &s.file.Problems[i], r)
		switch {
		case errors.Is(err, train.ErrInterrupted):
			return fmt.Errorf("%w; go on with the same command, files are in %s", train.ErrInterrupted, quote(s.out))
		case err != nil:
			return fmt.Errorf("problem %s: %w", s.file.Problems[i].Name, err)
		}
		results = append(results, x)
	}
	if s.page == "" {
		return nil
	}
	if err := s.writePage(results); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.stdout, "\nwrote %s\n", s.page)
	return err
}

// settle makes a comparison of a problem, with its data and without contenders.
func (s *study) settle(ctx context.Context, p *studyProblem) (*comparison, error) {
	spec := &compareSpec{problem: catalog.Values{}}
	if p.Settings != nil {
		if err := spec.takeProblem("problem "+p.Name, p.Settings); err != nil {
			return nil, err
		}
	}
	if spec.length = (compare.Length{Time: seconds(p.Seconds)}); s.file.Seeds != nil {
		for _, v := range s.file.Seeds {
			spec.seeds = append(spec.seeds, uint32(v))
		}
	}
	spec.targets = p.TargetLoss
	r := &comparison{stdout: s.stdout, stderr: s.stderr}
	if err := r.settle(ctx, spec); err != nil {
		return nil, err
	}
	r.o.Evaluations = s.file.Evaluations
	r.o.Dir = filepath.Join(s.out, p.Name, studyFinals)
	return r, nil
}

// study tunes and compares on one problem.
func (s *study) study(ctx context.Context, p *studyProblem, r *comparison) (studied, error) {
	x := studied{studyProblem: *p, steps: s.steps[p.Name]}
	if x.steps == nil {
		x.steps = map[string]int{}
	}
	for _, c := range s.contenders {
		if err := s.fit(ctx, p, r, &c, x.steps); err != nil {
			return x, err
		}
		tuned, err := s.tune(ctx, p, r, c, x.steps[c.Name])
		if err != nil && !errors.Is(err, tune.ErrAllDiverged) {
			return x, fmt.Errorf("%s: %w", c.Name, err)
		}
		report := tuned.Report()
		if err := keepReport(filepath.Join(s.out, p.Name, studyTuning, c.Name), &report); err != nil {
			return x, err
		}
		x.tuned = append(x.tuned, report)
		best := tuned.Contender.Settings // where all diverged, which the comparison will show
		if err == nil {
			best, err = tuned.Contender.At(tuned.Best.Trial.Point)
		}
		if err != nil && !errors.Is(err, tune.ErrAllDiverged) {
			return x, err
		}
		r.o.Contenders = append(r.o.Contenders, compare.Contender{Name: c.Name, Title: c.Title, Source: c.Source, Settings: best})
	}
	r.o.Fitting = x.steps
	r.say("problem %s: comparing what tuning gave; files go to %s", p.Name, r.o.Dir)
	var err error
	if x.result, err = compare.Run(ctx, r.o); err != nil {
		return x, err
	}
	fmt.Fprintf(s.stdout, "\n%s\n", p.Title)
	if err := x.result.WriteTable(s.stdout); err != nil {
		return x, err
	}
	_, err = x.result.WriteFiles(r.o.Dir)
	return x, err
}

// fit measures how many steps of a contender's default point fit into the planned time,
// once.
func (s *study) fit(ctx context.Context, p *studyProblem, r *comparison, c *catalog.Contender, known map[string]int) error {
	if known[c.Name] > 0 {
		return nil
	}
	load := compare.LoadAverage()
	r.say("problem %s, %s: measuring the time of a step; the machine has a load of %.1f", p.Name, c.Name, load)
	steps, perStep, err := compare.Fit(ctx, r.o, &compare.Contender{Name: c.Name, Settings: c.Settings, Suited: true})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	known[c.Name] = steps
	r.say("problem %s, %s: %.4g s a step, so that %d steps fit into %g s", p.Name, c.Name, perStep, steps, p.Seconds)
	return s.journal.Add(studySteps{Problem: p.Name, Seconds: p.Seconds, Contender: c.Name, Steps: steps, StepSeconds: perStep, Load: load})
}

// tune searches for a contender's settings for runs of so many steps. The batch stays, so
// that every trial takes the planned time.
func (s *study) tune(ctx context.Context, p *studyProblem, r *comparison, c catalog.Contender, steps int) (*experiment.Tuned, error) {
	c.Space = slices.DeleteFunc(slices.Clone(c.Space), func(d tune.Dimension) bool { return d.Key == "batch" })
	problem := []catalog.Layer{
		{Source: "problem", Values: r.o.Problem},
		{Source: "study", Values: catalog.Values{"steps": strconv.Itoa(steps), "seed": strconv.Itoa(tuningSeed)}},
	}
	t := &experiment.Tuner{
		Contender: c, Problem: problem, Data: r.o.Data, Backend: r.o.Backend,
		Trials: s.file.Trials, Reduction: s.file.Halving, Seed: pointsSeed, Dir: filepath.Join(s.out, p.Name, studyTuning, c.Name),
		WriteConfig: writeConfigTo,
		OnWarning:   func(err error) { r.say("warning: %v", err) },
	}
	full := 0
	t.OnStart = func(b tune.Budget) {
		full = b.Full
		r.say("problem %s, %s: tuning, %d trials and %d beside the best of %d steps", p.Name, c.Name, b.Trials, b.Probes, steps)
	}
	t.OnResult = func(res tune.Result) { r.say("  %s", describeResult(res, full)) }
	return t.Run(ctx)
}

// keepReport writes what tuning found beside its trials.
func keepReport(dir string, report *experiment.TuneReport) error {
	return train.WriteFile(filepath.Join(dir, tuneReport), func(w io.Writer) error { return encodeReport(w, report, "  ") })
}

// studySteps is a line of a study's journal.
type studySteps struct {
	Problem     string  `json:"problem"`
	Seconds     float64 `json:"seconds"` // planned
	Contender   string  `json:"contender"`
	Steps       int     `json:"steps"` // that fit into them
	StepSeconds float64 `json:"step_seconds"`
	Load        float64 `json:"load,omitempty"` // of the machine, when that was measured
}

// openSteps reads the journal and opens it for more.
func (s *study) openSteps() error {
	s.steps = map[string]map[string]int{}
	var other error
	var err error
	s.journal, err = openJournal(filepath.Join(s.out, studyJournal), func(line []byte, _ int) error {
		var x studySteps
		if err := json.Unmarshal(line, &x); err != nil {
			return err
		}
		if x.Steps < 1 {
			return fmt.Errorf("%d steps of contender %q; must be 1 or more", x.Steps, x.Contender)
		}
		for _, p := range s.file.Problems {
			if p.Name == x.Problem && p.Seconds != x.Seconds {
				other = usagef("%s holds another study: problem %s has %g seconds there and %g here", s.out, p.Name, x.Seconds, p.Seconds)
			}
		}
		if s.steps[x.Problem] == nil {
			s.steps[x.Problem] = map[string]int{}
		}
		s.steps[x.Problem][x.Contender] = x.Steps
		return nil
	})
	if err == nil && other != nil {
		err = errors.Join(other, s.journal.Close())
	}
	return err
}

// openJournal is journal.Open for a command, where a journal in use is wrong usage.
func openJournal(path string, take func(line []byte, number int) error) (*journal.File, error) {
	f, err := journal.Open(path, take)
	if errors.Is(err, journal.ErrInUse) {
		return nil, &usageError{err}
	}
	return f, err
}
