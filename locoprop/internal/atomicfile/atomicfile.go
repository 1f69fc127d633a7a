// Package atomicfile writes a file whole or not at all: whoever opens it, at whatever
// moment and after whatever crash, finds the old content or the new, never a part.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

const bufferSize = 64 << 10

// count tells apart temporary files of one process; the process id tells apart those
// of several.
var count atomic.Uint64

// Write replaces the file at path by what fill writes. The bytes go to a temporary
// file in the same folder, which is synced and then renamed, and the folder is synced
// last. On an error before the renaming the temporary file is removed and path is as
// it was; after it, path holds the new content, which a power failure may still undo.
// The error names the file.
func Write(fsys FS, path string, fill func(io.Writer) error) error {
	if err := write(fsys, path, fill); err != nil {
		return fmt.Errorf("writing %s: %w", path, plain(err))
	}
	return nil
}

func write(fsys FS, path string, fill func(io.Writer) error) (err error) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	temp := filepath.Join(dir, prefix(name)+strconv.Itoa(os.Getpid())+"-"+strconv.FormatUint(count.Add(1), 10))
	f, err := fsys.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(fsys.Remove(temp)))
		}
	}()
	if err := fillAndClose(f, fill); err != nil {
		return err
	}
	if err := fsys.Rename(temp, path); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

func fillAndClose(f File, fill func(io.Writer) error) error {
	b := bufio.NewWriterSize(f, bufferSize)
	err := fill(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Clean removes temporary files that a process left when it was killed while writing
// the file at path. Call it only where no other process may be writing that file.
func Clean(path string) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix(name)) {
			err = errors.Join(err, ignoreMissing(os.Remove(filepath.Join(dir, e.Name()))))
		}
	}
	return err
}

// prefix begins the name of every temporary file of a file.
func prefix(name string) string { return "." + name + ".tmp-" }

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// plain drops the temporary file's name from an error: the user knows nothing of it.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	return err
}
