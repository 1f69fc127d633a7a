package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/compare"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smallCompare are the flags of a comparison of a moment, on the data of writeData.
func smallCompare(data string, more ...string) []string {
	return append([]string{
		"compare", "--preset", "curves", "--dataset", "idx", "--data", data, "--arch", "64,12,6:identity,12,64",
		"--methods", "small,quick", "--config", "c.toml", "--seeds", "1,2", "--steps", "6", "--eval-steps", "3",
	}, more...)
}

// writeContenders writes a file with contenders whose batches suit few examples.
func writeContenders(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.toml"), []byte(`
methods = ["small", "quick"]
[contenders.small]
base = "adam"
batch = 30
[contenders.quick]
base = "fast"
title = "quick one"
batch = 30
[contenders.quick.layers.1]
gamma = 0.01
`), 0o666))
}

func resultOf(t *testing.T, dir string) *compare.Result {
	t.Helper()
	r, err := compare.Read(dir)
	require.NoError(t, err)
	return r
}

func TestCompare(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	writeContenders(t, dir)
	out := succeeds(t, dir, smallCompare(data, "--out", "o", "--target-loss", "1000")...)
	for _, part := range []string{"comparing small, quick on data set idx, 2 seeds, 6 steps each; files go to o", "run 4 of 4: quick, seed 2", "step 3, "} {
		assert.Contains(t, out.stderr, part)
	}
	for _, part := range []string{"contender", "test loss", "s to 1000", "test loss over seconds of training", "files in o: results.csv"} {
		assert.Contains(t, out.stdout, part)
	}
	for _, name := range []string{"results.csv", "results.json", "loss-by-epoch.svg", "loss-by-seconds.png", "report.html", "compare.toml", "journal.jsonl"} {
		assert.FileExists(t, filepath.Join(dir, "o", name))
	}
	r := resultOf(t, filepath.Join(dir, "o"))
	assert.True(t, r.Complete)
	assert.Equal(t, "0.01", r.Runs[1].Settings["layers.1.gamma"])
	assert.Contains(t, r.Machine["backend"], r.Runs[0].Settings["backend"])

	// A run's folder is an ordinary one: its configuration repeats it.
	succeeds(t, dir, "train", "--config", "o/runs/quick-2/config.toml", "--out", "again")
	assert.Equal(t, read(t, dir, "o/runs/quick-2", train.ModelName), read(t, dir, "again", train.ModelName))

	// The same again makes no run; --json is one object.
	again := succeeds(t, dir, smallCompare(data, "--out", "o", "--target-loss", "1000", "--json")...)
	assert.NotContains(t, again.stderr, "run 1 of")
	var object compare.Result
	require.NoError(t, json.Unmarshal([]byte(again.stdout), &object))
	assert.Len(t, object.Runs, 4)
	assert.Equal(t, string(read(t, dir, "o/results.json")), again.stdout)
	resumed := succeeds(t, dir, "compare", "--resume", "o")
	assert.NotContains(t, resumed.stderr, "run 1 of")

	// compare.toml alone makes the same comparison.
	succeeds(t, dir, "compare", "--config", "o/compare.toml", "--out", "p", "--json")
	assert.Equal(t, read(t, dir, "o/compare.toml"), read(t, dir, "p/compare.toml"))
	for _, run := range r.Runs {
		assert.Equal(t, read(t, dir, "o", run.Folder, train.ModelName), read(t, dir, "p", run.Folder, train.ModelName))
	}

	refuses(t, dir, exitUsage, []string{
		"o holds another comparison: list of seeds is [1 2] there and [1] here", "list of target losses is [1000] there and [] here",
	}, smallCompare(data, "--out", "o", "--seeds", "1")...)
}

// What tune finds takes part by its configuration.
func TestCompareTuned(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--method", "backprop", "--optimizer", "adam", "--out", "r")...)
	succeeds(t, dir, "compare", "--preset", "curves", "--dataset", "idx", "--data", data, "--arch", "64,12,6:identity,12,64",
		"--methods", "mine=r/config.toml", "--seeds", "1", "--epochs", "2", "--out", "o", "--json")
	s := resultOf(t, filepath.Join(dir, "o")).Runs[0].Settings
	assert.Equal(t, []string{"backprop", "0.0001", "30", "2", "64,12,6:identity,12,64"}, []string{s["method"], s["lr"], s["batch"], s["epochs"], s["arch"]})
}

func TestCompareSeconds(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	writeContenders(t, dir)
	out := succeeds(t, dir, "compare", "--config", "c.toml", "--preset", "curves", "--dataset", "idx", "--data", data, "--arch", "64,6,64", "--seeds", "1", "--seconds", "0.05")
	assert.Contains(t, out.stderr, "small: measuring the time of a step")
	assert.Contains(t, out.stderr, "steps fit into 50ms")
	for _, run := range resultOf(t, filepath.Join(dir, "runs", "compare-curves")).Runs {
		assert.Equal(t, run.Settings["steps"], run.Settings["schedule-steps"])
	}
}

// A killed comparison, and one that Ctrl-C ends, go on to the same result.
func TestCompareKilled(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	writeContenders(t, dir)
	succeeds(t, dir, smallCompare(data, "--out", "straight", "--json")...)
	want := resultOf(t, filepath.Join(dir, "straight"))
	for _, c := range []struct {
		signal os.Signal
		line   string
	}{{os.Kill, "run 1 of 4"}, {os.Kill, "run 2 of 4"}, {syscall.SIGTERM, "run 3 of 4"}, {os.Kill, "comparing"}} {
		out := strings.ReplaceAll(c.line, " ", "-") + c.signal.String()
		s := start(t, dir, smallCompare(data, "--out", out, "--json", "--steps", "6")...)
		for line := range s.lines {
			if strings.Contains(line, c.line) {
				require.NoError(t, s.Process.Signal(c.signal))
				break
			}
		}
		code, rest := s.end(t)
		if c.signal != os.Kill && code != exitDone { // it may have been done by then
			assert.Equal(t, exitInterrupted, code)
			assert.Contains(t, rest, "go on with: locoprop compare --resume "+out)
		}
		succeeds(t, dir, "compare", "--resume", out, "--json")
		got := resultOf(t, filepath.Join(dir, out))
		require.Len(t, got.Runs, len(want.Runs))
		for i, run := range want.Runs {
			assert.Equal(t, read(t, dir, "straight", run.Folder, train.ModelName), read(t, dir, out, run.Folder, train.ModelName), out)
			assert.Equal(t, run.TestLoss, got.Runs[i].TestLoss)
		}
	}
}

func TestCompareDiverged(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.toml"), []byte(`
methods = ["wild"]
seeds = [3]
steps = 4
[contenders.wild]
base = "none"
method = "backprop"
optimizer = "sgd"
lr = 1e45
batch = 30
`), 0o666))
	out := program(t, dir, "compare", "--config", "c.toml", "--dataset", "idx", "--data", data, "--arch", "64,6,64", "--out", "o")
	assert.Equal(t, exitDiverged, out.code)
	assert.Contains(t, out.stderr, "every run diverged")
	assert.Contains(t, out.stdout, "wild       diverged")
	assert.FileExists(t, filepath.Join(dir, "o", "results.csv"))
}

func TestCompareRefuses(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	writeContenders(t, dir)
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, `--methods: unknown contender "adm"; did you mean adam?`, []string{"--methods", "adm"}},
		{exitUsage, "--epochs 0: must be a whole number from 1 to 1000000000", []string{"--epochs", "0"}},
		{exitUsage, "--steps x: must be a whole number from 1 to 1000000000", []string{"--steps", "x"}},
		{exitUsage, "--seconds 0: must be a number from 0.001 to 1000000000", []string{"--seconds", "0"}},
		{exitUsage, "--seconds 1e-4: must be a number from 0.001", []string{"--seconds", "1e-4"}},
		{exitUsage, "epochs, steps: each says how long runs are; give one of them", []string{"--epochs", "1", "--steps", "5"}},
		{exitUsage, `--seeds 1,b: "b" must be a whole number from 0 to 4294967295`, []string{"--seeds", "1,b"}},
		{exitUsage, "seed 1 is there twice", []string{"--seeds", "1,1"}},
		{exitUsage, "--target-loss low: must be a finite number", []string{"--target-loss", "low"}},
		{exitUsage, "--out : must be a folder", []string{"--out", ""}},
		{exitUsage, "unknown flag --lr", []string{"--lr", "1"}},
		{exitUsage, "configuration none.toml: no such file or directory", []string{"--config", "none.toml"}},
		{exitData, "nothing: holds no comparison: there is no compare.toml", []string{"--resume", "nothing"}},
		{exitUsage, "--resume with --seeds: a comparison goes on as it was begun", []string{"--resume", "nothing", "--seeds", "1"}},
		{exitData, "mnist", []string{"--dataset", "mnist", "--data", dir}},
	} {
		refuses(t, dir, c.code, []string{c.want}, append([]string{"compare"}, c.args...)...)
	}
	for text, want := range map[string]string{
		"seed = [1]":                                 `c.toml:1:1: unknown key "seed"; did you mean seeds? (known: methods, seeds, epochs, steps, seconds, target-loss, problem, contenders)`,
		"[problem]\nlr = 1.0":                        "c.toml: problem.lr: not a setting of the problem; contenders' settings stand in [contenders.NAME], length and seeds above all tables",
		"[problem.layers.1]\ngamma = 0.1":            "c.toml: problem.layers.1: settings of single layers are the contenders'; they stand in [contenders.NAME.layers.1]",
		"[problem]\nbatsh = 1":                       `c.toml:2:1: unknown key of problem "batsh"`,
		"[contenders.adam]\nbatsh = 1":               `c.toml:2:1: unknown key of contenders.adam "batsh"; did you mean batch?`,
		"[contenders.x]\nbatch = 1":                  "c.toml: contenders.x: it isn't among methods",
		"methods = ['x']\n[contenders.x]\nbatch = 1": `c.toml: contenders.x: base: unknown contender "x"`,
		"epochs = 1\nseconds = 2.0":                  "epochs, seconds: each says how long runs are; give one of them",
		"seeds = [-1]":                               `--seeds -1: "-1" must be a whole number from 0 to 4294967295`,
		"methods = ['big']\n[contenders.big]\nbase = 'none'\nbatch = 500": "contender big: --batch 500: must be 1 to 120, the number of training examples",
		"[contenders.adam]\narch = '1,2'":                                 "contender adam: arch belongs to the problem, which all contenders share",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "c.toml"), []byte(text), 0o666))
		refuses(t, dir, exitUsage, []string{want}, "compare", "--config", "c.toml", "--dataset", "idx", "--data", data)
	}
	assert.NoDirExists(t, filepath.Join(dir, "runs", "compare-fast-curves"), "nothing is left behind")
	succeeds(t, dir, small(data, "--out", "r", "--epochs", "0")...)
	refuses(t, dir, exitUsage, []string{"--out r: the folder holds a run of train; name another"}, "compare", "--out", "r", "--methods", "adam")
}

// A file of one's own in the folder stays, whatever comes of the comparison.
func TestCompareKeepsOwnFile(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	own := filepath.Join(dir, "mine", "compare.toml")
	require.NoError(t, os.Mkdir(filepath.Dir(own), 0o777))
	write := func(text string) []byte {
		require.NoError(t, os.WriteFile(own, []byte(text), 0o666))
		return []byte(text)
	}
	args := func(more ...string) []string {
		return append([]string{"compare", "--config", "mine/compare.toml", "--out", "mine", "--json"}, more...)
	}
	problem := "# mine\nmethods = ['c']\nseeds = [1]\nsteps = 2\n[contenders.c]\nbase = 'adam'\nbatch = 30\n" +
		"[problem]\ndataset = 'idx'\ndata = '" + data + "'\n"
	bad := write(problem + "arch = '9,9'\n")
	refuses(t, dir, exitUsage, []string{"arch"}, args()...)
	assert.Equal(t, bad, read(t, dir, "mine", "compare.toml"))
	assert.NoDirExists(t, filepath.Join(dir, "mine", "runs"))

	good := write(problem + "arch = '64,6,64'\n")
	refuses(t, dir, exitUsage, []string{"mine/compare.toml: it describes another comparison, which never began; remove it, or name another folder with --out"}, args("--seeds", "3")...)
	succeeds(t, dir, args()...)
	succeeds(t, dir, "compare", "--resume", "mine", "--json")
	assert.Equal(t, good, read(t, dir, "mine", "compare.toml"))
}

func TestCompareList(t *testing.T) {
	t.Parallel()
	out := succeeds(t, t.TempDir(), "compare", "--list")
	for _, part := range []string{"fast: LocoProp-M", "adam: Adam", "default  ", "space    ", "source   "} {
		assert.Contains(t, out.stdout, part)
	}
}
