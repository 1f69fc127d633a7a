package train

import (
	"context"
	"errors"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// floatSplit is a split of rows of values, with labels or without.
type floatSplit struct {
	Examples
	labels []int32
}

func (s floatSplit) Labels() []int32 { return s.labels }

func floats(t *testing.T, rows [][]float32, labels ...int32) dataset.Split {
	t.Helper()
	m := backend.NewMat(len(rows), len(rows[0]))
	for i, r := range rows {
		copy(row(m, i), r)
	}
	return floatSplit{Matrix(m), labels}
}

func TestNewListsAllThatIsWrong(t *testing.T) {
	_, err := New(t.Context(), Config{Epochs: -1, Steps: -3, TimeLimit: -time.Second, EvalSteps: -4, EvalEvery: -2, Workers: 1000, Target: 9, Schedule: schedule.Schedule{Warmup: -1}})
	var usage *ConfigError
	require.ErrorAs(t, err, &usage)
	assert.EqualError(t, err, `no network
no training method
no data
unknown target 9
-1 epochs; must be 0 or more
-3 steps; must be 0 or more
time limit of -1s; must be 0 or more
evaluation every -4 steps; must be 0 or more
evaluation every -2 epochs; must be 1 or more
batch of 0 examples; must be 1 or more
schedule: -1 warm-up steps; must be 0 or more
1000 workers; must be 1 to 128 with backend gonum (every worker needs memory of its own)`)
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Batch = testTrain + 1 }, "batch of 301 examples; there are only 300 training examples"},
		{func(c *Config) { c.Data = dataset.Curves(1, 300, 10) }, "examples have 784 values, but the network reads 9"},
		{func(c *Config) { c.Data.Test = dataset.Curves(1, 1, 1).Test }, "training examples have 9 values, and test examples 784"},
		{func(c *Config) { c.Target = TargetLabel }, "network gives 9 outputs; the labels have 3 classes"},
		{func(c *Config) { c.Network = testNetwork(t, transfer.Sigmoid, 4) }, "target is the input, 9 values, but the network gives 4"},
		{func(c *Config) { c.Loss = loss.SoftmaxCE }, "loss softmax-ce needs softmax as the last transfer function, not sigmoid"},
		{func(c *Config) {
			*c = classifier(t)
			c.Data.Train, c.Data.Classes = floats(t, [][]float32{make([]float32, 9)}), 0
			c.Batch = 1
		}, "target is the label, but the training examples have no labels"},
	} {
		config := autoencoder(t)
		c.change(&config)
		_, err := New(t.Context(), config)
		var usage *ConfigError
		assert.ErrorAs(t, err, &usage)
		assert.EqualError(t, err, c.want)
	}
}

func TestNewRefusesData(t *testing.T) {
	good := []float32{0, .1, .2, .3, .4, .5, .6, .7, .8}
	with := func(j int, v float64) []float32 {
		x := append([]float32(nil), good...)
		x[j] = float32(v)
		return x
	}
	for _, c := range []struct {
		base func(*testing.T) Config
		data dataset.Data
		want string
	}{
		{autoencoder, dataset.Data{Train: floats(t, [][]float32{good, with(3, math.NaN())})}, "training example 1: a value is NaN or infinite"},
		{autoencoder, dataset.Data{Train: floats(t, [][]float32{good, with(3, math.Inf(-1))})}, "training example 1: a value is NaN or infinite"},
		{
			autoencoder,
			dataset.Data{Train: floats(t, [][]float32{good}), Test: floats(t, [][]float32{good, good, with(8, 1.5)})},
			"test example 2: target 8 is 1.5, outside [0, 1], which sigmoid-ce needs",
		},
		{classifier, dataset.Data{Train: floats(t, [][]float32{good, with(0, math.NaN())}, 0, 1)}, "training example 1: a value is NaN or infinite"},
		{classifier, dataset.Data{Train: floats(t, [][]float32{good, good}, 0, 3)}, "training example 1: label is 3; the network has outputs for 0 to 2"},
	} {
		config := c.base(t)
		config.Data, config.Batch = &c.data, 1
		_, err := New(t.Context(), config)
		assert.EqualError(t, err, c.want)
		assert.ErrorIs(t, err, dataset.ErrData)
		var d *DataError
		assert.ErrorAs(t, err, &d)
		var usage *ConfigError
		assert.False(t, errors.As(err, &usage))
	}
}

// Of many bad examples the first is named, whatever the workers.
func TestFirstBadExample(t *testing.T) {
	rows := make([][]float32, 1000)
	for i := range rows {
		rows[i] = make([]float32, 9)
		if i >= 300 {
			rows[i][0] = float32(math.NaN())
		}
	}
	for range 20 {
		c := autoencoder(t)
		c.Data, c.Workers = &dataset.Data{Train: floats(t, rows)}, 7
		_, err := New(t.Context(), c)
		assert.EqualError(t, err, "training example 300: a value is NaN or infinite")
	}
}

