package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/model"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"
)

// trained makes an autoencoder r and a classifier c in a folder.
func trained(t *testing.T) (data, dir string) {
	t.Helper()
	data, dir = writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--out", "r")...)
	succeeds(t, dir, "train", "--preset", "curves", "--dataset", "idx", "--data", data, "--target", "label", "--batch", "30",
		"--arch", "64,20,3", "--epochs", "1", "--lr", "1e-3", "--out", "c")
	return data, dir
}

func TestEncode(t *testing.T) {
	t.Parallel()
	data, dir := trained(t)
	of := func(more ...string) []string {
		return append([]string{"encode", "--model", "r/model.safetensors", "--dataset", "idx", "--data", data}, more...)
	}
	out := succeeds(t, dir, of("--output", "codes.csv", "--scatter", "codes.png")...)
	assert.Empty(t, out.stdout)
	assert.Equal(t, "codes.csv: codes of layer 1, 6 values each, for 40 test examples of idx\ncodes.png: 40 of 40 codes in two dimensions\n", out.stderr)
	lines, err := csv.NewReader(bytes.NewReader(read(t, dir, "codes.csv"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 41)
	assert.Equal(t, []string{"code0", "code1", "code2", "code3", "code4", "code5", "label"}, lines[0])
	assert.Equal(t, []string{"0", "1", "2", "0"}, []string{lines[1][6], lines[2][6], lines[3][6], lines[4][6]})
	checkPictureFile(t, filepath.Join(dir, "codes.png"))

	// The last layer's codes are the outputs.
	succeeds(t, dir, of("--output", "last.npy", "--layer", "3")...)
	succeeds(t, dir, "predict", "--model", "r/model.safetensors", "--dataset", "idx", "--data", data, "--output", "y.npy")
	assert.Equal(t, read(t, dir, "y.npy"), read(t, dir, "last.npy"))
	out = succeeds(t, dir, of("--output", "train.npy", "--split", "train")...)
	assert.Contains(t, out.stderr, "for 120 train examples")

	// CURVES has no labels.
	succeeds(t, dir, "train", "--preset", "curves", "--arch", "784,3:identity,784", "--epochs", "0", "--out", "u")
	succeeds(t, dir, "encode", "--model", "u/model.safetensors", "--output", "u.csv", "--scatter", "u.svg")
	lines, err = csv.NewReader(bytes.NewReader(read(t, dir, "u.csv"))).ReadAll()
	require.NoError(t, err)
	assert.Equal(t, []string{"code0", "code1", "code2"}, lines[0])
	checkPictureFile(t, filepath.Join(dir, "u.svg"))

	refuses(t, dir, exitUsage, []string{"--layer 4: must be 0 to 3, the last of the model's layers"}, of("--output", "x.npy", "--layer", "4")...)
	refuses(t, dir, exitData, []string{"nowhere"}, "encode", "--model", "nowhere", "--output", "x.npy")
	assert.NotContains(t, tree(t, dir), "x.npy")
}

// Codes of a file's examples are those that the same examples have as a data set.
func TestEncodeInput(t *testing.T) {
	t.Parallel()
	data, dir := trained(t)
	encode := []string{"encode", "--model", "r/model.safetensors"}
	of := func(more ...string) []string { return append(encode[:3:3], more...) }
	succeeds(t, dir, of("--dataset", "idx", "--data", data, "--output", "want.npy")...)
	out := succeeds(t, dir, of("--input", filepath.Join(data, "t10k-images-idx3-ubyte"), "--output", "idx.npy")...)
	assert.Equal(t, "idx.npy: codes of layer 1, 6 values each, for 40 examples of "+filepath.Join(data, "t10k-images-idx3-ubyte")+"\n", out.stderr)
	assert.Equal(t, read(t, dir, "want.npy"), read(t, dir, "idx.npy"))

	// The last layer's are what predict writes, here of the codes of another model.
	succeeds(t, dir, of("--input", filepath.Join(data, "t10k-images-idx3-ubyte"), "--layer", "3", "--output", "images.npy")...)
	succeeds(t, dir, of("--input", "images.npy", "--layer", "3", "--output", "twice.npy")...)
	succeeds(t, dir, "predict", "--model", "r/model.safetensors", "--input", "images.npy", "--output", "y.npy")
	assert.Equal(t, read(t, dir, "y.npy"), read(t, dir, "twice.npy"))

	// Labels of a table go with its codes, and its values are scaled as the model says.
	writeCSV(t, filepath.Join(dir, "flowers.csv"), 20)
	table := []string{"--dataset", "csv", "--data", "flowers.csv", "--label-column", "kind", "--test-share", "0"}
	for _, target := range []string{"input", "label"} {
		arch := map[string]string{"input": "3,2,3", "label": "3,2,2"}[target]
		succeeds(t, dir, append([]string{"train", "--preset", "curves", "--loss", "squared", "--scale", "standard", "--target", target, "--arch", arch, "--batch", "4", "--epochs", "0", "--out", target}, table...)...)
		encode[2] = target + "/model.safetensors"
		succeeds(t, dir, append(of("--split", "train", "--output", "want.csv"), table...)...)
		succeeds(t, dir, of("--input", "flowers.csv", "--label-column", "kind", "--output", "got.csv", "--scatter", "got.png")...)
		assert.Equal(t, string(read(t, dir, "want.csv")), string(read(t, dir, "got.csv")))
		assert.Contains(t, string(read(t, dir, "got.csv")), "code0,code1,label\n")
		checkPictureFile(t, filepath.Join(dir, "got.png"))
	}

	refuses(t, dir, exitUsage, []string{"--input with --split: a file of examples has no splits"}, of("--input", "images.npy", "--split", "train", "--output", "x.npy")...)
	refuses(t, dir, exitUsage, []string{"--input with --data: give a file of examples or a data set, not both"}, of("--input", "images.npy", "--data", data, "--output", "x.npy")...)
	refuses(t, dir, exitUsage, []string{"--input images.npy: --label-column and --header are for a .csv file"}, of("--input", "images.npy", "--label-column", "kind", "--output", "x.npy")...)
	refuses(t, dir, exitData, []string{"images.npy: 64 values per example, the model reads 3"}, of("--input", "images.npy", "--output", "x.npy")...)
	refuses(t, dir, exitData, []string{"nowhere.csv: can't read"}, of("--input", "nowhere.csv", "--output", "x.npy")...)
	edit(t, filepath.Join(dir, "flowers.csv"), "aster", "tulip")
	refuses(t, dir, exitData, []string{"tulip", "is of no known class; there are: aster, rose"}, of("--input", "flowers.csv", "--label-column", "kind", "--output", "x.npy")...)
	assert.NotContains(t, tree(t, dir), "x.npy")
}

func TestCodesOfOneValueHaveNoScatter(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--arch", "64,1:identity,64", "--epochs", "0", "--out", "r")...)
	refuses(t, dir, exitUsage, []string{"--scatter: codes of layer 0 have one value; a scatter needs two at least"},
		"encode", "--model", "r/model.safetensors", "--dataset", "idx", "--data", data, "--output", "x.npy", "--scatter", "x.png")
}

// Labels are those that the data have, names or numbers, although the model needs none;
// without any, codes are written all the same.
func TestLabelsOfCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCSV(t, filepath.Join(dir, "flowers.csv"), 20)
	table := []string{"--dataset", "csv", "--data", "flowers.csv", "--label-column", "kind"}
	succeeds(t, dir, append([]string{"train", "--preset", "curves", "--loss", "squared", "--scale", "standard", "--arch", "3,2,3", "--batch", "4", "--epochs", "0", "--out", "r"}, table...)...)
	succeeds(t, dir, append([]string{"encode", "--model", "r/model.safetensors", "--output", "x.csv", "--split", "train"}, table...)...)
	lines, err := csv.NewReader(bytes.NewReader(read(t, dir, "x.csv"))).ReadAll()
	require.NoError(t, err)
	assert.Equal(t, []string{"code0", "code1", "label"}, lines[0])
	seen := map[string]bool{}
	for _, l := range lines[1:] {
		seen[l[2]] = true
	}
	assert.Equal(t, map[string]bool{"aster": true, "rose": true}, seen)

	writeCSV(t, filepath.Join(dir, "one.csv"), 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "two.csv"), bytes.ReplaceAll(read(t, dir, "one.csv"), []byte("rose"), []byte("tulip")), 0o666))
	refuses(t, dir, exitData, []string{"tulip"}, append([]string{"encode", "--model", "r/model.safetensors", "--output", "z.csv", "--test-data", "two.csv"}, table...)...)

	data := writeData(t)
	succeeds(t, dir, small(data, "--epochs", "0", "--out", "s")...)
	require.NoError(t, os.Remove(filepath.Join(data, "t10k-labels-idx1-ubyte")))
	out := succeeds(t, dir, "encode", "--model", "s/model.safetensors", "--dataset", "idx", "--data", data, "--output", "y.csv", "--scatter", "y.png")
	assert.Contains(t, out.stderr, "locoprop: no labels: "+data)
	assert.NotContains(t, string(read(t, dir, "y.csv")), "label")
}

