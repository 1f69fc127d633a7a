package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// started is a running process whose stderr is read line by line.
type started struct {
	*exec.Cmd
	lines chan string
}

func start(t *testing.T, dir string, args ...string) *started {
	t.Helper()
	s := &started{Cmd: command(t, dir, args...), lines: make(chan string, 1000)}
	pipe, err := s.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.Start())
	go func() {
		defer close(s.lines)
		for scan := bufio.NewScanner(pipe); scan.Scan(); {
			s.lines <- scan.Text()
		}
	}()
	return s
}

// end waits for the process, and returns its exit code and the lines not yet read.
func (s *started) end(t *testing.T) (code int, rest string) {
	t.Helper()
	var all []string
	for line := range s.lines {
		all = append(all, line)
	}
	return exitOf(t, s.Wait()), strings.Join(all, "\n")
}

// without drops the columns of times from metrics lines: the rest must agree bit for
// bit.
func withoutTimes(metrics []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(metrics)) {
		head, _, _ := strings.Cut(line, `,"seconds"`)
		b.WriteString(head + "\n")
	}
	return b.String()
}

func TestInterruptAndResume(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	long := func(out string) []string { return small(data, "--epochs", "150", "--batch", "4", "--out", out) }
	succeeds(t, dir, long("whole")...)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		out := "run" + sig.String()[:1]
		s := start(t, dir, long(out)...)
		waitFor(t, s.lines, "epoch 1 of 150 done")
		require.NoError(t, s.Process.Signal(sig))
		code, rest := s.end(t)
		require.Equal(t, exitInterrupted, code, rest)
		assert.Contains(t, rest, "interrupted after ")
		assert.Contains(t, rest, "go on with: locoprop train --resume "+out)

		resumed := succeeds(t, dir, "train", "--resume", out, "--workers", "1")
		assert.Contains(t, resumed.stderr, "going on with preset curves")
		assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, out, "model.safetensors"))
		assert.Equal(t, withoutTimes(read(t, dir, "whole/metrics.jsonl")), withoutTimes(read(t, dir, out, "metrics.jsonl")))
		assert.Equal(t, runFiles("best", "last", "step-00004470"), tree(t, filepath.Join(dir, out)))
	}
}

// A damaged newest checkpoint is named, and the run goes on from the one before to the
// same end; with none left it says so, and starts nothing.
func TestResumeFromTheOneBefore(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--epochs", "2", "--schedule-epochs", "3", "--out", "r")...)
	folder := filepath.Join(dir, "r", "checkpoints")
	last := filepath.Join(folder, "last")
	good := map[string][]byte{}
	for _, name := range []string{"last", "step-00000004", "best"} {
		good[name] = read(t, folder, name)
	}
	model := read(t, dir, "r/model.safetensors")
	for _, damage := range []func([]byte) []byte{
		func(b []byte) []byte { return b[:len(b)/2] },
		func([]byte) []byte { return nil },
		func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
	} {
		require.NoError(t, os.WriteFile(last, damage(slices.Clone(good["last"])), 0o644))
		out := succeeds(t, dir, "train", "--resume", "r")
		assert.Contains(t, out.stderr, "locoprop: warning: r/checkpoints/last: ")
		assert.Contains(t, out.stderr, "; going on from r/checkpoints/step-00000004, after 4 steps")
		assert.Equal(t, model, read(t, dir, "r/model.safetensors"))
		assert.Equal(t, 3, bytes.Count(read(t, dir, "r/metrics.jsonl"), []byte("\n")))
	}
	require.NoError(t, os.Remove(last))
	out := succeeds(t, dir, "train", "--resume", "r")
	assert.Contains(t, out.stderr, "r/checkpoints/last: no such file or directory; going on from")

	for name := range good {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("nothing of use"), 0o644))
	}
	before := read(t, dir, "r/metrics.jsonl")
	refuses(t, dir, exitData, []string{"r/checkpoints/last: ", "r/checkpoints/step-00000004: ", "r/checkpoints/best: "}, "train", "--resume", "r")
	assert.Equal(t, before, read(t, dir, "r/metrics.jsonl"))
	for name := range good {
		require.NoError(t, os.Remove(filepath.Join(folder, name)))
	}
	refuses(t, dir, exitData, []string{"checkpoints/last is missing"}, "train", "--resume", "r")
}

