package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func methods(t *testing.T) map[string]plan.Method {
	t.Helper()
	return map[string]plan.Method{
		"locoprop-m rmsprop tf1":   locopropMethod(t, locoprop.Matching, 1e-4, optimizer.RMSPropTF1),
		"locoprop-m adamw":         locopropMethod(t, locoprop.Matching, 1e-3, optimizer.AdamW),
		"locoprop-m sgd":           locopropMethod(t, locoprop.Matching, 1e-3, optimizer.SGD),
		"locoprop-s nesterov":      locopropMethod(t, locoprop.Squared, 1e-3, optimizer.Nesterov),
		"locoprop-s rmsprop torch": locopropMethod(t, locoprop.Squared, 1e-4, optimizer.RMSPropTorch),
		"backprop adam":            backpropMethod(t, 1e-2, optimizer.AdamTorch),
		"backprop adagrad":         backpropMethod(t, 1e-2, optimizer.AdaGrad),
		"backprop momentum":        backpropMethod(t, 1e-2, optimizer.Momentum),
	}
}

// The same bits for 1, 2, 3 and 7 workers and in a second run, and another result for
// another seed: weights, optimiser state and losses.
func TestWorkersDontChangeBits(t *testing.T) {
	for name, method := range methods(t) {
		t.Run(name, func(t *testing.T) {
			go1 := func(workers int, seed uint32) (*Trainer, Result) {
				c := autoencoder(t)
				c.Method, c.Workers, c.Seed = method, workers, seed
				return run(t, c)
			}
			first, want := go1(1, 7)
			for _, workers := range []int{1, 2, 3, 7} {
				other, got := go1(workers, 7)
				assert.Equal(t, state(first), state(other), "%d workers", workers)
				assert.Equal(t, modelBytes(t, first), modelBytes(t, other))
				assert.Equal(t, timeless(want.Last), timeless(got.Last))
			}
			other, _ := go1(1, 8)
			assert.NotEqual(t, modelBytes(t, first), modelBytes(t, other))
			fresh := autoencoder(t)
			assert.NotEqual(t, fresh.Network.Weights(), first.c.Network.Weights())
		})
	}
}

// timeless is Metrics without what the clock gave.
func timeless(m Metrics) Metrics {
	m.Seconds, m.EvalSeconds = 0, 0
	return m
}

func TestTrainingLowersTheLoss(t *testing.T) {
	for name, c := range map[string]Config{"input": autoencoder(t), "label": classifier(t)} {
		c.Epochs, c.Schedule = 15, schedule.Schedule{}
		c.Method = backpropMethod(t, 2e-2, optimizer.AdamTorch)
		var history []Metrics
		c.OnEpoch = func(m Metrics) error { history = append(history, m); return nil }
		_, r := run(t, c)
		require.Len(t, history, 16)
		first, last := history[0], r.Last
		assert.Less(t, last.TrainExcess, 0.95*first.TrainExcess, name)
		assert.Less(t, last.TestExcess, 0.95*first.TestExcess, name)
		if name == "label" {
			assert.Greater(t, *last.TrainAccuracy, 0.6)
			assert.Greater(t, *last.TestAccuracy, 0.6)
		} else {
			assert.Nil(t, last.TrainAccuracy)
			assert.Nil(t, last.TestAccuracy)
		}
	}
}

