package train

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failing fails at its k-th operation.
type failing struct {
	atomicfile.FS
	left int
}

var errPlanted = errors.New("planted")

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
	file, err := f.FS.OpenFile(name, flag, perm)
	return &failingFile{file, f}, err
}

func (f *failing) Rename(o, n string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.FS.Rename(o, n)
}

func (f *failing) SyncDir(dir string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
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

// Whatever operation fails, the run ends with an error that says so, every file is
// whole, and the resumed run ends as the undisturbed one.
func TestEveryOperationFails(t *testing.T) {
	straight := t.TempDir()
	_, err := runIn(t, straight, autoencoder(t))
	require.NoError(t, err)
	succeeded := false
	for k := 1; !succeeded; k++ {
		require.Less(t, k, 100)
		dir := t.TempDir()
		f, err := Create(dir)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, ConfigName), nil, 0o600))
		f.fs = &failing{lazy{atomicfile.OS}, k}
		trainer := newTrainer(t, autoencoder(t))
		require.NoError(t, f.Attach(trainer))
		_, err = trainer.Run(context.Background())
		succeeded = err == nil
		if err != nil {
			assert.ErrorIs(t, err, errPlanted)
		}
		_ = f.Close()
		if path := filepath.Join(dir, ModelName); exists(path) {
			_, err := model.Load(path)
			assert.NoError(t, err, "operation %d", k)
		}
		for _, name := range tree(t, dir) {
			assert.NotContains(t, name, "tmp", "operation %d", k)
		}
		_, err = runIn(t, dir, autoencoder(t))
		require.NoError(t, err, "operation %d", k)
		assert.Equal(t, readFile(t, straight, ModelName), readFile(t, dir, ModelName), "operation %d", k)
		assert.Equal(t, history(t, straight), history(t, dir), "operation %d", k)
	}
}