// A copy of the best checkpoint in the place of the newest is gone on from.
func TestResumeFromTheBest(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	out := succeeds(t, dir, small(data, "--lr", "0.003", "--schedule", "constant", "--epochs", "5", "--keep", "1", "--out", "r")...)
	require.Contains(t, out.stdout, "best test loss ")
	assert.Equal(t, runFiles("best", "last"), tree(t, filepath.Join(dir, "r")))
	model := read(t, dir, "r/model.safetensors")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "r", "checkpoints", "last"), read(t, dir, "r/checkpoints/best"), 0o644))
	out = succeeds(t, dir, "train", "--resume", "r")
	assert.NotContains(t, out.stderr, "warning")
	assert.Contains(t, out.stderr, "epoch 5 of 5 done")
	assert.Equal(t, model, read(t, dir, "r/model.safetensors"))
}

// A second process is kept out while the first one trains, and told about it.
func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	s := start(t, dir, small(data, "--epochs", "100000", "--out", "r")...)
	waitFor(t, s.lines, "epoch 3 of 100000 done") // so that two are saved, which is more than is asked for below
	before := read(t, dir, "r/config.toml")
	refuses(t, dir, exitUsage, []string{fmt.Sprintf("r: run is in use: locked by process %d, since ", s.Process.Pid)},
		"train", "--resume", "r", "--epochs", "3")
	refuses(t, dir, exitUsage, []string{"the folder holds a run"}, small(data, "--out", "r")...)
	assert.Equal(t, before, read(t, dir, "r/config.toml"))
	require.NoError(t, s.Process.Kill())
	s.end(t)
	assert.FileExists(t, filepath.Join(dir, "r", "lock"), "left by the kill, and no hindrance")
	out := program(t, dir, "train", "--resume", "r", "--epochs", "1")
	assert.Contains(t, out.stderr, "the run has trained ")
	assert.NoFileExists(t, filepath.Join(dir, "r", "lock"))
}

// While checkpoints can't be written the run warns and goes on; it fails if the last
// one can't be written either.
func TestUnsavable(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--epochs", "150", "--batch", "4", "--out", "whole")...)
	for _, mended := range []bool{true, false} {
		out := fmt.Sprintf("mended-%v", mended)
		s := start(t, dir, small(data, "--epochs", "150", "--batch", "4", "--out", out)...)
		waitFor(t, s.lines, "epoch 1 of 150 done")
		folder := filepath.Join(dir, out, "checkpoints")
		require.NoError(t, os.Rename(folder, folder+"-away"))
		waitFor(t, s.lines, "locoprop: warning: writing "+out+"/checkpoints/")
		if mended {
			require.NoError(t, os.Rename(folder+"-away", folder))
		}
		code, rest := s.end(t)
		if mended {
			assert.Equal(t, exitDone, code, rest)
			assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, out, "model.safetensors"))
			continue
		}
		assert.Equal(t, exitFailed, code, rest)
		lines := strings.Split(strings.TrimSpace(rest), "\n")
		assert.Contains(t, lines[len(lines)-1], "locoprop: writing "+out+"/checkpoints/")
		require.NoError(t, os.Rename(folder+"-away", folder))
		succeeds(t, dir, "train", "--resume", out)
		assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, out, "model.safetensors"))
		assert.Equal(t, withoutTimes(read(t, dir, "whole/metrics.jsonl")), withoutTimes(read(t, dir, out, "metrics.jsonl")))
	}
}

