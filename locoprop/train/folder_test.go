package train

import (
	"context"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/internal/tensorfile"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tree lists all files below a folder.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	}))
	return names
}

// trained are the files of a run of 2 epochs whose test loss falls.
var trained = []string{BestName, CheckpointName, stepName(testBatches), MetricsName, ModelName}

// The files of a run, and the same bytes from a second one.
func TestFolder(t *testing.T) {
	var models [][]byte
	for _, workers := range []int{1, 3} {
		dir := filepath.Join(t.TempDir(), "runs", "a")
		c := classifier(t)
		c.Workers = workers
		assert.False(t, HoldsRun(dir))
		r, err := runIn(t, dir, c)
		require.NoError(t, err)
		assert.True(t, HoldsRun(dir))
		assert.Equal(t, trained, tree(t, dir))
		h := history(t, dir)
		require.Len(t, h, 3)
		assert.Equal(t, timeless(r.Last), h[2])
		m, err := model.Load(filepath.Join(dir, ModelName))
		require.NoError(t, err)
		assert.Equal(t, c.Network.Weights(), m.Network.Weights())
		assert.Equal(t, []any{c.Loss, c.Target, 255.0}, []any{m.Loss, m.Target, m.Scale})
		training, test, err := Evaluate(context.Background(), m, c.Data, Compute{})
		require.NoError(t, err)
		assert.InDelta(t, r.Last.TrainLoss, training.Loss, 0, "eval finds what training reported")
		assert.InDelta(t, *r.Last.TestAccuracy, *test.Accuracy, 0)
		models = append(models, readFile(t, dir, ModelName))
	}
	assert.Equal(t, models[0], models[1])
}

func TestFolderWithoutEpochs(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	c.Epochs = 0
	_, err := runIn(t, dir, c)
	require.NoError(t, err)
	m, err := model.Load(filepath.Join(dir, ModelName))
	require.NoError(t, err)
	assert.Equal(t, testNetwork(t, transfer.Sigmoid, 9).Weights(), m.Network.Weights(), "the untrained model")
	assert.Len(t, history(t, dir), 1)
}

// Files are there before the first step, and a network without a model format trains
// all the same.
func TestFolderEarlyAndOddLayers(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	layers := append([]nn.Layer(nil), c.Network.Layers...)
	layers[0] = odd{layers[0]}
	var err error
	c.Network, err = nn.FromLayers(layers...)
	require.NoError(t, err)
	c.OnStep = func(p Progress) {
		if p.Step == 1 {
			assert.Equal(t, []string{CheckpointName, LockName, MetricsName}, tree(t, dir))
			assert.Len(t, history(t, dir), 1)
		}
	}
	_, err = runIn(t, dir, c)
	require.NoError(t, err)
	assert.Equal(t, trained[:4], tree(t, dir))
}

type odd struct{ nn.Layer }

