package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pseudoTerminal returns both ends of a terminal of so many columns.
func pseudoTerminal(t *testing.T, columns uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here (%v): run it where /dev/ptmx is", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { slave.Close() })
	require.NoError(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: columns}))
	return master, slave
}

// onTerminal runs the program with a terminal as both its streams and returns what it
// shows.
func onTerminal(t *testing.T, dir string, environment []string, args ...string) string {
	t.Helper()
	master, slave := pseudoTerminal(t, 100)
	cmd := command(t, dir, args...)
	cmd.Stdout, cmd.Stderr = slave, slave
	cmd.Env = append(cmd.Env, environment...)
	require.NoError(t, cmd.Start())
	require.NoError(t, slave.Close())
	shown := make(chan string)
	go func() {
		b, _ := io.ReadAll(master) // ends with an error once the other end is closed
		shown <- string(b)
	}()
	require.NoError(t, cmd.Wait())
	return <-shown
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	shown := onTerminal(t, dir, []string{"TERM=xterm-256color"}, small(data)...)
	for _, part := range []string{"epoch 0 of 3   train", "epoch 3 of 3   train", "(excess", "originals, and below them", "▀", "\x1b[38;5;"} {
		assert.Contains(t, shown, part)
	}
	assert.NotContains(t, shown, "INF", "no log lines on a terminal")

	for _, plain := range []string{"NO_COLOR=1", "TERM=dumb"} {
		shown = onTerminal(t, dir, []string{plain}, small(data)...)
		assert.NotContains(t, shown, "\x1b[38;5;", plain)
		assert.True(t, strings.ContainsAny(shown, "▀▄█"), plain)
	}
}

// The bar gives way to the message of an interruption.
func TestInterruptOnTerminal(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	master, slave := pseudoTerminal(t, 100)
	cmd := command(t, dir, small(data, "--epochs", "40", "--batch", "4", "--out", "r")...)
	cmd.Stdout, cmd.Stderr = slave, slave
	require.NoError(t, cmd.Start())
	require.NoError(t, slave.Close())
	shown, chunk, signalled := "", make([]byte, 4096), false
	for {
		n, err := master.Read(chunk)
		if err != nil {
			break // the other end is closed
		}
		shown += string(chunk[:n])
		if !signalled && strings.Contains(shown, "epoch  1 of 40   train") {
			signalled = true
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
		}
	}
	assert.Equal(t, exitInterrupted, exitOf(t, cmd.Wait()), shown)
	assert.Contains(t, shown, "go on with: locoprop train --resume r")
}
