package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/internal/tensorfile"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faulty does the operations of a file system until its k-th, and then what after says:
// fail once, fail from there on, or do nothing more at all, as if the process had ended.
type faulty struct {
	atomicfile.FS
	left  int
	after policy
	err   error
}

type policy uint8

const (
	once policy = iota
	forGood
	dead
)

var errPlanted = errors.New("planted")

// fail counts an operation and tells whether it fails; cleaning up fails only where
// nothing is done any more.
func (f *faulty) fail(cleaning bool) error {
	if !cleaning && f.left > 0 {
		f.left--
		if f.left == 0 {
			return f.err
		}
	}
	if f.left == 0 && (f.after == dead || f.after == forGood && !cleaning) {
		return f.err
	}
	return nil
}

func newFaulty(k int, after policy) *faulty {
	return &faulty{FS: lazy{atomicfile.OS}, left: k, after: after, err: errPlanted}
}

// over tells that as many operations were done as a fault waited for.
func (f *faulty) over() bool { return f.left == 0 }

func (f *faulty) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	if err := f.fail(false); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

func (f *faulty) Rename(o, n string) error {
	if err := f.fail(false); err != nil {
		return err
	}
	return f.FS.Rename(o, n)
}

func (f *faulty) Link(o, n string) error {
	if err := f.fail(false); err != nil {
		return err
	}
	return f.FS.Link(o, n)
}

func (f *faulty) Remove(name string) error {
	if err := f.fail(true); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *faulty) SyncDir(dir string) error {
	if err := f.fail(false); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

type faultyFile struct {
	atomicfile.File
	f *faulty
}

// Write writes half where it fails.
func (f *faultyFile) Write(p []byte) (int, error) {
	before := f.f.left
	if err := f.f.fail(false); err != nil {
		if before == 0 {
			return 0, err
		}
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.f.fail(true); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Sync() error {
	if err := f.f.fail(false); err != nil {
		return err
	}
	return f.File.Sync()
}

// saving is a run of 2 epochs that writes all that a run can write: checkpoints within
// epochs, ones to keep, the best, metrics and diagnoses.
func saving(t *testing.T) Config {
	t.Helper()
	c := diagnosed(t, 3)
	c.CheckpointEvery, c.Keep = schedule.Interval{Steps: 3}, 2
	c.Workers = 1 // it is about files
	return c
}

// runFaulty makes a run in a new folder and returns what was warned of and its error.
func runFaulty(t *testing.T, dir string, fsys atomicfile.FS, c Config) error {
	t.Helper()
	f, err := Create(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ConfigName), nil, 0o600))
	f.fs = fsys
	trainer := newTrainer(t, c)
	require.NoError(t, f.Attach(trainer))
	_, err = trainer.Run(context.Background())
	_ = f.Close()
	return err
}

// sameRun compares all that two runs left, but for the clock and for which checkpoint
// before the newest is there, since one that couldn't be saved can't be kept.
func sameRun(t *testing.T, want, got string, about ...any) {
	t.Helper()
	files := func(dir string) []string {
		return slices.DeleteFunc(tree(t, dir), func(name string) bool { return strings.Contains(name, stepPrefix) })
	}
	assert.Equal(t, files(want), files(got), about...)
	kept, err := (&Folder{dir: got}).stepCheckpoints()
	require.NoError(t, err)
	assert.NotEmpty(t, kept, about...)
	for _, name := range kept {
		assert.True(t, strings.HasSuffix(name, fmt.Sprintf("%08s", stepOf(t, got, name))), about...)
	}
	assert.Equal(t, readFile(t, want, ModelName), readFile(t, got, ModelName), about...)
	assert.Equal(t, history(t, want), history(t, got), about...)
	assert.Equal(t, string(readFile(t, want, LayersName)), string(readFile(t, got, LayersName)), about...)
	for _, name := range []string{CheckpointName, BestName} {
		a, err := tensorfile.Read(filepath.Join(want, name))
		require.NoError(t, err)
		b, err := tensorfile.Read(filepath.Join(got, name))
		require.NoError(t, err)
		assert.Equal(t, a.Tensors, b.Tensors, about...)
		for _, f := range []*tensorfile.File{a, b} {
			delete(f.Meta, "nanoseconds")
			delete(f.Meta, "eval_nanoseconds")
			delete(f.Meta, "last") // has times too, and is in the history
		}
		assert.Equal(t, a.Meta, b.Meta, about...)
	}
}

// stride is the distance of the operations that fail: all do, but for short tests.
func stride() int {
	if testing.Short() {
		return 4
	}
	return 1
}

// straightRun is an undisturbed run to compare with.
func straightRun(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, runFaulty(t, dir, lazy{atomicfile.OS}, saving(t)))
	return dir
}

