package main

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
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeNPY(t *testing.T, path string, m backend.Mat) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, encodeNPY(&b, m))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
}

// What is written is read back by an independent reader.
func TestEncodeNPY(t *testing.T) {
	m := backend.NewPadded(3, 5)
	for i := range m.Rows {
		for j := range m.Cols {
			m.Data[i*m.Stride+j] = float32(10*i + j)
		}
	}
	var b bytes.Buffer
	require.NoError(t, encodeNPY(&b, m))
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

func header(descr, order, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, shape)
}

func TestReadNPY(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	doubles := binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.5))
	doubles = binary.LittleEndian.AppendUint64(doubles, math.Float64bits(-2))
	for _, c := range []struct {
		file []byte
		want []float32
		rows int
	}{
		{rawNPY(header("<f8", "False", "(1, 2)"), doubles...), []float32{0.5, -2}, 1},
		{rawNPY(header("|u1", "False", "(2, 1, 3)"), 1, 2, 3, 4, 5, 255), []float32{1, 2, 3, 4, 5, 255}, 2},
	} {
		require.NoError(t, os.WriteFile(path, c.file, 0o644))
		m, err := readNPY(path)
		require.NoError(t, err)
		assert.Equal(t, c.want, m.Data)
		assert.Equal(t, c.rows, m.Rows)
	}
}

func TestReadNPYRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	for _, c := range []struct {
		file []byte
		want string
	}{
		{nil, "cut off"},
		{[]byte("\x93NUMPY\x01\x00\xff\xff{}"), "damaged header"},
		{rawNPY(""), "damaged header"},
		{rawNPY("{'descr': 'shape': 'fortran_order': }"), "damaged header"},
		{rawNPY(header("<f4", "Maybe", "(1, 2)")), "damaged header"},
		{rawNPY(header("<i4", "False", "(1, 1)"), 0, 0, 0, 0), `elements are of type "<i4"; must be <f4, <f8 or |u1`},
		{rawNPY(header("|u1", "True", "(1, 1)"), 0), "Fortran order"},
		{rawNPY(header("|u1", "False", "(1,)"), 0), "array has shape [1]; must have two dimensions or more"},
		{rawNPY(header("|u1", "False", "(1, 2)"), 0), "header announces shape [1 2]"},
		{rawNPY(header("|u1", "False", "(0, 2)"), 0), "header announces shape [0 2]"},
		{rawNPY(header("|u1", "False", "(-1, -2)"), 0, 0), "header announces shape [-1 -2]"},
		{rawNPY(header("|u1", "False", "(9000000000000000000, 9000000000000000000)"), 0), "header announces shape"},
		{rawNPY(header("|u1", "False", "(1, 1)"), 0, 0), "header announces 1 bytes of data (shape [1 1]), found 2"},
	} {
		require.NoError(t, os.WriteFile(path, c.file, 0o644))
		_, err := readNPY(path)
		require.ErrorIs(t, err, dataset.ErrData, "%q", c.file)
		assert.ErrorContains(t, err, c.want)
		assert.ErrorContains(t, err, path)
	}
	_, err := readNPY(t.TempDir())
	assert.ErrorIs(t, err, dataset.ErrData)
}

func FuzzReadNPY(f *testing.F) {
	f.Add(rawNPY(header("<f4", "False", "(1, 1)"), 0, 0, 0, 0))
	f.Add(rawNPY(header("|u1", "False", "(2, 2)"), 1, 2, 3, 4))
	f.Add([]byte("\x93NUMPY\x02\x00\x10\x00\x00\x00"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(dir, "a.npy")
		require.NoError(t, os.WriteFile(path, file, 0o644))
		m, err := readNPY(path)
		if err != nil {
			require.ErrorIs(t, err, dataset.ErrData)
			return
		}
		require.LessOrEqual(t, len(m.Data), len(file), "never more than the file holds")
	})
}
