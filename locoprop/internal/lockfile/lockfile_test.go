//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package lockfile_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/lockfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// holder makes the test binary a process that holds the lock it is told of.
const holder = "LOCOPROP_TEST_HOLD"

func TestMain(m *testing.M) {
	path := os.Getenv(holder)
	if path == "" {
		os.Exit(m.Run())
	}
	if _, err := lockfile.Take(path); err != nil {
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString("held\n")
	select {}
}

func TestTakeAndRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := lockfile.Take(path)
	require.NoError(t, err)
	_, err = lockfile.Take(path)
	require.ErrorIs(t, err, lockfile.ErrHeld)
	assert.ErrorContains(t, err, "locked by process "+strconv.Itoa(os.Getpid())+", since ")
	require.NoError(t, l.Release())
	assert.NoError(t, l.Release(), "once more")
	assert.NoFileExists(t, path)

	l, err = lockfile.Take(path)
	require.NoError(t, err)
	require.NoError(t, l.Release())
	var none *lockfile.Lock
	assert.NoError(t, none.Release())
	_, err = lockfile.Take(filepath.Join(path, "in", "nowhere"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// A killed process leaves its file, and no lock on it.
func TestStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), holder+"="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "held\n", line)

	_, err = lockfile.Take(path)
	require.ErrorIs(t, err, lockfile.ErrHeld)
	assert.ErrorContains(t, err, "process "+strconv.Itoa(cmd.Process.Pid))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.FileExists(t, path)
	l, err := lockfile.Take(path)
	require.NoError(t, err)
	assert.NoError(t, l.Release())
}

// Of many that take and release it, one at a time has it.
func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	var inside atomic.Int32
	for range 8 {
		wg.Go(func() {
			for taken := 0; taken < 50; {
				l, err := lockfile.Take(path)
				if err != nil {
					assert.ErrorIs(t, err, lockfile.ErrHeld)
					continue
				}
				taken++
				assert.Equal(t, int32(1), inside.Add(1))
				runtime.Gosched()
				inside.Add(-1)
				assert.NoError(t, l.Release())
			}
		})
	}
	wg.Wait()
}
