package backend

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// largePages is how much of the process's memory is on large pages, in kB; −1 where the
// system doesn't tell.
func largePages() int {
	status, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "AnonHugePages:"); ok {
			if kB, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB"))); err == nil {
				return kB
			}
		}
	}
	return -1
}

// Where the system gives large pages to memory that asks for them, a matrix has some.
func TestAllocOnLargePages(t *testing.T) {
	asked, err := syscall.Mmap(-1, 0, 16<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	err = syscall.Madvise(asked, syscall.MADV_HUGEPAGE)
	for i := range asked {
		asked[i] = 1
	}
	before := largePages()
	require.NoError(t, syscall.Munmap(asked))
	if err != nil || before <= 0 {
		t.Skip("this system gives no large pages to those that ask")
	}
	before = largePages()
	m := NewMat(4096, 4096)
	for i := range m.Data {
		m.Data[i] = 1
	}
	assert.Greater(t, largePages(), before, "of %d MB", len(m.Data)>>18)
	assert.InDelta(t, 1, m.Data[len(m.Data)-1], 0)
}
