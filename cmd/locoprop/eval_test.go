package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEval(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	trained := succeeds(t, dir, small(data, "--out", "r", "--json")...)
	lines := strings.Split(strings.TrimSpace(trained.stdout), "\n")
	var last train.Metrics
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))

	args := []string{"eval", "--model", "r/model.safetensors", "--dataset", "idx", "--data", data}
	out := succeeds(t, dir, append(args, "--json")...)
	var got struct {
		Dataset, Target, Loss string
		Train, Test           struct {
			Examples     int
			Loss, Excess float64
			Accuracy     *float64
		}
	}
	decoder := json.NewDecoder(strings.NewReader(out.stdout))
	require.NoError(t, decoder.Decode(&got))
	assert.False(t, decoder.More(), "one object")
	assert.Equal(t, last.TrainLoss, got.Train.Loss, "the same number as in training")
	assert.Equal(t, last.TestExcess, got.Test.Excess)
	assert.Equal(t, trainCount, got.Train.Examples)
	assert.Nil(t, got.Test.Accuracy)
	assert.Equal(t, "idx input sigmoid-ce", got.Dataset+" "+got.Target+" "+got.Loss)

	out = succeeds(t, dir, args...)
	assert.Regexp(t, `^ +idx +examples +loss +floor +excess +squared error\n +train +120 `, out.stdout)
	assert.NotContains(t, out.stdout, "accuracy")
	succeeds(t, dir, append(args, "--target", "input", "--workers", "1", "--backend", "gonum")...)
	refuses(t, dir, exitUsage, []string{"--target label: the model was trained for target input"}, append(args, "--target", "label")...)
	refuses(t, dir, exitUsage, []string{"--workers 0"}, append(args, "--workers", "0")...)

	other := t.TempDir()
	for _, name := range []string{"train", "test"} {
		writeIDX(t, filepath.Join(other, name+"-images-idx3-ubyte"), make([]byte, 12), 3, 2, 2)
	}
	refuses(t, dir, exitData, []string{other + ": data set idx has 4 values per example, the model reads 64"},
		"eval", "--model", "r/model.safetensors", "--dataset", "idx", "--data", other)
}

func TestEvalOfAClassifier(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, "train", "--dataset", "idx", "--data", data, "--target", "label", "--arch", "64,9,3", "--batch", "60", "--epochs", "1", "--out", "r")
	out := succeeds(t, dir, "eval", "--model", "r/model.safetensors", "--dataset", "idx", "--data", data)
	assert.Contains(t, out.stdout, "accuracy")
	refuses(t, dir, exitUsage, []string{"--dataset curves: it has no labels"}, "eval", "--model", "r/model.safetensors")
}

func TestDamagedModels(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--epochs", "0", "--out", "r")...)
	whole := read(t, dir, "r/model.safetensors")
	path := filepath.Join(dir, "m")
	for _, b := range [][]byte{nil, whole[:7], whole[:100], whole[:len(whole)-1], append([]byte{255, 255, 255, 255, 255, 255, 255, 127}, whole[8:]...)} {
		require.NoError(t, os.WriteFile(path, b, 0o644))
		refuses(t, dir, exitData, []string{"locoprop: m: "}, "eval", "--model", "m", "--dataset", "idx", "--data", data)
		refuses(t, dir, exitData, []string{"locoprop: m: "}, "predict", "--model", "m", "--dataset", "idx", "--data", data, "--output", "o.npy")
	}
	refuses(t, dir, exitData, []string{"nowhere: no such file"}, "eval", "--model", "nowhere")
	assert.NoFileExists(t, filepath.Join(dir, "o.npy"))
}

func TestPredict(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--out", "r")...)
	predict := func(args ...string) []string {
		return append([]string{"predict", "--model", "r/model.safetensors"}, args...)
	}
	out := succeeds(t, dir, predict("--dataset", "idx", "--data", data, "--output", "split.npy")...)
	assert.Empty(t, out.stdout)
	assert.Contains(t, out.stderr, "split.npy: 40 examples of data set idx, test split, 64 outputs each")
	images := filepath.Join(data, "t10k-images-idx3-ubyte")
	succeeds(t, dir, predict("--input", images, "--output", "idx.npy")...)
	assert.Equal(t, read(t, dir, "split.npy"), read(t, dir, "idx.npy"))

	// The same examples, scaled by hand.
	pix := read(t, images)[16:]
	x := backend.NewMat(testCount, side*side)
	for i, p := range pix {
		x.Data[i] = float32(float64(p) / 255)
	}
	writeNPY(t, filepath.Join(dir, "in.npy"), x)
	succeeds(t, dir, predict("--input", "in.npy", "--output", "npy.npy")...)
	assert.Equal(t, read(t, dir, "idx.npy"), read(t, dir, "npy.npy"))
	y := readNPY(t, filepath.Join(dir, "npy.npy"))
	assert.Equal(t, []int{testCount, side * side}, []int{y.Rows, y.Cols})

	x.Data[5] = float32(math.NaN())
	writeNPY(t, filepath.Join(dir, "nan.npy"), x)
	writeNPY(t, filepath.Join(dir, "narrow.npy"), backend.NewMat(4, 63))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text.npy"), []byte("hello, I am no array"), 0o644))
	for _, c := range []struct {
		code        int
		input, want string
	}{
		{exitData, "nan.npy", "input example 0: a value is NaN or infinite"},
		{exitData, "narrow.npy", "narrow.npy: 63 values per example, the model reads 64"},
		{exitData, "text.npy", "text.npy: not a NumPy file"},
		{exitData, "missing.npy", "missing.npy: can't read: no such file"},
		{exitData, "missing", "missing"},
		{exitData, filepath.Join(data, "t10k-labels-idx1-ubyte"), "rank 1"},
	} {
		refuses(t, dir, c.code, []string{c.want}, predict("--input", c.input, "--output", "out.npy")...)
	}
	refuses(t, dir, exitFailed, []string{"writing no/out.npy"}, predict("--input", "in.npy", "--output", "no/out.npy")...)
	refuses(t, dir, exitFailed, []string{"writing f.npy: it is a folder"}, func() []string {
		require.NoError(t, os.Mkdir(filepath.Join(dir, "f.npy"), 0o755))
		return predict("--input", "in.npy", "--output", "f.npy")
	}()...)
	for _, name := range tree(t, dir) {
		assert.NotContains(t, name, "out.npy", "nothing is left of what failed")
		assert.NotContains(t, name, ".tmp")
	}
}
