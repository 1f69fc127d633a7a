package train

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// poison makes a weight NaN after a step, each of so many times that it is made.
func poison(c *Config, step, times int) {
	w := c.Network.Weights()[1]
	c.OnStep = func(p Progress) {
		if p.Step == step && times > 0 {
			times--
			w.Data[0] = float32(math.NaN())
		}
	}
}

// halved is autoencoder at half the rate.
func halved(t *testing.T) Config {
	t.Helper()
	c := autoencoder(t)
	c.Method = locopropMethod(t, locoprop.Matching, 0.5e-4, optimizer.RMSPropTF1)
	return c
}

// rated is a method that says that it has another rate.
type rated struct {
	plan.Method
	rate float64
}

func (m rated) Rate() float64 { return m.rate }

// A NaN after any step stops the run, or has it go on from the newest checkpoint at half
// the rate: as a run that has that rate from there on.
func TestOnDivergence(t *testing.T) {
	require.Equal(t, autoencoder(t).Method.Rate(), 2*halved(t).Method.Rate())
	for step := 1; step <= 2*testBatches; step++ {
		c := autoencoder(t)
		c.CheckpointEvery = schedule.Interval{Steps: 2}
		poison(&c, step, 1)
		dir := t.TempDir()
		_, err := runIn(t, dir, c)
		var d *DivergedError
		require.ErrorAs(t, err, &d, "step %d", step)

		c = autoencoder(t)
		c.CheckpointEvery, c.Rollback = schedule.Interval{Steps: 2}, true
		poison(&c, step, 1)
		var warnings []string
		c.OnWarning = func(err error) { warnings = append(warnings, err.Error()) }
		dir = t.TempDir()
		r, err := runIn(t, dir, c)
		require.NoError(t, err, "step %d", step)
		to := (step - 1) / 2 * 2
		require.Len(t, r.Rollbacks, 1)
		assert.Equal(t, to, r.Rollbacks[0].To, "step %d", step)
		assert.Equal(t, step, r.Rollbacks[0].Step)
		assert.InDelta(t, 0.5e-4, r.Rollbacks[0].Rate, 0)
		assert.Contains(t, r.Rollbacks[0].Found, "found NaN")
		require.Len(t, warnings, 1)
		assert.Contains(t, warnings[0], "diverged ")
		assert.Contains(t, warnings[0], "rolled back to the checkpoint after ")
		assert.True(t, r.Finished)
		assert.Len(t, history(t, dir), 3)
		assert.InDelta(t, 0.5e-4*c.Schedule.At(1, testBatches-1, testBatches), r.Last.LR, 0)
		for _, name := range tree(t, dir) {
			assert.NotContains(t, name, "tmp")
		}

		// The same by hand: to the checkpoint at the one rate, from there at the other.
		a := newTrainer(t, autoencoder(t))
		_, err = a.Run(stopAt(&a.c, to))
		require.ErrorIs(t, err, ErrInterrupted)
		path := filepath.Join(t.TempDir(), "checkpoint")
		require.NoError(t, a.saveTo(lazy{atomicfile.OS}, path))
		b := newTrainer(t, halved(t))
		b.c.Method = rated{b.c.Method, 1e-4} // so that it takes the checkpoint
		require.NoError(t, b.Restore(path))
		_, err = b.Run(context.Background())
		require.NoError(t, err)
		got := newTrainer(t, autoencoder(t))
		require.NoError(t, got.Restore(filepath.Join(dir, CheckpointName)))
		assert.Equal(t, state(b), state(got), "step %d", step)
	}
}

// The clock counts the steps that were in vain: a limit by time stays one.
func TestRollbackTakesTime(t *testing.T) {
	c := autoencoder(t)
	c.CheckpointEvery, c.Rollback = schedule.Interval{Steps: 100}, true
	c.OnWarning = func(error) {}
	poison(&c, 3, 1)
	spoil := c.OnStep
	latest, again := 0.0, false
	c.OnStep = func(p Progress) {
		assert.Greater(t, p.Seconds, latest, "step %d", p.Step)
		again = again || p.Step == 1 && latest > 0
		latest = p.Seconds
		spoil(p)
	}
	r, err := runIn(t, t.TempDir(), c)
	require.NoError(t, err)
	require.Len(t, r.Rollbacks, 1)
	assert.True(t, again, "it went back to the start")
	assert.GreaterOrEqual(t, r.Seconds, latest)
}

// It isn't rolled back for ever, nor where there is nothing to go back to.
func TestRollbacksAreBounded(t *testing.T) {
	c := autoencoder(t)
	c.Rollback = true
	poison(&c, 6, 100)
	dir := t.TempDir()
	r, err := runIn(t, dir, c)
	var d *DivergedError
	require.ErrorAs(t, err, &d)
	assert.Len(t, r.Rollbacks, maxRollbacks)
	assert.InDelta(t, 1e-4/256, d.Rate, 0)
	assert.ErrorContains(t, err, "; the run was rolled back 8 times")
	_, err = runIn(t, dir, c)
	require.ErrorAs(t, err, &d, "the checkpoint remembers")
	assert.Equal(t, maxRollbacks, d.Rollbacks)

	c = autoencoder(t)
	c.Rollback = true
	c.Network.Weights()[0].Data[0] = float32(math.NaN())
	_, err = runIn(t, t.TempDir(), c)
	require.ErrorAs(t, err, &d)
	assert.Zero(t, d.Epoch+d.Rollbacks)

	c = autoencoder(t)
	c.Rollback = true
	poison(&c, 2, 1)
	_, err = newTrainer(t, c).Run(context.Background())
	require.ErrorAs(t, err, &d, "without a folder there are no checkpoints")
}

