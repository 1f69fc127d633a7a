package train

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// keepLast are runs that train on the last 20 of 300 examples, or on the last one.
func keepLast(t *testing.T) map[string]Config {
	t.Helper()
	metric, err := locoprop.New(locoprop.Options{Form: locoprop.FormMetric, WeightDecay: 1e-3})
	require.NoError(t, err)
	memory, err := locoprop.New(locoprop.Options{Eta: 1e-4, Momentum: locoprop.Momentum{Factor: 0.5, Examples: testTrain}, Diagnose: 3})
	require.NoError(t, err)
	all := map[string]Config{}
	for name, m := range map[string]plan.Method{
		"rmsprop": locopropMethod(t, locoprop.Matching, 1e-4, optimizer.RMSPropTF1), "metric": metric,
		"momentum on D": memory, "backprop": backpropMethod(t, 1e-3, optimizer.ScheduleFree),
	} {
		for _, batch := range []int{testBatch, 23} { // 300 = 4·70 + 20 = 13·23 + 1
			c := autoencoder(t)
			c.Method, c.Batch, c.KeepLast = m, batch, true
			if batch == 23 {
				name += ", 1 left"
			}
			all[name] = c
		}
	}
	return all
}

// A short batch is a step like the others: of the epoch, of the schedule, of the loss.
func TestKeepLastCounts(t *testing.T) {
	for name, c := range keepLast(t) {
		batches := (testTrain + c.Batch - 1) / c.Batch
		var rates []float64
		c.OnStep = func(p Progress) {
			assert.Equal(t, batches, p.Batches)
			rates = append(rates, p.Rate)
		}
		trainer, r := run(t, c)
		assert.Equal(t, 2*batches, r.Step, name)
		assert.Equal(t, batches, r.Batches)
		require.Len(t, rates, 2*batches)
		last := c.Method.Rate() * c.Schedule.At(1, batches-1, batches)
		assert.Equal(t, last, rates[2*batches-1])
		assert.Equal(t, last, r.Last.LR)
		assert.False(t, math.IsNaN(r.Last.TrainLoss))
		assert.Equal(t, r.Step, trainer.Result().Step)
	}
}

// Interrupted after any step, before and after short ones, the run ends as without.
func TestKeepLastResumes(t *testing.T) {
	for name, c := range keepLast(t) {
		batches := (testTrain + c.Batch - 1) / c.Batch
		config := func() Config {
			x := c
			x.Network = autoencoder(t).Network
			return x
		}
		straight, _ := run(t, config())
		want := modelBytes(t, straight)
		for _, stop := range []int{1, batches - 1, batches, batches + 1, 2*batches - 1} {
			dir := filepath.Join(t.TempDir(), "run")
			first := config()
			_, err := runWith(stopAt(&first, stop), t, dir, first)
			require.ErrorIs(t, err, ErrInterrupted)
			again := config()
			again.Workers = 3
			_, err = runIn(t, dir, again)
			require.NoError(t, err)
			assert.Equal(t, want, readFile(t, dir, ModelName), "%s, stopped after %d", name, stop)
		}
	}
}

// Where B divides the examples nothing is kept or dropped, and the runs are the same one;
// where it doesn't they aren't, and a checkpoint of the one isn't of the other.
func TestKeepLastIsAnotherRun(t *testing.T) {
	for batch, same := range map[int]bool{50: true, testBatch: false} {
		c := autoencoder(t)
		c.Batch = batch
		dropped, _ := run(t, c)
		path := filepath.Join(t.TempDir(), "checkpoint")
		require.NoError(t, dropped.Save(path))
		c = autoencoder(t)
		c.Batch, c.KeepLast = batch, true
		kept, _ := run(t, c)
		assert.Equal(t, same, string(modelBytes(t, dropped)) == string(modelBytes(t, kept)))
		if err := kept.Restore(path); same {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, "last batch is not set there and 20 examples here")
		}
	}
}

func TestKeepLastDoesNotAllocate(t *testing.T) {
	for name, c := range keepLast(t) {
		c.Workers = 1
		trainer, _ := run(t, c)
		trainer.order = trainer.order[:testTrain]
		assert.Zero(t, testing.AllocsPerRun(5, func() {
			for trainer.batch = 0; trainer.batch < trainer.batches; {
				if trainer.makeStep() != nil {
					t.Error("step failed")
				}
			}
		}), name)
	}
}
