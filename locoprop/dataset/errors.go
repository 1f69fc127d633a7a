package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// ErrData is what errors.Is finds in every error that is the fault of data: a file
// that is missing, cut, damaged, of the wrong kind, or that doesn't go with another.
var ErrData = errors.New("bad data")

// Error says what is wrong with a file or folder of data.
type Error struct {
	Path   string // the file or folder; empty where no path was given
	Reason string // what was found and what would be right
	Err    error  // the cause, where there is one below it
}

// Error joins path, reason and cause.
func (e *Error) Error() string {
	parts := make([]string, 0, 3)
	for _, s := range []string{e.Path, e.Reason} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(e, ErrData) hold.
func (e *Error) Is(target error) bool { return target == ErrData }

// errorf makes an Error without a cause.
func errorf(path, format string, args ...any) error {
	return &Error{Path: path, Reason: fmt.Sprintf(format, args...)}
}

// ioError makes an Error of a failed file operation, whose own text would name the
// path a second time.
func ioError(path, reason string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &Error{Path: path, Reason: reason, Err: err}
}

// AmbiguousError tells that several files of a folder could be the one looked for.
type AmbiguousError struct {
	Dir     string   // the folder
	Pattern string   // what was looked for, such as *train-images-idx3-ubyte[.gz]
	Matches []string // the names that match, in ascending order
}

// Error lists the files and says how to choose.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%s: %d files match %s, exactly one may: %s; "+
		"--data-prefix picks the file by the start of its name (of the same file plain and compressed, remove one)",
		e.Dir, len(e.Matches), e.Pattern, strings.Join(e.Matches, ", "))
}

// Is makes errors.Is(e, ErrData) hold.
func (e *AmbiguousError) Is(target error) bool { return target == ErrData }
