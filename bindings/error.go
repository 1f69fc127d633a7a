//go:build cgo && !purego

package bindings

// #include "../csrc/locoprop.h"
import "C"

import "fmt"

// Status says why a call failed. The set is closed; see lp_status in csrc/locoprop.h.
type Status int32

// The statuses.
const (
	OK            Status = C.LP_OK
	Null          Status = C.LP_NULL
	Size          Status = C.LP_SIZE
	Stride        Status = C.LP_STRIDE
	StrideLimit   Status = C.LP_STRIDE_LIMIT
	Kind          Status = C.LP_KIND
	Scratch       Status = C.LP_SCRATCH
	NotPositive   Status = C.LP_NOT_POSITIVE
	NoConvergence Status = C.LP_NO_CONVERGENCE
)

func (s Status) String() string { return C.GoString(C.lp_status_text(C.int32_t(s))) }

// Error is a failed call.
type Error struct {
	Func      string // the C function
	Status    Status
	Arg       int   // position of the argument in its declaration, from 1; 0: none
	Got, Want int64 // the argument and what it may be; see lp_status
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: argument %d: %v (got %d, want %d)", e.Func, e.Arg, e.Status, e.Got, e.Want)
}

// failed makes an error of a status that isn't OK and of what the callee filled in.
func failed(name string, e C.lp_error) error {
	return &Error{Func: name, Status: Status(e.status), Arg: int(e.arg), Got: int64(e.got), Want: int64(e.want)}
}

// Check returns an error where this package was compiled against another version of the
// C interface than the kernels were.
func Check() error {
	if abi := C.lp_abi(); abi != C.LP_ABI {
		return fmt.Errorf("bindings were compiled for version %d of the C interface, and csrc has version %d: rebuild with go build -a",
			C.LP_ABI, abi)
	}
	return nil
}
