package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/compare"
	"github.com/locoprop/locoprop-go/locoprop/journal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writeStudy writes a study of a moment, on the data of writeData.
func writeStudy(t *testing.T, dir, data string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "s.toml"), fmt.Appendf(nil, `
title = "A toy."
command = "make toy"
contenders = ["fast", "adam"]
seeds = [1, 2]
trials = 3
halving = 3
evaluations = 2
larger = "Wait longer."
[[problem]]
name = "bands"
title = "Bands"
seconds = 0.02
target-loss = [1000, 1]
[problem.settings]
preset = "fast-curves"
dataset = "idx"
data = %q
arch = "64,6,64"
workers = 1
checkpoint-every = "1h"
`, data), 0o666))
}

func TestStudy(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	writeStudy(t, dir, data)
	args := []string{"study", "--config", "s.toml", "--out", "o", "--page", "docs/page.md"}
	out := succeeds(t, dir, args...)
	for _, part := range []string{
		"problem bands, fast: measuring the time of a step", "problem bands, adam: tuning, 3 trials and 2 beside the best", "problem bands: comparing what tuning gave",
	} {
		assert.Contains(t, out.stderr, part)
	}
	assert.Contains(t, out.stdout, "wrote docs/page.md")
	page := string(read(t, dir, "docs/page.md"))
	for _, part := range []string{
		"Written by `make toy`. A toy.", "3 trials", "| locoprop |", "## Bands", "| contender | test loss |", "s to 1000",
		"### Where LocoProp wins, ties and loses", "| fast | adam | ", "### Tuning", "| half the rate |", "(gamma) |", "### Search spaces", "chosen by the same test loss", "| adam | lr 0.002, optimizer beta2 0.95 | lr 0.0001 to 0.01 (log)", "## A larger version\n\nWait longer.",
		"(images/comparison-bands-seconds.svg)",
	} {
		assert.Contains(t, page, part)
	}
	for _, by := range []string{"seconds", "epochs"} {
		assert.FileExists(t, filepath.Join(dir, "docs", "images", chartName("bands", by)))
	}

	// The runs compared have the steps that were measured and the settings that were found.
	finals := filepath.Join(dir, "o", "bands", studyFinals)
	r := resultOf(t, finals)
	steps := string(read(t, dir, "o", studyJournal))
	for _, run := range r.Runs {
		assert.Contains(t, steps, fmt.Sprintf(`"contender":%q,"steps":%d,`, run.Contender, run.Steps))
		tuned := reportOf(t, dir, "o", "bands", studyTuning, run.Contender, tuneReport)
		for key, value := range tuned.Best.Settings {
			if !strings.Contains(key, ":") {
				assert.Equal(t, value, run.Settings[key], key)
			}
		}
	}

	// Cut anywhere, it comes to the same: nothing that is done is done again.
	require.NoError(t, os.Remove(filepath.Join(dir, "docs", "page.md")))
	measured := read(t, dir, "o", studyJournal)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "o", studyJournal), append(measured, `{"problem":"ba`...), 0o666))
	lines := strings.SplitAfter(string(read(t, finals, compare.JournalName)), "\n")
	require.NoError(t, os.WriteFile(filepath.Join(finals, compare.JournalName), []byte(strings.Join(lines[:5], "")), 0o666))
	again := succeeds(t, dir, args...)
	assert.NotContains(t, again.stderr, "measuring")
	assert.NotContains(t, again.stderr, "run 1 of 4")
	assert.Contains(t, again.stderr, "run 4 of 4")
	got := resultOf(t, finals)
	for i, run := range r.Runs {
		assert.Equal(t, run.TestLoss, got.Runs[i].TestLoss)
	}
	assert.FileExists(t, filepath.Join(dir, "docs", "page.md"))

	// Another plan in the same folder is refused.
	config := strings.Replace(string(read(t, dir, "s.toml")), "seconds = 0.02", "seconds = 0.03", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "s.toml"), []byte(config), 0o666))
	refuses(t, dir, exitUsage, []string{"o holds another study: problem bands has 0.02 seconds there and 0.03 here"}, args...)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "o", studyJournal), []byte("{}\n"), 0o666))
	refuses(t, dir, exitData, []string{`steps.jsonl: line 1: 0 steps of contender ""; must be 1 or more`}, args...)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "o", studyJournal), []byte("{\n"), 0o666))
	refuses(t, dir, exitData, []string{"steps.jsonl: line 1: unexpected end of JSON input"}, args...)
	require.NoError(t, os.Remove(filepath.Join(dir, "o", studyJournal)))
	held, err := journal.Open(filepath.Join(dir, "o", studyJournal), nil)
	require.NoError(t, err)
	refuses(t, dir, exitUsage, []string{"steps.jsonl is in use: locked by process"}, args...)
	require.NoError(t, held.Close())
}

