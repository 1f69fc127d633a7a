package backend

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// largePages is how much of the mapping around an address is on large pages, in kB.
func largePages(at uintptr) (kB int) {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return 0
	}
	within := false
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			within = from <= at && at < to
		}
		if n, _ := fmt.Sscanf(line, "AnonHugePages: %d kB", &kB); within && n == 1 {
			return kB
		}
	}
	return 0
}

// Where the system gives large pages to memory that asks for them, a matrix has some.
func TestAllocOnLargePages(t *testing.T) {
	if mode, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err == nil && strings.Contains(string(mode), "[always]") {
		t.Skip("needs a Linux that gives large pages to those that ask, not to all: madvise in /sys/kernel/mm/transparent_hugepage/enabled")
	}
	asked, err := syscall.Mmap(-1, 0, 16<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	err = syscall.Madvise(asked, syscall.MADV_HUGEPAGE)
	for i := range asked {
		asked[i] = 1
	}
	given := largePages(uintptr(unsafe.Pointer(&asked[8<<20])))
	require.NoError(t, syscall.Munmap(asked))
	if err != nil || given == 0 {
		t.Skip("needs a Linux that gives large pages to those that ask: madvise in /sys/kernel/mm/transparent_hugepage/enabled")
	}
	m := NewMat(4096, 4096)
	for i := range m.Data {
		m.Data[i] = 1
	}
	assert.Positive(t, largePages(uintptr(unsafe.Pointer(&m.Data[8<<20]))), "kB of %d", len(m.Data)>>8)
	assert.InDelta(t, 1, m.Data[len(m.Data)-1], 0)
}
