package backend

import (
	"syscall"
	"unsafe"
)

const hugePage = 2 << 20

// adviseHuge asks for large pages under memory that has just been allocated: with those of
// 4 KiB, the rows of a matrix that a product walks down lie on more pages than the
// processor's table of them has places. It is a hint, so its error doesn't matter; the range
// is rounded outwards, since a page that isn't whole within it can't become a large one.
func adviseHuge(s []float32) {
	bytes := uintptr(len(s)) * floatBytes
	if bytes < hugePage/2 {
		return
	}
	from := uintptr(unsafe.Pointer(unsafe.SliceData(s)))
	to := (from + bytes + hugePage - 1) &^ (hugePage - 1)
	from &^= hugePage - 1
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_HUGEPAGE)
}
