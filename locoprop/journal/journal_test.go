package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type entry struct {
	Name  string `json:"name"`
	Value int    `json:"value"`
}

// taken reads a journal of entries.
func taken(t *testing.T, path string) (*File, []entry) {
	t.Helper()
	var list []entry
	f, err := Read(path, func(line []byte, number int) error {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		list = append(list, e)
		assert.Len(t, list, number)
		return nil
	})
	require.NoError(t, err)
	return f, list
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

// A journal that was cut anywhere has the lines before the cut, and goes on behind them.
func TestCutAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	f, list := taken(t, path)
	assert.Empty(t, list)
	assert.True(t, f.Empty())
	assert.NoFileExists(t, path, "reading writes nothing")
	lines := []string{`{"name":"first","value":1}` + "\n", `{"name":"second","value":-2}` + "\n", `{"name":"","value":3}` + "\n"}
	entries := []entry{{"first", 1}, {"second", -2}, {"", 3}}
	for _, e := range entries {
		require.NoError(t, f.Add(e))
		assert.False(t, f.Empty())
	}
	whole := content(t, path)
	assert.Equal(t, lines[0]+lines[1]+lines[2], whole)

	for cut := range len(whole) + 1 {
		require.NoError(t, os.WriteFile(path, []byte(whole[:cut]), 0o666))
		kept, before := 0, ""
		for kept < len(lines) && len(before)+len(lines[kept]) <= cut {
			before += lines[kept]
			kept++
		}
		f, list := taken(t, path)
		assert.Equal(t, entries[:kept], append([]entry{}, list...), "cut at %d", cut)
		assert.Equal(t, kept == 0, f.Empty(), "cut at %d", cut)
		assert.Equal(t, whole[:cut], content(t, path), "reading writes nothing")
		require.NoError(t, f.Add(entry{"new", 4}))
		require.NoError(t, f.Add(entry{"newer", 5}))
		assert.Equal(t, before+`{"name":"new","value":4}`+"\n"+`{"name":"newer","value":5}`+"\n", content(t, path), "cut at %d", cut)
	}
}

var errPlanted = errors.New("planted")

// failing performs operations on the real file system until one that is left to fail.
type failing struct {
	atomicfile.FS
	left   int
	synced []string // folders
}

func (f *failing) fail() error {
	f.left--
	if f.left == 0 {
		return errPlanted
	}
	return nil
}

func (f *failing) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	if f.fail() != nil {
		return nil, fmt.Errorf("open %s: %w", name, errPlanted)
	}
	file, err := f.FS.OpenFile(name, flag, perm)
	return &failingFile{file, f}, err
}

func (f *failing) SyncDir(dir string) error {
	f.synced = append(f.synced, dir)
	return errors.Join(f.fail(), f.FS.SyncDir(dir))
}

type failingFile struct {
	atomicfile.File
	f *failing
}

func (f *failingFile) Truncate(size int64) error {
	return errors.Join(f.f.fail(), f.File.Truncate(size))
}

func (f *failingFile) Write(p []byte) (int, error) {
	if err := f.f.fail(); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *failingFile) Sync() error { return errors.Join(f.f.fail(), f.File.Sync()) }

func (f *failingFile) Close() error { return errors.Join(f.File.Close(), f.f.fail()) }

// Whatever operation fails, the next line stands where the failed one was to, and only the
// first syncs the folder.
func TestEveryOperationFails(t *testing.T) {
	const first, second = `{"name":"first","value":1}` + "\n", `{"name":"second","value":2}` + "\n"
	for before, operations := range map[string]int{"": 6, first: 5} { // open, cut, write, sync, close; the folder
		for k := 1; k <= operations+1; k++ {
			path := filepath.Join(t.TempDir(), "journal.jsonl")
			require.NoError(t, os.WriteFile(path, []byte(before), 0o666))
			f, _ := taken(t, path)
			planted := &failing{FS: atomicfile.OS, left: k}
			f.fs = planted
			err := f.Add(entry{"lost", 0})
			if k > operations {
				require.NoError(t, err, "operation %d", k)
				continue
			}
			require.ErrorIs(t, err, errPlanted, "operation %d", k)
			assert.ErrorContains(t, err, path, "operation %d", k)
			require.NoError(t, f.Add(entry{"second", 2}), "operation %d", k)
			assert.Equal(t, before+second, content(t, path), "operation %d", k)
			if before == "" {
				assert.Contains(t, planted.synced, filepath.Dir(path))
			} else {
				assert.Empty(t, planted.synced)
			}
		}
	}
}

func TestAddRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	f, _ := taken(t, path)
	require.NoError(t, f.Add(entry{"first", 1}))
	before := content(t, path)
	assert.ErrorContains(t, f.Add(math.NaN()), "writing "+path+": json: unsupported value: NaN")
	assert.Equal(t, before, content(t, path))

	f, _ = taken(t, filepath.Join(t.TempDir(), "missing", "journal.jsonl"))
	assert.ErrorIs(t, f.Add(1), fs.ErrNotExist)
}

// What something else wrote since the journal was read stays, and nothing is added to it.
func TestChangedByOthers(t *testing.T) {
	const line = `{"name":"first","value":1}` + "\n"
	for name, other := range map[string]string{"longer": line + "more", "shorter": line[:5], "empty": ""} {
		for _, half := range []string{"", `{"na`} {
			path := filepath.Join(t.TempDir(), "journal.jsonl")
			require.NoError(t, os.WriteFile(path, []byte(line+half), 0o666))
			f, _ := taken(t, path)
			require.NoError(t, os.WriteFile(path, []byte(other), 0o666))
			if len(other) == len(line+half) {
				continue // can't be told apart
			}
			for range 2 {
				require.ErrorIs(t, f.Add(entry{"second", 2}), errChanged, name)
				assert.Equal(t, other, content(t, path), name)
			}
			require.NoError(t, os.WriteFile(path, []byte(line+half), 0o666))
			require.NoError(t, f.Add(entry{"second", 2}), name)
			require.NoError(t, os.Remove(path))
			require.ErrorIs(t, f.Add(entry{"third", 3}), fs.ErrNotExist, name)
			assert.NoFileExists(t, path, name)
		}
	}
}

func TestBadLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	const text = `{"name":"first","value":1}` + "\n" + `{"name":"second","value":"2"}` + "\n" + `{"na`
	require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
	take := func(line []byte, _ int) error { return json.Unmarshal(line, &entry{}) }
	for _, open := range []func(string, func([]byte, int) error) (*File, error){Read, Open} {
		f, err := open(path, take)
		assert.Nil(t, f)
		assert.ErrorIs(t, err, dataset.ErrData)
		assert.ErrorContains(t, err, path+": line 2: json: cannot unmarshal string")
		assert.Equal(t, text, content(t, path), "what isn't understood stays")
		assert.NoFileExists(t, path+".lock")
	}
	_, err := Read(filepath.Dir(path), take)
	assert.ErrorContains(t, err, filepath.Dir(path), "a folder")
}

func TestOpenLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	none := func([]byte, int) error { return nil }
	f, err := Open(path, none)
	require.NoError(t, err)
	_, err = Open(path, none)
	require.ErrorIs(t, err, ErrInUse)
	assert.ErrorContains(t, err, path+" is in use: locked by process")
	require.NoError(t, f.Add(1))
	require.NoError(t, f.Close())
	require.NoError(t, f.Close(), "once more")
	f, err = Open(path, none)
	require.NoError(t, err)
	assert.NoError(t, f.Close())
	_, err = Open(filepath.Join(path, "in", "nowhere"), none)
	assert.Error(t, err)

	read, _ := Read(path, none)
	assert.NoError(t, read.Close(), "without a lock there is none to give up")
}

func TestDifferences(t *testing.T) {
	there := map[string]string{"same": "1", "lr": "0.1", "gone": "x", "empty": ""}
	here := map[string]string{"same": "1", "lr": "0.2", "new": "y", "empty": ""}
	var texts []string
	for _, d := range Differences(there, here) {
		texts = append(texts, d.String())
	}
	assert.Equal(t, []string{"gone is x there and not set here", "lr is 0.1 there and 0.2 here", "new is not set there and y here"}, texts)
	assert.Equal(t, []Difference{{"empty", "", "not set"}}, Differences(map[string]string{"empty": ""}, nil))
	assert.Empty(t, Differences(there, there))
	assert.Empty(t, Differences(nil, nil))
}