// Whatever operation fails, the run ends with an error that says so, or warns where
// somebody is told and goes on to the same end; every file is whole; and a resumed run
// ends as the undisturbed one.
func TestEveryOperationFails(t *testing.T) {
	straight := straightRun(t)
	for _, told := range []bool{false, true} {
		warned := 0
		for k, over := 1, false; !over; k += stride() {
			require.Less(t, k, 200)
			dir := t.TempDir()
			c := saving(t)
			c.Keep += 7 * (k / stride() % 2)
			var warnings []error
			if told {
				c.OnWarning = func(err error) { warnings = append(warnings, err) }
			}
			fsys := newFaulty(k, once)
			err := runFaulty(t, dir, fsys, c)
			over = !fsys.over()
			for _, w := range append(warnings, err) {
				if w != nil {
					assert.ErrorIs(t, w, errPlanted)
				}
			}
			if path := filepath.Join(dir, ModelName); exists(path) {
				_, err := model.Load(path)
				assert.NoError(t, err, "operation %d", k)
			}
			for _, name := range tree(t, dir) {
				assert.NotContains(t, name, "tmp", "operation %d", k)
				if text := readFile(t, dir, name); strings.HasSuffix(name, ".jsonl") && len(text) > 0 {
					assert.Equal(t, byte('\n'), text[len(text)-1], "operation %d leaves a part of a line in %s", k, name)
				}
			}
			assert.False(t, len(warnings) > 0 && err != nil, "one fault, one message")
			warned += len(warnings)
			if err == nil {
				sameRun(t, straight, dir, "operation %d", k)
				continue
			}
			_, err = runIn(t, dir, saving(t))
			require.NoError(t, err, "operation %d", k)
			sameRun(t, straight, dir, "operation %d", k)
		}
		assert.Equal(t, told, warned > 3, "%d warnings", warned)
	}
}

// At whatever operation the process ends, in the middle of writing too, the resumed run
// ends as the undisturbed one.
func TestDiesAtEveryOperation(t *testing.T) {
	straight := straightRun(t)
	for k, over := 1, false; !over; k += stride() {
		require.Less(t, k, 200)
		dir := t.TempDir()
		fsys := newFaulty(k, dead)
		err := runFaulty(t, dir, fsys, saving(t))
		over = err == nil
		for second := 1 + k%7; second <= 40 && !over && k%3 == 0; second += 13 { // and again, while going on
			f, err := Open(dir)
			require.NoError(t, err, "operation %d", k)
			f.fs = newFaulty(second, dead)
			trainer := newTrainer(t, saving(t))
			require.NoError(t, f.Attach(trainer), "operation %d", k)
			_, _ = trainer.Run(context.Background())
			_ = f.Close()
		}
		_, err = runIn(t, dir, saving(t))
		require.NoError(t, err, "operation %d", k)
		sameRun(t, straight, dir, "operation %d", k)
	}
}

