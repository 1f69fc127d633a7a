package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endsAfter is a context that ends once its error has been asked for so many times.
type endsAfter struct {
	context.Context
	left atomic.Int64
}

func (c *endsAfter) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// interrupted runs the program within this process, interrupted at the n-th look.
func interrupted(t *testing.T, n int, args ...string) outcome {
	t.Helper()
	ctx := &endsAfter{Context: t.Context()}
	ctx.left.Store(int64(n))
	var stdout, stderr bytes.Buffer
	app := newApp(&stdout, &stderr)
	err := app.RunContext(ctx, flagsFirst(app.Commands, append([]string{"locoprop"}, args...)))
	code := tell(err, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// Interrupted in the middle of a file of data, every command ends there with the code of an
// interruption and leaves no file that isn't whole; a run that was begun can go on.
func TestInterruptedWhileLoading(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.csv")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("0.25,0.5,0.125\n", 1<<12)), 0o644)) // 15 reads
	const middle = 6                                                                                 // of it, at most
	table := []string{"--dataset", "csv", "--data", path, "--backend", "gonum"}
	of := func(args ...string) []string { return append(args, table...) }
	training := func(out string) []string {
		return of("train", "--preset", "curves", "--arch", "3,2:identity,3", "--batch", "1000", "--epochs", "1", "--out", filepath.Join(dir, out))
	}
	succeeds(t, dir, training("whole")...)
	for n := 0; ; n++ {
		out := strconv.Itoa(n)
		got := interrupted(t, n, training(out)...)
		assert.Equal(t, exitInterrupted, got.code, got.stderr)
		assert.Contains(t, got.stderr, "locoprop: interrupted; go on with: locoprop train --resume "+filepath.Join(dir, out)+"\n")
		if strings.Contains(got.stderr, "ready in") {
			require.Greater(t, n, middle)
			break
		}
		assert.Equal(t, []string{"checkpoints", "config.toml"}, tree(t, filepath.Join(dir, out)))
	}
	succeeds(t, dir, "train", "--resume", strconv.Itoa(middle))
	assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, strconv.Itoa(middle), "model.safetensors"))

	empty := t.TempDir()
	model := []string{"--model", filepath.Join(dir, "whole", "model.safetensors")}
	to := func(name string) []string { return []string{"--output", filepath.Join(empty, name)} }
	for _, args := range [][]string{
		append([]string{"eval"}, model...),
		append(append([]string{"predict"}, model...), to("y.npy")...),
		append(append([]string{"encode"}, model...), to("y.csv")...),
		append(append([]string{"reconstruct", "--shape", "1x3"}, model...), to("y.png")...),
		{"tune", "--methods", "adam", "--epochs", "1", "--out", filepath.Join(empty, "tune")},
		{"compare", "--methods", "adam", "--epochs", "1", "--out", filepath.Join(empty, "compare")},
		{"train", "--plan", "--preset", "curves"},
	} {
		for n := range middle {
			got := interrupted(t, n, of(args...)...)
			assert.Equal(t, exitInterrupted, got.code, args[0])
			assert.Empty(t, got.stdout, args[0])
			assert.Equal(t, "locoprop: interrupted\n", got.stderr, args[0])
		}
	}
	assert.Empty(t, tree(t, empty))
}
