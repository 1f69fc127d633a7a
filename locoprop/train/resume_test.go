package train

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// history reads metrics.jsonl without what the clock gave.
func history(t *testing.T, dir string) []Metrics {
	t.Helper()
	var list []Metrics
	for l := range strings.Lines(string(readFile(t, dir, MetricsName))) {
		var m Metrics
		require.NoError(t, json.Unmarshal([]byte(l), &m))
		list = append(list, timeless(m))
	}
	return list
}

// stopAt ends a context when so many steps of this process are done.
func stopAt(c *Config, steps int) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	if steps == 0 {
		cancel()
	}
	c.OnStep = func(Progress) {
		steps--
		if steps == 0 {
			cancel()
		}
	}
	return ctx
}

// A run stopped after any step, between epochs too, and resumed by another trainer on
// another number of workers ends as the one that wasn't: model, state, metrics.
func TestResumeAfterEveryStep(t *testing.T) {
	for name, method := range methods(t) {
		t.Run(name, func(t *testing.T) {
			config := func() Config {
				c := autoencoder(t)
				c.Method = method
				return c
			}
			straight := t.TempDir()
			want, err := runIn(t, straight, config())
			require.NoError(t, err)
			for stop := range 2*testBatches + 1 {
				if stop%3 != 1 && name != "locoprop-m rmsprop tf1" && name != "backprop adam" {
					continue // steps 1, 4 (the end of an epoch) and 7 will do
				}
				dir := filepath.Join(t.TempDir(), "deep", "run")
				c := config()
				c.Workers = 1
				r, err := runWith(stopAt(&c, stop), t, dir, c)
				require.ErrorIs(t, err, ErrInterrupted, "stop after %d", stop)
				assert.ErrorIs(t, err, context.Canceled)
				assert.Equal(t, stop, r.Step)
				assert.False(t, r.Finished)

				c = config()
				c.Workers = 3
				got, err := runIn(t, dir, c)
				require.NoError(t, err)
				assert.Equal(t, timeless(want.Last), timeless(got.Last))
				assert.Equal(t, readFile(t, straight, ModelName), readFile(t, dir, ModelName), "stop after %d", stop)
				assert.Equal(t, history(t, straight), history(t, dir), "stop after %d", stop)
				a, b := newTrainer(t, config()), newTrainer(t, config())
				require.NoError(t, a.Restore(filepath.Join(straight, CheckpointName)))
				require.NoError(t, b.Restore(filepath.Join(dir, CheckpointName)))
				assert.Equal(t, state(a), state(b))
			}
		})
	}
}

