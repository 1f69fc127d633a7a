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
	"regexp"
	"strconv"
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
	dir, temp := temporary(path)
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

// Link makes path another name of the file at from, in the place of what path named
// before; whoever opens path finds the one or the other. Where the file system can't
// give a file two names, path becomes a copy. The folder isn't synced: a power failure
// may undo it. The error names path.
func Link(fsys FS, from, path string) error {
	if link(fsys, from, path) == nil {
		return nil
	}
	f, err := fsys.OpenFile(from, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer f.Close() // nothing was written
	return Write(fsys, path, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

func link(fsys FS, from, path string) error {
	_, temp := temporary(path)
	err := fsys.Link(from, temp)
	if err == nil {
		err = fsys.Rename(temp, path)
	}
	// Where both are names of one file already, renaming leaves both.
	return errors.Join(err, ignoreMissing(fsys.Remove(temp)))
}

// Clean removes the temporary files that processes left in a folder when they were killed
// while writing. Call it only where no other process may be writing there.
func Clean(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if temporaryName.MatchString(e.Name()) {
			err = errors.Join(err, ignoreMissing(os.Remove(filepath.Join(dir, e.Name()))))
		}
	}
	return err
}

// A temporary file is named .NAME.tmp-PROCESS-COUNT.
var temporaryName = regexp.MustCompile(`^\..+\.tmp-\d+-\d+$`)

// temporary is the folder of a file and a new name in it for a temporary file.
func temporary(path string) (dir, temp string) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	return dir, filepath.Join(dir, "."+name+".tmp-"+strconv.Itoa(os.Getpid())+"-"+strconv.FormatUint(count.Add(1), 10))
}

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
