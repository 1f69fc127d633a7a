package experiment_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/tune"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// images are small: a problem that costs next to nothing.
func images(t *testing.T) *dataset.Data {
	t.Helper()
	state := uint32(1)
	split := func(n int) dataset.Split {
		pix := make([]byte, 9*n)
		for i := range pix {
			state = state*1664525 + 1013904223
			pix[i] = byte(state >> 24)
		}
		s, err := dataset.NewBytes(pix, []int{3, 3}, 255, nil)
		require.NoError(t, err)
		return s
	}
	return &dataset.Data{Name: "images", Train: split(130), Test: split(40), Height: 3, Width: 3, Scale: 255}
}

func tuner(t *testing.T, contender string) *experiment.Tuner {
	t.Helper()
	c, err := catalog.ContenderNamed(contender)
	require.NoError(t, err)
	return &experiment.Tuner{
		Contender: c, Data: images(t), Trials: 5, Seed: 1, Dir: t.TempDir(),
		Problem: []catalog.Layer{{Values: catalog.Values{"arch": "9,4,9", "epochs": "3", "workers": "2", "seed": "5"}}},
	}
}

// The best settings, trained anew from the start, give the loss that the search found,
// although its trials went on from checkpoints.
func TestTuner(t *testing.T) {
	tr := tuner(t, "adam")
	configs := map[string]string{}
	tr.WriteConfig = func(dir string, e *catalog.Experiment) error {
		configs[filepath.Base(dir)] = e.Values()["lr"]
		return nil
	}
	lengths := map[int]int{}
	tr.OnResult = func(r tune.Result) { lengths[r.Length]++ }
	tuned, err := tr.Run(context.Background())
	require.NoError(t, err)
	assert.Equal(t, map[int]int{130: 5, 390: 4}, lengths, "five to a third; the default, the best and two beside it to the end")
	assert.Equal(t, tune.Budget{Trials: 5, Probes: 2, Full: 390, Length: 390*3 + 4*130 + 260}, tuned.Budget)
	assert.Equal(t, []string{"lr", "test_loss"}, []string{tuned.RateKey, tuned.Metric})
	assert.Equal(t, map[string]string{"lr": "0.002", "optimizer:beta2": "0.95", "batch": "100"}, tuned.Default.Trial.Point)
	for _, r := range tuned.Results {
		assert.Contains(t, []string{"50", "100", "130"}, r.Trial.Point["batch"], "batches are bounded by the data")
	}

	best := tuned.Best.Trial
	rate, err := strconv.ParseFloat(best.Point["lr"], 64)
	require.NoError(t, err)
	assert.Equal(t, []string{tune.Number(rate / 2), tune.Number(2 * rate)}, []string{tuned.Probes[0].Trial.Point["lr"], tuned.Probes[1].Trial.Point["lr"]})
	assert.Equal(t, configs["006"], tune.Number(2*rate))

	e := tuned.Experiment
	assert.Equal(t, best.Point["lr"], e.Values()["lr"])
	assert.Equal(t, 3, e.PlannedEpochs())
	again, _, err := catalog.Resolve(append(tr.Problem, catalog.Layer{Values: tuned.Report().Settings})...)
	require.NoError(t, err)
	again.ScheduleEpochs = e.ScheduleEpochs
	assert.Equal(t, e, again)
	assert.Equal(t, tuned.FullSteps, 3*(130/e.Batch))
	c, err := experiment.Config(&e, tr.Data, nil)
	require.NoError(t, err)
	trainer, err := train.New(t.Context(), c)
	require.NoError(t, err)
	defer trainer.Close()
	r, err := trainer.Run(context.Background())
	require.NoError(t, err)
	assert.Equal(t, r.Last.TestLoss, tuned.Best.Loss)

	for i := range 7 {
		_, err := os.Stat(filepath.Join(experiment.TrialDir(tr.Dir, i), train.CheckpointName))
		assert.Equal(t, i == best.Number, err == nil, "trial %d: of those that ended checkpoints go", i)
		assert.FileExists(t, filepath.Join(experiment.TrialDir(tr.Dir, i), train.MetricsName))
	}
}

// A search that was interrupted, between trials or within one, goes on to the same end.
func TestTunerGoesOn(t *testing.T) {
	want, err := tuner(t, "fast").Run(context.Background())
	require.NoError(t, err)
	assert.Equal(t, []string{"half gamma", "double gamma"}, []string{want.Probes[0].Trial.Label, want.Probes[1].Trial.Label})
	for _, stopAt := range []int{1, 4, 11} {
		tr := tuner(t, "fast")
		ctx, cancel := context.WithCancel(context.Background())
		steps := 0
		tr.OnStep = func(train.Progress) {
			steps++
			if steps == stopAt {
				cancel()
			}
		}
		_, err := tr.Run(ctx)
		require.ErrorIs(t, err, train.ErrInterrupted)
		got, err := tr.Run(context.Background())
		require.NoError(t, err)
		assert.Equal(t, want.Outcome, got.Outcome, "stopped at step %d", stopAt)
		assert.Equal(t, want.Experiment, got.Experiment)
	}
}