// A data set without a test split trains; what there is no number for is NaN.
func TestWithoutTest(t *testing.T) {
	for _, empty := range []dataset.Split{nil, floatSplit{Examples: Matrix(backend.Mat{Cols: 9, Stride: 9})}} {
		c := autoencoder(t)
		c.Data.Test = empty
		_, r := run(t, c)
		assert.False(t, math.IsNaN(r.Last.TrainLoss))
		assert.True(t, math.IsNaN(r.Last.TestLoss))
		assert.True(t, math.IsNaN(r.TestFloor))
	}
}

// unreadable fails to read one example.
type unreadable struct {
	dataset.Split
	bad int
}

var errUnread = errors.New("disk on fire")

func (u *unreadable) Rows(dst backend.Mat, index []int) error {
	for _, i := range index {
		if i == u.bad {
			return errUnread
		}
	}
	return u.Split.Rows(dst, index)
}

func TestUnreadable(t *testing.T) {
	c := autoencoder(t)
	bad := &unreadable{c.Data.Train, 17}
	c.Data.Train = bad
	_, err := New(t.Context(), c)
	assert.ErrorIs(t, err, errUnread)

	bad.bad = -1
	c.OnStep = func(p Progress) {
		if p.Step == 2 {
			bad.bad = 17
		}
	}
	_, err = newTrainer(t, c).Run(context.Background())
	assert.ErrorIs(t, err, errUnread)
}

// limited is a backend that serves few workers.
type limited struct{ backend.Kernels }

func (limited) Info() backend.Info {
	return backend.Info{Name: "few", MaxWorkers: 5, LimitedBy: "FewBLAS was built for 5"}
}

func TestWorkers(t *testing.T) {
	c := autoencoder(t)
	c.Backend, c.Workers = limited{gonum.New()}, 6
	_, err := New(t.Context(), c)
	assert.EqualError(t, err, "6 workers; must be 1 to 5 with backend few (FewBLAS was built for 5)")
	c.Workers = 5
	assert.Equal(t, 5, newTrainer(t, c).Workers())
	c.Workers = 0
	assert.Equal(t, min(5, runtime.GOMAXPROCS(0)), newTrainer(t, c).Workers())
	c.Workers = -1
	_, err = New(t.Context(), c)
	assert.ErrorContains(t, err, "-1 workers; must be 1 to 5")
}

func TestClose(t *testing.T) {
	trainer := newTrainer(t, autoencoder(t))
	trainer.Close()
	trainer.Close()
	_, err := trainer.Run(context.Background())
	assert.EqualError(t, err, "trainer is closed")
	assert.Equal(t, 2, trainer.Workers())
}

// cancelling is a split that ends a context when it is read for the at-th time, and counts.
type cancelling struct {
	dataset.Split
	cancel context.CancelFunc
	at     int
	reads  int
}

func (c *cancelling) Rows(dst backend.Mat, index []int) error {
	c.reads++
	if c.reads == c.at {
		c.cancel()
	}
	return c.Split.Rows(dst, index)
}

// What looks at all data ends with its context, after the chunk in hand.
func TestContextEndsLookingAtData(t *testing.T) {
	for _, x := range []struct {
		name  string
		look  func(context.Context, Config) error
		reads []int // by the one that ends it
	}{
		{"New", func(ctx context.Context, c Config) error {
			_, err := New(ctx, c)
			return err
		}, []int{1, 2, 3}},
		{"Evaluate", func(ctx context.Context, c Config) error {
			m := &model.Model{Network: c.Network, Loss: c.Loss, Scale: 255}
			_, _, err := Evaluate(ctx, m, c.Data, Compute{Workers: 1})
			return err
		}, []int{1, 2, 3}},
		{"MeanPredictor", func(ctx context.Context, c Config) error { // its chunks are larger
			_, _, err := MeanPredictor(ctx, c.Data, c.Target, c.Loss, Compute{Workers: 1})
			return err
		}, []int{3, 3, 3}},
	} {
		for i, reads := range x.reads {
			c := autoencoder(t)
			c.Workers = 1
			ctx, cancel := context.WithCancel(t.Context())
			train := &cancelling{Split: c.Data.Train, cancel: cancel, at: i + 1}
			c.Data.Train = train
			err := x.look(ctx, c)
			cancel()
			assert.ErrorIs(t, err, ErrInterrupted, x.name)
			assert.ErrorIs(t, err, context.Canceled, x.name)
			assert.Equal(t, reads, train.reads, x.name)
		}
	}
}
