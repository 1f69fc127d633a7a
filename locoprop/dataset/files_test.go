package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// writeSet writes train and test images (6 and 4 of 3 × 2) with labels under the
// given prefixes.
func writeSet(t *testing.T, train, test, ext string) {
	t.Helper()
	pack := func(b []byte) []byte { return b }
	if ext == ".gz" {
		pack = gz
	}
	writeFile(t, train+"-images-idx3-ubyte"+ext, pack(idxFile(nil, 6, 3, 2)))
	writeFile(t, train+"-labels-idx1-ubyte"+ext, pack(idxFile([]byte{1, 0, 4, 1, 1, 2}, 6)))
	writeFile(t, test+"-images-idx3-ubyte"+ext, pack(idxFile(nil, 4, 3, 2)))
	writeFile(t, test+"-labels-idx1-ubyte"+ext, pack(idxFile([]byte{3, 0, 1, 4}, 4)))
}

func checkSet(t *testing.T, d *Data, name string, labels bool) {
	t.Helper()
	require.Equal(t, name, d.Name)
	require.Equal(t, []int{6, 4, 6, 3, 2}, []int{d.Train.Len(), d.Test.Len(), d.Dim(), d.Height, d.Width})
	require.Equal(t, 255.0, d.Scale)
	if !labels {
		require.Nil(t, d.Train.Labels())
		require.Nil(t, d.Test.Labels())
		require.Zero(t, d.Classes)
		return
	}
	require.Equal(t, 5, d.Classes)
	require.Empty(t, cmp.Diff([]int32{1, 0, 4, 1, 1, 2}, d.Train.Labels()))
	require.Empty(t, cmp.Diff([]int32{3, 0, 1, 4}, d.Test.Labels()))
}

func TestLoadNamed(t *testing.T) {
	for _, ext := range []string{"", ".gz"} {
		for _, name := range []string{"mnist", "fashion-mnist"} {
			root := t.TempDir()
			writeSet(t, root+"/"+name+"/train", root+"/"+name+"/t10k", ext)
			for _, labels := range []bool{false, true} {
				d, err := LoadNamed(t.Context(), root, name, Options{Labels: labels})
				require.NoError(t, err)
				checkSet(t, d, name, labels)
			}
		}
	}
}

func TestLoadNamedPrefersPlain(t *testing.T) {
	root := t.TempDir()
	writeSet(t, root+"/mnist/train", root+"/mnist/t10k", "")
	writeFile(t, root+"/mnist/train-images-idx3-ubyte.gz", []byte("not even gzip"))
	_, err := LoadNamed(t.Context(), root, "mnist", Options{})
	require.NoError(t, err)
}

func TestLoadNamedErrors(t *testing.T) {
	root := t.TempDir()
	_, err := LoadNamed(t.Context(), "", "mnist", Options{})
	require.EqualError(t, err, "data set mnist is read from files: --data or LOCOPROP_DATA must name the folder that holds mnist")
	require.ErrorIs(t, err, ErrData)

	_, err = LoadNamed(t.Context(), root, "mnist", Options{})
	require.EqualError(t, err, root+"/mnist/train-images-idx3-ubyte: no such file, nor with .gz; --data or LOCOPROP_DATA names the folder that holds mnist")
	require.ErrorIs(t, err, ErrData)

	_, err = LoadNamed(t.Context(), root, "mnits", Options{})
	require.EqualError(t, err, `data set "mnits", must be mnist or fashion-mnist`)
	require.NotErrorIs(t, err, ErrData)

	writeSet(t, root+"/train", root+"/t10k", ".gz")
	_, err = LoadNamed(t.Context(), root, "mnist", Options{})
	require.ErrorContains(t, err, "it lies in "+root+" itself: name the folder above mnist, or use --dataset idx")

	file := writeFile(t, filepath.Join(root, "file"), nil)
	_, err = LoadNamed(t.Context(), file, "mnist", Options{})
	require.ErrorContains(t, err, "can't read: not a directory")
	require.ErrorIs(t, err, ErrData)

	writeSet(t, root+"/mnist/train", root+"/mnist/t10k", "")
	require.NoError(t, os.Remove(root+"/mnist/t10k-images-idx3-ubyte"))
	_, err = LoadNamed(t.Context(), root, "mnist", Options{})
	require.ErrorContains(t, err, root+"/mnist/t10k-images-idx3-ubyte: no such file")
}

func TestLoadDir(t *testing.T) {
	for _, c := range []struct{ train, test, ext, prefix string }{
		{"train", "t10k", "", ""},
		{"train", "t10k", ".gz", "t"},
		{"emnist-letters-train", "emnist-letters-test", ".gz", ""},
		{"emnist-letters-train", "emnist-letters-test", "", "emnist-letters"},
	} {
		dir := t.TempDir()
		writeSet(t, dir+"/"+c.train, dir+"/"+c.test, c.ext)
		writeFile(t, dir+"/._"+c.train+"-images-idx3-ubyte", []byte("what some systems leave behind"))
		require.NoError(t, os.Mkdir(dir+"/old-train-images-idx3-ubyte", 0o755))
		for _, labels := range []bool{false, true} {
			d, err := LoadDir(t.Context(), dir, c.prefix, Options{Labels: labels})
			require.NoError(t, err)
			checkSet(t, d, "idx", labels)
		}
	}
}