// The first principal components of points on a plane in space keep their distances.
func TestPrincipal(t *testing.T) {
	t.Parallel()
	rows := mat.NewDense(4, 3, []float64{1, 2, 5, 3, 2, 5, 1, 5, 5, 7, 7, 5})
	plane := principal(rows)
	require.NotNil(t, plane)
	for i := range 4 {
		for j := range 4 {
			var in, out mat.VecDense
			in.SubVec(rows.RowView(i), rows.RowView(j))
			out.SubVec(plane.RowView(i), plane.RowView(j))
			assert.InDelta(t, in.Norm(2), out.Norm(2), 1e-12)
		}
	}
	assert.Nil(t, principal(mat.NewDense(1, 3, []float64{1, 2, 3})), "of one point there are none")
}

func TestReconstruct(t *testing.T) {
	t.Parallel()
	data, dir := trained(t)
	of := func(more ...string) []string {
		return append([]string{"reconstruct", "--model", "r/model.safetensors", "--dataset", "idx", "--data", data}, more...)
	}
	out := succeeds(t, dir, of("--output", "x.png")...)
	assert.Equal(t, "x.png: 10 test images of idx above their reconstructions\n", out.stderr)
	assert.Equal(t, read(t, dir, "r/reconstructions.png"), read(t, dir, "x.png"), "what train draws")
	succeeds(t, dir, of("--output", "y.svg", "--count", "25", "--shape", "4x16")...)
	checkPictureFile(t, filepath.Join(dir, "y.svg"))
	succeeds(t, dir, of("--output", "z.png", "--count", "1000")...)
	sheet, err := png.Decode(bytes.NewReader(read(t, dir, "z.png")))
	require.NoError(t, err)
	assert.Equal(t, 10*(2*4*(8+2)+2), sheet.Bounds().Dy(), "all 40, ten in a row")

	for text, want := range map[string]string{
		"8":     "--shape 8: must be HEIGHTxWIDTH, as in 28x28",
		"8x8x1": "--shape 8x8x1: must be HEIGHTxWIDTH",
		"0x64":  "--shape 0x64: must be HEIGHTxWIDTH",
		"8x9":   "--shape 8x9: examples of data set idx have 64 values; must be HEIGHTxWIDTH with that product",
	} {
		refuses(t, dir, exitUsage, []string{want}, of("--output", "n.png", "--shape", text)...)
	}
	refuses(t, dir, exitUsage, []string{"--model c/model.safetensors: a classifier, trained for target label; only an autoencoder, of train --target input, reconstructs"},
		"reconstruct", "--model", "c/model.safetensors", "--dataset", "idx", "--data", data, "--output", "n.png")
	refuses(t, dir, exitFailed, []string{"writing no/n.png"}, of("--output", "no/n.png")...)
}

func TestReconstructWhatIsNoImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeNumbers(t, filepath.Join(dir, "x.csv"))
	table := []string{"--dataset", "csv", "--data", "x.csv"}
	succeeds(t, dir, append([]string{"train", "--preset", "curves", "--arch", "6,2:identity,6", "--batch", "4", "--epochs", "0", "--out", "r"}, table...)...)
	of := append([]string{"reconstruct", "--model", "r/model.safetensors", "--output", "x.png"}, table...)
	refuses(t, dir, exitUsage, []string{"examples of data set csv have 6 values and no shape of an image; --shape HEIGHTxWIDTH gives them one"}, of...)
	succeeds(t, dir, append(of, "--shape", "2x3")...)
	refuses(t, dir, exitUsage, []string{"the first layer's units have 6 values and no shape of an image; --shape HEIGHTxWIDTH gives them one"},
		"weights", "--model", "r/model.safetensors", "--output", "w.png")
	succeeds(t, dir, "weights", "--model", "r/model.safetensors", "--output", "w.png", "--shape", "3x2")
}

func TestFilters(t *testing.T) {
	t.Parallel()
	w := backend.Mat{Rows: 3, Cols: 3, Stride: 4, Data: []float32{1, -2, 9, 0, 0, 0, 9, 0, 4, 2, 9}}
	s := filters(w, 1, 2, 10)
	assert.Equal(t, [][]picture{
		{{1, 2, []float32{0.75, 0}}, {1, 2, []float32{0.5, 0.5}}},
		{{1, 2, []float32{1, 0.75}}},
	}, s.rows)
	assert.Equal(t, "weights of 3 of 3 units in the first layer", s.caption())
	assert.Len(t, filters(w, 1, 2, 1).rows, 1)
	var b bytes.Buffer
	require.NoError(t, s.writePNG(&b), "the last row is shorter")
}

func TestCodeLayer(t *testing.T) {
	t.Parallel()
	_, dir := trained(t)
	for path, want := range map[string]int{"r": 1, "c": 0} {
		m := loadFrom(t, dir, path)
		k, err := codeLayer("", m)
		require.NoError(t, err)
		assert.Equal(t, want, k)
	}
}

func loadFrom(t *testing.T, dir, run string) *model.Model {
	t.Helper()
	m, err := model.Load(filepath.Join(dir, run, "model.safetensors"))
	require.NoError(t, err)
	return m
}

// writeNumbers writes a table of six numbers from 0 to 1 a line.
func writeNumbers(t *testing.T, path string) {
	t.Helper()
	var b bytes.Buffer
	for i := range 20 {
		fmt.Fprintf(&b, "0.%d,0.5,0.%d,1,0,0.25\n", i%10, (i+3)%10)
	}
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o666))
}
