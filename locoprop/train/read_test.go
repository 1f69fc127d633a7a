package train

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a run has written is read back, whole or cut anywhere in its last line.
func TestReadRecords(t *testing.T) {
	dir := t.TempDir()
	_, err := runIn(t, dir, diagnosed(t, 3))
	require.NoError(t, err)
	metrics, err := ReadMetrics(dir)
	require.NoError(t, err)
	require.Len(t, metrics, 3)
	assert.Equal(t, []int{0, 1, 2}, []int{metrics[0].Epoch, metrics[1].Epoch, metrics[2].Epoch})
	assert.Positive(t, metrics[2].TestLoss)
	layers, err := ReadLayers(dir)
	require.NoError(t, err)
	require.Len(t, layers, 9)
	assert.Equal(t, []int{6, 2, 3}, []int{layers[8].Step, layers[8].Layer, layers[8].Iterations})
	assert.Equal(t, "direct", layers[8].Form)
	assert.Positive(t, layers[8].GradientNorm)

	path := filepath.Join(dir, MetricsName)
	content := readFile(t, dir, MetricsName)
	require.NoError(t, os.WriteFile(path, content[:len(content)-1], 0o666))
	whole, err := ReadMetrics(dir)
	require.NoError(t, err)
	assert.Equal(t, metrics, whole, "only the line feed is missing")
	for cut := 2; cut < 40; cut++ {
		require.NoError(t, os.WriteFile(path, content[:len(content)-cut], 0o666))
		part, err := ReadMetrics(dir)
		require.NoError(t, err)
		assert.Equal(t, metrics[:2], part)
	}
}

func TestReadLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	none, err := ReadLines[int](path)
	require.NoError(t, err)
	assert.Nil(t, none, "no such file")
	require.NoError(t, os.WriteFile(path, []byte("1\n\n2\n3"), 0o666))
	list, err := ReadLines[int](path)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2, 3}, list)

	require.NoError(t, os.WriteFile(path, []byte("1\n{\n3\n"), 0o666))
	_, err = ReadLines[int](path)
	require.ErrorIs(t, err, dataset.ErrData)
	assert.ErrorContains(t, err, path+": line 2: unexpected end of JSON input")

	_, err = ReadLines[int](t.TempDir())
	assert.ErrorIs(t, err, dataset.ErrData, "a folder")

	require.NoError(t, os.WriteFile(path, []byte(`{"epoch":1,"test_loss":null}`), 0o666))
	lines, err := ReadLines[Metrics](path)
	require.NoError(t, err)
	assert.True(t, math.IsNaN(lines[0].TestLoss))
}
