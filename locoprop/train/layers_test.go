package train

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// diagnosed is a run of 2 epochs of 4 batches, every third of which is diagnosed; its
// targets remember their examples.
func diagnosed(t *testing.T, every int) Config {
	t.Helper()
	c := autoencoder(t)
	m, err := locoprop.New(locoprop.Options{
		Eta: 1e-4, Gamma: 5, Steps: 3, Optimizer: optimizer.New(optimizer.RMSPropTF1), Block: testBlock, Diagnose: every,
		Momentum: locoprop.Momentum{Factor: 0.5, Examples: testTrain},
	})
	require.NoError(t, err)
	c.Method = m
	return c
}

// layers.jsonl has a line for each layer of each sampled batch; the run is the same
// without, and then there is no such file.
func TestLayersFile(t *testing.T) {
	with, without := t.TempDir(), t.TempDir()
	_, err := runIn(t, with, diagnosed(t, 3))
	require.NoError(t, err)
	_, err = runIn(t, without, diagnosed(t, 0))
	require.NoError(t, err)
	assert.Equal(t, readFile(t, without, ModelName), readFile(t, with, ModelName))
	assert.False(t, exists(filepath.Join(without, LayersName)))
	var steps []int
	for i, text := range bytes.Split(bytes.TrimSpace(readFile(t, with, LayersName)), []byte("\n")) {
		var l layerLine
		require.NoError(t, json.Unmarshal(text, &l))
		assert.Equal(t, i%3, l.Layer)
		assert.Positive(t, float64(l.GradientNorm))
		assert.Equal(t, 3, l.Iterations)
		steps = append(steps, l.Step)
	}
	assert.Equal(t, []int{0, 0, 0, 3, 3, 3, 6, 6, 6}, steps)
}

// An interrupted and resumed run ends with the same file and model; lines after the
// checkpoint are dropped.
func TestLayersFileResumes(t *testing.T) {
	whole, parts := t.TempDir(), t.TempDir()
	_, err := runIn(t, whole, diagnosed(t, 2))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	c := diagnosed(t, 2)
	c.OnStep = func(p Progress) {
		if p.Step == 5 {
			cancel()
		}
	}
	_, err = runWith(ctx, t, parts, c)
	require.ErrorIs(t, err, ErrInterrupted)
	lost := append(readFile(t, parts, LayersName), "{\"lost\":1}\n"...)
	require.NoError(t, os.WriteFile(filepath.Join(parts, LayersName), lost, 0o666))
	_, err = runIn(t, parts, diagnosed(t, 2))
	require.NoError(t, err)
	assert.Equal(t, string(readFile(t, whole, LayersName)), string(readFile(t, parts, LayersName)))
	assert.Equal(t, readFile(t, whole, ModelName), readFile(t, parts, ModelName))
}

// OnLayers has the same reports, without a folder too; those are the callback's to keep.
func TestOnLayers(t *testing.T) {
	dir := t.TempDir()
	_, err := runIn(t, dir, diagnosed(t, 3))
	require.NoError(t, err)
	want, err := ReadLayers(dir)
	require.NoError(t, err)
	c := diagnosed(t, 3)
	var got []plan.LayerReport
	var kept [][]plan.LayerReport
	c.OnLayers = func(r []plan.LayerReport) { got, kept = append(got, r...), append(kept, r) }
	tr, err := New(t.Context(), c)
	require.NoError(t, err)
	defer tr.Close()
	_, err = tr.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, want, slices.Concat(kept...))
}