func TestStudyRefuses(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	writeStudy(t, dir, data)
	good := string(read(t, dir, "s.toml"))
	for _, c := range []struct{ old, now, want string }{
		{`"adam"]`, `"adm"]`, `s.toml: contenders: unknown contender "adm"; did you mean adam?`},
		{`"adam"]`, `"fast"]`, "s.toml: contenders: fast is there twice"},
		{`["fast", "adam"]`, "[]", "s.toml: contenders: there are none"},
		{"[1, 2]", "[1, -2]", "s.toml: seeds: -2 must be a whole number"},
		{"[1, 2]", "[1]", "s.toml: seeds: there must be two or more"},
		{"trials = 3", "trials = 0", "s.toml: trials: 0 must be a whole number from 1"},
		{"halving = 3", "halving = -1", "s.toml: halving -1 and evaluations 2: neither can be below 0"},
		{"seconds = 0.02", "seconds = 0.0", "s.toml: problem bands: seconds: 0 must be above 0"},
		{`name = "bands"`, `name = "a/b"`, `s.toml: problem "a/b": a name has small letters`},
		{"trials", "trails", `s.toml:6:1: unknown key "trails"; did you mean trials?`},
		{"workers = 1", "lr = 1.0", "problem bands: problem.lr: not a setting of the problem"},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "s.toml"), []byte(strings.Replace(good, c.old, c.now, 1)), 0o666))
		refuses(t, dir, exitUsage, []string{c.want}, "study", "--config", "s.toml", "--out", "o")
	}
	assert.NoDirExists(t, filepath.Join(dir, "o"))
	refuses(t, dir, exitUsage, []string{"none.toml: no such file"}, "study", "--config", "none.toml", "--out", "o")
}

// The studies of the Makefile are what the program takes: the whole of the short one's
// settings, and every final's experiment.
func TestStudiesOfTheMakefile(t *testing.T) {
	t.Parallel()
	makefile := string(read(t, "..", "..", "Makefile"))
	for _, name := range []string{"short", "long"} {
		assert.Contains(t, makefile, "docs/comparison/"+name+".toml")
		s := &study{}
		require.NoError(t, s.read(filepath.Join("..", "..", "docs", "comparison", name+".toml")))
		local, others := s.sides()
		assert.Equal(t, []string{"fast", "locoprop-m", "locoprop-s"}, local)
		assert.Equal(t, []string{"adam", "nadamw", "nesterov", "kfac", "shampoo"}, others)
		assert.Len(t, s.file.Problems, 2)
		for _, p := range s.file.Problems {
			spec := &compareSpec{problem: map[string]string{}}
			require.NoError(t, spec.takeProblem(p.Name, p.Settings))
			assert.NotEmpty(t, p.TargetLoss)
		}
	}
	assert.Equal(t, "diverged : 2.00", lossesText(Stat{}, Stat{Mean: 2, Count: 1}))
	assert.Equal(t, "2.00 (1 of 3 diverged) : 2.00", lossesText(Stat{Mean: 2, Count: 2, Diverged: 1}, Stat{Mean: 2, Count: 1}))
}