// The second signal ends the program in the middle of a step; the folder still resumes.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	s := start(t, dir, small(data, "--arch", "64,1000,1000,64", "--batch", "120", "--local-steps", "10000", "--out", "r")...)
	waitFor(t, s.lines, "epoch 0 of 3 done")
	require.NoError(t, s.Process.Signal(os.Interrupt))
	waitFor(t, s.lines, "interrupted; finishing what is in hand")
	require.NoError(t, s.Process.Signal(os.Interrupt))
	code, rest := s.end(t)
	assert.Equal(t, exitInterrupted, code)
	assert.NotContains(t, rest, "go on with", "it left at once")
	assert.FileExists(t, filepath.Join(dir, "r", "checkpoints", "last"))
}

// Interrupted while data are loaded, a run has its configuration and nothing else, and
// starts from the beginning when it goes on.
func TestInterruptBeforeTheFirstStep(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	s := start(t, dir, "train", "--out", "r")
	waitFor(t, s.lines, "files go to r")
	require.NoError(t, s.Process.Signal(os.Interrupt))
	code, rest := s.end(t)
	assert.Equal(t, exitInterrupted, code, rest)
	assert.Contains(t, rest, "go on with: locoprop train --resume r")
	assert.FileExists(t, filepath.Join(dir, "r", "config.toml"))

	succeeds(t, dir, small(data, "--out", "whole")...)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "begun"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "begun", "config.toml"), read(t, dir, "whole/config.toml"), 0o644))
	succeeds(t, dir, "train", "--resume", "begun")
	assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, "begun/model.safetensors"))
}

func TestResumeGoesOn(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--epochs", "6", "--schedule-epochs", "6", "--out", "whole")...)
	succeeds(t, dir, small(data, "--epochs", "2", "--schedule-epochs", "6", "--out", "part")...)
	out := succeeds(t, dir, "train", "--resume", "part", "--epochs", "6")
	assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, "part/model.safetensors"))
	assert.Equal(t, read(t, dir, "whole/config.toml"), read(t, dir, "part/config.toml"), "the configuration is that of the longer run")
	assert.NotContains(t, out.stderr, "the rate is 0")

	// A finished run has nothing left to do, and says what it reached.
	out = succeeds(t, dir, "train", "--resume", "part")
	assert.Contains(t, out.stdout, "reached after 6 epochs")
	refuses(t, dir, exitUsage, []string{"--epochs 2: the run has trained 6 epochs"}, "train", "--resume", "part", "--epochs", "2")
	out = succeeds(t, dir, "train", "--resume", "part", "--epochs", "7")
	assert.Contains(t, out.stderr, "the schedule ends after 6 epochs: the rate is 0 from there on, but momentum carried from before goes on moving the weights")

	succeeds(t, dir, small(data, "--epochs", "1", "--reset-state", "--out", "reset")...)
	out = succeeds(t, dir, "train", "--resume", "reset", "--epochs", "2")
	assert.Contains(t, out.stderr, "the rate is 0 from there on\n", "nothing is carried")
}

func TestResumeRefuses(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	refuses(t, dir, exitData, []string{"nowhere: no such folder"}, "train", "--resume", "nowhere")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	refuses(t, dir, exitData, []string{"empty: holds no run"}, "train", "--resume", "empty")

	succeeds(t, dir, small(data, "--epochs", "2", "--out", "r")...)
	config := filepath.Join(dir, "r", "config.toml")
	text := string(read(t, config))
	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(text, "gamma = 10", "gamma = 11", 1)), 0o644))
	refuses(t, dir, exitData, []string{"checkpoint of another run: gamma is 10 there and 11 here"}, "train", "--resume", "r")
	require.NoError(t, os.WriteFile(config, []byte("= 3"), 0o644))
	refuses(t, dir, exitUsage, []string{"r/config.toml:1:1"}, "train", "--resume", "r")
	require.NoError(t, os.Remove(config))
	refuses(t, dir, exitData, []string{"r/config.toml: no such file"}, "train", "--resume", "r")
}
