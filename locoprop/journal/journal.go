// Package journal keeps a file of results that only grows, a line of JSON for each, so that
// work which ended in whatever way goes on where it was: a line is on the disk once
// [File.Add] returns, and half a line that a killed process left counts for nothing.
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/internal/lockfile"
)

// ErrInUse is what errors.Is finds where another process, or another place in this one, has
// the journal open.
var ErrInUse = errors.New("in use")

var errChanged = errors.New("another program changed it")

// File is a journal that was read and can be added to. It isn't held open between lines.
type File struct {
	fs   atomicfile.FS
	path string
	size int64          // bytes of its whole lines; what follows them is cut off
	end  int64          // bytes of the file, −1 where an error left that open
	lock *lockfile.Lock // nil: whoever reads sees to it that nobody else writes
}

// Open is [Read] for a journal that has no other lock: until [File.Close] nobody else
// opens it; the lock is beside it, in PATH.lock. Where it is open already,
// errors.Is(err, ErrInUse) holds.
func Open(path string, take func(line []byte, number int) error) (*File, error) {
	lock, err := lockfile.Take(path + ".lock")
	if errors.Is(err, lockfile.ErrHeld) {
		return nil, fmt.Errorf("%s is %w: %w", path, ErrInUse, err)
	}
	if err != nil {
		return nil, err // names the file
	}
	f, err := Read(path, take)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	f.lock = lock
	return f, nil
}

// Read gives a journal's lines to take one after the other, numbered from 1. A last line
// that was cut is left out, and a file that isn't there has none. An error of take becomes
// one that names file and line, for which errors.Is(err, dataset.ErrData) holds. Nothing
// is written.
func Read(path string, take func(line []byte, number int) error) (*File, error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // names the file
	}
	end := len(content)
	content = content[:bytes.LastIndexByte(content, '\n')+1]
	number := 0
	for line := range bytes.Lines(content) {
		number++
		if err := take(line, number); err != nil {
			return nil, &dataset.Error{Path: path, Reason: "line " + strconv.Itoa(number), Err: err}
		}
	}
	return &File{fs: atomicfile.OS, path: path, size: int64(len(content)), end: int64(end)}, nil
}

// Empty reports whether the journal has no line.
func (f *File) Empty() bool { return f.size == 0 }

// Add writes value as JSON through to the disk, in a line of its own. After an error the
// journal holds what it held before, and maybe that line, in part or (where only putting it
// through to the disk failed) whole; the next one replaces it. Where something else
// made the file longer or shorter meanwhile, it is left as it is, with an error.
func (f *File) Add(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	text = append(text, '\n')
	flag := os.O_WRONLY
	if f.size == 0 {
		flag |= os.O_CREATE
	}
	file, err := f.fs.OpenFile(f.path, flag, 0o666)
	if err != nil {
		return err // names the file
	}
	err = f.write(file, text)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil && f.size == 0 {
		err = f.fs.SyncDir(filepath.Dir(f.path))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	f.size += int64(len(text))
	f.end = f.size
	return nil
}

func (f *File) write(file atomicfile.File, text []byte) error {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if f.end >= 0 && end != f.end || end < f.size {
		return fmt.Errorf("%w: it has %d bytes, %d were read and written here", errChanged, end, max(f.end, f.size))
	}
	f.end = -1 // unless all goes well
	if err := file.Truncate(f.size); err != nil {
		return err
	}
	if _, err := file.Seek(f.size, io.SeekStart); err != nil {
		return err
	}
	if _, err := file.Write(text); err != nil {
		return errors.Join(err, file.Truncate(f.size))
	}
	return file.Sync()
}

// Close gives the lock of [Open] up.
func (f *File) Close() error { return f.lock.Release() }

// Difference is a setting that the begin of a journal and those who go on with it don't
// share.
type Difference struct{ What, There, Here string }

func (d Difference) String() string {
	return fmt.Sprintf("%s is %s there and %s here", d.What, d.There, d.Here)
}

// Differences compares settings of a journal's begin with those of now, in the order of
// their names. One that isn't there is "not set".
func Differences(there, here map[string]string) []Difference {
	names := map[string]bool{}
	for name := range there {
		names[name] = true
	}
	for name := range here {
		names[name] = true
	}
	var list []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, had := there[name]
		now, has := here[name]
		if before != now || had != has {
			list = append(list, Difference{name, orNone(before, had), orNone(now, has)})
		}
	}
	return list
}

func orNone(value string, set bool) string {
	if !set {
		return "not set"
	}
	return value
}
