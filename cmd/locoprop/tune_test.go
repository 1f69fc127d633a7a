package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/tune"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smallTune are the flags of a search that takes a moment, on the data of writeData.
func smallTune(data string, more ...string) []string {
	return append([]string{
		"tune", "--preset", "curves", "--dataset", "idx", "--data", data, "--arch", "64,24,6:identity,24,64", "--epochs", "3", "--trials", "6",
	}, more...)
}

func reportOf(t *testing.T, path ...string) experiment.TuneReport {
	t.Helper()
	var r experiment.TuneReport
	require.NoError(t, json.Unmarshal(read(t, path...), &r))
	return r
}

func TestTune(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	out := succeeds(t, dir, smallTune(data, "--methods", "adam,kfac", "--out", "o")...)
	for _, name := range []string{"adam", "kfac"} {
		r := reportOf(t, dir, "o", name, tuneReport)
		assert.Equal(t, tune.Budget{Trials: 6, Probes: 2, Full: 360, Length: 360*3 + 120*5 + 240}, r.Budget, "the same for each")
		assert.Equal(t, "test_loss", r.Metric)
		require.NotNil(t, r.Best.Loss)
		assert.LessOrEqual(t, *r.Best.Loss, *r.Default.Loss)
		assert.Len(t, r.Trials, 6)
		assert.Equal(t, []string{"half the rate", "double the rate"}, []string{r.Beside[0].Label, r.Beside[1].Label})
		table := strings.Split(strings.TrimSpace(string(read(t, dir, "o", name, trialsTable))), "\n")
		assert.Len(t, table, 1+6+2)
		assert.Contains(t, table[0], "trial,label,lr,")
		assert.Contains(t, out.stdout, "train with the best: locoprop train --config "+filepath.Join("o", name, bestConfig))

		// best.toml gives the loss that the table shows.
		run := succeeds(t, dir, "train", "--config", filepath.Join("o", name, bestConfig), "--out", "best-"+name, "--json", "--workers", "1")
		lines := strings.Split(strings.TrimSpace(run.stdout), "\n")
		var last train.Metrics
		require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
		assert.Equal(t, *r.Best.Loss, last.TestLoss)
		best := fmt.Sprintf("trials/%03d/", r.Best.Trial)
		assert.Equal(t, read(t, dir, "best-"+name, train.ModelName), read(t, dir, "o", name, best+train.ModelName))
	}
	assert.Contains(t, out.stdout, "kfac (K-FAC), by test_loss, 6 trials and 2 beside the best, 5.33 full runs' length in all:")
	assert.Contains(t, out.stderr, "adam: default point (batch 100, lr 0.002, optimizer:beta2 0.95), 33 % of the run: ")

	// The problem may come from a run's configuration, whatever its method.
	same := succeeds(t, dir, "tune", "--config", "best-kfac/config.toml", "--methods", "adam", "--trials", "6", "--out", "same", "--json")
	assert.JSONEq(t, string(read(t, dir, "o", "adam", tuneReport)), same.stdout)

	// compare takes the best settings as a contender's.
	compared := succeeds(t, dir, "compare", "--preset", "curves", "--dataset", "idx", "--data", data, "--arch", "64,24,6:identity,24,64",
		"--methods", "tuned=o/adam/best.toml", "--epochs", "3", "--seeds", "1", "--out", "c", "--json")
	assert.Contains(t, compared.stdout, strconv.FormatFloat(*reportOf(t, dir, "o", "adam", tuneReport).Best.Loss, 'g', -1, 64))

	// Given again, all is there already; and what differs is named.
	again := succeeds(t, dir, smallTune(data, "--methods", "adam", "--out", "o", "--json", "--workers", "1")...)
	var r experiment.TuneReport
	require.NoError(t, json.Unmarshal([]byte(again.stdout), &r))
	assert.Equal(t, reportOf(t, dir, "o", "adam", tuneReport), r)
	refuses(t, dir, exitUsage, []string{"is of another search: setting seed is 1 there and 2 here", "name another folder with --out"},
		smallTune(data, "--methods", "adam", "--out", "o", "--seed", "2")...)
	journal := filepath.Join("o", "adam", experiment.TuneJournal)
	require.NoError(t, os.WriteFile(filepath.Join(dir, journal), append(read(t, dir, journal), "{\n"...), 0o666))
	refuses(t, dir, exitData, []string{"adam: journal " + journal + ": line ", "unexpected end of JSON input"},
		smallTune(data, "--methods", "adam", "--out", "o")...)
}

// A search whose process is killed or interrupted goes on to the same files.
func TestTuneGoesOn(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	args := func(out string) []string {
		return smallTune(data, "--methods", "nesterov", "--epochs", "60", "--out", out)
	}
	succeeds(t, dir, args("whole")...)
	for _, after := range []string{"trial 1 (", "trial 4 (", "half the rate ("} {
		s := start(t, dir, args("broken")...)
		waitFor(t, s.lines, after)
		if after == "trial 4 (" {
			require.NoError(t, s.Process.Signal(os.Interrupt))
			code, rest := s.end(t)
			assert.Equal(t, exitInterrupted, code, rest)
			assert.Contains(t, rest, "interrupted; go on with the same command, files are in broken")
			continue
		}
		require.NoError(t, s.Process.Kill())
		s.end(t)
	}
	succeeds(t, dir, args("broken")...)
	for _, name := range []string{bestConfig, trialsTable, tuneReport, experiment.TuneJournal} {
		assert.Equal(t, string(read(t, dir, "whole/nesterov", name)), string(read(t, dir, "broken/nesterov", name)), name)
	}
}

func TestTuneUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ args, want string }{
		{"--methods adm", `--methods: unknown contender "adm"; did you mean adam?`},
		{"--methods adam,adam", "--methods: adam is there twice"},
		{"--trials 0", "--trials 0: must be a whole number from 1 to 10000"},
		{"--trials x", "--trials x: must be a whole number from 1 to 10000"},
		{"--halving 0", "--halving 0: must be a whole number from 1 to 10000"},
		{"--search-seed -1", "--search-seed -1: must be a whole number from 0 to 4294967295"},
		{"--lr 1", "unknown flag --lr"},
		{"--time-limit 1s", "unknown flag --time-limit"},
		{"--epochs 0", "the run has no steps; give it one epoch or more"},
		{"--epochs 1 --steps 2", "give one of the two"},
		{"--loss squered", `unknown loss "squered"`},
		{"--backend x", `unknown backend "x"`},
		{"--workers 1000000", "--workers 1000000: must be 1 to"},
		{"--out=", "--out : must be a folder"},
		{"--config none.toml", "configuration none.toml: no such file"},
		{"--config none.toml --preset fast", "--config with --preset or LOCOPROP_PRESET"},
	} {
		refuses(t, dir, exitUsage, []string{c.want}, append([]string{"tune"}, strings.Fields(c.args)...)...)
	}
	refuses(t, dir, exitData, []string{"mnist"}, "tune", "--dataset", "mnist", "--data", dir)
	assert.Equal(t, exitDiverged, exitCode(fmt.Errorf("adam: %w", tune.ErrAllDiverged)))

	list := succeeds(t, dir, "tune", "--list")
	for _, name := range contenderNames() {
		assert.Contains(t, list.stdout, name+": ")
	}
	assert.Contains(t, list.stdout, "  space    lr 0.0001 to 0.01 (log), optimizer:beta2 0.95 | 0.99 | 0.999, batch 50 | 100 | 200\n")
	assert.Empty(t, tree(t, dir))
}
