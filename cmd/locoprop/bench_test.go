package main

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBenchUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--rounds", "0"}, "--rounds 0: must be 1 to 1000"},
		{[]string{"forms", "--rounds", "0"}, "--rounds 0: must be 1 to 1000"},
		{[]string{"forms", "--shapes", "3x4"}, "INPUTSxUNITSxBATCH"},
		{[]string{"forms", "--shapes", "3x4x0"}, "INPUTSxUNITSxBATCH"},
		{[]string{"forms", "--problems", "newton"}, "locoprop-s sgd"},
		{[]string{"forms", "--local-steps", "0"}, "must be 1 to 10000"},
		{[]string{"forms", "--fit", "--workers", "2"}, "--workers 1"},
		{[]string{"figures", "--rounds", "0"}, "--rounds 0"},
		{[]string{"scaling", "--rounds", "0"}, "--rounds 0"},
		{[]string{"scaling", "--axes", "batch,height"}, "unknown axis \"height\"; there are batch, width"},
		{[]string{"scaling", "--axes", "local-steps", "--method", "backprop"}, "local-steps"},
		{[]string{"scaling", "--charts"}, "--charts needs --page"},
		{[]string{"schedule", "--rounds", "0"}, "--rounds 0"},
		{[]string{"schedule", "--blocks", "64,none"}, "--blocks 64,none: found \"none\"; must be numbers from 1 to"},
		{[]string{"schedule", "--simulate", "0"}, "--simulate 0: found \"0\"; must be numbers from 1 to 1024"},
		{[]string{"schedule", "--method", "backprop"}, "block"},
	} {
		refuses(t, t.TempDir(), exitUsage, []string{c.want}, append([]string{"bench"}, c.args...)...)
	}
}

func TestBenchForms(t *testing.T) {
	t.Parallel()
	args := []string{"bench", "forms", "--shapes", "6x5x20,20x5x3", "--local-steps", "2", "--rounds", "1", "--workers", "1"}
	out := succeeds(t, t.TempDir(), append(args, "--problems", "locoprop-s momentum", "--json", "--candidates", "--fit")...)
	var r bench.FormsReport
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &r))
	require.Len(t, r.Layers, 2)
	assert.Len(t, r.Layers[0].Forms, 3)
	require.NotNil(t, r.Fitted)
	assert.Contains(t, out.stderr, "2 of 2: locoprop-s momentum, 20x5x3")

	out = succeeds(t, t.TempDir(), append(args, "--problems", "locoprop-s sgd", "--limit", "1ns")...)
	assert.Contains(t, out.stdout, "not measured: locoprop-s sgd, 6x5x20, direct: expected to take")
	out = succeeds(t, t.TempDir(), append(args, "--problems", "locoprop-s sgd", "--budget", "1ns")...)
	assert.Contains(t, out.stdout, "not measured: locoprop-s sgd 6x5x20, as the budget was spent")
}

// Every standing step can be planned, and shows what it says.
func TestStandings(t *testing.T) {
	for _, s := range standings() {
		c, workers, err := stepConfig(maps.Clone(s.settings))
		require.NoError(t, err, s.name)
		assert.Positive(t, c.Batch)
		assert.Equal(t, s.settings["workers"] != "", workers > 0)
	}
}

func TestBench(t *testing.T) {
	t.Parallel()
	out := succeeds(t, t.TempDir(), "bench", "--arch", "6,4,6", "--batch", "8", "--rounds", "1", "--backends", "gonum", "--workers", "2")
	for _, part := range []string{"ceiling", bench.PartProducts, bench.PartWaiting, "gonum"} {
		assert.Contains(t, out.stdout, part)
	}
}

func TestBenchScaling(t *testing.T) {
	t.Parallel()
	args := []string{"bench", "scaling", "--arch", "6,4,6", "--batch", "8", "--rounds", "1", "--backend", "gonum", "--workers", "1"}
	out := succeeds(t, t.TempDir(), append(args, "--axes", "width,depth,workers", "--json")...)
	var r bench.ScalingReport
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &r))
	var got []string
	for _, p := range r.Points {
		got = append(got, p.Axis+" "+p.Value)
		assert.Positive(t, p.Seconds.Median)
	}
	assert.Equal(t, []string{"width 0.25", "width 0.5", "width 1", "width 2", "width 4", "depth 1", "depth 2", "depth 4", "workers 1"}, got)
	assert.InDelta(t, r.Base.Flops, r.Points[2].Flops, 0, "as wide as the base")
	assert.Greater(t, r.Points[7].Flops, r.Points[6].Flops)
	assert.Contains(t, out.stderr, "9 of 9: workers 1")

	out = succeeds(t, t.TempDir(), append(args, "--method", "backprop", "--optimizer", "sgd", "--limit", "1ns")...)
	assert.Contains(t, out.stdout, "over predicted")
	assert.NotContains(t, out.stdout, "local-steps", "back-propagation has none")
}

func TestScalingArch(t *testing.T) {
	e, err := stepExperiment(catalog.Values{"arch": "6,40:relu,8:identity,6"})
	require.NoError(t, err)
	assert.Equal(t, "6,20:relu,4:identity,6", widened(e, "0.5")["arch"])
	assert.Equal(t, "6,40:relu,40:relu,8:identity,8:identity,6", deepened(e, "2")["arch"])
	e, err = stepExperiment(catalog.Values{}) // that of the preset, which nobody named
	require.NoError(t, err)
	assert.Equal(t, "784,2000,1000,500,60:identity,500,1000,2000,784", widened(e, "2")["arch"])
}

func TestBenchSchedule(t *testing.T) {
	t.Parallel()
	args := []string{"bench", "schedule", "--arch", "6,4,6", "--batch", "8", "--rounds", "1", "--backend", "gonum", "--blocks", "2,8", "--simulate", "1,4"}
	out := succeeds(t, t.TempDir(), append(args, "--json")...)
	var r struct{ Blocks []bench.Scheduled }
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &r))
	require.Len(t, r.Blocks, 2)
	assert.Equal(t, 2, r.Blocks[0].Block)
	assert.Len(t, r.Blocks[1].Simulated, 2)
	assert.Contains(t, succeeds(t, t.TempDir(), args...).stdout, "efficiency")
}
