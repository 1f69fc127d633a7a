package train

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// positions are (epoch, step) of what was evaluated.
func positions(list []Metrics) [][2]int {
	var at [][2]int
	for _, m := range list {
		at = append(at, [2]int{m.Epoch, m.Step})
	}
	return at
}

// What limits and intervals in steps evaluate, and where the run ends.
func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   [][2]int
		batch  int
	}{
		"within an epoch":       {func(c *Config) { c.Steps = 6 }, [][2]int{{0, 0}, {1, 4}, {1, 6}}, 2},
		"at the end of one":     {func(c *Config) { c.Steps, c.EvalEvery = 8, 3 }, [][2]int{{0, 0}, {2, 8}}, 0},
		"within the first":      {func(c *Config) { c.Steps = 1 }, [][2]int{{0, 0}, {0, 1}}, 1},
		"more than epochs":      {func(c *Config) { c.Steps, c.Epochs = 5, 0 }, [][2]int{{0, 0}, {1, 4}, {1, 5}}, 1},
		"evaluated within":      {func(c *Config) { c.EvalSteps = 3 }, [][2]int{{0, 0}, {0, 3}, {1, 4}, {1, 6}, {2, 8}}, 0},
		"by steps alone":        {func(c *Config) { c.EvalSteps, c.EvalEvery = 4, 100 }, [][2]int{{0, 0}, {1, 4}, {2, 8}}, 0},
		"both":                  {func(c *Config) { c.Steps, c.EvalSteps, c.EvalEvery = 7, 3, 2 }, [][2]int{{0, 0}, {0, 3}, {1, 6}, {1, 7}}, 3},
		"no time":               {func(c *Config) { c.TimeLimit = 1 }, [][2]int{{0, 0}, {0, 1}}, 1},
		"no time, and steps":    {func(c *Config) { c.TimeLimit, c.Steps = 1, 3 }, [][2]int{{0, 0}, {0, 1}}, 1},
		"time for everything":   {func(c *Config) { c.TimeLimit = time.Hour }, [][2]int{{0, 0}, {1, 4}, {2, 8}}, 0},
		"a batch to each epoch": {func(c *Config) { c.Batch, c.Steps = testTrain, 2 }, [][2]int{{0, 0}, {1, 1}, {2, 2}}, 0},
	} {
		config := autoencoder(t)
		config.Schedule = schedule.Schedule{Kind: schedule.Linear, Steps: 10}
		c.change(&config)
		var list []Metrics
		config.OnEpoch = func(m Metrics) error { list = append(list, m); return nil }
		trainer, r := run(t, config)
		assert.Equal(t, c.want, positions(list), name)
		assert.Equal(t, c.batch, r.Batch, name)
		assert.True(t, r.Finished, name)
		for _, m := range list[1:] {
			assert.InDelta(t, 1e-4*(1-float64(m.Step-1)/10), m.LR, 1e-12, name)
		}
		again, err := trainer.Run(context.Background())
		require.NoError(t, err)
		assert.Equal(t, r, again, name)
	}
}

// The steps of a run are those of a longer one as far as they go.
func TestStepsOfALongerRun(t *testing.T) {
	short, long := autoencoder(t), autoencoder(t)
	short.Steps = 6
	long.EvalSteps = 6
	var at6 Metrics
	long.OnEpoch = func(m Metrics) error {
		if m.Step == 6 {
			at6 = m
		}
		return nil
	}
	_, r := run(t, short)
	run(t, long)
	assert.Equal(t, timeless(at6), timeless(r.Last))
}

// A run with limits in steps that is stopped after any step and resumed ends as the one
// that wasn't, whatever was evaluated or saved within epochs.
func TestLimitsResume(t *testing.T) {
	config := func() Config {
		c := autoencoder(t)
		c.Steps, c.EvalSteps, c.EvalEvery = 10, 3, 2
		c.CheckpointEvery = schedule.Interval{Steps: 2}
		return c
	}
	straight := t.TempDir()
	want, err := runIn(t, straight, config())
	require.NoError(t, err)
	assert.Equal(t, [][2]int{{0, 0}, {0, 3}, {1, 6}, {2, 8}, {2, 9}, {2, 10}}, positions(history(t, straight)))
	for stop := range 10 {
		dir := filepath.Join(t.TempDir(), "run")
		c := config()
		_, err := runWith(stopAt(&c, stop), t, dir, c)
		require.ErrorIs(t, err, ErrInterrupted, "stop after %d", stop)
		got, err := runIn(t, dir, config())
		require.NoError(t, err)
		assert.Equal(t, timeless(want.Last), timeless(got.Last))
		assert.Equal(t, want.Best, got.Best)
		assert.Equal(t, readFile(t, straight, ModelName), readFile(t, dir, ModelName), "stop after %d", stop)
		assert.Equal(t, history(t, straight), history(t, dir), "stop after %d", stop)
	}
}

// A finished run goes on to a later limit, as if it had been that one's from the start; a
// limit before where it stands is refused.
func TestLimitsMove(t *testing.T) {
	straight, dir := t.TempDir(), t.TempDir()
	config := func(steps int) Config {
		c := autoencoder(t)
		c.Steps, c.EvalEvery = steps, 100
		return c
	}
	_, err := runIn(t, straight, config(9))
	require.NoError(t, err)
	limited := config(9)
	limited.TimeLimit = 1
	r, err := runIn(t, dir, limited)
	require.NoError(t, err)
	require.Equal(t, 1, r.Step)
	_, err = runIn(t, dir, config(6))
	require.NoError(t, err)
	_, err = runIn(t, dir, config(5))
	assert.EqualError(t, err, "training has made 6 steps; it can't end after 5")
	r, err = runIn(t, dir, config(9))
	require.NoError(t, err)
	assert.True(t, r.Finished)
	assert.Equal(t, readFile(t, straight, ModelName), readFile(t, dir, ModelName))
	assert.Equal(t, [][2]int{{0, 0}, {0, 1}, {1, 6}, {2, 9}}, positions(history(t, dir)))
}

// The best evaluation may lie within an epoch.
func TestBestWithinAnEpoch(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	c.EvalSteps = 1
	r, err := runIn(t, dir, c)
	require.NoError(t, err)
	best := Best{}
	for i, m := range history(t, dir) {
		if i == 0 || m.TestLoss < best.TestLoss {
			best = Best{m.Epoch, m.Step, m.TestLoss}
		}
	}
	assert.Equal(t, best, r.Best)
}

func TestStateBytes(t *testing.T) {
	trainer := newTrainer(t, autoencoder(t))
	var want int64
	for _, s := range state(trainer) {
		want += 4*int64(len(s.F32)) + 8*int64(len(s.F64)) + 8*int64(len(s.I64))
	}
	assert.Equal(t, want, trainer.StateBytes())
	assert.Greater(t, want, int64(3*4*(9*7+7+7*3+3+3*9+9)), "weights and two slots")
}