func TestCreateRefusesARun(t *testing.T) {
	for _, name := range []string{ConfigName, MetricsName, ModelName, CheckpointName} {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "checkpoints"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		_, err := Create(dir)
		var usage *ConfigError
		assert.ErrorAs(t, err, &usage)
		assert.ErrorIs(t, err, ErrRunExists)
		assert.EqualError(t, err, dir+": folder holds a run already; resume it, or choose another folder")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	check := func(path, want string) {
		t.Helper()
		_, err := Open(path)
		assert.EqualError(t, err, path+": "+want)
		assert.ErrorIs(t, err, dataset.ErrData)
	}
	check(filepath.Join(dir, "none"), "no such folder")
	check(dir, "holds no run: there is none of config.toml, metrics.jsonl, model.safetensors, checkpoints/last")
	file := filepath.Join(dir, MetricsName)
	require.NoError(t, os.WriteFile(file, []byte("{}\n"), 0o600))
	check(file, "not a folder")
	check(dir, "checkpoints/last is missing, although the run had begun")
}

// A run that ended between its configuration and its first checkpoint starts anew.
func TestOpenBeforeTheFirstCheckpoint(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(dir)
	require.NoError(t, err)
	require.NoError(t, f.WriteFile(ConfigName, []byte("seed = 1\n")))
	require.NoError(t, f.Close())
	_, err = runIn(t, dir, autoencoder(t))
	require.NoError(t, err)
	assert.Len(t, history(t, dir), 3)
	assert.Equal(t, "seed = 1\n", string(readFile(t, dir, ConfigName)))
}

func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	_, err := Create(filepath.Join(blocked, "run"))
	assert.ErrorContains(t, err, "folder of the run: ")
	assert.ErrorContains(t, err, blocked)

	run := filepath.Join(dir, "run")
	require.NoError(t, os.MkdirAll(filepath.Join(run, MetricsName, "in the way"), 0o700))
	f := &Folder{dir: run, fs: atomicfile.OS, newest: noStep}
	trainer := newTrainer(t, autoencoder(t))
	require.NoError(t, f.Attach(trainer))
	_, err = trainer.Run(context.Background())
	assert.ErrorContains(t, err, filepath.Join(run, MetricsName))
	assert.Zero(t, trainer.Result().Step, "found before the first step")
}

// What diverges leaves the last good model and checkpoint.
func TestDivergedKeepsTheLastGood(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	c.Epochs = 1
	_, err := runIn(t, dir, c)
	require.NoError(t, err)
	good, checkpoint := readFile(t, dir, ModelName), readFile(t, dir, CheckpointName)

	for step := range testBatches {
		c = autoencoder(t)
		c.OnStep = func(p Progress) {
			if p.Step == testBatches+1+step {
				c.Network.Weights()[2].Data[0] = float32(math.NaN())
			}
		}
		_, err = runIn(t, dir, c)
		var d *DivergedError
		require.ErrorAs(t, err, &d)
		assert.Equal(t, 2, d.Epoch)
		assert.Equal(t, good, readFile(t, dir, ModelName))
		assert.Equal(t, checkpoint, readFile(t, dir, CheckpointName))
	}

	// A rate far too high, from the start: no model at all, and a checkpoint of the start.
	dir = t.TempDir()
	c = autoencoder(t)
	c.Method = locopropMethod(t, locoprop.Squared, 1e30, optimizer.SGD)
	c.Schedule.Warmup = 0
	_, err = runIn(t, dir, c)
	var d *DivergedError
	require.ErrorAs(t, err, &d)
	assert.Equal(t, []string{CheckpointName, MetricsName}, tree(t, dir))
	trainer := newTrainer(t, c)
	require.NoError(t, trainer.Restore(filepath.Join(dir, CheckpointName)))
	assert.Zero(t, trainer.Result().Step)
	assert.Equal(t, testNetwork(t, transfer.Sigmoid, 9).Weights(), trainer.c.Network.Weights())
}

// Interrupted with spoilt weights, it says so and saves nothing.
func TestInterruptedAndDiverged(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	ctx, cancel := context.WithCancel(context.Background())
	c.OnStep = func(p Progress) {
		if p.Step == 2 {
			c.Network.Weights()[2].Data[0] = float32(math.NaN())
			cancel()
		}
	}
	_, err := runWith(ctx, t, dir, c)
	var d *DivergedError
	require.ErrorAs(t, err, &d)
	assert.Equal(t, [2]int{1, 2}, [2]int{d.Epoch, d.Batch})
	assert.Equal(t, []string{CheckpointName, MetricsName}, tree(t, dir))
}