// On a full disk the run warns and goes on; it keeps the last good checkpoint; and it
// ends with an error, since its end isn't saved.
func TestFullDisk(t *testing.T) {
	straight := straightRun(t)
	full := func(k int) (*faulty, Config, *int) {
		c, warnings := saving(t), 0
		c.OnWarning = func(err error) {
			require.ErrorIs(t, err, syscall.ENOSPC)
			warnings++
		}
		fsys := newFaulty(k, forGood)
		fsys.err = &fs.PathError{Op: "write", Path: "somewhere", Err: syscall.ENOSPC}
		return fsys, c, &warnings
	}
	for k := 20; k <= 50; k += 10 {
		dir := t.TempDir()
		fsys, c, warnings := full(k)
		err := runFaulty(t, dir, fsys, c)
		require.ErrorIs(t, err, syscall.ENOSPC)
		assert.ErrorContains(t, err, "writing "+dir)
		assert.Positive(t, *warnings)
		for _, name := range tree(t, dir) {
			assert.NotContains(t, name, "tmp")
		}
		_, err = runIn(t, dir, saving(t))
		require.NoError(t, err)
		sameRun(t, straight, dir)
	}
	// Space again in time: nothing is missing in the end.
	for _, free := range []int{4, 5, 6, 7} {
		dir := t.TempDir()
		fsys, c, warnings := full(15)
		c.OnStep = func(p Progress) {
			if p.Step == free {
				require.True(t, fsys.over())
				fsys.after = once
			}
		}
		require.NoError(t, runFaulty(t, dir, fsys, c))
		assert.Positive(t, *warnings)
		assert.Equal(t, readFile(t, straight, ModelName), readFile(t, dir, ModelName))
		assert.Equal(t, history(t, straight), history(t, dir))
		assert.Equal(t, readFile(t, straight, LayersName), readFile(t, dir, LayersName))
	}
	// Interrupted while nothing can be saved: the error says that.
	fsys, c, _ := full(15)
	ctx := stopAt(&c, 5)
	dir := t.TempDir()
	f, err := Create(dir)
	require.NoError(t, err)
	defer f.Close()
	f.fs = fsys
	trainer := newTrainer(t, c)
	require.NoError(t, f.Attach(trainer))
	_, err = trainer.Run(ctx)
	assert.ErrorContains(t, err, "interrupted, but what was reached isn't saved: ")
	assert.ErrorIs(t, err, syscall.ENOSPC)
}

// recorder notes which files are synced.
type recorder struct {
	atomicfile.FS
	t       *testing.T
	synced  map[string]bool // by path: all that was written to it is
	renamed map[string]bool // by folder: names in it aren't
	renames int
}

func (r *recorder) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	f, err := r.FS.OpenFile(name, flag, perm)
	return &recorded{f, name, r}, err
}

func (r *recorder) Link(o, n string) error {
	r.synced[n] = r.synced[o]
	return r.FS.Link(o, n)
}

func (r *recorder) Rename(o, n string) error {
	assert.True(r.t, r.synced[o], "%s is renamed to %s before it is on the disk", o, n)
	r.synced[n] = r.synced[o]
	r.renamed[filepath.Dir(n)] = true
	r.renames++
	return r.FS.Rename(o, n)
}

func (r *recorder) SyncDir(dir string) error {
	delete(r.renamed, filepath.Clean(dir))
	return nil
}

type recorded struct {
	atomicfile.File
	name string
	r    *recorder
}

func (f *recorded) Write(p []byte) (int, error) {
	f.r.synced[f.name] = false
	return f.File.Write(p)
}

func (f *recorded) Sync() error {
	f.r.synced[f.name] = true
	return nil
}

// What a file's name stands for is on the disk before the name is, and lines before the
// checkpoint that counts them; after each step all names are on the disk too.
func TestSyncedInOrder(t *testing.T) {
	r := &recorder{FS: atomicfile.OS, t: t, synced: map[string]bool{}, renamed: map[string]bool{}}
	dir := t.TempDir()
	c := saving(t)
	c.OnStep = func(Progress) { assert.Empty(t, r.renamed) }
	require.NoError(t, runFaulty(t, dir, r, c))
	assert.Empty(t, r.renamed)
	assert.Greater(t, r.renames, 10)
	for _, name := range []string{MetricsName, LayersName} {
		assert.True(t, r.synced[filepath.Join(dir, name)], name)
	}
}
