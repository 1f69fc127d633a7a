package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"codeberg.org/sbinet/npyio/npy"
	"github.com/locoprop/locoprop-go/cmd/locoprop/internal/fetch"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

func writeNPY(t *testing.T, path string, m backend.Mat) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, dataset.WriteNPY(&b, m))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
}

// readNPY reads an array of float32 by an independent reader.
func readNPY(t *testing.T, path string) backend.Mat {
	t.Helper()
	r, err := npy.NewReader(bytes.NewReader(read(t, path)))
	require.NoError(t, err)
	shape := r.Header.Descr.Shape
	m := backend.Mat{Rows: shape[0], Cols: shape[1], Stride: shape[1]}
	require.NoError(t, r.Read(&m.Data))
	return m
}

// writeCSV writes examples of two kinds that differ in two measurements of very
// different size, the first far from 0; a third says nothing.
func writeCSV(t *testing.T, path string, n int) {
	t.Helper()
	var b strings.Builder
	b.WriteString("time,kind,size,noise\n")
	for i := range n {
		kind, sign := "rose", 1.0
		if i%2 == 1 {
			kind, sign = "aster", -1.0
		}
		fmt.Fprintf(&b, "%v,%s,%v,%v\n", 1.7e9+sign+0.1*float64(i%7), kind, 1e-3*(5+sign+0.1*float64(i%5)), float64(i*i%11))
	}
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
}

// A table with names of classes and columns that only make sense scaled: trained, told
// apart by accuracy, measured and predicted the same from the model file alone.
func TestCSV(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCSV(t, filepath.Join(dir, "flowers.csv"), 101)
	with := func(command string, more ...string) []string {
		return append([]string{command, "--dataset", "csv", "--data", "flowers.csv", "--label-column", "kind"}, more...)
	}
	out := succeeds(t, dir, with("train", "--out", "r", "--target", "label", "--scale", "standard", "--arch", "3,8,2", "--json",
		"--method", "backprop", "--optimizer", "adam", "--lr", "0.05", "--batch", "20", "--epochs", "20", "--warmup-steps", "0")...)
	assert.Contains(t, out.stderr, "81 training and 20 test examples of 3 values")
	assert.Contains(t, out.stderr, "classes, in the order of the outputs: aster, rose")
	lines := strings.Split(strings.TrimSpace(out.stdout), "\n")
	var last train.Metrics
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	assert.InDelta(t, 1, *last.TestAccuracy, 0)

	// The run repeats itself from its configuration, whose paths are absolute.
	config := string(read(t, dir, "r/config.toml"))
	for _, part := range []string{"scale = 'standard'", "label-column = 'kind'", "test-share = 0.2", "header = 'auto'", "data = '" + dir} {
		assert.Contains(t, config, part)
	}
	succeeds(t, t.TempDir(), "train", "--config", filepath.Join(dir, "r", "config.toml"), "--out", filepath.Join(dir, "again"))
	assert.Equal(t, read(t, dir, "r/model.safetensors"), read(t, dir, "again/model.safetensors"))

	m := filepath.Join("r", "model.safetensors")
	out = succeeds(t, dir, with("eval", "--model", m, "--json")...)
	var got struct {
		Train, Test struct{ Loss, Accuracy float64 }
	}
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &got))
	assert.Equal(t, last.TestLoss, got.Test.Loss)
	assert.Equal(t, last.TrainLoss, got.Train.Loss)

	// The whole file, then the same without labels and as an array: the same outputs.
	succeeds(t, dir, "predict", "--model", m, "--input", "flowers.csv", "--label-column", "2", "--output", "y.npy")
	y := readNPY(t, filepath.Join(dir, "y.npy"))
	require.Equal(t, []int{101, 2}, []int{y.Rows, y.Cols})
	for i := range y.Rows {
		assert.Equal(t, i%2 == 1, y.Data[2*i] > y.Data[2*i+1], "aster is output 0")
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "one.csv"), []byte("1700000001,0.006,3\n"), 0o644))
	succeeds(t, dir, "predict", "--model", m, "--input", "one.csv", "--output", "one.npy")

	writeCSV(t, filepath.Join(dir, "other.csv"), 4)
	edit(t, filepath.Join(dir, "other.csv"), "aster", "tulip")
	refuses(t, dir, exitData, []string{`other.csv: line 3, column 2 (kind): label "tulip" is of no known class; there are: aster, rose`},
		"eval", "--model", m, "--dataset", "csv", "--data", "other.csv", "--label-column", "kind")
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitData, "flowers.csv: labels are asked for: --label-column", []string{"train", "--dataset", "csv", "--data", "flowers.csv", "--target", "label"}},
		{exitData, `flowers.csv: line 2, column 2 (kind): "rose" isn't a finite number`, []string{"train", "--dataset", "csv", "--data", "flowers.csv"}},
		{exitUsage, "--label-column: it is for the lines of --dataset csv", []string{"train", "--label-column", "a"}},
		{exitUsage, "--test-share 1: must be a number from 0 to below 1", with("train", "--test-share", "1")},
		{exitUsage, "--scale big: must be none, unit, standard or a finite number above 0", with("train", "--scale", "big")},
		{exitUsage, `unknown header "maybe"`, with("train", "--header", "maybe")},
		{exitUsage, "--label-column and --header are for a .csv file", []string{"predict", "--model", m, "--input", "y.npy", "--header", "no", "--output", "z.npy"}},
		{exitData, "one.csv: 2 values per example, the model reads 3", []string{"predict", "--model", m, "--input", "one.csv", "--label-column", "-1", "--output", "z.npy"}},
		{exitData, "y.npy: 2 values per example, the model reads 3", []string{"predict", "--model", m, "--input", "y.npy", "--output", "z.npy"}},
	} {
		refuses(t, dir, c.code, []string{c.want}, c.args...)
	}
}

