package catalog_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Files of data that a model refuses are closed.
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
	d, err := e.LoadData()
	require.NoError(t, err)
	require.True(t, mapped(), "else this tests nothing")
	require.NoError(t, d.Close())
	n, err := nn.New(nn.Arch{Widths: []int{4, 2, 4}, Transfer: make([]transfer.Func, 2)})
	require.NoError(t, err)
	_, err = e.LoadDataFor(&model.Model{Network: n, Scale: 255})
	require.ErrorIs(t, err, dataset.ErrData)
	assert.ErrorContains(t, err, "has 1048576 values per example, the model reads 4")
	assert.False(t, mapped())
}
