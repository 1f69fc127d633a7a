//go:build unix

package dataset

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"gonum.org/v1/gonum/blas/blas32"
)

// mapFrom lets files of more than limit bytes be mapped for the length of a test.
func mapFrom(t *testing.T, limit int64) {
	before := mapAbove
	mapAbove = limit
	t.Cleanup(func() { mapAbove = before })
}

func TestMappedFilesReadTheSame(t *testing.T) {
	dir := t.TempDir()
	idx := filepath.Join(dir, "a-idx3-ubyte")
	writeText(t, idx, string(idxFile(counting(12), 3, 2, 2)))
	npyFile := filepath.Join(dir, "a.npy")
	var data []byte
	for i := range 6 {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)/7))
	}
	writeText(t, npyFile, string(rawNPY(header("<f4", "False", "(3, 2)"), data...)))
	read := func() (x, y []float32, mapped bool) {
		b, err := ReadExamples(t.Context(), idx, 255)
		require.NoError(t, err)
		n, err := ReadNPY(t.Context(), npyFile)
		require.NoError(t, err)
		require.Equal(t, b.Mapped(), n.Mapped())
		x, y, mapped = values(t, b), values(t, n.subset([]int{2, 1, 2})), b.Mapped()
		d := &Data{Train: Scaled(b, &Scaling{Shift: make([]float64, 4), Divisor: []float64{1, 1, 1, 1}}), Test: n}
		require.NoError(t, d.Close())
		require.NoError(t, d.Close(), "once more does nothing")
		return x, y, mapped
	}
	x, y, mapped := read()
	require.False(t, mapped, "small files are read")
	mapFrom(t, 0)
	x2, y2, mapped := read()
	require.True(t, mapped)
	assert.Equal(t, x, x2)
	assert.Equal(t, y, y2)

	// What is wrong with a file is found before it is mapped.
	writeText(t, idx, string(idxFile(counting(11), 3, 2, 2)))
	_, err := ReadExamples(t.Context(), idx, 255)
	assert.ErrorContains(t, err, idx+": cut off: header announces 12 bytes of data (3×2×2), found 11")
	writeText(t, npyFile, string(rawNPY(header("<f4", "False", "(3, 2)"), data[1:]...)))
	_, err = ReadNPY(t.Context(), npyFile)
	assert.ErrorContains(t, err, npyFile+": cut off")
}

// A file that is cut under the program's feet is an error, not its end.
func TestMappedFileIsCut(t *testing.T) {
	mapFrom(t, 0)
	path := filepath.Join(t.TempDir(), "a-idx3-ubyte")
	writeText(t, path, string(idxFile(make([]byte, 16*64*64), 16, 64, 64)))
	b, err := ReadExamples(t.Context(), path, 255)
	require.NoError(t, err)
	require.True(t, b.Mapped())
	defer b.Close()
	row := blas32.General{Rows: 1, Cols: 4096, Stride: 4096, Data: make([]float32, 4096)}
	require.NoError(t, b.Rows(row, []int{15}))
	require.NoError(t, os.Truncate(path, 4096))
	err = b.Rows(row, []int{15})
	require.ErrorIs(t, err, ErrData)
	assert.ErrorContains(t, err, path+": can't be read any more; was it cut")
	require.NoError(t, os.Truncate(path, 16+16*4096))
	require.NoError(t, b.Rows(row, []int{15}), "and the goroutine goes on")
}

const (
	largeRows, largeDim = 4096, 64 << 10        // 256 MiB
	memoryLimit         = 64 << 20              // beyond what the process has at its start
	largeMode           = "LOCOPROP_TEST_LARGE" // read: as the package does; load: into memory
)

// A file of 256 MiB is read, in the order of an epoch, by a process that may take 64 MiB of
// memory for itself. The same process can't load the file: the limit works.
func TestLargerThanMemory(t *testing.T) {
	path := os.Getenv("LOCOPROP_TEST_LARGE_FILE")
	if mode := os.Getenv(largeMode); mode != "" {
		limitMemory(t)
		if mode == "load" {
			_, err := ReadIDX(t.Context(), path)
			require.NoError(t, err)
			return
		}
		readLarge(t, path)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux limits the memory that isn't a file's; run it there")
	}
	if raceEnabled {
		t.Skip("the race detector takes memory of its own; run it without")
	}
	path = filepath.Join(t.TempDir(), "large-idx2-ubyte")
	head := idxFile([]byte{}, largeRows, largeDim)
	writeText(t, path, string(head))
	require.NoError(t, os.Truncate(path, int64(len(head))+largeRows*largeDim)) // takes no room on the disk
	child := func(mode string) error {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLargerThanMemory$", "-test.v")
		cmd.Env = append(os.Environ(), largeMode+"="+mode, "LOCOPROP_TEST_LARGE_FILE="+path)
		out, err := cmd.CombinedOutput()
		if mode == "read" {
			require.NoError(t, err, string(out))
		}
		return err
	}
	child("read")
	if child("load") == nil {
		t.Skip("this system doesn't hold a process to RLIMIT_DATA, so the test shows nothing")
	}
}

func readLarge(t *testing.T, path string) {
	b, err := ReadExamples(t.Context(), path, 255)
	require.NoError(t, err)
	require.True(t, b.Mapped())
	order := make([]int, b.Len())
	OrderWithin(order, 1, 0, 512)
	batch := blas32.General{Rows: 16, Cols: largeDim, Stride: largeDim, Data: make([]float32, 16*largeDim)}
	for lo := 0; lo < len(order); lo += 16 {
		require.NoError(t, b.Rows(batch, order[lo:lo+16]))
	}
}

// limitMemory makes every attempt to take more than memoryLimit fail. Mapped files don't
// count: their pages are the system's.
func limitMemory(t *testing.T) {
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(status), "VmData:")
	require.True(t, found)
	var now uint64 // KiB
	_, err = fmt.Sscan(rest, &now)
	require.NoError(t, err)
	limit := now<<10 + memoryLimit
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}))
}
