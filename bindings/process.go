//go:build cgo && !purego

package bindings

// #cgo noescape lp_get_info
// #cgo nocallback lp_get_info
// #cgo noescape lp_fma_peak
// #cgo nocallback lp_fma_peak
// #include "../csrc/locoprop.h"
// #include <stdlib.h>
import "C"

import (
	"sync"
	"unsafe"
)

// Info says what the kernels are built on.
type Info struct {
	OpenBLAS   string // its configuration: version, options, MAX_THREADS
	Core       string // the CPU that its kernels are for
	SIMD       string // Highway's target
	Compiler   string // what compiled the C++, and its version
	MaxThreads int    // the threads that OpenBLAS was built for; 0: it doesn't say
}

// The state of the process: OpenBLAS has one thread setting and one text buffer.
var process struct {
	sync.Mutex
	users   int // backends that need OpenBLAS on one thread
	threads int // its setting before the first of them
}

// GetInfo calls lp_get_info.
func GetInfo() Info {
	process.Lock()
	defer process.Unlock()
	var i C.lp_info
	C.lp_get_info(&i)
	return Info{
		OpenBLAS:   C.GoString(&i.openblas[0]),
		Core:       C.GoString(&i.core[0]),
		SIMD:       C.GoString(&i.simd[0]),
		Compiler:   C.GoString(&i.compiler[0]),
		MaxThreads: int(i.max_threads),
	}
}

// SetTarget calls lp_set_target, for tests, before any backend is made: backends keep the sizes of
// panels. It tells whether this CPU has a target of that name.
func SetTarget(name string) bool {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return C.lp_set_target(c) == C.LP_OK
}

// AcquireSingleThread sets OpenBLAS to one thread, for the whole process, until
// ReleaseSingleThread has been called as often: every backend that calls OpenBLAS
// acquires it when it is made and releases it when it is closed. Nothing may compute
// with OpenBLAS during the first acquisition and the last release.
func AcquireSingleThread() {
	process.Lock()
	defer process.Unlock()
	if process.users == 0 {
		process.threads = Threads()
		SetThreads(1)
	}
	process.users++
}

// ReleaseSingleThread undoes one AcquireSingleThread; the last restores the setting
// that the first found.
func ReleaseSingleThread() {
	process.Lock()
	defer process.Unlock()
	if process.users == 0 {
		panic("bindings: ReleaseSingleThread without AcquireSingleThread")
	}
	process.users--
	if process.users == 0 {
		SetThreads(process.threads)
	}
}

// Threads calls lp_get_threads: OpenBLAS's number of threads.
func Threads() int { return int(C.lp_get_threads()) }

// SetThreads calls lp_set_threads, for measurements; backends acquire.
func SetThreads(n int) { C.lp_set_threads(C.int32_t(n)) }

// FMAPeak calls lp_fma_peak: it performs about 1000·rounds floating-point operations as
// fast as one core can and returns how many.
func FMAPeak(rounds int) (flops float64) {
	sink := C.float(1e-3)
	return float64(C.lp_fma_peak(i64(rounds), &sink))
}
