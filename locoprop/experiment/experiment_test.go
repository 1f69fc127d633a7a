package experiment_test

import (
	"context"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func resolve(t *testing.T, v catalog.Values) catalog.Experiment {
	t.Helper()
	e, _, err := catalog.Resolve(catalog.Layer{Values: v})
	require.NoError(t, err)
	return e
}

func TestConfig(t *testing.T) {
	e := resolve(t, catalog.Values{
		"arch": "784,8,784", "batch": "50", "steps": "3", "eval-steps": "2", "time-limit": "1h", "seed": "9", "workers": "1",
		"method": "kbfgs", "checkpoint-every": "2steps", "keep": "4", "on-divergence": "rollback",
	})
	c, err := experiment.Config(&e, dataset.Curves(1, 60, 10), nil)
	require.NoError(t, err)
	assert.Equal(t, []int{3, 2, 50, 9, 1, 4, 2}, []int{c.Steps, c.EvalSteps, c.Batch, int(c.Seed), c.Workers, c.Keep, c.CheckpointEvery.Steps})
	assert.True(t, c.Rollback)
	assert.Equal(t, 3, c.Schedule.Steps)
	assert.Contains(t, c.Settings["method"], "kbfgs:")
	assert.NotContains(t, c.Settings, "lr")
	trainer, err := train.New(t.Context(), c)
	require.NoError(t, err)
	defer trainer.Close()
	r, err := trainer.Run(context.Background())
	require.NoError(t, err)
	assert.Equal(t, 3, r.Step)
}

func TestConfigRefuses(t *testing.T) {
	for want, v := range map[string]catalog.Values{
		"--batch 61: must be 1 to 60, the number of training examples":             {"batch": "61"},
		"arch 5,8,784: the first width is 5; the data have 784 values per example": {"arch": "5,8,784"},
	} {
		e := resolve(t, v)
		_, err := experiment.Config(&e, dataset.Curves(1, 60, 10), nil)
		var wrong *train.ConfigError
		assert.ErrorAs(t, err, &wrong)
		assert.EqualError(t, err, want)
	}
}
