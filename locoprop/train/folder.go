package train

import (
	"bufio"
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
	"github.com/locoprop/locoprop-go/locoprop/model"
)

// Names of a run's files, relative to its folder.
const (
	ConfigName     = "config.toml"       // the configuration; written by the command line
	MetricsName    = "metrics.jsonl"     // a line of JSON for every evaluation: Metrics
	LayersName     = "layers.jsonl"      // a line for every layer and sampled batch, where the method diagnoses
	ModelName      = "model.safetensors" // the network after the last epoch that ended well
	CheckpointName = "checkpoints/last"  // all that going on needs
)

// Folder is a run's folder on disk. Once attached, the trainer writes
//
//   - a checkpoint before the first step, after each epoch, and where the run is
//     interrupted;
//   - the model right after each of these but the first;
//   - a line of metrics after each evaluation, flushed;
//   - a line for each layer of each batch that the method diagnoses, flushed with the
//     checkpoint.
//
// Checkpoint and model are replaced whole or not at all, and never by numbers that
// aren't finite. A resumed run drops the lines that were written after its checkpoint.
// Only one process at a time may use a folder.
type Folder struct {
	dir     string
	fs      atomicfile.FS
	resume  bool // there is a checkpoint to start from
	metrics atomicfile.File
	layers  atomicfile.File // nil until there is something to write
}

// HoldsRun tells whether a folder holds a run or a part of one.
func HoldsRun(dir string) bool {
	for _, name := range []string{ConfigName, MetricsName, ModelName, CheckpointName} {
		if exists(filepath.Join(dir, name)) {
			return true
		}
	}
	return false
}

// exists is true in doubt, so that nothing is taken for missing that only can't be read.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// Create makes a folder for a new run, with the folders above it. For one that holds a
// run it returns a *ConfigError for which errors.Is(err, ErrRunExists) holds.
func Create(dir string) (*Folder, error) {
	if HoldsRun(dir) {
		return nil, &ConfigError{fmt.Errorf("%s: %w; resume it, or choose another folder", dir, ErrRunExists)}
	}
	f := &Folder{dir: dir, fs: atomicfile.OS}
	if err := f.fs.MkdirAll(filepath.Dir(f.path(CheckpointName)), 0o777); err != nil {
		return nil, fmt.Errorf("folder of the run: %w", err)
	}
	return f, nil
}

// Open opens the folder of a run to go on with it. A run that ended before its first
// checkpoint starts from its beginning; one whose checkpoint is gone although it has
// come further is refused. For errors, errors.Is(err, dataset.ErrData) holds.
func Open(dir string) (*Folder, error) {
	f := &Folder{dir: dir, fs: atomicfile.OS}
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
	f.resume = exists(f.path(CheckpointName))
	if !f.resume {
		if info, err := os.Stat(f.path(MetricsName)); exists(f.path(ModelName)) || (err == nil && info.Size() > 0) {
			return refuse("%s is missing, although the run had begun", CheckpointName)
		}
		if err := f.fs.MkdirAll(filepath.Dir(f.path(CheckpointName)), 0o777); err != nil {
			return nil, fmt.Errorf("folder of the run: %w", err)
		}
	}
	return f, nil
}

// Dir is the folder.
func (f *Folder) Dir() string { return f.dir }

func (f *Folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// Attach makes a trainer write to the folder and, where [Open] found a checkpoint, puts
// it where that stood; see [Trainer.Restore] for the errors. Nothing is written before
// [Trainer.Run].
func (f *Folder) Attach(t *Trainer) error {
	if f.resume {
		if err := t.Restore(f.path(CheckpointName)); err != nil {
			return err
		}
	}
	t.folder, t.begun = f, false
	return nil
}

// Close closes the files that are open.
func (f *Folder) Close() error {
	var err error
	for _, file := range []*atomicfile.File{&f.metrics, &f.layers} {
		if *file != nil {
			err = errors.Join(err, (*file).Close())
			*file = nil
		}
	}
	return err
}

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
// the lines that the position counts, and a run that starts gets its first checkpoint,
// which shows early whether the folder can be written to.
func (f *Folder) begin(t *Trainer) error {
	for _, name := range []string{CheckpointName, ModelName} {
		if err := atomicfile.Clean(f.path(name)); err != nil {
			return fmt.Errorf("removing what an ended process left: %w", err)
		}
	}
	if err := f.openMetrics(t.lines); err != nil {
		return err
	}
	if t.layerLines > 0 || exists(f.path(LayersName)) {
		var err error
		if f.layers, err = f.openLines(LayersName, t.layerLines); err != nil {
			return err
		}
	}
	if f.resume {
		return nil
	}
	return t.saveTo(f.fs, f.path(CheckpointName))
}

func (f *Folder) openMetrics(lines int) (err error) {
	if err := f.Close(); err != nil {
		return err
	}
	f.metrics, err = f.openLines(MetricsName, lines)
	return err
}

// openLines opens a file to append to, cut after so many lines.
func (f *Folder) openLines(name string, lines int) (atomicfile.File, error) {
	path := f.path(name)
	file, err := f.fs.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err // names the file
	}
	if err := cutLines(file, path, lines); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, f.fs.SyncDir(f.dir)
}

// cutLines cuts a file after so many lines and goes to its end.
func cutLines(file atomicfile.File, path string, lines int) error {
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
				return &dataset.Error{Path: path, Reason: fmt.Sprintf("has %d whole lines, but the checkpoint counts %d: it was cut or replaced", i, lines)}
			}
		}
	}
	if err := file.Truncate(size); err != nil {
		return fmt.Errorf("cutting %s: %w", path, err)
	}
	if _, err := file.Seek(size, io.SeekStart); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// appendLine writes a line of metrics through to the disk.
func (f *Folder) appendLine(m Metrics) error {
	b, err := json.Marshal(m)
	if err == nil {
		_, err = f.metrics.Write(append(b, '\n'))
	}
	if err == nil {
		err = f.metrics.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.path(MetricsName), err)
	}
	return nil
}

// save writes the checkpoint and then the model.
func (f *Folder) save(t *Trainer) error {
	if f.layers != nil { // the checkpoint counts its lines
		if err := f.layers.Sync(); err != nil {
			return fmt.Errorf("writing %s: %w", f.path(LayersName), err)
		}
	}
	if err := t.saveTo(f.fs, f.path(CheckpointName)); err != nil {
		return err
	}
	m := t.Model()
	if _, dense := m.Network.Arch(); !dense {
		return nil // such a network has no model file; its checkpoint holds the weights
	}
	return atomicfile.Write(f.fs, f.path(ModelName), func(w io.Writer) error { return model.Encode(w, m) })
}
