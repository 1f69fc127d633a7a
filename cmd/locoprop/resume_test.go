package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
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
	long := func(out string) []string { return small(data, "--epochs", "40", "--batch", "4", "--out", out) }
	succeeds(t, dir, long("whole")...)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		out := "run" + sig.String()[:1]
		s := start(t, dir, long(out)...)
		waitFor(t, s.lines, "epoch 1 of 40 done")
		require.NoError(t, s.Process.Signal(sig))
		code, rest := s.end(t)
		require.Equal(t, exitInterrupted, code, rest)
		assert.Contains(t, rest, "interrupted after ")
		assert.Contains(t, rest, "go on with: locoprop train --resume "+out)

		resumed := succeeds(t, dir, "train", "--resume", out, "--workers", "1")
		assert.Contains(t, resumed.stderr, "going on with preset curves")
		assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, out, "model.safetensors"))
		assert.Equal(t, withoutTimes(read(t, dir, "whole/metrics.jsonl")), withoutTimes(read(t, dir, out, "metrics.jsonl")))
		assert.Equal(t, runFiles, tree(t, filepath.Join(dir, out)))
	}
}

// The second signal ends the program in the middle of a step; the folder still resumes.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	s := start(t, dir, small(data, "--arch", "64,1000,1000,64", "--batch", "120", "--local-steps", "10000", "--out", "r")...)
	waitFor(t, s.lines, "epoch 0 of 3 done")
	require.NoError(t, s.Process.Signal(os.Interrupt))
	waitFor(t, s.lines, "interrupted; finishing the step in hand")
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
	checkpoint := filepath.Join(dir, "r", "checkpoints", "last")
	whole := read(t, checkpoint)
	for _, damage := range []func([]byte) []byte{
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte { return nil },
		func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
	} {
		require.NoError(t, os.WriteFile(checkpoint, damage(append([]byte(nil), whole...)), 0o644))
		refuses(t, dir, exitData, []string{"r/checkpoints/last"}, "train", "--resume", "r", "--epochs", "3")
	}
	require.NoError(t, os.Remove(checkpoint))
	refuses(t, dir, exitData, []string{"checkpoints/last is missing"}, "train", "--resume", "r")
	require.NoError(t, os.WriteFile(checkpoint, whole, 0o644))

	config := filepath.Join(dir, "r", "config.toml")
	text := string(read(t, config))
	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(text, "gamma = 10", "gamma = 11", 1)), 0o644))
	refuses(t, dir, exitData, []string{"checkpoint of another run: gamma is 10 there and 11 here"}, "train", "--resume", "r")
	require.NoError(t, os.WriteFile(config, []byte("= 3"), 0o644))
	refuses(t, dir, exitUsage, []string{"r/config.toml:1:1"}, "train", "--resume", "r")
	require.NoError(t, os.Remove(config))
	refuses(t, dir, exitData, []string{"r/config.toml: no such file"}, "train", "--resume", "r")
}