// everyMethod lists settings of the command line: each method with each optimiser that
// it takes, in each of its forms; each form of the local solve; and options that keep
// something from batch to batch.
func everyMethod(t *testing.T) map[string]plan.Method {
	t.Helper()
	list := map[string]plan.Method{}
	add := func(v catalog.Values) {
		if v["form"] == "" {
			v["lr"] = "1e-4" // not every pair has a documented rate
		}
		e, _, err := catalog.Resolve(catalog.Layer{Values: v})
		require.NoError(t, err, "%v", v)
		e.Block = testBlock
		m, err := e.BuildMethod()
		require.NoError(t, err, "%v", v)
		delete(v, "lr")
		list[strings.TrimPrefix(fmt.Sprint(v), "map")] = m
	}
	for _, method := range catalog.Methods() {
		e, _, err := catalog.Resolve(catalog.Layer{Values: catalog.Values{"method": method, "lr": "1e-4"}})
		require.NoError(t, err, method)
		if !catalog.IsLocal(method) && e.Values()["optimizer"] == "" { // its steps are its own
			add(catalog.Values{"method": method})
			continue
		}
		for _, name := range catalog.Optimizers {
			if name == "schedule-free" && method != "backprop" {
				continue // refused: it has weights of its own to evaluate
			}
			variants := []string{""}
			if slices.Contains(catalog.OptimizerKeysOf(name), "variant") && name != "momentum" {
				variants = []string{":variant=tf1", ":variant=torch"}
			}
			for _, variant := range variants {
				add(catalog.Values{"method": method, "optimizer": name + variant})
			}
		}
	}
	for _, p := range catalog.Pairs() {
		if p.Optimizer == "" && p.Variant != "" {
			add(catalog.Values{"method": p.Method + ":variant=" + p.Variant})
		}
	}
	add(catalog.Values{"method": "kfac:fisher=empirical"})
	add(catalog.Values{"method": "proxprop:variant=exact", "optimizer": "nesterov"})
	add(catalog.Values{"method": "backprop", "optimizer": "momentum:variant=lr-in-buffer"})
	for _, v := range []catalog.Values{
		{"form": "direct", "reset-state": "true"},
		{"form": "gram", "method": "locoprop-s"},
		{"form": "kernel", "optimizer": "momentum"},
		{"form": "exact", "method": "locoprop-s", "prox": "0.1"},
		{"form": "spectral", "method": "locoprop-s", "optimizer": "sgd"},
		{"form": "statistics", "method": "locoprop-s", "prox": "auto"},
		{"form": "implicit", "prox": "0.1", "solver": "newton"},
		{"form": "implicit", "prox": "0.1", "solver": "anderson"},
		{"form": "mm", "prox": "0.1"},
		{"form": "metric", "metric-every": "2"},
		{"form": "direct", "layers.1.form": "metric"},
	} {
		add(v)
	}
	m, err := locoprop.New(locoprop.Options{
		Eta: 1e-4, Optimizer: optimizer.New(optimizer.AdamW), Block: testBlock, Correction: 0.1, Clip: true,
		Momentum: locoprop.Momentum{Factor: 0.5, Examples: testTrain},
	})
	require.NoError(t, err)
	list["correction and momentum of examples"] = m
	return list
}

// For every method, with every optimiser, a + b resumed steps are a + b straight ones,
// bit for bit, whatever the numbers of workers of the two parts.
func TestResumeOfEveryMethod(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	for name, method := range everyMethod(t) {
		trainer := func(workers, steps int) (*Trainer, error) {
			c := autoencoder(t)
			c.Method, c.Workers, c.Data.Test = method, workers, nil
			ctx := stopAt(&c, steps)
			a := newTrainer(t, c)
			if steps < 7 {
				require.NoError(t, a.Restore(path))
			}
			_, err := a.Run(ctx)
			return a, err
		}
		want, err := trainer(1, 7)
		require.ErrorIs(t, err, ErrInterrupted, name)
		for i, workers := range []int{1, 2, 3, 8} {
			before := []int{2, 3, 8, 1}[i]
			c := autoencoder(t)
			c.Method, c.Workers, c.Data.Test = method, before, nil
			first := newTrainer(t, c)
			_, err := first.Run(stopAt(&first.c, 2+i)) // within the first epoch, and at its end
			require.ErrorIs(t, err, ErrInterrupted, name)
			require.NoError(t, first.saveTo(lazy{atomicfile.OS}, path))
			got, err := trainer(workers, 7-2-i)
			require.ErrorIs(t, err, ErrInterrupted, name)
			assert.Equal(t, want.position.step, got.position.step)
			assert.Equal(t, state(want), state(got), "%s: %d steps on %d workers, then on %d", name, 2+i, before, workers)
			first.Close()
			got.Close()
		}
		want.Close()
	}
}

// However often a run is resumed, each epoch has its own order, that of its number.
func TestOrdersAfterResumes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	seen := map[int][]int{}
	want := make([]int, testTrain)
	for stops := 0; ; stops++ {
		c := autoencoder(t)
		c.Epochs = 5
		ctx := stopAt(&c, 3) // 4 batches an epoch: stopped at every place of one
		a := newTrainer(t, c)
		if stops > 0 {
			require.NoError(t, a.Restore(path))
		}
		cancel := a.c.OnStep
		a.c.OnStep = func(p Progress) {
			dataset.Order(want, c.Seed, p.Epoch-1)
			require.Equal(t, want, a.order, "epoch %d, batch %d", p.Epoch, p.Batch)
			seen[p.Epoch] = slices.Clone(a.order)
			cancel(p)
		}
		_, err := a.Run(ctx)
		if err == nil {
			break
		}
		require.ErrorIs(t, err, ErrInterrupted)
		require.NoError(t, a.saveTo(lazy{atomicfile.OS}, path))
	}
	require.Len(t, seen, 5)
	for a := range seen {
		for b := range seen {
			assert.Equal(t, a == b, slices.Equal(seen[a], seen[b]), "epochs %d and %d", a, b)
		}
	}
}

