package dataset

import (
	"os"
	"runtime/debug"
	"sync"
)

// mapAbove is the size in bytes from which on a file that isn't compressed is mapped
// into the address space instead of being read. Smaller ones are read: they may then
// change or vanish during a run.
var mapAbove int64 = 64 << 20

// mapping is the content of a file that the operating system reads page by page as it is
// looked at, and drops where memory is short. A nil *mapping stands for data in memory.
type mapping struct {
	path  string
	data  []byte
	close sync.Once
}

// mapLarge maps a file of size bytes; nil where it should be read instead.
func mapLarge(f *os.File, size int64) *mapping {
	if size <= mapAbove || size != int64(int(size)) {
		return nil
	}
	data, err := mapFile(f, int(size))
	if err != nil {
		return nil
	}
	return &mapping{path: f.Name(), data: data}
}

// Close ends the mapping. Whoever looks at its data afterwards finds a fault.
func (m *mapping) Close() (err error) {
	if m != nil {
		m.close.Do(func() { err = unmap(m.data) })
	}
	return err
}

// guard calls read, which looks at the data. Where the system can't provide them (the
// file was cut, its disk fails) the fault is an error instead of the program's end.
func (m *mapping) guard(read func()) (err error) {
	if m == nil {
		read()
		return nil
	}
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		switch fault := recover().(type) {
		case nil:
		case interface {
			error
			Addr() uintptr
		}:
			err = &Error{Path: m.path, Reason: "can't be read any more; was it cut or its disk removed?", Err: fault}
		default:
			panic(fault) // a programmer's error
		}
	}()
	read()
	return nil
}
