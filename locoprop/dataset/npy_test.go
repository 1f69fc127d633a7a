package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"codeberg.org/sbinet/npyio/npy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/blas/blas32"
)

// values are all examples of a split.
func values(t require.TestingT, s Split) []float32 {
	m := blas32.General{Rows: s.Len(), Cols: s.Dim(), Stride: s.Dim(), Data: make([]float32, s.Len()*s.Dim())}
	index := make([]int, s.Len())
	for i := range index {
		index[i] = i
	}
	require.NoError(t, s.Rows(m, index))
	return m.Data
}

// What is written is read back by an independent reader.
func TestWriteNPY(t *testing.T) {
	m := blas32.General{Rows: 3, Cols: 5, Stride: 7, Data: make([]float32, 21)}
	for i := range m.Rows {
		for j := range m.Cols {
			m.Data[i*m.Stride+j] = float32(10*i + j)
		}
	}
	var b bytes.Buffer
	require.NoError(t, WriteNPY(&b, m))
	assert.Zero(t, (b.Len()-3*5*4)%64, "the data begin at a multiple of 64")
	r, err := npy.NewReader(&b)
	require.NoError(t, err)
	assert.Equal(t, []int{3, 5}, r.Header.Descr.Shape)
	var got []float32
	require.NoError(t, r.Read(&got))
	assert.Equal(t, []float32{0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24}, got)
}

// rawNPY is a file of a header's text and data.
func rawNPY(header string, data ...byte) []byte {
	header += strings.Repeat(" ", 10) + "\n"
	b := []byte("\x93NUMPY\x01\x00")
	b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	return append(append(b, header...), data...)
}

// version turns a file of version 1 into one of a later version, whose length of the
// header has four bytes.
func version(v byte, file []byte) []byte {
	b := append([]byte("\x93NUMPY"), v, 0, file[8], file[9], 0, 0)
	return append(b, file[10:]...)
}

func header(descr, order, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, shape)
}

func TestReadNPY(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	doubles := binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.5))
	doubles = binary.LittleEndian.AppendUint64(doubles, math.Float64bits(-2))
	for _, c := range []struct {
		file  []byte
		want  []float32
		rows  int
		shape []int
	}{
		{rawNPY(header("<f8", "False", "(1, 2)"), doubles...), []float32{0.5, -2}, 1, []int{2}},
		{rawNPY(header("|u1", "False", "(2, 1, 3)"), 1, 2, 3, 4, 5, 255), []float32{1, 2, 3, 4, 5, 255}, 2, []int{1, 3}},
		{version(2, rawNPY(header("|u1", "False", "(1, 2)"), 7, 8)), []float32{7, 8}, 1, []int{2}},
		{version(3, rawNPY(header("|u1", "False", "(1, 2)"), 7, 8)), []float32{7, 8}, 1, []int{2}},
	} {
		require.NoError(t, os.WriteFile(path, c.file, 0o644))
		m, err := ReadNPY(t.Context(), path)
		require.NoError(t, err)
		assert.Equal(t, c.want, values(t, m))
		assert.Equal(t, c.rows, m.Len())
		assert.Equal(t, c.shape, m.Shape())
	}
}

func TestReadNPYRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	for _, c := range []struct {
		file []byte
		want string
	}{
		{nil, "cut off"},
		{[]byte("\x93NUMPY\x01\x00\xff\xff{}"), "header is damaged"},
		{rawNPY(""), "damaged header"},
		{rawNPY("{'descr': 'shape': 'fortran_order': }"), "damaged header"},
		{rawNPY(header("<f4", "Maybe", "(1, 2)")), "damaged header"},
		{rawNPY(header("<i4", "False", "(1, 1)"), 0, 0, 0, 0), `elements are of type "<i4"; must be <f4, <f8 or |u1`},
		{rawNPY(header("|u1", "True", "(1, 1)"), 0), "Fortran order"},
		{rawNPY(header("|u1", "False", "(1,)"), 0), "array has shape [1]; must have two dimensions or more"},
		{rawNPY(header("|u1", "False", "(1, 2)"), 0), "cut off: header announces shape [1 2], 2 elements; the file has data for 1"},
		{rawNPY(header("|u1", "False", "(0, 2)"), 0), "header announces shape [0 2]"},
		{rawNPY(header("|u1", "False", "(-1, -2)"), 0, 0), "header announces shape [-1 -2]"},
		{rawNPY(header("|u1", "False", "(9000000000000000000, 9000000000000000000)"), 0), "header announces shape"},
		{rawNPY(header("|u1", "False", "(1, 1)"), 0, 0), "too long: header announces 1 bytes of data (shape [1 1]), found 2"},
	} {
		require.NoError(t, os.WriteFile(path, c.file, 0o644))
		_, err := ReadNPY(t.Context(), path)
		require.ErrorIs(t, err, ErrData, "%q", c.file)
		assert.ErrorContains(t, err, c.want)
		assert.ErrorContains(t, err, path)
	}
	_, err := ReadNPY(t.Context(), t.TempDir())
	assert.ErrorIs(t, err, ErrData)
}

func FuzzReadNPY(f *testing.F) {
	f.Add(rawNPY(header("<f4", "False", "(1, 1)"), 0, 0, 0, 0))
	f.Add(rawNPY(header("|u1", "False", "(2, 2)"), 1, 2, 3, 4))
	f.Add([]byte("\x93NUMPY\x02\x00\x10\x00\x00\x00"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(dir, "a.npy")
		require.NoError(t, os.WriteFile(path, file, 0o644))
		m, err := ReadNPY(t.Context(), path)
		if err != nil {
			require.ErrorIs(t, err, ErrData)
			return
		}
		require.LessOrEqual(t, len(m.data), len(file), "never more than the file holds")
	})
}

func TestReadNPYLabels(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.npy")
	for _, c := range []struct {
		file []byte
		want string // the labels, or the error
	}{
		{rawNPY(header("<i8", "False", "(2,)"), 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0), "[3 256]"},
		{rawNPY(header("<u2", "False", "(2, 1)"), 3, 0, 255, 255), "[3 65535]"},
		{rawNPY(header("|i1", "False", "(3,)"), 0, 127, 1), "[0 127 1]"},
		{rawNPY(header("|i1", "False", "(3,)"), 0, 127, 254), "label of example 2 is -2, must be ≥ 0"},
		{rawNPY(header("<i4", "False", "(1,)"), 255, 255, 255, 255), "label of example 0 is -1"},
		{rawNPY(header("<u4", "False", "(1,)"), 255, 255, 255, 255), "label of example 0 is 4294967295, must be at most 2147483647"},
		{rawNPY(header("<u8", "False", "(1,)"), 255, 255, 255, 255, 255, 255, 255, 255), "label of example 0 is 18446744073709551615"},
		{rawNPY(header("<f4", "False", "(1,)"), 0, 0, 0, 0), `labels are of type "<f4"`},
		{rawNPY(header("|u1", "False", "(1, 2)"), 0, 0), "labels have shape [1 2]"},
		{rawNPY(header("|u1", "False", "()"), 0), "labels have shape []"},
		{rawNPY(header("|u1", "False", "(3,)"), 0), "cut off"},
	} {
		require.NoError(t, os.WriteFile(path, c.file, 0o644))
		labels, err := ReadNPYLabels(t.Context(), path)
		if strings.HasPrefix(c.want, "[") && err == nil {
			assert.Equal(t, c.want, fmt.Sprint(labels))
			continue
		}
		require.ErrorIs(t, err, ErrData, c.want)
		assert.ErrorContains(t, err, path+": "+c.want)
	}
}