// Stopped after every single step, eight times over, and gone on with in place.
func TestStopEveryStep(t *testing.T) {
	want, _ := run(t, classifier(t))
	c := classifier(t)
	var cancel context.CancelFunc
	c.OnStep = func(Progress) { cancel() }
	trainer := newTrainer(t, c)
	for i := range 100 {
		var ctx context.Context
		ctx, cancel = context.WithCancel(context.Background())
		_, err := trainer.Run(ctx)
		cancel()
		if err == nil {
			assert.Equal(t, 2*testBatches, i)
			break
		}
		require.ErrorIs(t, err, ErrInterrupted)
	}
	assert.True(t, trainer.Result().Finished)
	assert.Equal(t, state(want), state(trainer))
	assert.Equal(t, timeless(want.last), timeless(trainer.last))
}

// A run that is finished has nothing to do when it is resumed, and leaves its files as
// they are; with more epochs it goes on like one that had them from the start.
func TestResumeFinished(t *testing.T) {
	dir := t.TempDir()
	first, err := runIn(t, dir, autoencoder(t))
	require.NoError(t, err)
	before := [][]byte{readFile(t, dir, ModelName), readFile(t, dir, MetricsName), readFile(t, dir, CheckpointName)}
	again, err := runIn(t, dir, autoencoder(t))
	require.NoError(t, err)
	assert.Equal(t, first, again)
	assert.Equal(t, before, [][]byte{readFile(t, dir, ModelName), readFile(t, dir, MetricsName), readFile(t, dir, CheckpointName)})

	longer := autoencoder(t)
	longer.Epochs = 4
	_, err = runIn(t, dir, longer)
	require.NoError(t, err)
	straight := t.TempDir()
	longer = autoencoder(t)
	longer.Epochs = 4
	_, err = runIn(t, straight, longer)
	require.NoError(t, err)
	assert.Equal(t, readFile(t, straight, ModelName), readFile(t, dir, ModelName))
	assert.Equal(t, history(t, straight), history(t, dir))
}

// A run may be resumed to end at an epoch that it had passed without evaluating it, but
// not in the middle of one.
func TestResumeWithFewerEpochs(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	c.Epochs, c.EvalEvery = 4, 10
	_, err := runWith(stopAt(&c, testBatches), t, dir, c) // the first epoch, not evaluated
	require.ErrorIs(t, err, ErrInterrupted)

	c = autoencoder(t)
	c.Epochs, c.EvalEvery = 1, 10
	r, err := runIn(t, dir, c)
	require.NoError(t, err)
	assert.True(t, r.Finished)
	assert.Equal(t, 1, r.Last.Epoch)
	assert.Len(t, history(t, dir), 2)

	c = autoencoder(t)
	c.Epochs, c.EvalEvery = 4, 10
	_, err = runWith(stopAt(&c, 2), t, dir, c)
	require.ErrorIs(t, err, ErrInterrupted)
	c.Epochs = 1
	_, err = runIn(t, dir, c)
	var usage *ConfigError
	require.ErrorAs(t, err, &usage)
	assert.EqualError(t, err, "training is 2 batches into epoch 2; it can't end after epoch 1")
}

func TestRestoreRefusesAnotherRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	c := autoencoder(t)
	c.Settings = map[string]string{"gamma": "5", "lost": "1"}
	require.NoError(t, newTrainer(t, c).Save(path))

	other := autoencoder(t)
	other.Settings = map[string]string{"gamma": "6", "found": "1"}
	other.Seed, other.Batch = 8, 50
	trainer := newTrainer(t, other)
	before := state(trainer)
	assert.EqualError(t, trainer.Restore(path), path+": checkpoint of another run: batch is 70 there and 50 here; "+
		"seed is 7 there and 8 here; found is not set there and 1 here; gamma is 5 there and 6 here; lost is 1 there and not set here")
	assert.Equal(t, before, state(trainer))

	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Method = methods(t)["locoprop-s nesterov"] }, "method is locoprop-m there and locoprop-s here"},
		{func(c *Config) { c.Schedule.Warmup = 0 }, "schedule is linear over 4 epochs, 3 warm-up steps there and linear over 4 epochs here"},
		{func(c *Config) { *c = classifier(t) }, "target is input there and label here"},
		{func(c *Config) {
			c.Data.Train, c.Data.Test = c.Data.Test, c.Data.Train
		}, "data is test, 300 and 151 examples, digest"},
	} {
		other := autoencoder(t)
		c.change(&other)
		assert.ErrorContains(t, newTrainer(t, other).Restore(path), c.want)
	}

	// As the rates of the pair may be equal, only the state may tell the optimiser.
	adam, sgd := autoencoder(t), autoencoder(t)
	adam.Method, sgd.Method = backpropMethod(t, 1e-2, 7), backpropMethod(t, 1e-2, 0)
	require.NoError(t, newTrainer(t, adam).Save(path))
	assert.ErrorContains(t, newTrainer(t, sgd).Restore(path), "state of another method: it has 12 tensors, and this one has 6")
	require.NoError(t, newTrainer(t, sgd).Save(path))
	assert.ErrorContains(t, newTrainer(t, adam).Restore(path), `state of another method: it has no tensor "layers.0.adam.m"`)
}

// Two trainers that stand at the same place write the same checkpoint, but for the
// clock.
func TestCheckpointContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	c := autoencoder(t)
	trainer := newTrainer(t, c)
	require.NoError(t, trainer.Save(path))
	first := readFile(t, path)
	trainer.c.Workers = 1
	require.NoError(t, trainer.Save(path))
	assert.Equal(t, first, readFile(t, path))
	for _, name := range []string{
		`"layers.0.w":{"dtype":"F32","shape":[7,10]`, `"layers.2.rmsprop.v":{"dtype":"F32","shape":[9,4]`,
		`"layers.1.step":{"dtype":"I64","shape":[1]`, `"epoch":"0"`, `"batch":"0"`,
	} {
		assert.True(t, bytes.Contains(first, []byte(name)), name)
	}
}

func TestPositionChecks(t *testing.T) {
	good := func() map[string]string {
		meta := map[string]string{}
		p := position{epoch: 2, batch: 3, step: 11, lines: 3}
		require.NoError(t, p.put(meta))
		return meta
	}
	var p position
	require.NoError(t, p.take(good(), 4))
	assert.Equal(t, position{epoch: 2, batch: 3, step: 11, lines: 3}, p)
	for _, c := range [][3]string{
		{"epoch", "x", `epoch is "x"`},
		{"batch", "-1", `batch is "-1"`},
		{"lines", "", `lines is ""`},
		{"step", "12", "12 steps don't make 2 epochs of 4 batches and 3 batches"},
		{"batch", "5", "11 steps don't make 2 epochs of 4 batches and 5 batches"},
		{"last", "{", "last evaluation"},
		{"nanoseconds", "1e9", `nanoseconds is "1e9"`},
		{"best", "{", "best: "},
		{"rollbacks", "{}", "rollbacks: "},
	} {
		meta := good()
		meta[c[0]] = c[1]
		assert.ErrorContains(t, new(position).take(meta, 4), c[2], fmt.Sprint(c))
	}
}

// Checkpoints of earlier versions know their data by the digest, so it must stay what it
// was: here as computed once by a program in another language, over two whole chunks and a part.
func TestDataDigestStays(t *testing.T) {
	assert.Equal(t, "test, 300 and 151 examples, digest f8a6599b0a428488", newTrainer(t, autoencoder(t)).DataDigest())
	assert.Equal(t, "test, 300 and 151 examples, digest b4c1b5da5ed40d19", newTrainer(t, classifier(t)).DataDigest())
}
