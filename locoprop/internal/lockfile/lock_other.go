//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package lockfile

import (
	"errors"
	"os"
)

// tryLock has no lock to take: on these systems two processes aren't kept apart.
func tryLock(*os.File) error { return nil }

// removeOpen closes the file first: some systems remove no file that is open.
func removeOpen(path string, f *os.File) error {
	return errors.Join(f.Close(), os.Remove(path))
}
