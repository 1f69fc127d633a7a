package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withEnvironment runs the program with more environment variables.
func withEnvironment(t *testing.T, dir string, variables []string, args ...string) outcome {
	t.Helper()
	cmd := command(t, dir, args...)
	cmd.Env = append(cmd.Env, variables...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	return outcome{exitOf(t, cmd.Run()), stdout.String(), stderr.String()}
}

func TestConfigShow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "my.toml")
	require.NoError(t, os.WriteFile(file, []byte("preset = 'curves'\nbatch = 50\nepochs = 7\nseed = 3\nlr = 0.25\n"), 0o644))
	variables := []string{"LOCOPROP_EPOCHS=8", "LOCOPROP_SEED=4", "LOCOPROP_LOSS=", "LOCOPROP_DATA=" + dir}
	args := []string{"--config", "my.toml", "--seed", "5", "--method", "backprop", "--optimizer", "adam", "--schedule", "paper", "--dataset", "mnist", "--target", "label"}
	out := withEnvironment(t, dir, variables, append([]string{"config", "show"}, args...)...)
	require.Equal(t, exitDone, out.code, out.stderr)
	for _, want := range []string{
		`preset = 'curves' +# my.toml`, `batch = 50 +# my.toml`, `epochs = 8 +# LOCOPROP_EPOCHS`, `seed = 5 +# flag`, `method = 'backprop' +# flag`,
		`lr = 0.0015 +# default of backprop with adam torch`, `warmup-steps = 0 +# follows schedule paper`, `eval-every = 1 +# preset curves`,
		`loss = 'softmax-ce' +# follows target label`, `data = '` + dir + `' +# LOCOPROP_DATA`, `workers = \d+ +# this machine`, `backend = '\w+' +# this machine`,
	} {
		assert.Regexp(t, regexp.MustCompile("(?m)^"+want+"$"), out.stdout)
	}
	assert.NotContains(t, out.stdout, "gamma", "backprop has none")

	// What it shows is a configuration, that of the same run.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shown.toml"), []byte(out.stdout), 0o644))
	again := succeeds(t, dir, "config", "show", "--config", "shown.toml")
	strip := regexp.MustCompile(` +#.*`)
	assert.Equal(t, strip.ReplaceAllString(out.stdout, ""), strip.ReplaceAllString(again.stdout, ""))

	out = succeeds(t, dir, "config", "show")
	assert.Regexp(t, `(?m)^preset = 'fast-curves' +# default$`, out.stdout)
	assert.Regexp(t, `(?m)^gamma = 0.0065 +# preset fast-curves$`, out.stdout)
	assert.NotContains(t, out.stdout, "flag")

	require.NoError(t, os.WriteFile(file, []byte("gamma = 5.0\n[layers.0]\nlocal-steps = 4\n[layers.11]\noptimizer = 'sgd'\nform = 'kernel'\nlr = 0.001\n"), 0o644))
	out = succeeds(t, dir, "config", "show", "--config", "my.toml")
	for _, want := range []string{`gamma = 5.0 +# my.toml`, `\[layers.0\]`, `local-steps = 4 +# my.toml`, `lr = 0.001 +# my.toml`} {
		assert.Regexp(t, regexp.MustCompile("(?m)^"+want+"$"), out.stdout)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ variable, want string }{
		{"LOCOPROP_BATCH=0", "locoprop: LOCOPROP_BATCH 0: must be a whole number from 1"},
		{"LOCOPROP_OPTIMIZER=adma", "locoprop: LOCOPROP_OPTIMIZER adma: unknown optimizer \"adma\"; did you mean adam?"},
		{"LOCOPROP_BACKEND=none", "locoprop: LOCOPROP_BACKEND: unknown backend \"none\""},
		{"LOCOPROP_WORKERS=100000", "locoprop: LOCOPROP_WORKERS 100000: must be 1 to "},
		{"LOCOPROP_SOLVER=newton", "locoprop: LOCOPROP_SOLVER: only form implicit has a solver"},
	} {
		out := withEnvironment(t, dir, []string{c.variable}, "train", "--epochs", "0")
		assert.Equal(t, exitUsage, out.code, c.variable)
		assert.Contains(t, out.stderr, c.want)
	}
	out := withEnvironment(t, dir, []string{"LOCOPROP_PRESET=paper"}, "train", "--config", "x.toml")
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, "--config with --preset or LOCOPROP_PRESET")
	out = withEnvironment(t, dir, []string{"LOCOPROP_BACKEND=gonum", "LOCOPROP_WORKERS=0"}, "info")
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, "locoprop: LOCOPROP_WORKERS 0: must be")
	out = withEnvironment(t, dir, []string{"LOCOPROP_WORKERS=3"}, "info", "--workers", "100000")
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, "locoprop: --workers 100000: must be", "the flag's own")
	out = withEnvironment(t, dir, []string{"LOCOPROP_BATCH=100000"}, "train", "--plan")
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, "locoprop: LOCOPROP_BATCH 100000: must be 1 to 20000, the number of training examples")
	assert.Empty(t, tree(t, dir))
}

// Flags go before environment variables, these before the file, and that before the
// preset: every two of them, and all four.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("with.toml", "preset = 'curves'\nbatch = 33\n[layers.0]\nlocal-steps = 3\n")
	write("without.toml", "preset = 'curves'\n")
	const flag, variable, file, preset = "11", "22", "33", "250"
	for _, c := range []struct {
		flag, variable, file bool
		want, from           string
	}{
		{false, false, false, preset, "preset curves"},
		{false, false, true, file, "with.toml"},
		{false, true, false, variable, "LOCOPROP_BATCH"},
		{false, true, true, variable, "LOCOPROP_BATCH"},
		{true, false, false, flag, "flag"},
		{true, false, true, flag, "flag"},
		{true, true, false, flag, "flag"},
		{true, true, true, flag, "flag"},
	} {
		args := []string{"config", "show", "--config", "without.toml"}
		if c.file {
			args[3] = "with.toml"
		}
		if c.flag {
			args = append(args, "--batch", flag)
		}
		var variables []string
		if c.variable {
			variables = append(variables, "LOCOPROP_BATCH="+variable)
		}
		out := withEnvironment(t, dir, variables, args...)
		require.Equal(t, exitDone, out.code, out.stderr)
		assert.Regexp(t, `(?m)^batch = `+c.want+` +# `+regexp.QuoteMeta(c.from)+`$`, out.stdout, "%+v", c)
	}

	// A layer's table goes before what the run has by any of them.
	out := withEnvironment(t, dir, []string{"LOCOPROP_LOCAL_STEPS=8"}, "config", "show", "--config", "with.toml", "--local-steps", "9")
	assert.Regexp(t, `(?m)^local-steps = 9 +# flag$`, out.stdout)
	assert.Regexp(t, `(?ms)^\[layers\.0\]\nlocal-steps = 3 +# with.toml$`, out.stdout)

	// The preset too is named by flag, variable or file, in this order, and the first of them counts.
	out = withEnvironment(t, dir, []string{"LOCOPROP_PRESET=paper"}, "config", "show")
	assert.Regexp(t, `(?m)^preset = 'paper' +# LOCOPROP_PRESET$`, out.stdout)
	out = withEnvironment(t, dir, []string{"LOCOPROP_PRESET=paper"}, "config", "show", "--preset", "curves")
	assert.Regexp(t, `(?m)^preset = 'curves' +# flag$`, out.stdout)
	assert.Regexp(t, `(?m)^batch = 250 +# preset curves$`, out.stdout)
}
