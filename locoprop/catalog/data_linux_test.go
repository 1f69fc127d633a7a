package catalog_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/contexttest"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Files of data that a model refuses are closed, and so is what was opened before a context
// ended.
func TestRefusedDataAreClosed(t *testing.T) {
	dir := t.TempDir()
	const side = 1024
	header := binary.BigEndian.AppendUint32(nil, 0x803)
	for _, n := range []uint32{65, side, side} { // more than what is read instead, of holes
		header = binary.BigEndian.AppendUint32(header, n)
	}
	for _, name := range []string{"train", "t10k"} {
		path := filepath.Join(dir, name+"-images-idx3-ubyte")
		require.NoError(t, os.WriteFile(path, header, 0o666))
		require.NoError(t, os.Truncate(path, int64(len(header)+65*side*side)))
	}
	mapped := func() bool {
		maps, err := os.ReadFile("/proc/self/maps")
		require.NoError(t, err)
		return bytes.Contains(maps, []byte(dir))
	}
	e, _, err := catalog.Resolve(catalog.Layer{Values: catalog.Values{"dataset": "idx", "data": dir}})
	require.NoError(t, err)
	n := 0
	d, err := e.LoadData(contexttest.EndsAfter(t.Context(), n))
	for ; err != nil; d, err = e.LoadData(contexttest.EndsAfter(t.Context(), n)) {
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, mapped())
		n++
	}
	require.Greater(t, n, 2, "in the file of test examples too")
	require.True(t, mapped(), "else this tests nothing")
	require.NoError(t, d.Close())
	net, err := nn.New(nn.Arch{Widths: []int{4, 2, 4}, Transfer: make([]transfer.Func, 2)})
	require.NoError(t, err)
	_, err = e.LoadDataFor(t.Context(), &model.Model{Network: net, Scale: 255})
	require.ErrorIs(t, err, dataset.ErrData)
	assert.ErrorContains(t, err, "has 1048576 values per example, the model reads 4")
	assert.False(t, mapped())
}
