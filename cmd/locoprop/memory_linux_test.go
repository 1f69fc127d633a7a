package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	manyRows, manyDim = 56 << 10, 4096 // 224 MiB of bytes
	memoryCap         = 96 << 20       // of the whole process: program, libraries, weights, activations and what is mapped
)

// capped returns the program as a process that may have memoryCap bytes in memory, the
// pages of mapped files among them, where this process may make a control group, and
// otherwise one that may take so much for itself.
func capped(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	before := fmt.Sprintf("ulimit -d %d", memoryCap>>10)
	if group := controlGroup(t); group != "" {
		before = "echo $$ >'" + group + "/cgroup.procs'"
	} else {
		t.Log("no control groups here: only the process's own memory is capped")
	}
	cmd := command(t, dir, args...)
	shell, err := exec.LookPath("sh")
	require.NoError(t, err)
	cmd.Args = append([]string{"sh", "-c", before + ` && exec "$@"`, "sh", cmd.Path}, args...)
	cmd.Path = shell
	return cmd
}

// controlGroup makes a control group with that cap, of version 2 or 1; "" where that
// isn't possible.
func controlGroup(t *testing.T) string {
	t.Helper()
	for _, v := range []struct{ root, memory, swap, all string }{
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max", "0"},
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", strconv.Itoa(memoryCap)},
	} {
		dir := filepath.Join(v.root, "locoprop-test-"+strconv.Itoa(os.Getpid())+"-"+filepath.Base(t.TempDir()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		write := func(name, value string) error { return os.WriteFile(filepath.Join(dir, name), []byte(value), 0) }
		if _, err := os.Stat(filepath.Join(dir, v.memory)); err != nil || write(v.memory, strconv.Itoa(memoryCap)) != nil {
			continue
		}
		_ = write(v.swap, v.all) // where there is no swapping, there is no such file
		return dir
	}
	return ""
}

// A file of 224 MiB is trained on by a process that may have 96 MiB in memory. The same
// process can't hold the data in memory, as it must those of a compressed file: the cap works.
func TestTrainsOnMoreThanMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads a large file several times, which takes pure Go long: run it without -short")
	}
	dir, mapped, packed := t.TempDir(), t.TempDir(), t.TempDir()
	head := []byte{0, 0, 8, 2, 0, manyRows >> 16, manyRows >> 8 & 255, manyRows & 255, 0, 0, manyDim >> 8, manyDim & 255}
	const name, testName = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"
	large := filepath.Join(mapped, name)
	require.NoError(t, os.WriteFile(large, head, 0o644))
	require.NoError(t, os.Truncate(large, int64(len(head))+manyRows*manyDim)) // takes no room on the disk
	for _, folder := range []string{mapped, packed} {
		writeIDX(t, filepath.Join(folder, testName), make([]byte, manyDim), 1, manyDim)
	}
	pack(t, large, filepath.Join(packed, name+".gz"))

	args := func(data, epochs string) []string {
		return []string{
			"train", "--dataset", "idx", "--data", data, "--arch", "4096,2,4096", "--method", "backprop", "--optimizer", "sgd", "--lr", "0.1",
			"--batch", "256", "--epochs", epochs, "--shuffle-window", "4096", "--workers", "1", "--json", "--out", filepath.Join(dir, filepath.Base(data)+epochs),
		}
	}
	out, err := capped(t, dir, args(mapped, "1")...).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), fmt.Sprintf(`{"epoch":1,"step":%d,`, manyRows/256))

	out, err = capped(t, dir, args(packed, "0")...).CombinedOutput()
	assert.Error(t, err, "the cap shows nothing: %s", out)
}

// pack compresses a file.
func pack(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	require.NoError(t, err)
	defer in.Close()
	out, err := os.Create(to)
	require.NoError(t, err)
	w, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	require.NoError(t, err)
	_, err = io.Copy(w, in)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, out.Close())
}
