package atomicfile_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errPlanted = errors.New("planted")

// failing performs operations on the real file system until the k-th, which fails.
type failing struct{ left int }

func (f *failing) fail() error {
	f.left--
	if f.left == 0 {
		return errPlanted
	}
	return nil
}

func (f *failing) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	file, err := atomicfile.OS.OpenFile(name, flag, perm)
	return &failingFile{file, f}, err
}

func (f *failing) MkdirAll(path string, perm fs.FileMode) error {
	return errors.Join(f.fail(), os.MkdirAll(path, perm))
}

func (f *failing) Rename(o, n string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return os.Rename(o, n)
}

func (f *failing) Link(o, n string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return os.Link(o, n)
}

func (f *failing) Remove(name string) error { return os.Remove(name) }

func (f *failing) SyncDir(dir string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return atomicfile.OS.SyncDir(dir)
}

type failingFile struct {
	atomicfile.File
	f *failing
}

func (f *failingFile) Write(p []byte) (int, error) {
	if err := f.f.fail(); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *failingFile) Sync() error {
	if err := f.f.fail(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *failingFile) Close() error { return errors.Join(f.File.Close(), f.f.fail()) }

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

// names lists a folder, so that a test sees every file that was left behind.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWriteReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"old", strings.Repeat("new", 1e5), ""} {
		require.NoError(t, atomicfile.Write(atomicfile.OS, path, func(w io.Writer) error {
			_, err := io.WriteString(w, content)
			return err
		}))
		assert.Equal(t, content, read(t, path))
		assert.Equal(t, []string{"file"}, names(t, filepath.Dir(path)))
	}
}

func TestWriteInCurrentFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, atomicfile.Write(atomicfile.OS, "file", func(w io.Writer) error {
		_, err := io.WriteString(w, "content")
		return err
	}))
	assert.Equal(t, "content", read(t, "file"))
}

// Whatever operation fails, the file is the old one or the new one, and no other file
// is left.
func TestEveryOperationFails(t *testing.T) {
	const old, updated = "old content", "new content"
	succeeded := false
	for k := 1; !succeeded; k++ {
		require.Less(t, k, 20)
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, []byte(old), 0o600))
		err := atomicfile.Write(&failing{left: k}, path, func(w io.Writer) error {
			_, err := io.WriteString(w, updated)
			return err
		})
		succeeded = err == nil
		if err != nil {
			assert.ErrorIs(t, err, errPlanted)
			assert.ErrorContains(t, err, path)
		}
		assert.Contains(t, []string{old, updated}, read(t, path), "operation %d", k)
		assert.Equal(t, []string{"file"}, names(t, filepath.Dir(path)), "operation %d", k)
	}
}

func TestFillFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	err := atomicfile.Write(atomicfile.OS, path, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half of")
		return fmt.Errorf("no more: %w", errPlanted)
	})
	assert.ErrorIs(t, err, errPlanted)
	assert.Empty(t, names(t, filepath.Dir(path)))
}

func TestErrorNamesTheFileOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "file")
	err := atomicfile.Write(atomicfile.OS, path, func(io.Writer) error { return nil })
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.EqualError(t, err, "writing "+path+": no such file or directory")
}

func TestClean(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".last.tmp-12-1", ".other.tmp-3-44", "last", ".lastly", "last.tmp-1-1", ".last.tmp-x-1", ".last.tmp-1", ".tmp-1-1"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, atomicfile.Clean(dir))
	assert.Equal(t, []string{".last.tmp-1", ".last.tmp-x-1", ".lastly", ".tmp-1-1", "last", "last.tmp-1-1"}, names(t, dir))
	assert.NoError(t, atomicfile.Clean(filepath.Join(dir, "missing")))
}

// The second name survives what becomes of the first, whatever operation fails on the
// way, and also where files can't have two names.
func TestLink(t *testing.T) {
	for k := 1; k <= 3; k++ { // link, rename, none
		dir := t.TempDir()
		from, path := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		require.NoError(t, os.WriteFile(from, []byte("content"), 0o600))
		require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
		err := atomicfile.Link(&failing{left: k}, from, path)
		require.NoError(t, err, "operation %d: one that fails is made up for by copying", k)
		require.NoError(t, atomicfile.Link(atomicfile.OS, from, path), "once more")
		assert.Equal(t, []string{"from", "to"}, names(t, dir), "operation %d", k)
		require.NoError(t, os.Remove(from))
		assert.Equal(t, "content", read(t, path))
	}
	dir := t.TempDir()
	err := atomicfile.Link(atomicfile.OS, filepath.Join(dir, "from"), filepath.Join(dir, "to"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, filepath.Join(dir, "to"))
	assert.Empty(t, names(t, dir))
}

func TestLinkCopies(t *testing.T) {
	dir := t.TempDir()
	from, path := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	require.NoError(t, os.WriteFile(from, []byte("content"), 0o600))
	succeeded := false
	for k := 1; !succeeded; k++ {
		require.Less(t, k, 20)
		require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
		err := atomicfile.Link(&unlinkable{failing{left: k}}, from, path)
		succeeded = err == nil
		if err != nil {
			assert.ErrorIs(t, err, errPlanted)
		}
		assert.Contains(t, []string{"old", "content"}, read(t, path))
		assert.Equal(t, []string{"from", "to"}, names(t, dir), "operation %d", k)
	}
	assert.Equal(t, "content", read(t, path))
}

// unlinkable is a file system whose files have one name each.
type unlinkable struct{ failing }

func (*unlinkable) Link(string, string) error { return errors.ErrUnsupported }
