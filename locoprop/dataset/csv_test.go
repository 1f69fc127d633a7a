package dataset

import (
	"bytes"
	"compress/gzip"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeText(t testing.TB, path, text string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func TestLoadCSV(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		o       TableOptions
		want    []float32
		labels  []int32
		classes int
		names   []string
	}{
		"numbers only":         {text: "1,2\n3,4\n", want: []float32{1, 2, 3, 4}},
		"header, CRLF, spaces": {text: "a,b\r\n 1 , 2.5e0\r\n\r\n-3,+4", want: []float32{1, 2.5, -3, 4}},
		"spreadsheet's mark":   {text: "\ufeff1,2\n", want: []float32{1, 2}},
		"quotes":               {text: "\"a, b\",\"c \"\"d\"\"\"\n\"1\",2\n", want: []float32{1, 2}},
		"said header of numbers": {
			text: "0,1\n5,6\n", o: TableOptions{Header: HeaderYes}, want: []float32{5, 6},
		},
		"label by name, header of numbers": {
			text: "label,0,1\n2,5,6\n0,7,8\n", o: TableOptions{Labels: true, LabelColumn: "label"},
			want: []float32{5, 6, 7, 8}, labels: []int32{2, 0}, classes: 3,
		},
		"names of classes in their order": {
			text: "w,kind,h\n1,setosa,2\n3,iris,4\n5,setosa,6\n", o: TableOptions{Labels: true, LabelColumn: "kind"},
			want: []float32{1, 2, 3, 4, 5, 6}, labels: []int32{1, 0, 1}, classes: 2, names: []string{"iris", "setosa"},
		},
		"last column, floats as classes": {
			text: "1,2,1.0\n3,4,0\n", o: TableOptions{Labels: true, LabelColumn: "-1"},
			want: []float32{1, 2, 3, 4}, labels: []int32{1, 0}, classes: 2,
		},
		"negative classes are names": {
			text: "-1,5\n1,6\n", o: TableOptions{Labels: true, LabelColumn: "1"},
			want: []float32{5, 6}, labels: []int32{0, 1}, classes: 2, names: []string{"-1", "1"},
		},
		"classes of a model": {
			text: "b,5\nb,6\n", o: TableOptions{Labels: true, LabelColumn: "1", Classes: []string{"a", "b"}},
			want: []float32{5, 6}, labels: []int32{1, 1}, classes: 2, names: []string{"a", "b"},
		},
		"label column left out where labels aren't wanted": {
			text: "x,5\ny,6\n", o: TableOptions{LabelColumn: "1"}, want: []float32{5, 6},
		},
		"the name comes before the number": {
			text: "2,1\n7,0\n", o: TableOptions{Header: HeaderYes, Labels: true, LabelColumn: "1"},
			want: []float32{7}, labels: []int32{0}, classes: 1,
		},
	} {
		path := writeText(t, filepath.Join(t.TempDir(), "a.csv"), c.text)
		d, err := LoadCSV(t.Context(), path, c.o)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, values(t, d.Train), name)
		assert.Equal(t, c.labels, d.Train.Labels(), name)
		assert.Equal(t, c.classes, d.Classes, name)
		assert.Equal(t, c.names, d.ClassNames, name)
		assert.Zero(t, d.Test.Len(), name)
		assert.InDelta(t, 1, d.Scale, 0)
	}
}