// A loss that isn't a number is on record, as null, and isn't counted by the checkpoint.
func TestNaNIsOnRecord(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	c.Loss, c.Network = loss.Squared, testNetwork(t, transfer.Identity, 9)
	c.OnStep = func(p Progress) {
		if p.Step == 2*testBatches {
			for i := range c.Network.Weights()[2].Data {
				c.Network.Weights()[2].Data[i] = 3e38
			}
		}
	}
	_, err := runIn(t, dir, c)
	var d *DivergedError
	require.ErrorAs(t, err, &d)
	assert.ErrorContains(t, err, "diverged at the end of epoch 2, after 8 steps: training loss: found ")
	lines := strings.Split(strings.TrimSpace(string(readFile(t, dir, MetricsName))), "\n")
	require.Len(t, lines, 3)
	assert.Contains(t, lines[2], `"train_loss":null`)

	c.OnStep = nil
	_, err = runIn(t, dir, c)
	require.NoError(t, err)
	assert.NotContains(t, string(readFile(t, dir, MetricsName)), "null")
	assert.Len(t, history(t, dir), 3)
}

// A checkpoint that is cut anywhere or has a flipped bit anywhere is named, and the
// trainer is left as it was.
func TestDamagedCheckpoint(t *testing.T) {
	dir := t.TempDir()
	_, err := runIn(t, dir, autoencoder(t))
	require.NoError(t, err)
	path := filepath.Join(dir, CheckpointName)
	good := readFile(t, path)
	trainer := newTrainer(t, autoencoder(t))
	before := state(trainer)
	refused := func(content []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, content, 0o600))
		err := trainer.Restore(path)
		require.ErrorContains(t, err, path)
		require.ErrorIs(t, err, dataset.ErrData)
	}
	for n := 0; n < len(good); n += 1 + n/10 {
		refused(good[:n])
	}
	refused(append(append([]byte(nil), good...), 0))
	for i := 0; i < len(good); i += 23 {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1 << (i % 8)
		refused(bad)
	}
	assert.Equal(t, before, state(trainer))
	_, err = runIn(t, dir, autoencoder(t))
	assert.ErrorContains(t, err, path+": ", "never a silent start from nothing")

	require.NoError(t, model.Save(path, trainer.Model()))
	assert.ErrorContains(t, trainer.Restore(path), `not a checkpoint: format is "locoprop-model"`)
	for _, c := range []struct {
		meta map[string]string
		want string
	}{
		{map[string]string{"format": checkpointFormat, "version": "7"}, `checkpoint of version "7"`},
		{map[string]string{"format": checkpointFormat, "version": "1"}, "checkpoint of another run"},
	} {
		require.NoError(t, WriteFile(path, func(w io.Writer) error { return tensorfile.Write(w, nil, c.meta) }))
		assert.ErrorContains(t, trainer.Restore(path), c.want)
	}
}

func TestMetricsCut(t *testing.T) {
	dir := t.TempDir()
	_, err := runIn(t, dir, autoencoder(t))
	require.NoError(t, err)
	path := filepath.Join(dir, MetricsName)
	full := readFile(t, path)

	// More than the checkpoint counts, the last one in part: dropped.
	require.NoError(t, os.WriteFile(path, append(append([]byte(nil), full...), `{"epoch":3}`+"\n"+`{"epo`...), 0o600))
	_, err = runIn(t, dir, autoencoder(t))
	require.NoError(t, err)
	assert.Equal(t, full, readFile(t, path))

	// Fewer: refused.
	require.NoError(t, os.WriteFile(path, full[:len(full)-1], 0o600))
	_, err = runIn(t, dir, autoencoder(t))
	assert.EqualError(t, err, path+": has 2 whole lines, but the checkpoint counts 3: it was cut or replaced")
	assert.ErrorIs(t, err, dataset.ErrData)
}

// Temporary files of a process that was killed go when the run is resumed.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	c := autoencoder(t)
	c.Epochs = 1
	_, err := runIn(t, dir, c)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "checkpoints", ".last.tmp-99-1"), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".model.safetensors.tmp-99-2"), []byte("x"), 0o600))
	_, err = runIn(t, dir, autoencoder(t))
	require.NoError(t, err)
	assert.Equal(t, trained, tree(t, dir))
}
