package main

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/bench"
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
