package train

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
)

// lines is a file that lines are added to. It keeps what isn't on the disk for certain,
// so that lines which couldn't be written are written in their place later.
type lines struct {
	fs     atomicfile.FS
	path   string
	before int // lines that stay when it is opened; what follows them is cut off

	file    atomicfile.File // nil: not open
	size    int64           // bytes that are on the disk
	tail    []byte          // what follows them
	written int             // bytes of tail that the file has
	failed  bool            // after an error: the file has anything after size
}

// open opens the file, cut to the lines that stay.
func (l *lines) open() error {
	file, err := l.fs.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err // names the file
	}
	if l.size, err = wholeLines(file, l.path, l.before); err == nil {
		err = l.cut(file)
	}
	if err == nil {
		err = l.fs.SyncDir(filepath.Dir(l.path))
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file = file
	return nil
}

// wholeLines is the length of a file's first so many lines.
func wholeLines(file io.Reader, path string, lines int) (int64, error) {
	r := bufio.NewReader(file)
	var size int64
	for i := range lines {
		for {
			b, err := r.ReadSlice('\n')
			size += int64(len(b))
			if err == nil {
				break
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				return 0, &dataset.Error{Path: path, Reason: fmt.Sprintf("has %d whole lines, but the checkpoint counts %d: it was cut or replaced", i, lines)}
			}
		}
	}
	return size, nil
}

// cut cuts the file after the bytes that are certain and goes to its end.
func (l *lines) cut(file atomicfile.File) error {
	if err := file.Truncate(l.size); err != nil {
		return fmt.Errorf("cutting %s: %w", l.path, err)
	}
	if _, err := file.Seek(l.size, io.SeekStart); err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	return nil
}

// add adds whole lines and writes them, not through to the disk.
func (l *lines) add(text []byte) error {
	l.tail = append(l.tail, text...)
	return l.write()
}

// write writes what the file doesn't have yet.
func (l *lines) write() error {
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.failed {
		if err := l.cut(l.file); err != nil {
			return err
		}
		l.failed, l.written = false, 0
	}
	n, err := l.file.Write(l.tail[l.written:])
	l.written += n
	if err != nil {
		l.failed = true
		return errors.Join(fmt.Errorf("writing %s: %w", l.path, err), l.cut(l.file)) // a part of a line is of no use
	}
	return nil
}

// sync writes everything through to the disk.
func (l *lines) sync() error {
	if len(l.tail) == 0 {
		return nil
	}
	if err := l.write(); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		l.failed = true // what of it is on the disk is anyone's guess
		return fmt.Errorf("writing %s: %w", l.path, err)
	}
	l.size += int64(len(l.tail))
	l.tail, l.written = l.tail[:0], 0
	return nil
}

func (l *lines) close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
