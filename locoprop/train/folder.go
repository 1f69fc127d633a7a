package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/internal/lockfile"
	"github.com/locoprop/locoprop-go/locoprop/model"
)

// Names of a run's files, relative to its folder.
const (
	ConfigName     = "config.toml"       // the configuration; written by the command line
	MetricsName    = "metrics.jsonl"     // a line of JSON for every evaluation: Metrics
	LayersName     = "layers.jsonl"      // a line for every layer and sampled batch, where the method diagnoses
	ModelName      = "model.safetensors" // the network of the newest checkpoint
	CheckpointName = "checkpoints/last"  // all that going on needs; others stand beside it
	BestName       = "checkpoints/best"  // the checkpoint of the evaluation with the least test loss
	LockName       = "lock"              // there while a process uses the folder
)

// Folder is a run's folder on disk. Once attached, the trainer writes
//
//   - a checkpoint before the first step, at every Config.CheckpointEvery, after an epoch
//     whose test loss is the least so far, where the run is interrupted, and at its end;
//   - the model right after each of these but the first;
//   - a line of metrics after each evaluation, flushed;
//   - a line for each layer of each batch that the method diagnoses, flushed with the
//     checkpoint.
//
// The newest checkpoint is checkpoints/last, the ones before it are checkpoints/step-N
// after N steps, as many as Config.Keep says, and checkpoints/best is that of the best
// epoch. Checkpoints and model are replaced whole or not at all, and never by numbers
// that aren't finite. A resumed run drops the lines that were written after its
// checkpoint. One Folder at a time has a folder: the file lock sees to it, and whatever
// way a process ends, its lock ends with it.
type Folder struct {
	dir     string
	fs      atomicfile.FS
	lock    *lockfile.Lock
	resume  bool // there are checkpoints to start from
	newest  int  // step of checkpoints/last; noStep where it isn't there or no good
	metrics lines
	layers  lines
}

const noStep = -1

// HoldsRun tells whether a folder holds a run or a part of one.
func HoldsRun(dir string) bool {
	for _, name := range []string{ConfigName, MetricsName, ModelName} {
		if exists(filepath.Join(dir, name)) {
			return true
		}
	}
	checkpoints, err := (&Folder{dir: dir}).checkpoints()
	return len(checkpoints) > 0 || err != nil
}

// exists is true in doubt, so that nothing is taken for missing that only can't be read.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// Create makes a folder for a new run, with the folders above it. For one that holds a
// run, or that another process uses, it returns a *ConfigError for which errors.Is finds
// ErrRunExists or ErrRunInUse. Close it when done.
func Create(dir string) (*Folder, error) {
	if HoldsRun(dir) {
		return nil, runExists(dir)
	}
	f := &Folder{dir: dir, fs: atomicfile.OS, newest: noStep}
	if err := f.fs.MkdirAll(filepath.Dir(f.path(CheckpointName)), 0o777); err != nil {
		return nil, fmt.Errorf("folder of the run: %w", err)
	}
	if err := f.acquire(); err != nil {
		return nil, err
	}
	if HoldsRun(dir) { // another process was quicker
		return nil, errors.Join(runExists(dir), f.Close())
	}
	return f, nil
}

func runExists(dir string) error {
	return &ConfigError{fmt.Errorf("%s: %w; resume it, or choose another folder", dir, ErrRunExists)}
}

// acquire takes the lock.
func (f *Folder) acquire() error {
	var err error
	f.lock, err = lockfile.Take(f.path(LockName))
	switch {
	case errors.Is(err, lockfile.ErrHeld):
		return &ConfigError{fmt.Errorf("%s: %w: %w", f.dir, ErrRunInUse, err)}
	case err != nil:
		return fmt.Errorf("folder of the run: %w", err)
	}
	return nil
}