// A search whose context has ended looks at no data and leaves no files.
func TestTunerInterruptedAtOnce(t *testing.T) {
	tr := tuner(t, "fast")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := tr.Run(ctx)
	require.ErrorIs(t, err, train.ErrInterrupted)
	entries, err := os.ReadDir(tr.Dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestTunerOfDivergence(t *testing.T) {
	tr := tuner(t, "sgd")
	for key, value := range map[string]string{"loss": "squared", "activation": "identity", "epochs": "9"} {
		tr.Problem[0].Values[key] = value
	}
	tr.Contender.Space = []tune.Dimension{{Key: "lr", Low: 1e-3, High: 1e12, Log: true}}
	tuned, err := tr.Run(context.Background())
	require.NoError(t, err)
	diverged := 0
	for _, r := range tuned.Results {
		if r.Diverged() {
			diverged++
		}
	}
	assert.Positive(t, diverged)
	assert.False(t, tuned.Best.Diverged())
	assert.Less(t, tuned.Experiment.Eta, 1e3)
}

func TestTunerOfDivergenceAlone(t *testing.T) {
	tr := tuner(t, "sgd")
	for key, value := range map[string]string{"loss": "squared", "activation": "identity", "epochs": "9"} {
		tr.Problem[0].Values[key] = value
	}
	tr.Contender.Settings = maps.Clone(tr.Contender.Settings)
	tr.Contender.Settings["lr"] = "1e12"
	tr.Contender.Space = []tune.Dimension{{Key: "lr", Low: 1e11, High: 1e12, Log: true}}
	tuned, err := tr.Run(context.Background())
	require.ErrorIs(t, err, tune.ErrAllDiverged)
	report := tuned.Report()
	assert.Nil(t, report.Best.Loss)
	assert.Nil(t, report.Default.Loss)
}

// Where no trial has begun to learn, the outcome says so.
func TestTunerWarnsOfShortRuns(t *testing.T) {
	const hint = "is hardly below that of giving the mean for every example"
	tr := tuner(t, "sgd")
	tr.Contender.Space = []tune.Dimension{{Key: "lr", Low: 1e-9, High: 1e-8, Log: true}}
	tr.Contender.Settings["lr"] = "1e-9"
	tuned, err := tr.Run(context.Background())
	require.NoError(t, err)
	assert.Contains(t, strings.Join(tuned.Warnings, "\n"), hint)

	tr = tuner(t, "kfac")
	tr.Problem[0].Values["epochs"] = "30"
	tr.Data = brightness(t)
	tuned, err = tr.Run(context.Background())
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(tuned.Warnings, "\n"), hint)
}

// brightness is data with something to learn: images of one grey each.
func brightness(t *testing.T) *dataset.Data {
	t.Helper()
	d := images(t)
	split := func(n int) dataset.Split {
		pix := make([]byte, 9*n)
		for i := range pix {
			pix[i] = byte(37 * (i / 9))
		}
		s, err := dataset.NewBytes(pix, []int{3, 3}, 255, nil)
		require.NoError(t, err)
		return s
	}
	d.Train, d.Test = split(130), split(40)
	return d
}

// Runs of equal steps with other batches can't be compared: the batch stays.
func TestTunerBySteps(t *testing.T) {
	tr := tuner(t, "adam")
	delete(tr.Problem[0].Values, "epochs")
	tr.Problem[0].Values["steps"] = "6"
	var warnings []string
	tr.OnWarning = func(err error) { warnings = append(warnings, err.Error()) }
	tuned, err := tr.Run(context.Background())
	require.NoError(t, err)
	assert.Contains(t, strings.Join(warnings, "\n"), "batch isn't searched, and stays as it is")
	for _, r := range tuned.Results {
		assert.NotContains(t, r.Trial.Point, "batch")
	}
	assert.Equal(t, "100", tuned.Experiment.Values()["batch"])
	assert.NotContains(t, strings.Join(tuned.Report().Space, " "), "batch")
}

func TestTunerWithoutTestExamples(t *testing.T) {
	tr := tuner(t, "sgd")
	tr.Data.Test = nil
	tuned, err := tr.Run(context.Background())
	require.NoError(t, err)
	assert.Equal(t, "train_loss", tuned.Metric)
	assert.False(t, tuned.Best.Diverged())
}

func TestTunerRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(*experiment.Tuner)
		want   string
	}{
		{func(tr *experiment.Tuner) { tr.Problem[0].Values["lr"] = "1" }, "lr is the contender's to choose; a problem has preset, dataset"},
		{func(tr *experiment.Tuner) { tr.Problem[0].Values["epochs"] = "0" }, "the run has no steps; give it one epoch or more"},
		{func(tr *experiment.Tuner) { tr.Problem[0].Values["epochs"] = "x" }, "--epochs x: must be a whole number"},
		{func(tr *experiment.Tuner) { tr.Problem[0].Values["loss"] = "bi-tempered(0.8,1.2)" }, "kfac: loss bi-tempered(0.8,1.2) is no model's likelihood"},
		{func(tr *experiment.Tuner) {
			tr.Contender.Space[0] = tune.Dimension{Key: "lr", Choices: []string{"1", "2"}}
		}, "contender kfac: the first dimension, lr 1 | 2, must be the range of its rate"},
		{func(tr *experiment.Tuner) { tr.Contender.Space = nil }, `contender "kfac" has no space to search`},
	} {
		tr := tuner(t, "kfac")
		c.change(tr)
		_, err := tr.Run(context.Background())
		var wrong *train.ConfigError
		require.ErrorAs(t, err, &wrong)
		assert.ErrorContains(t, err, c.want)
	}
	tr := tuner(t, "kfac")
	tr.Trials = 0
	_, err := tr.Run(context.Background())
	assert.ErrorContains(t, err, "0 trials; must be 1 or more")

	tr = tuner(t, "sgd")
	_, err = tr.Run(context.Background())
	require.NoError(t, err)
	tr.Problem[0].Values["seed"] = "6"
	_, err = tr.Run(context.Background())
	require.ErrorIs(t, err, tune.ErrJournal)
	assert.ErrorContains(t, err, "setting seed is 5 there and 6 here")

	tr.Problem[0].Values["seed"] = "5"
	tr.Data.Test = tr.Data.Train
	_, err = tr.Run(context.Background())
	assert.ErrorContains(t, err, "setting data digest is images, 130 and 40 examples, digest ")
}