func TestLoadCSVRefuses(t *testing.T) {
	label := TableOptions{Labels: true, LabelColumn: "kind"}
	for _, c := range []struct {
		text string
		o    TableOptions
		want string
	}{
		{text: "", want: "no examples"},
		{text: "a,b\n", want: "no examples"},
		{text: "a,b\n1,2\n3,\n", want: "line 3, column 2 (b): value is missing"},
		{text: "1,\n", want: "line 1, column 2: value is missing (if this line names the columns, say so: header yes)"},
		{text: "a,b\n1,2\n\n\nNA,4\n", want: `line 5, column 1 (a): "NA" isn't a finite number`},
		{text: "1,2\n3,nan\n", want: `line 2, column 2: "nan" isn't a finite number`},
		{text: "1,2\n3,1e999\n", want: `line 2, column 2: "1e999" isn't a finite number`},
		{text: "a,b\n1,2\n1,2,3\n", want: "line 3: 3 fields, must be 2 as in the first line"},
		{text: "a,b\n1\n", want: "line 2: 1 fields, must be 2"},
		{text: "1,2\n\"3,4\n", want: "line 2, byte 6: extraneous"},
		{text: "1,2\n3,4\"5\n", want: `line 2, byte 4: bare "`},
		{text: "a,b\n1,2\n", o: TableOptions{Header: HeaderNo}, want: `line 1, column 1: "a" isn't a finite number`},
		{text: "a,1\n1,2\n", want: `line 1, column 1: "a" isn't a finite number (if this line names the columns`},
		{text: "a,b\n1,2\n", o: label, want: `no column "kind"; there are: a, b`},
		{text: "1,2\n", o: label, want: `no column "kind": the first line isn't a header`},
		{text: "1,2\n", o: TableOptions{LabelColumn: "3"}, want: "no column 3; there are 2"},
		{text: "1,2\n", o: TableOptions{LabelColumn: "0"}, want: "no column 0"},
		{text: "1,2\n", o: TableOptions{LabelColumn: "-3"}, want: "no column -3"},
		{text: "kind\n1\n", o: label, want: "the only column is that of labels"},
		{text: "kind,a\n1,2\n,3\n", o: label, want: "line 3, column 1 (kind): label is missing"},
		{text: "kind,a\n1,2\n3.7,3\n", o: label, want: "line 3, column 1 (kind): label is 3.7; classes are whole numbers or names"},
		{text: "1,2\n", o: TableOptions{Labels: true}, want: "labels are asked for: --label-column must name their column"},
		{
			text: "kind,a\nx,2\nz,3\n", o: TableOptions{Labels: true, LabelColumn: "kind", Classes: []string{"x", "y"}},
			want: `line 3, column 1 (kind): label "z" is of no known class; there are: x, y`,
		},
		{
			text: "kind,a\n1,2\nz,3\n", o: TableOptions{Labels: true, LabelColumn: "kind", Classes: []string{}},
			want: `line 3, column 1 (kind): label "z" must be a whole number from 0`,
		},
		{text: "1,2\n", o: TableOptions{TestShare: 1}, want: "share of 1 for testing; must be from 0 to below 1"},
		{text: "1,2\n", o: TableOptions{TestShare: math.NaN(), Labels: true}, want: "labels are asked for: --label-column must name their column\nFILE: share of NaN for testing"},
		{text: "1,2\n", o: TableOptions{Header: 3}, want: "unknown answer 3 to whether there is a header; known are 0 to 2"},
		{text: "1,2\n", o: TableOptions{TestShare: 0.5}, want: "1 examples can't give a share of 0.5 for testing"},
	} {
		path := writeText(t, filepath.Join(t.TempDir(), "a.csv"), c.text)
		_, err := LoadCSV(t.Context(), path, c.o)
		require.ErrorIs(t, err, ErrData, c.want)
		assert.ErrorContains(t, err, path+": "+strings.ReplaceAll(c.want, "FILE", path))
	}
}

func TestLoadCSVOfTwoFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadCSV(t.Context(), dir, TableOptions{})
	require.ErrorContains(t, err, filepath.Join(dir, "train.csv")+": no such file")
	_, err = LoadCSV(t.Context(), "", TableOptions{})
	require.ErrorContains(t, err, "--data must name a .csv file, or a folder")
	_, err = LoadCSV(t.Context(), filepath.Join(dir, "x.csv"), TableOptions{})
	require.ErrorContains(t, err, "no such file or folder")

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write([]byte("kind,a\nx,1\ny,2\n"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	writeText(t, filepath.Join(dir, "train.csv.gz"), packed.String())
	test := writeText(t, filepath.Join(dir, "test.csv"), "kind,a\ny,3\n")
	o := TableOptions{Labels: true, LabelColumn: "kind", TestShare: 0.5}
	d, err := LoadCSV(t.Context(), dir, o)
	require.NoError(t, err)
	assert.Equal(t, []float32{1, 2}, values(t, d.Train))
	assert.Equal(t, []float32{3}, values(t, d.Test))
	assert.Equal(t, []int32{1}, d.Test.Labels())

	for text, want := range map[string]string{
		"kind,b\ny,3\n":     "column 2 is b, must be a as in ",
		"kind,a,b\ny,3,4\n": "3 columns, must be 2 as in ",
		"kind,a\nz,3\n":     `line 2, column 1 (kind): label "z" is of no known class; there are: x, y`,
		"kind,a\n1,3\n":     `line 2, column 1 (kind): label "1" is of no known class`,
	} {
		writeText(t, test, text)
		_, err = LoadCSV(t.Context(), dir, o)
		require.ErrorContains(t, err, test+": "+want)
	}
	o.Test = writeText(t, filepath.Join(dir, "other.csv"), "kind,a\nx,7\nx,8\n")
	d, err = LoadCSV(t.Context(), dir, o)
	require.NoError(t, err)
	assert.Equal(t, []int32{0, 0}, d.Test.Labels())
	packed.Truncate(packed.Len() - 5)
	writeText(t, filepath.Join(dir, "train.csv.gz"), packed.String())
	_, err = LoadCSV(t.Context(), dir, o)
	require.ErrorContains(t, err, "train.csv.gz: damaged: unexpected EOF")
}

func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{"1,2\n3,4\n", "a,b\n1,2", "\"", ",", "\ufeffa\n1", "1\n\n2\r\n"} {
		f.Add(s, "1")
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text, column string) {
		if strings.HasPrefix(text, "\x1f\x8b") {
			t.Skip("compressed: a short text may hold many examples")
		}
		path := writeText(t, filepath.Join(dir, "a.csv"), text)
		s, err := ReadCSV(t.Context(), path, TableOptions{LabelColumn: column})
		if err != nil {
			require.ErrorIs(t, err, ErrData)
			return
		}
		require.LessOrEqual(t, s.Len()*s.Dim(), len(text))
		require.Positive(t, s.Len()*s.Dim())
	})
}