// What is reported when, and that the numbers mean what they say.
func TestReports(t *testing.T) {
	c := autoencoder(t)
	c.Epochs, c.EvalEvery = 5, 2
	var metrics []Metrics
	var steps []Progress
	c.OnEpoch = func(m Metrics) error { metrics = append(metrics, m); return nil }
	c.OnStep = func(p Progress) { steps = append(steps, p) }
	trainer, r := run(t, c)

	var epochs []int
	for _, m := range metrics {
		epochs = append(epochs, m.Epoch)
		assert.Equal(t, testBatches*m.Epoch, m.Step)
		assert.InDelta(t, r.TrainFloor, m.TrainLoss-m.TrainExcess, 1e-12)
		assert.InDelta(t, r.TestFloor, m.TestLoss-m.TestExcess, 1e-12)
		want := 0.0
		if m.Epoch > 0 {
			want = 1e-4 * c.Schedule.At(m.Epoch-1, testBatches-1, testBatches)
		}
		assert.InDelta(t, want, m.LR, 0)
	}
	assert.Equal(t, []int{0, 2, 4, 5}, epochs, "epoch 0, every second, and the last")
	assert.Equal(t, metrics[3], r.Last)
	assert.Equal(t, [4]int{5, 0, testBatches, 5 * testBatches}, [4]int{r.Epoch, r.Batch, r.Batches, r.Step})
	assert.Equal(t, [2]int{testTrain, testTest}, [2]int{r.TrainLen, r.TestLen})
	assert.Equal(t, 9*7+7+7*3+3+3*9+9, r.Parameters)
	assert.True(t, r.Finished)
	assert.Positive(t, r.Seconds)
	assert.Positive(t, r.EvalSeconds)

	require.Len(t, steps, 5*testBatches)
	for i, p := range steps {
		assert.Equal(t, Progress{
			Epoch: 1 + i/testBatches, Batch: 1 + i%testBatches, Batches: testBatches, Step: 1 + i,
			Loss: p.Loss, Rate: 1e-4 * c.Schedule.At(i/testBatches, i%testBatches, testBatches), Seconds: p.Seconds,
		}, p)
		assert.Positive(t, p.Loss)
		assert.LessOrEqual(t, p.Seconds, r.Seconds)
	}
	assert.Equal(t, 2, trainer.Workers())
	assert.Len(t, trainer.Explain(), 3)

	again, err := trainer.Run(context.Background())
	require.NoError(t, err)
	assert.Equal(t, r, again, "a finished run has nothing to do")
	assert.Len(t, metrics, 4)
}

func TestNoEpochs(t *testing.T) {
	c := autoencoder(t)
	c.Epochs = 0
	before := modelBytes(t, newTrainer(t, c))
	calls := 0
	c.OnEpoch = func(Metrics) error { calls++; return nil }
	trainer, r := run(t, c)
	assert.Equal(t, before, modelBytes(t, trainer))
	assert.Equal(t, 1, calls)
	assert.True(t, r.Finished)
	assert.Zero(t, r.Last.LR)
	assert.Zero(t, r.Step)
}

// Each epoch visits the examples in its own order, and each example at most once.
func TestOrder(t *testing.T) {
	c := autoencoder(t)
	trainer := newTrainer(t, c)
	var seen [2][]float32
	trainer.c.OnStep = func(p Progress) {
		for r := range trainer.x.Rows {
			seen[p.Epoch-1] = append(seen[p.Epoch-1], row(trainer.x, r)...)
		}
	}
	_, err := trainer.Run(context.Background())
	require.NoError(t, err)
	assert.Len(t, seen[0], testBatches*testBatch*9)
	assert.NotEqual(t, seen[0], seen[1])
	for e, values := range seen {
		distinct := map[[9]float32]bool{}
		for i := 0; i < len(values); i += 9 {
			distinct[[9]float32(values[i:])] = true
		}
		assert.Len(t, distinct, testBatches*testBatch, "epoch %d", e)
	}
}

func TestStepsDontAllocate(t *testing.T) {
	for name, c := range map[string]Config{"input": autoencoder(t), "label": classifier(t)} {
		for kind, method := range methods(t) {
			c.Method, c.Workers = method, 3
			c.Network.Init(nn.Glorot, 1)
			c.OnStep = func(Progress) {}
			trainer := newTrainer(t, c)
			step := func() {
				trainer.batch = 0
				if err := trainer.makeStep(); err != nil {
					t.Fatal(err)
				}
			}
			for i := range trainer.order {
				trainer.order[i] = i
			}
			for range 10 {
				step()
			}
			assert.Zero(t, testing.AllocsPerRun(20, step), "%s, %s", name, kind)
		}
	}
}