// Where no rate acts on the method, half of it leads where the whole did: the run stops at
// once and says so.
func TestNoRollbackWithoutRate(t *testing.T) {
	for _, o := range []locoprop.Options{
		{Loss: locoprop.Squared, Form: locoprop.FormExact, Eta: 1, Prox: 1e-3},
		{Loss: locoprop.Squared, Form: locoprop.FormExact, Eta: 1e-3, Prox: locoprop.ProxAuto},
	} {
		m, err := locoprop.New(o)
		require.NoError(t, err)
		c := autoencoder(t)
		c.Method, c.Rollback = m, true
		poison(&c, 6, 100)
		r, err := runIn(t, t.TempDir(), c)
		var d *DivergedError
		require.ErrorAs(t, err, &d)
		assert.Equal(t, o.Prox != locoprop.ProxAuto, d.Rateless)
		if d.Rateless {
			assert.Empty(t, r.Rollbacks)
			assert.ErrorContains(t, err, "found NaN; no rate acts on this method, so that to roll back would lead here again: try a smaller gamma")
		} else {
			assert.Len(t, r.Rollbacks, maxRollbacks)
		}
	}
}

// A loss that isn't finite is rolled back from like weights; the line of it goes.
func TestRollbackOfAnEvaluation(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	c.Loss, c.Network, c.Rollback = loss.Squared, testNetwork(t, transfer.Identity, 9), true
	spoilt := false
	c.OnStep = func(p Progress) {
		if p.Step == 2*testBatches && !spoilt {
			spoilt = true
			for i := range c.Network.Weights()[2].Data {
				c.Network.Weights()[2].Data[i] = 3e38
			}
		}
	}
	r, err := runIn(t, dir, c)
	require.NoError(t, err)
	require.Len(t, r.Rollbacks, 1)
	assert.Contains(t, r.Rollbacks[0].Found, "training loss: found ")
	assert.Equal(t, [2]int{2 * testBatches, testBatches}, [2]int{r.Rollbacks[0].Step, r.Rollbacks[0].To})
	assert.Len(t, history(t, dir), 3)
	assert.NotContains(t, string(readFile(t, dir, MetricsName)), "null")
}

// touchy is a method that diverges in some steps wherever the rate is above a limit.
type touchy struct {
	plan.Method
	limits map[int]float64 // of the schedule's factor, by steps done
}

type touchyStepper struct {
	plan.Stepper
	limits map[int]float64
	step   int
}

func (m touchy) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	s, err := m.Method.Plan(n, l, batch, k)
	return &touchyStepper{Stepper: s, limits: m.limits}, err
}

func (s *touchyStepper) SetStep(step int) { s.step = step }

func (s *touchyStepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	if limit, found := s.limits[s.step]; found && scale > limit {
		return plan.Report{}, &plan.DivergedError{What: "patience", Value: scale}
	}
	return s.Stepper.Step(p, x, t, scale)
}

// A run that is rolled back, three times, ends the same at whatever file operation its
// process ends meanwhile.
func TestDiesWhileRolledBack(t *testing.T) {
	config := func() Config {
		c := autoencoder(t)
		c.Workers, c.Schedule = 1, schedule.Schedule{}
		c.Method = touchy{c.Method, map[int]float64{4: 0.5, 7: 0.125}}
		c.CheckpointEvery, c.Rollback = schedule.Interval{Steps: 3}, true
		return c
	}
	straight := t.TempDir()
	r, err := runIn(t, straight, config())
	require.NoError(t, err)
	var way []int
	for _, b := range r.Rollbacks {
		way = append(way, b.Step, b.To)
	}
	require.Equal(t, []int{4, 4, 7, 6, 7, 6}, way)
	want := newTrainer(t, config())
	require.NoError(t, want.Restore(filepath.Join(straight, CheckpointName)))
	for k, over := 1, false; !over; k += 2 * stride() {
		require.Less(t, k, 300)
		dir := t.TempDir()
		over = runFaulty(t, dir, newFaulty(k, dead), config()) == nil
		r, err := runIn(t, dir, config())
		require.NoError(t, err, "operation %d", k)
		assert.Len(t, r.Rollbacks, 3)
		assert.Equal(t, history(t, straight), history(t, dir), "operation %d", k)
		got := newTrainer(t, config())
		require.NoError(t, got.Restore(filepath.Join(dir, CheckpointName)))
		assert.Equal(t, state(want), state(got), "operation %d", k)
		assert.Equal(t, want.rollbacks, got.rollbacks)
	}
}

// Interrupted between a spoilt step and the next, the run goes back first.
func TestInterruptedAndRolledBack(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	c.Rollback = true
	ctx, cancel := context.WithCancel(context.Background())
	poison(&c, 6, 1)
	spoil := c.OnStep
	c.OnStep = func(p Progress) {
		spoil(p)
		if p.Step == 6 {
			cancel()
		}
	}
	r, err := runWith(ctx, t, dir, c)
	require.ErrorIs(t, err, ErrInterrupted)
	assert.Len(t, r.Rollbacks, 1)
	assert.Equal(t, testBatches, r.Step)
	c.OnStep = nil
	r, err = runIn(t, dir, c)
	require.NoError(t, err)
	assert.Len(t, r.Rollbacks, 1)
}