// Open opens the folder of a run to go on with it. A run that ended before its first
// checkpoint starts from its beginning; one whose checkpoints are gone although it has
// come further is refused. For errors, errors.Is(err, dataset.ErrData) holds, but for a
// *ConfigError where another process uses the folder. Close it when done.
func Open(dir string) (*Folder, error) {
	refuse := func(format string, args ...any) (*Folder, error) {
		return nil, &dataset.Error{Path: dir, Reason: fmt.Sprintf(format, args...)}
	}
	if info, err := os.Stat(dir); err != nil {
		return refuse("no such folder")
	} else if !info.IsDir() {
		return refuse("not a folder")
	}
	if !HoldsRun(dir) {
		return refuse("holds no run: there is none of %s, %s, %s, %s", ConfigName, MetricsName, ModelName, CheckpointName)
	}
	f := &Folder{dir: dir, fs: atomicfile.OS, newest: noStep}
	checkpoints, err := f.checkpoints()
	if err != nil {
		return nil, &dataset.Error{Path: dir, Err: err}
	}
	f.resume = len(checkpoints) > 0
	if !f.resume {
		if info, err := os.Stat(f.path(MetricsName)); exists(f.path(ModelName)) || (err == nil && info.Size() > 0) {
			return refuse("%s is missing, although the run had begun", CheckpointName)
		}
		if err := f.fs.MkdirAll(filepath.Dir(f.path(CheckpointName)), 0o777); err != nil {
			return nil, fmt.Errorf("folder of the run: %w", err)
		}
	}
	if err := f.acquire(); err != nil {
		return nil, err
	}
	// Whoever had the lock may have written some meanwhile.
	if checkpoints, err = f.checkpoints(); err != nil {
		return nil, errors.Join(&dataset.Error{Path: dir, Err: err}, f.Close())
	}
	f.resume = len(checkpoints) > 0
	return f, nil
}

// Dir is the folder.
func (f *Folder) Dir() string { return f.dir }

func (f *Folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// Attach makes a trainer write to the folder and, where [Open] found checkpoints, puts it
// where the newest good one stood. A damaged one is told to Config.OnWarning and the one
// before it taken; without anyone to tell, it is an error. For others see
// [Trainer.Restore]. Nothing is written before [Trainer.Run].
func (f *Folder) Attach(t *Trainer) error {
	if f.resume {
		if err := f.restore(t); err != nil {
			return err
		}
	}
	t.folder, t.begun = f, false
	return nil
}

// Close closes the files that are open and lets others use the folder.
func (f *Folder) Close() error {
	return errors.Join(f.closeLines(), f.lock.Release())
}

func (f *Folder) closeLines() error { return errors.Join(f.metrics.close(), f.layers.close()) }

// WriteFile writes a file of the folder whole or not at all.
func (f *Folder) WriteFile(name string, content []byte) error {
	return atomicfile.Write(f.fs, f.path(name), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// WriteFile writes a file whole or not at all: at whatever moment the program ends, the
// file at path is the one before, if any, or the new one. fill writes its content.
func WriteFile(path string, fill func(io.Writer) error) error {
	return atomicfile.Write(atomicfile.OS, path, fill)
}

// begin makes the folder ready for a trainer at its position: the metrics are cut to
// the lines that the position counts, and a run that has no good newest checkpoint gets
// one, which shows early whether the folder can be written to.
func (f *Folder) begin(t *Trainer) error {
	if err := errors.Join(atomicfile.Clean(f.dir), atomicfile.Clean(filepath.Dir(f.path(CheckpointName)))); err != nil {
		return fmt.Errorf("removing what an ended process left: %w", err)
	}
	if err := f.closeLines(); err != nil {
		return err
	}
	f.metrics = lines{fs: f.fs, path: f.path(MetricsName), before: t.lines}
	f.layers = lines{fs: f.fs, path: f.path(LayersName), before: t.layerLines}
	if err := f.metrics.open(); err != nil {
		return err
	}
	if t.layerLines > 0 || exists(f.layers.path) {
		if err := f.layers.open(); err != nil {
			return err
		}
	}
	if f.newest != noStep {
		return nil
	}
	return f.checkpoint(t, false)
}

// appendLine writes a line of metrics through to the disk. One that can't be written
// waits for the next line or checkpoint.
func (f *Folder) appendLine(m Metrics) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := f.metrics.add(append(b, '\n')); err != nil {
		return err
	}
	return f.metrics.sync()
}

// save writes the checkpoint, also as the best one where it is, and then the model.
func (f *Folder) save(t *Trainer, best bool) error {
	if err := f.checkpoint(t, best); err != nil {
		return err
	}
	m := t.Model()
	if _, dense := m.Network.Arch(); !dense {
		return nil // such a network has no model file; its checkpoint holds the weights
	}
	return atomicfile.Write(f.fs, f.path(ModelName), func(w io.Writer) error { return model.Encode(w, m) })
}