func TestOnEpochEndsTheRun(t *testing.T) {
	errEnough := errors.New("enough")
	want, _ := run(t, autoencoder(t))
	for stop := range 3 {
		c := autoencoder(t)
		c.OnEpoch = func(m Metrics) error {
			if m.Epoch == stop {
				return errEnough
			}
			return nil
		}
		trainer := newTrainer(t, c)
		r, err := trainer.Run(context.Background())
		require.ErrorIs(t, err, errEnough)
		assert.Equal(t, stop, r.Epoch)
		_, err = trainer.Run(context.Background())
		require.NoError(t, err)
		assert.Equal(t, state(want), state(trainer))
	}
}

func TestDiverged(t *testing.T) {
	c := autoencoder(t)
	c.Schedule = schedule.Schedule{}
	c.Method = locopropMethod(t, locoprop.Squared, 1e30, optimizer.SGD)
	trainer := newTrainer(t, c)
	_, err := trainer.Run(context.Background())
	var d *DivergedError
	require.ErrorAs(t, err, &d)
	assert.Equal(t, 1, d.Epoch)
	assert.Equal(t, 2, d.Batch, "the first step spoils the weights, the second finds it")
	assert.Equal(t, 1, d.Step)
	var where *plan.DivergedError
	require.ErrorAs(t, err, &where)
	assert.Equal(t, "pre-activations", where.What)
	assert.Equal(t, fmt.Sprintf("diverged in epoch 1, batch 2 of 4, after 1 steps: pre-activations of layer %d: found %v; "+
		"try a smaller learning rate (now η = 1e+30) or more warm-up steps", where.Layer, where.Value), err.Error())
	_, again := trainer.Run(context.Background())
	assert.Equal(t, err, again, "there is no going on")
}

// Weights that leave the finite numbers in the last step of an epoch are found before
// anything else is done with them.
func TestDivergedAtTheEndOfAnEpoch(t *testing.T) {
	c := autoencoder(t)
	spoil := func(p Progress) {
		if p.Step == 2*testBatches {
			c.Network.Weights()[1].Data[3] = float32(math.NaN())
		}
	}
	c.OnStep = spoil
	_, err := newTrainer(t, c).Run(context.Background())
	assert.EqualError(t, err, "diverged at the end of epoch 2, after 8 steps: weights of layer 1: found NaN; "+
		"try a smaller learning rate (now η = 0.0001) or more warm-up steps")
}

func TestDivergedFromTheStart(t *testing.T) {
	c := autoencoder(t)
	c.Network.Weights()[0].Data[0] = float32(math.NaN())
	var seen []Metrics
	c.OnEpoch = func(m Metrics) error { seen = append(seen, m); return nil }
	_, err := newTrainer(t, c).Run(context.Background())
	var d *DivergedError
	require.ErrorAs(t, err, &d)
	assert.ErrorContains(t, err, "initial weights give no finite loss: training loss: found NaN")
	require.Len(t, seen, 1)
	assert.True(t, math.IsNaN(seen[0].TrainLoss))
}

// brokenMethod's second step fails halfway.
type brokenMethod struct{ plan.Method }

type brokenStepper struct {
	plan.Stepper
	steps int
}

var errBroken = errors.New("broken")

func (m brokenMethod) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	s, err := m.Method.Plan(n, l, batch, k)
	return &brokenStepper{Stepper: s}, err
}

func (s *brokenStepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	s.steps++
	if s.steps == 2 {
		return plan.Report{}, errBroken
	}
	return s.Stepper.Step(p, x, t, scale)
}

func TestBrokenStep(t *testing.T) {
	c := autoencoder(t)
	c.Network = testNetwork(t, transfer.Sigmoid, 9)
	c.Method = brokenMethod{c.Method}
	trainer := newTrainer(t, c)
	_, err := trainer.Run(context.Background())
	require.ErrorIs(t, err, errBroken)
	assert.EqualError(t, err, "epoch 1, batch 2: broken")
	_, err = trainer.Run(context.Background())
	assert.ErrorIs(t, err, errBroken, "the weights may be half updated")
}
