package main

import (
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

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

// onTerminal runs the program with a terminal of so many columns as both its streams and
// returns what it shows.
func onTerminal(t *testing.T, columns uint16, dir string, environment []string, args ...string) string {
	t.Helper()
	master, slave := pseudoTerminal(t, columns)
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
	shown := onTerminal(t, 100, dir, []string{"TERM=xterm-256color"}, small(data)...)
	for _, part := range []string{"epoch 0 of 3   train", "epoch 3 of 3   train", "(excess", "originals, and below them", "▀", "\x1b[38;5;"} {
		assert.Contains(t, shown, part)
	}
	assert.NotContains(t, shown, "INF", "no log lines on a terminal")

	for _, plain := range []string{"NO_COLOR=1", "TERM=dumb"} {
		shown = onTerminal(t, 100, dir, []string{plain}, small(data)...)
		assert.NotContains(t, shown, "\x1b[38;5;", plain)
		assert.True(t, strings.ContainsAny(shown, "▀▄█"), plain)
	}
}

// On terminals of every width there are rows that fit, and on one that doesn't know its
// width there are log lines.
func TestTerminalWidths(t *testing.T) {
	t.Parallel()
	data := writeData(t)
	rows := regexp.MustCompile(`(?m)^.*((run|epoch) +(epoch|step) \d|loss \d).*$`)
	escapes := regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
	for _, columns := range []uint16{0, 20, 80, 200} {
		dir := t.TempDir()
		shown := onTerminal(t, columns, dir, []string{"TERM=dumb"}, small(data, "--quiet=false")...)
		assert.Contains(t, shown, "files in ")
		assert.NotContains(t, shown, "?25l", "nobody has to bring the cursor back")
		if columns == 0 {
			assert.Contains(t, shown, "INF epoch 3 of 3 done")
			assert.NotContains(t, shown, "[")
			continue
		}
		assert.NotContains(t, shown, "INF")
		plain := escapes.ReplaceAllString(strings.ReplaceAll(shown, "\r", ""), "")
		found := rows.FindAllString(plain, -1)
		require.NotEmpty(t, found, "%d columns: %q", columns, shown)
		for _, row := range found {
			assert.LessOrEqual(t, utf8.RuneCountInString(row), int(columns), row)
		}
	}
}

// A terminal may change its width at any moment.
func TestTerminalResized(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	master, slave := pseudoTerminal(t, 120)
	cmd := command(t, dir, small(data, "--epochs", "60", "--batch", "4")...)
	cmd.Stdout, cmd.Stderr = slave, slave
	require.NoError(t, cmd.Start())
	shown, chunk, widths := "", make([]byte, 4096), []uint16{0, 20, 1, 200, 80}
	closed := false
	for {
		n, err := master.Read(chunk)
		if err != nil {
			break // the other end is closed
		}
		shown += string(chunk[:n])
		if len(widths) > 0 && strings.Count(shown, "of 60   train") > 60-10*len(widths) {
			require.NoError(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: widths[0]}))
			widths = widths[1:]
		}
		if len(widths) == 0 && !closed {
			closed = true
			require.NoError(t, slave.Close())
		}
	}
	assert.Empty(t, widths)
	assert.Equal(t, exitDone, exitOf(t, cmd.Wait()), shown)
	assert.Contains(t, shown, "epoch 60 of 60   train")
}

// The bar gives way to the message of an interruption.
func TestInterruptOnTerminal(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	master, slave := pseudoTerminal(t, 100)
	cmd := command(t, dir, small(data, "--epochs", "40", "--batch", "4", "--out", "r")...)
	cmd.Stdout, cmd.Stderr = slave, slave
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
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
		if signalled && strings.Contains(shown, "--resume r") {
			break
		}
	}
	assert.Equal(t, exitInterrupted, exitOf(t, cmd.Wait()), shown)
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	require.NoError(t, err)
	assert.Equal(t, before, after, "the terminal's settings")
	for _, text := range []string{"interrupted; finishing what is in hand", `interrupted after \d+ epochs and`} {
		assert.Regexp(t, `(\n|\r\x1b\[\d+A\x1b\[J)locoprop: `+text, shown, "on a line of its own, without what was there")
	}
	assert.Contains(t, shown, "go on with: locoprop train --resume r")
}
