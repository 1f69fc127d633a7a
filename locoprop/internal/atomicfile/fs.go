package atomicfile

import (
	"io"
	"io/fs"
	"os"
	"runtime"
)

// FS is the handful of file operations that writing a run's files takes. [OS] is the
// real one; a test can pass another that fails at the operation it chooses.
type FS interface {
	// OpenFile is os.OpenFile.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// MkdirAll is os.MkdirAll.
	MkdirAll(path string, perm fs.FileMode) error
	// Rename is os.Rename: it replaces newName where that is a file.
	Rename(oldName, newName string) error
	// Link is os.Link: it gives a file a second name. Not every file system can.
	Link(oldName, newName string) error
	// Remove is os.Remove.
	Remove(name string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
}

// File is an open file of an [FS].
type File interface {
	io.Reader
	io.Writer
	io.Seeker
	io.Closer
	// Sync makes what was written durable.
	Sync() error
	// Truncate cuts the file to size bytes.
	Truncate(size int64) error
}

// OS is the file system of the operating system.
var OS FS = system{}

type system struct{}

func (system) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not f: a nil *os.File in a File isn't nil
	}
	return f, nil
}

func (system) MkdirAll(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }

func (system) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

func (system) Link(oldName, newName string) error { return os.Link(oldName, newName) }

func (system) Remove(name string) error { return os.Remove(name) }

func (system) SyncDir(dir string) error {
	if runtime.GOOS == "windows" { // folders can't be synced there; NTFS journals names itself
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
