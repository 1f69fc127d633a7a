package experiment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/tune"
)

// Tuner searches for the settings of a contender that suit a problem. All contenders that
// are tuned with the same Trials, Reduction and problem get the same budget.
type Tuner struct {
	Contender catalog.Contender
	// Problem are settings of the run besides the contender's, as catalog.Resolve takes them:
	// those of [catalog.ProblemKeys]. The rate's schedule is as long as the run unless they
	// say otherwise. Where they give the length in steps, a batch in the contender's space isn't
	// searched: of runs of equal steps those with the largest batch see the most examples.
	Problem []catalog.Layer
	Data    *dataset.Data   // of the problem
	Backend backend.Kernels // nil: pure Go

	Trials    int    // trial 0, the default point, and Trials − 1 others
	Reduction int    // see tune.Options; 0 means 3
	Seed      uint32 // of the points; that of the runs is in Problem

	// Dir is a folder for the journal and the trials' runs. Where it holds those of an
	// interrupted search with the same settings, that goes on.
	Dir string
	// WriteConfig writes an experiment's configuration into the folder of a trial; nil: none.
	WriteConfig func(dir string, e *catalog.Experiment) error

	OnStart   func(tune.Budget)             // told of the budget before the first trial
	OnResult  func(tune.Result)             // told of each result
	OnTrial   func(t tune.Trial, steps int) // told of each trial before it runs up to so many steps
	OnStep    func(train.Progress)          // of the run in hand
	OnWarning func(error)                   // as train.Config has it
}

// What trials are compared by, as a run's metrics name it.
const (
	testLoss  = "test_loss"
	trainLoss = "train_loss"
)

// Tuned is what a search has found.
type Tuned struct {
	tune.Outcome
	Contender  catalog.Contender  // with its space as it suits the data
	Settings   catalog.Values     // of the contender at the best point, to be put over any problem
	Experiment catalog.Experiment // the best one
	RateKey    string             // the setting that the probes halve and double
	Metric     string             // what is compared: test_loss; train_loss where there are no test examples
	Unit       string             // of lengths: steps where the problem gives its length in them, else examples
	FullSteps  int                // steps of the best trial's full run
}

// File and folder names within Tuner.Dir.
const (
	TuneJournal = "journal.jsonl"
	trialFolder = "trials"
)

// TrialDir is the folder of a trial's run within that of the search.
func TrialDir(dir string, number int) string {
	return filepath.Join(dir, trialFolder, fmt.Sprintf("%03d", number))
}

// Run searches: see [tune.Search]. Trials are ordinary runs in folders of their own, and
// one that goes on does so from its checkpoint; of those that ended only the metrics
// stay, of the best all. The rate, the first dimension of the contender's space, is
// halved and doubled beside the best point at the end.
//
// An interruption gives an error for which errors.Is finds train.ErrInterrupted. Where an
// error comes, the result has what was reached.
func (t *Tuner) Run(ctx context.Context) (*Tuned, error) {
	s, err := t.prepare(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(t.Dir, trialFolder), 0o777); err != nil {
		return nil, err
	}
	o := tune.Options{
		Space: s.c.Space, Default: s.defaults, Trials: t.Trials, Length: s.length, Reduction: t.Reduction, Seed: t.Seed,
		Evaluate: s.evaluate, Probe: s.probe, Probes: 2,
		Journal: filepath.Join(t.Dir, TuneJournal), Settings: s.settings(),
		OnResult: t.OnResult, OnDropped: func(trial tune.Trial) { t.discard(trial.Number) },
	}
	if t.OnStart != nil {
		t.OnStart(o.Budget())
	}
	outcome, err := tune.Search(ctx, o)
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", train.ErrInterrupted, err)
	}
	tuned := &Tuned{Outcome: outcome, Contender: s.c, RateKey: s.rateKey, Metric: s.metric, Unit: s.unit}
	if err != nil {
		return tuned, err
	}
	for _, r := range slices.Concat(outcome.Results, outcome.Probes) {
		if r.Trial.Number != outcome.Best.Trial.Number {
			t.discard(r.Trial.Number)
		}
	}
	if tuned.Settings, err = s.c.At(outcome.Best.Trial.Point); err != nil {
		return tuned, err
	}
	if tuned.Experiment, err = s.experiment(outcome.Best.Trial); err != nil {
		return tuned, err
	}
	tuned.FullSteps = s.steps(&tuned.Experiment)
	return tuned, s.warnOfShortRuns(ctx, tuned)
}