func TestLoadDirPrefixPicks(t *testing.T) {
	dir := t.TempDir()
	writeSet(t, dir+"/emnist-letters-train", dir+"/emnist-letters-test", ".gz")
	writeSet(t, dir+"/emnist-digits-train", dir+"/emnist-digits-test", ".gz")

	_, err := LoadDir(t.Context(), dir, "", Options{})
	var several *AmbiguousError
	require.True(t, errors.As(err, &several))
	require.ErrorIs(t, err, ErrData)
	require.Equal(t, &AmbiguousError{dir, "*train-images-idx3-ubyte[.gz]", []string{
		"emnist-digits-train-images-idx3-ubyte.gz", "emnist-letters-train-images-idx3-ubyte.gz",
	}}, several)
	require.ErrorContains(t, err, "2 files match *train-images-idx3-ubyte[.gz], exactly one may: "+
		"emnist-digits-train-images-idx3-ubyte.gz, emnist-letters-train-images-idx3-ubyte.gz; --data-prefix picks")

	d, err := LoadDir(t.Context(), dir, "emnist-letters", Options{Labels: true})
	require.NoError(t, err)
	checkSet(t, d, "idx", true)

	_, err = LoadDir(t.Context(), dir, "letters", Options{})
	require.ErrorIs(t, err, ErrData)
	require.ErrorContains(t, err, dir+": no file matches letters*train-images-idx3-ubyte[.gz]; --data-prefix must be the start of one of: emnist-digits")

	// t10k and test are two candidates for one part.
	writeFile(t, dir+"/emnist-letters-t10k-images-idx3-ubyte", idxFile(nil, 4, 3, 2))
	_, err = LoadDir(t.Context(), dir, "emnist-letters", Options{})
	require.ErrorContains(t, err, "2 files match emnist-letters*{t10k,test}-images-idx3-ubyte[.gz], exactly one may: "+
		"emnist-letters-t10k-images-idx3-ubyte, emnist-letters-test-images-idx3-ubyte.gz")
}

func TestLoadDirErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		"":             "--data or LOCOPROP_DATA must name their folder",
		dir:            dir + ": no file matches *train-images-idx3-ubyte[.gz]; --data or LOCOPROP_DATA names",
		dir + "/child": dir + "/child: can't list the folder (--data or LOCOPROP_DATA names it): no such file or directory",
	} {
		_, err := LoadDir(t.Context(), path, "", Options{})
		require.ErrorContains(t, err, want)
		require.ErrorIs(t, err, ErrData)
	}
}

// Files that are sound by themselves but don't go together, and labels that matter
// only where they are asked for.
func TestLoadChecksTheWhole(t *testing.T) {
	const trainLabels, testLabels = "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"
	for _, c := range []struct {
		name, file string
		data       []byte // nil: remove the file
		onlyLabels bool   // without labels it loads
		want       string
	}{
		{"width", "t10k-images-idx3-ubyte", idxFile(nil, 4, 2, 3), false, "DIR/t10k-images-idx3-ubyte: examples are 2×3, must be 3×2 as in DIR/train-images-idx3-ubyte"},
		{"rank", "train-images-idx3-ubyte", idxFile(nil, 6), false, "DIR/train-images-idx3-ubyte: rank 1"},
		{"cut", "train-images-idx3-ubyte", idxFile(nil, 6, 3, 2)[:40], false, "DIR/train-images-idx3-ubyte: cut off"},
		{"no-labels", trainLabels, nil, true, "DIR/train-labels-idx1-ubyte: no such file, nor with .gz; the labels of DIR/train-images-idx3-ubyte are asked for"},
		{"no-test-labels", testLabels, nil, true, "DIR/t10k-labels-idx1-ubyte: no such file"},
		{"count", trainLabels, idxFile(nil, 5), true, "DIR/train-labels-idx1-ubyte: 5 labels, must be 6 as there are examples in DIR/train-images-idx3-ubyte"},
		{"label-rank", trainLabels, idxFile(nil, 6, 1), true, "DIR/train-labels-idx1-ubyte: rank 2 (magic number 0x00000802), labels need rank 1"},
		{"cut-labels", testLabels, idxFile(nil, 4)[:9], true, "DIR/t10k-labels-idx1-ubyte: cut off"},
		{"unseen", testLabels, idxFile([]byte{0, 0, 9, 0}, 4), true, "DIR/t10k-labels-idx1-ubyte: label of example 2 is 9, the training labels are 0 to 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writeSet(t, dir+"/train", dir+"/t10k", "")
			path := filepath.Join(dir, c.file)
			if c.data == nil {
				require.NoError(t, os.Remove(path))
			} else {
				writeFile(t, path, c.data)
			}
			_, err := LoadDir(t.Context(), dir, "", Options{Labels: true})
			require.ErrorIs(t, err, ErrData)
			require.ErrorContains(t, err, strings.ReplaceAll(c.want, "DIR", dir))
			_, err = LoadDir(t.Context(), dir, "", Options{})
			if c.onlyLabels {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, strings.ReplaceAll(c.want, "DIR", dir))
			}
		})
	}
}

// The real MNIST. The floors are facts about its files, computed independently.
func TestMNIST(t *testing.T) {
	root := os.Getenv("LOCOPROP_DATA")
	if root == "" {
		t.Skip("set LOCOPROP_DATA to a folder that holds mnist/ to run this test")
	}
	d, err := LoadNamed(t.Context(), root, "mnist", Options{Labels: true})
	require.NoError(t, err)
	require.Equal(t, []int{60000, 10000, 784, 28, 28, 10},
		[]int{d.Train.Len(), d.Test.Len(), d.Dim(), d.Height, d.Width, d.Classes})
	require.Equal(t, []int32{5, 0, 4, 1, 9}, d.Train.Labels()[:5])
	require.Equal(t, []int32{7, 2, 1, 0, 4}, d.Test.Labels()[:5])
	if raceEnabled {
		return // a loop over 47 million pixels; the run without -race has it
	}
	require.InDelta(t, 45.7568, entropyFloor(d.Train.(*Bytes)), 5e-5)
	require.InDelta(t, 45.5345, entropyFloor(d.Test.(*Bytes)), 5e-5)
}
