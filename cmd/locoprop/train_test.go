package main

import (
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runFiles are the files of a finished run with such checkpoints.
func runFiles(checkpoints ...string) []string {
	names := []string{"checkpoints"}
	for _, c := range checkpoints {
		names = append(names, "checkpoints/"+c)
	}
	return append(names, "config.toml", "machine.jsonl", "metrics.jsonl", "model.safetensors", "reconstructions.png")
}

func TestTrain(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	out := succeeds(t, dir, small(data)...)
	for _, part := range []string{
		"training preset curves: locoprop-m, 3 epochs of data set idx",
		"gamma 10 (gamma/batch 0.333",
		"120 training and 40 test examples",
		"network 64,24,6:identity,24,64: ",
		"files go to runs/curves-1",
		"epoch 0 of 3 done", "epoch 3 of 3 done",
	} {
		assert.Contains(t, out.stderr, part)
	}
	for _, part := range []string{"loss", "excess", "mean predictor", "files in runs/curves-1:", "--model runs/curves-1/model.safetensors --dataset idx --data " + data, "locoprop report runs/curves-1\n"} {
		assert.Contains(t, out.stdout, part)
	}
	assert.NotContains(t, out.stdout+out.stderr, "\x1b", "no colours off a terminal")
	assert.Equal(t, runFiles("best", "last", "step-00000008"), tree(t, filepath.Join(dir, "runs", "curves-1")))

	f, err := os.Open(filepath.Join(dir, "runs", "curves-1", "reconstructions.png"))
	require.NoError(t, err)
	defer f.Close()
	sheet, err := png.Decode(f)
	require.NoError(t, err)
	assert.Equal(t, 10*(10*10+2), sheet.Bounds().Dx(), "ten images of eight pixels with gaps of two, ten times enlarged")

	// The same again: the next folder, and the same model.
	again := succeeds(t, dir, small(data, "--workers", "1")...)
	assert.Contains(t, again.stderr, "files go to runs/curves-1-2")
	assert.Equal(t, read(t, dir, "runs/curves-1/model.safetensors"), read(t, dir, "runs/curves-1-2/model.safetensors"))
	// Another seed: another folder, another model.
	succeeds(t, dir, small(data, "--seed", "2")...)
	assert.NotEqual(t, read(t, dir, "runs/curves-1/model.safetensors"), read(t, dir, "runs/curves-2/model.safetensors"))
}

func TestJSON(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	out := succeeds(t, dir, small(data, "--json", "--eval-every", "2", "--out", "r")...)
	assert.Equal(t, string(read(t, dir, "r/metrics.jsonl")), out.stdout, "the metrics lines alone")
	var epochs []int
	for line := range strings.Lines(out.stdout) {
		var m train.Metrics
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		epochs = append(epochs, m.Epoch)
	}
	assert.Equal(t, []int{0, 2, 3}, epochs)
	assert.Contains(t, out.stderr, "mean predictor", "people read the rest")
}

func TestClassifier(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	classify := []string{"train", "--preset", "curves", "--dataset", "idx", "--data", data, "--target", "label", "--batch", "30"}
	out := succeeds(t, dir, append(classify, "--arch", "64,20,3", "--epochs", "20", "--warmup-steps", "5", "--lr", "1e-3", "--out", "r", "--json")...)
	lines := strings.Split(strings.TrimSpace(out.stdout), "\n")
	var last train.Metrics
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	require.NotNil(t, last.TestAccuracy)
	assert.Greater(t, *last.TestAccuracy, 0.9)
	assert.Contains(t, out.stderr, "accuracy")
	assert.NotContains(t, tree(t, filepath.Join(dir, "r")), "reconstructions.png")
	m, err := model.Load(filepath.Join(dir, "r", "model.safetensors"))
	require.NoError(t, err)
	assert.Equal(t, model.Label, m.Target)

	succeeds(t, dir, append(classify, "--epochs", "0", "--out", "s")...)
	assert.Contains(t, string(read(t, dir, "s/config.toml")), "arch = '64,400,200,100,50,25,6:identity,25,50,100,200,400,3'", "filled in from the data")
	refuses(t, dir, exitUsage, []string{"the last width is 4; target label needs 3"}, append(classify, "--arch", "64,10,4")...)
}

func TestUntrained(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	out := succeeds(t, dir, small(data, "--epochs", "0", "--out", "r", "--json")...)
	assert.Equal(t, 1, strings.Count(out.stdout, "\n"))
	assert.Equal(t, runFiles("last"), tree(t, filepath.Join(dir, "r")))
}

func TestPairRatesArePrinted(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	args := []string{"train", "--preset", "curves", "--dataset", "idx", "--data", data, "--arch", "64,8,64", "--batch", "60", "--epochs", "1"}
	out := succeeds(t, dir, append(args, "--method", "backprop", "--optimizer", "adam")...)
	assert.Contains(t, out.stderr, "backprop with adam torch: taking the default rate of this pair, lr ")
	out = succeeds(t, dir, append(args, "--method", "backprop", "--optimizer", "adam", "--lr", "0.5")...)
	assert.NotContains(t, out.stderr, "taking the default rate")
	assert.Contains(t, out.stderr, "lr 0.5")
	assert.NotContains(t, string(read(t, dir, "runs/curves-1/config.toml")), "gamma", "backprop has none")
}

// A run that can't begin leaves no folder behind.
func TestRefusedRuns(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	refuses(t, dir, exitUsage, []string{"--batch 121: must be 1 to 120, the number of training examples"}, small(data, "--batch", "121")...)
	refuses(t, dir, exitUsage, []string{"the first width is 63; the data have 64 values per example"}, small(data, "--arch", "63,5,64")...)
	refuses(t, dir, exitUsage, []string{"softmax in hidden layer 0"}, small(data, "--arch", "64,5:softmax,64")...)
	refuses(t, dir, exitData, []string{"nowhere", "can't list the folder"}, small("nowhere")...)
	refuses(t, dir, exitData, []string{"--data or LOCOPROP_DATA"}, "train", "--preset", "paper")
	refuses(t, dir, exitData, []string{"train-images-idx3-ubyte: no such file"}, "train", "--preset", "paper", "--data", data)
	refuses(t, dir, exitData, []string{"targets sum to"}, small(data, "--loss", "softmax-ce")...)
	assert.Equal(t, []string{"runs"}, tree(t, dir))

	// A folder that somebody else made stays, and so does what lies in it.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "mine"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine", "notes"), nil, 0o644))
	refuses(t, dir, exitData, nil, small("nowhere", "--out", "mine")...)
	assert.Equal(t, []string{"mine", "mine/notes", "runs"}, tree(t, dir))
}

func TestDamagedData(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	path := filepath.Join(data, "train-images-idx3-ubyte")
	whole := read(t, path)
	require.NoError(t, os.WriteFile(path, whole[:len(whole)-1], 0o644))
	refuses(t, dir, exitData, []string{path, "cut off"}, small(data)...)
	require.NoError(t, os.WriteFile(filepath.Join(data, "a-train-images-idx3-ubyte"), whole, 0o644))
	refuses(t, dir, exitData, []string{"a-train-images-idx3-ubyte, train-images-idx3-ubyte", "--data-prefix"}, small(data)...)
	require.NoError(t, os.WriteFile(filepath.Join(data, "a-t10k-images-idx3-ubyte"), read(t, data, "t10k-images-idx3-ubyte"), 0o644))
	succeeds(t, dir, small(data, "--data-prefix", "a-", "--epochs", "1")...)
}

func TestDataVariable(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	cmd := command(t, dir, "train", "--dataset", "idx", "--arch", "64,8,64", "--batch", "60", "--epochs", "1", "--out", "r")
	cmd.Env = append(cmd.Env, dataVariable+"="+data)
	b, err := cmd.CombinedOutput()
	require.NoError(t, err, string(b))
	assert.Contains(t, string(read(t, dir, "r/config.toml")), "data = '"+data+"'")
	// It means nothing to curves, whose folder is refused only where it is asked for.
	cmd = command(t, dir, "train", "--data", data)
	b, err = cmd.CombinedOutput()
	assert.Equal(t, exitUsage, exitOf(t, err))
	assert.Contains(t, string(b), "--data: data set curves is generated")
}

func TestOutput(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	refuses(t, dir, exitFailed, []string{"folder of the run", "not a directory"}, small(data, "--out", "file/r")...)
	succeeds(t, dir, small(data, "--out", "a/b", "--epochs", "1")...)
	before := tree(t, dir)
	refuses(t, dir, exitUsage, []string{"the folder holds a run; go on with it by --resume a/b"}, small(data, "--out", "a/b")...)
	assert.Equal(t, before, tree(t, dir))
}

// Steps that are too large and yet end in finite numbers are told of, and so is a run that
// has learnt nothing yet; a good one hears neither.
func TestTooLargeSteps(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	const above, yet = "the steps were too large; lower ", "no better than the mean predictor yet"
	metric := []string{"--method", "locoprop-m", "--form", "metric", "--schedule", "linear", "--lr", "1"}
	out := succeeds(t, dir, small(data, append(metric, "--gamma", "100", "--quiet")...)...)
	assert.Regexp(t, `warning: training loss \S+ is above \S+, where it was before training: the steps were too large; lower --gamma\n`, out.stderr)
	out = succeeds(t, dir, small(data, "--method", "backprop", "--optimizer", "sgd", "--lr", "1e-6")...)
	assert.NotContains(t, out.stderr, above)
	assert.Contains(t, out.stdout, yet+": train longer, or, where the loss doesn't fall, lower --lr\n")
	out = succeeds(t, dir, small(data, append(metric, "--gamma", "0.01", "--epochs", "30")...)...)
	assert.NotContains(t, out.stderr, above)
	assert.NotContains(t, out.stdout, yet)
}

func TestDivergence(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	out := program(t, dir, small(data, "--lr", "1e30", "--out", "r")...)
	assert.Equal(t, exitDiverged, out.code, out.stderr)
	assert.Contains(t, out.stderr, "diverged in epoch 1")
	assert.Contains(t, out.stderr, "smaller learning rate")
	assert.NotContains(t, tree(t, filepath.Join(dir, "r")), "model.safetensors")

	// So is a local problem that a layer's numbers allow no solution of.
	out = program(t, dir, small(data, "--method", "locoprop-s", "--optimizer", "sgd", "--form", "spectral", "--lr", "1e30", "--out", "s")...)
	assert.Equal(t, exitDiverged, out.code, out.stderr)
	assert.Regexp(t, `diverged in epoch 1, batch 1 of \d+, after 0 steps: local solution of layer \d: `, out.stderr)

	// Schedule paper has rate 0 in its first epoch: a good model, which stays.
	succeeds(t, dir, small(data, "--lr", "1e30", "--schedule", "paper", "--schedule-epochs", "9", "--warmup-steps", "0", "--epochs", "1", "--out", "good")...)
	out = program(t, dir, small(data, "--lr", "1e30", "--schedule", "paper", "--schedule-epochs", "9", "--warmup-steps", "0", "--epochs", "4", "--out", "bad")...)
	assert.Equal(t, exitDiverged, out.code, out.stderr)
	assert.Contains(t, out.stderr, "diverged in epoch 2")
	assert.Contains(t, out.stderr, "bad/model.safetensors is still the last good model")
	assert.Equal(t, read(t, dir, "good/model.safetensors"), read(t, dir, "bad/model.safetensors"))
}

// A run that diverges stops, or goes back and on at half the rate until that is low
// enough, 8 times at most.
func TestRollback(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	args := func(lr string, more ...string) []string {
		return append(small(data, "--method", "backprop", "--optimizer", "sgd", "--loss", "squared", "--schedule", "constant", "--warmup-steps", "0",
			"--checkpoint-every", "9epochs", "--lr", lr), more...)
	}
	out := program(t, dir, args("100", "--out", "stop")...)
	require.Equal(t, exitDiverged, out.code, out.stderr)
	assert.Contains(t, out.stderr, ", or go on at half of it by --resume stop --on-divergence rollback")
	assert.Contains(t, string(read(t, dir, "stop/config.toml")), "on-divergence = 'stop'")
	out = program(t, dir, args("1e30", "--on-divergence", "rollback", "--out", "r")...)
	require.Equal(t, exitDiverged, out.code, out.stderr)
	assert.Equal(t, 8, strings.Count(out.stderr, "locoprop: warning: diverged in epoch 1"), out.stderr)
	assert.Contains(t, out.stderr, "; the run was rolled back 8 times")

	out = succeeds(t, dir, args("100", "--on-divergence", "rollback", "--out", "fine")...)
	assert.Regexp(t, `rolled back to the checkpoint after 0 steps, going on at half the rate \(η = 50\)\n`, out.stderr)
	assert.Regexp(t, `diverged and rolled back \d times; lr was `, out.stdout)
	succeeds(t, dir, "train", "--resume", "stop", "--on-divergence", "rollback")
	assert.Equal(t, read(t, dir, "fine/model.safetensors"), read(t, dir, "stop/model.safetensors"))
	assert.Equal(t, withoutTimes(read(t, dir, "fine/metrics.jsonl")), withoutTimes(read(t, dir, "stop/metrics.jsonl")))
}

// A run may end within an epoch, and by the clock; its folder goes on to more steps.
func TestStepsAndTime(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	steps := func(args ...string) []string {
		list := small(data, args...)
		i := slices.Index(list, "--epochs")
		return slices.Delete(list, i, i+2)
	}
	out := succeeds(t, dir, steps("--steps", "6", "--eval-steps", "5", "--out", "r")...)
	assert.Contains(t, out.stderr, "6 steps of data set idx")
	assert.Contains(t, out.stderr, "linear over 6 steps")
	assert.Contains(t, out.stdout, "reached after 1 epochs and 2 of 4 batches (6 steps")
	config := string(read(t, dir, "r/config.toml"))
	assert.Contains(t, config, "steps = 6\n")
	assert.Contains(t, config, "schedule-steps = 6\n")
	assert.NotContains(t, config, "\nepochs")
	refuses(t, dir, exitUsage, []string{"--steps 5: the run has made 6 steps already"}, "train", "--resume", "r", "--steps", "5")
	out = succeeds(t, dir, "train", "--resume", "r", "--steps", "8")
	assert.Contains(t, out.stderr, "the schedule ends after 6 steps")
	assert.Contains(t, out.stdout, "reached after 2 epochs (8 steps")
	succeeds(t, dir, "train", "--config", "r/config.toml", "--out", "again")
	out = succeeds(t, dir, steps("--time-limit", "1ns", "--out", "timed")...)
	assert.Contains(t, out.stdout, "stopped by --time-limit 1ns")
	assert.Contains(t, out.stdout, "0 epochs and 1 of 4 batches (1 steps")
	refuses(t, dir, exitUsage, []string{"--epochs: steps says where the run stops; give one of the two"}, small(data, "--steps", "3")...)
	refuses(t, dir, exitUsage, []string{"--time-limit 5: must be a time above 0"}, steps("--time-limit", "5")...)
}