// discard removes what a trial would need to go on. That it can't be removed is no reason
// to stop.
func (t *Tuner) discard(number int) {
	dir := TrialDir(t.Dir, number)
	for _, name := range []string{filepath.Dir(train.CheckpointName), train.ModelName} {
		_ = os.RemoveAll(filepath.Join(dir, filepath.FromSlash(name)))
	}
}

// tuning is a search that is prepared.
type tuning struct {
	*Tuner
	c        catalog.Contender // with a space that suits the data
	e        catalog.Experiment
	defaults map[string]string
	rateKey  string
	metric   string
	length   int // of a full run
	unit     string
	data     string // what tells the data apart
}

// prepare resolves the problem and what the default point is on it.
func (t *Tuner) prepare(ctx context.Context) (*tuning, error) {
	s := &tuning{Tuner: t, c: t.Contender, metric: testLoss}
	if len(s.c.Space) == 0 {
		return nil, &train.ConfigError{Err: fmt.Errorf("contender %q has no space to search", s.c.Name)}
	}
	if d := s.c.Space[0]; len(d.Choices) > 0 || strings.Contains(d.Key, ":") {
		return nil, &train.ConfigError{Err: fmt.Errorf("contender %s: the first dimension, %v, must be the range of its rate", s.c.Name, d)}
	}
	for _, l := range t.Problem {
		for key := range l.Values {
			if !slices.Contains(catalog.ProblemKeys(), key) {
				return nil, &train.ConfigError{Err: fmt.Errorf("%s is the contender's to choose; a problem has %s", key, strings.Join(catalog.ProblemKeys(), ", "))}
			}
		}
	}
	if t.Data.Test == nil || t.Data.Test.Len() == 0 {
		s.metric = trainLoss
	}
	problem, _, err := catalog.Resolve(t.Problem...)
	if err != nil {
		return nil, &train.ConfigError{Err: err}
	}
	s.rateKey = s.c.Space[0].Key
	s.c = s.c.Suited(t.Data.Train.Len(), problem.Epochs, problem.Steps)
	if s.e, err = s.resolve(s.c.Settings); err != nil {
		return nil, err
	}
	if s.length, s.unit = s.e.Steps, "steps"; s.length == 0 {
		s.length, s.unit = s.e.Epochs*t.Data.Train.Len(), "examples"
	}
	if s.length == 0 || s.steps(&s.e) == 0 {
		return nil, &train.ConfigError{Err: errors.New("the run has no steps; give it one epoch or more")}
	}
	if k := slices.IndexFunc(s.c.Space, func(d tune.Dimension) bool { return d.Key == "batch" }); k >= 0 && s.unit == "steps" {
		s.c.Space = slices.Delete(slices.Clone(s.c.Space), k, k+1)
		if t.OnWarning != nil {
			t.OnWarning(errors.New("the length is in steps, so that the largest batch would see the most examples: batch isn't searched, and stays as it is"))
		}
	}
	if s.data, err = digest(ctx, &s.e, t.Data, t.Backend); err != nil {
		return nil, err
	}
	s.defaults = map[string]string{}
	values := s.e.Values()
	for _, d := range s.c.Space {
		if s.defaults[d.Key] = values[d.Key]; values[d.Key] == "" {
			s.defaults[d.Key] = s.c.Default(d.Key)
		}
	}
	return s, nil
}

// digest tells the data of an experiment apart.
func digest(ctx context.Context, e *catalog.Experiment, d *dataset.Data, k backend.Kernels) (string, error) {
	c, err := Config(e, d, k)
	if err != nil {
		return "", err
	}
	t, err := train.New(ctx, c)
	if err != nil {
		return "", err
	}
	defer t.Close()
	return t.DataDigest(), nil
}

// resolve puts a contender's settings over the problem.
func (s *tuning) resolve(v catalog.Values) (catalog.Experiment, error) {
	e, _, err := catalog.Resolve(s.Problem...)
	if err != nil {
		return e, &train.ConfigError{Err: err}
	}
	length := catalog.Layer{Values: catalog.Values{"schedule-epochs": strconv.Itoa(max(e.Epochs, 1))}}
	if e.Steps > 0 {
		length.Values = catalog.Values{"schedule-steps": strconv.Itoa(e.Steps)}
	}
	layers := append(slices.Clone(s.Problem), catalog.Layer{Source: "contender " + s.c.Name, Values: v})
	if !slices.ContainsFunc(s.Problem, func(l catalog.Layer) bool {
		return l.Values["schedule-epochs"] != "" || l.Values["schedule-steps"] != ""
	}) {
		layers = append(layers, length)
	}
	if e, _, err = catalog.Resolve(layers...); err != nil {
		return e, &train.ConfigError{Err: err}
	}
	return e, nil
}