// An autoencoder of images in arrays, scaled to [0, 1] and resumed with a window.
func TestNPY(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := backend.NewMat(60, 16)
	for i := range x.Data {
		x.Data[i] = float32(i*i%97) - 20
	}
	writeNPY(t, filepath.Join(dir, "train.npy"), x)
	args := []string{
		"train", "--dataset", "npy", "--data", dir, "--scale", "unit", "--arch", "16,4:identity,16", "--batch", "10",
		"--warmup-steps", "0", "--lr", "1e-3", "--shuffle-window", "20",
	}
	out := succeeds(t, dir, append(args, "--epochs", "2", "--schedule-epochs", "4", "--out", "a")...)
	assert.Contains(t, out.stderr, "48 training and 12 test examples of 16 values")
	assert.Contains(t, string(read(t, dir, "a/config.toml")), "shuffle-window = 20")
	succeeds(t, dir, "train", "--resume", "a", "--epochs", "4")
	succeeds(t, dir, append(args, "--epochs", "4", "--out", "b")...)
	assert.Equal(t, read(t, dir, "b/model.safetensors"), read(t, dir, "a/model.safetensors"))
	succeeds(t, dir, append(args, "--epochs", "4", "--shuffle-window", "0", "--out", "c")...)
	assert.NotEqual(t, read(t, dir, "b/model.safetensors"), read(t, dir, "c/model.safetensors"))
	edit(t, filepath.Join(dir, "a", "config.toml"), "shuffle-window = 20", "shuffle-window = 30")
	refuses(t, dir, exitData, []string{"shuffle window"}, "train", "--resume", "a", "--epochs", "5")

	m, err := model.Load(filepath.Join(dir, "a", "model.safetensors"))
	require.NoError(t, err)
	require.NotNil(t, m.Scaling)
	assert.True(t, m.Scaling.Clip)
	succeeds(t, dir, "predict", "--model", "a/model.safetensors", "--input", "train.npy", "--output", "y.npy")
	scaled := backend.NewMat(60, 16)
	d, err := dataset.LoadNPY(t.Context(), dir, dataset.TableOptions{})
	require.NoError(t, err)
	require.NoError(t, d.Rescale(m.Scaling))
	index := make([]int, 60)
	for i := range index {
		index[i] = i
	}
	require.NoError(t, d.Train.Rows(scaled, index))
	want := backend.NewMat(60, 16)
	require.NoError(t, train.Predict(t.Context(), m, train.Matrix(scaled), want, train.Compute{}))
	for i, v := range readNPY(t, filepath.Join(dir, "y.npy")).Data {
		require.InDelta(t, want.Data[i], v, 1e-6) // another backend
	}

	// Without --scale these numbers are no targets of the sigmoid.
	refuses(t, dir, exitData, []string{"training example"}, "train", "--dataset", "npy", "--data", dir, "--batch", "10", "--arch", "16,16")
}

// The command with a server that has none of the right files, and with files that are
// there; what a download survives is tested with the package that does it.
func TestDataFetch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refuses(t, dir, exitUsage, []string{`unknown command "minst"; did you mean mnist?`}, "data", "fetch", "minst")
	refuses(t, dir, exitUsage, []string{"takes flags only"}, "data", "fetch", "mnist", "here")
	assert.NoDirExists(t, filepath.Join(dir, "data"))
	content := []byte("small")
	sum := sha256.Sum256(content)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/folder/x.gz", r.URL.Path)
		_, _ = w.Write(content)
	}))
	defer server.Close()
	d := distribution{name: "mnist", files: []fetch.File{{Name: "x.gz", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}}}
	for _, want := range []string{"x.gz: 100 % of 0.0 MB", "x.gz: is there already"} {
		var stdout, stderr bytes.Buffer
		app := newApp(&stdout, &stderr)
		app.Commands = []*cli.Command{{Name: "fetch", Action: d.fetch, Flags: []cli.Flag{&cli.StringFlag{Name: "to"}, &cli.StringFlag{Name: "mirror"}}}}
		require.NoError(t, app.RunContext(t.Context(), []string{"locoprop", "fetch", "--to", dir, "--mirror", server.URL + "/folder"}))
		assert.Contains(t, stderr.String(), want)
		assert.Contains(t, stderr.String(), "locoprop train --dataset mnist --data "+dir)
		assert.Empty(t, stdout.String())
	}
	assert.Equal(t, content, read(t, dir, "mnist", "x.gz"))
}
