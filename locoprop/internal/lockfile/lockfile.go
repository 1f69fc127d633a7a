// Package lockfile keeps two processes from writing the same files. The lock is the
// operating system's, held on an open file: whatever way a process ends, its lock ends
// with it, so a lock file that a killed process left bars nobody.
package lockfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// ErrHeld is what errors.Is finds where another process, or another place in this one,
// holds the lock.
var ErrHeld = errors.New("locked")

// errBusy is what a system's tryLock returns for a lock that another holds.
var errBusy = errors.New("busy")

// Lock is a lock that is held.
type Lock struct {
	file *os.File
	path string
}

// Take takes the lock of a path at once or not at all. The file is made where it isn't
// there, and says who holds it. Where another holds it the error says who, and
// errors.Is(err, ErrHeld) holds. On a file system without locks everybody gets it.
func Take(path string) (*Lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err // names the file
		}
		switch err := tryLock(f); {
		case errors.Is(err, errBusy):
			holder := readHolder(f)
			return nil, errors.Join(fmt.Errorf("%w by %s", ErrHeld, holder), f.Close())
		case err != nil:
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		}
		if stillThere(f, path) {
			sign(f)
			return &Lock{f, path}, nil
		}
		if err := f.Close(); err != nil { // its holder removed it meanwhile: take the new one
			return nil, err
		}
	}
}

// stillThere tells whether a path names an open file.
func stillThere(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(open, named)
}

// sign writes who holds the lock, for the messages of others: it is no harm if it can't.
func sign(f *os.File) {
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintf(f, "process %d, since %s\n", os.Getpid(), time.Now().Format(time.DateTime))
	}
}

func readHolder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 200))
	if text := strings.TrimSpace(string(b)); err == nil && text != "" {
		return text
	}
	return "another process"
}

// Release removes the file and gives the lock up. A second call does nothing.
func (l *Lock) Release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := removeOpen(l.path, l.file)
	l.file = nil
	return err
}