// experiment is that of a trial.
func (s *tuning) experiment(trial tune.Trial) (catalog.Experiment, error) {
	point, probed := maps.Clone(trial.Point), ""
	if trial.Label != "" { // its rate may lie outside the space
		probed = point[s.rateKey]
		delete(point, s.rateKey)
	}
	v, err := s.c.At(point)
	if err != nil {
		return catalog.Experiment{}, err
	}
	if probed != "" {
		v[s.rateKey] = probed
	}
	return s.resolve(v)
}

// steps is the number of steps of a full run.
func (s *tuning) steps(e *catalog.Experiment) int {
	if e.Steps > 0 {
		return e.Steps
	}
	return e.Epochs * e.Batches(s.Data.Train.Len())
}

// probe halves and doubles the rate.
func (s *tuning) probe(best tune.Result) []tune.Trial {
	rate, err := strconv.ParseFloat(best.Trial.Point[s.rateKey], 64)
	if err != nil {
		panic("experiment: the rate of a trial is no number") // can't happen: its dimension is a range
	}
	beside := func(label string, rate float64) tune.Trial {
		point := maps.Clone(best.Trial.Point)
		point[s.rateKey] = tune.Number(rate)
		return tune.Trial{Label: label, Point: point}
	}
	name := "the rate"
	if s.rateKey != "lr" { // which then is a rate of another kind
		name = s.rateKey
	}
	return []tune.Trial{beside("half "+name, rate/2), beside("double "+name, 2*rate)}
}

// settings are those that results depend on beside the points.
func (s *tuning) settings() map[string]string {
	v := map[string]string(s.e.Values())
	for _, key := range []string{"workers", "keep", "checkpoint-every", "eval-every", "eval-steps", "on-divergence"} {
		delete(v, key)
	}
	v["contender"], v["metric"], v["data digest"] = s.c.Name, s.metric, s.data
	return v
}

// evaluate runs a trial to a length and measures it.
func (s *tuning) evaluate(ctx context.Context, trial tune.Trial, length int) (loss float64, err error) {
	e, err := s.experiment(trial)
	if err != nil {
		return 0, err
	}
	c, err := Config(&e, s.Data, s.Backend)
	if err != nil {
		return 0, err
	}
	// It stops within an epoch if need be, and is evaluated there alone.
	all := s.steps(&e)
	c.Steps = max(int(math.Ceil(float64(all)*(float64(length)/float64(s.length)))), 1)
	c.EvalEvery, c.EvalSteps, c.Keep, c.TimeLimit = catalog.MaxCount, 0, 1, 0
	c.Rollback = false // a trial that diverges is to be seen
	c.OnStep, c.OnWarning = s.OnStep, s.OnWarning
	if s.OnTrial != nil {
		s.OnTrial(trial, c.Steps)
	}
	t, err := train.New(ctx, c)
	if err != nil {
		return 0, err
	}
	defer t.Close()
	dir := TrialDir(s.Dir, trial.Number)
	folder, err := openOrCreate(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	if err := folder.Attach(t); err != nil {
		return 0, err
	}
	if s.WriteConfig != nil {
		if err := s.WriteConfig(dir, &e); err != nil {
			return 0, err
		}
	}
	result, err := t.Run(ctx)
	var diverged *train.DivergedError
	switch {
	case errors.As(err, &diverged):
		return math.NaN(), nil
	case err != nil:
		return 0, fmt.Errorf("trial %d: %w", trial.Number, err)
	case s.metric == trainLoss:
		return result.Last.TrainLoss, nil
	}
	return result.Last.TestLoss, nil
}

// learnt is the share of the mean predictor's loss that a search has to come below for
// its trials to be told apart by more than chance.
const learnt = 0.99

// warnOfShortRuns warns where no trial has begun to learn.
func (s *tuning) warnOfShortRuns(ctx context.Context, tuned *Tuned) error {
	e := &tuned.Experiment
	mean, test, err := train.MeanPredictor(ctx, s.Data, e.Target, e.Loss, train.Compute{Backend: s.Backend, Workers: e.Workers})
	if err != nil {
		return err
	}
	if s.metric == testLoss {
		mean = test
	}
	if tuned.Best.Loss > learnt*mean {
		tuned.Warnings = append(tuned.Warnings, fmt.Sprintf("the best loss, %s, is hardly below that of giving the mean for every example, %s: "+
			"these runs are too short to tell settings apart", tune.Number(tuned.Best.Loss), tune.Number(mean)))
	}
	return nil
}

// openOrCreate opens the folder of a run, or makes it where there is none.
func openOrCreate(dir string) (*train.Folder, error) {
	if train.HoldsRun(dir) {
		return train.Open(dir)
	}
	return train.Create(dir)
}
