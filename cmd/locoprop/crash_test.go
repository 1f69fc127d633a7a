//go:build unix

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killsVariable is how often TestKilled kills; `make crashtest` asks for more than the
// usual few.
const killsVariable = "LOCOPROP_CRASHES"

// A process killed at random moments, while it writes files too, and resumed each time,
// on another number of workers, ends as one that was left alone: the same model, metrics
// and state, and no file besides.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 15
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		kills, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	data, dir := writeData(t), t.TempDir()
	args := func(out string) []string {
		return small(data, "--epochs", "4", "--batch", "20", "--checkpoint-every", "2steps", "--diagnose", "3", "--out", out)
	}
	begun := time.Now()
	succeeds(t, dir, args("whole")...)
	whole := time.Since(begun) // a measure of this machine's speed: what is killed when is up to chance all the same
	want := checkpointOf(t, dir, "whole")

	seed := uint64(begun.UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance, not secrecy
	killed, early := 0, 0
	for run := 0; killed < kills; run++ {
		out := fmt.Sprintf("run-%d", run)
		for attempt := 0; ; attempt++ {
			more := args(out)
			if _, err := os.Stat(filepath.Join(dir, out, "config.toml")); err == nil {
				more = []string{"train", "--resume", out, "--workers", strconv.Itoa(1 + attempt%3)}
			}
			cmd := command(t, dir, more...)
			require.NoError(t, cmd.Start())
			end := make(chan error, 1)
			go func() { end <- cmd.Wait() }()
			var err error
			select {
			case err = <-end: // it was quicker
			case <-time.After(time.Duration(r.Float64() * float64(whole) * (1 + float64(attempt)/10))):
				if err := cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
					require.NoError(t, err)
				}
				err = <-end
			}
			if err == nil {
				break
			}
			require.Equal(t, -1, cmd.ProcessState.ExitCode(), "%v: ended by itself, with an error", more)
			killed++
			if _, err := os.Stat(filepath.Join(dir, out, "checkpoints", "last")); err != nil {
				early++
			}
		}
		assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, out, "model.safetensors"), out)
		assert.Equal(t, withoutTimes(read(t, dir, "whole/metrics.jsonl")), withoutTimes(read(t, dir, out, "metrics.jsonl")), out)
		assert.Equal(t, string(read(t, dir, "whole/layers.jsonl")), string(read(t, dir, out, "layers.jsonl")), out)
		assert.Equal(t, want, checkpointOf(t, dir, out), out)
		assert.Equal(t, tree(t, filepath.Join(dir, "whole")), tree(t, filepath.Join(dir, out)), out)
	}
	t.Logf("killed %d times, %d of them before the first checkpoint", killed, early)
}

// checkpointOf is all that the newest checkpoint of a run holds, but for the clock: the
// header and the numbers.
func checkpointOf(t *testing.T, path ...string) []any {
	t.Helper()
	b := read(t, append(path, "checkpoints", "last")...)
	data := 8 + binary.LittleEndian.Uint64(b)
	var header map[string]map[string]any
	require.NoError(t, json.Unmarshal(b[8:data], &header))
	for _, key := range []string{"sha256", "nanoseconds", "eval_nanoseconds", "last"} { // the last line is in the metrics
		require.Contains(t, header["__metadata__"], key)
		delete(header["__metadata__"], key)
	}
	return []any{header, b[data:]}
}

// SIGUSR1 makes a run say where it stands, and changes nothing.
func TestStatusSignal(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	args := func(out string) []string { return small(data, "--epochs", "150", "--batch", "4", "--out", out) }
	s := start(t, dir, args("r")...)
	waitFor(t, s.lines, "epoch 1 of 150 done")
	require.NoError(t, s.Process.Signal(syscall.SIGUSR1))
	waitFor(t, s.lines, fmt.Sprintf("locoprop: process %d: epoch ", s.Process.Pid))
	code, rest := s.end(t)
	require.Equal(t, exitDone, code, rest)
	succeeds(t, dir, args("whole")...)
	assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, "r/model.safetensors"))
}

// What is said in which state.
func TestWhere(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--out", "r")...)
	r := whereabouts(t, filepath.Join(dir, "r"))
	assert.Regexp(t, `^locoprop: process \d+: not training$`, r.where())
	r.status.show(&logLines{w: os.Stderr})
	assert.Regexp(t, `: before the first step; saved \d+s ago$`, r.where())
	r.status.lastStep.Epoch, r.status.lastStep.Batch, r.status.lastStep.Batches, r.status.lastStep.Step = 2, 1, 4, 5
	assert.Regexp(t, `: epoch 2 of 3, batch 1 of 4, 5 steps, batch loss 0, 0.0 s of training; saved \d+s ago$`, r.where())
}

func whereabouts(t *testing.T, dir string) *training {
	t.Helper()
	folder, err := train.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, folder.Close()) })
	r := &training{folder: folder, stderr: os.Stderr}
	r.e.Epochs = 3
	return r
}
