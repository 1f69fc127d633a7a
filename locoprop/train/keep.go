package train

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
)

// defaultKeep is Config.Keep where it is 0: with one before the newest there is
// something to go on from if that is damaged.
const defaultKeep = 2

const stepPrefix = "step-"

// stepName is the name of the checkpoint after so many steps, once it isn't the newest.
func stepName(step int) string {
	return path.Join(path.Dir(CheckpointName), fmt.Sprintf("%s%08d", stepPrefix, step))
}

// namedStep is the number of steps in such a name, −1 in any other.
func namedStep(name string) int {
	digits, found := strings.CutPrefix(path.Base(name), stepPrefix)
	if step, err := strconv.Atoi(digits); found && err == nil && stepName(step) == name {
		return step
	}
	return -1
}

// checkpoint writes the state of a trainer as the newest checkpoint, and as the best one
// where it is. The one that was the newest keeps its place among those that are kept.
func (f *Folder) checkpoint(t *Trainer, best bool) error {
	for _, l := range []*lines{&f.metrics, &f.layers} { // the checkpoint counts them
		if err := l.sync(); err != nil {
			return err
		}
	}
	last := f.path(CheckpointName)
	if t.c.Keep > 1 && f.newest != noStep && f.newest != t.step {
		if err := atomicfile.Link(f.fs, last, f.path(stepName(f.newest))); err != nil {
			return err
		}
	}
	f.newest = noStep // until it is certain what is there
	if best {
		if err := t.saveTo(f.fs, f.path(BestName)); err != nil {
			return err
		}
		if err := atomicfile.Link(f.fs, f.path(BestName), last); err != nil {
			return err
		}
		if err := f.fs.SyncDir(filepath.Dir(last)); err != nil {
			return fmt.Errorf("writing %s: %w", last, err)
		}
	} else if err := t.saveTo(f.fs, last); err != nil {
		return err
	}
	f.newest = t.step
	return f.prune(t.step, t.c.Keep)
}

// prune removes the oldest checkpoints but for so many, the newest one, at a step,
// counted, and those of later steps, which are of a course that was left.
func (f *Folder) prune(step, keep int) error {
	names, err := f.stepCheckpoints()
	if err != nil {
		return err
	}
	left := 0
	for left < len(names) && namedStep(names[left]) > step {
		left++
	}
	old := names[min(left+keep-1, len(names)):]
	for _, name := range slices.Concat(names[:left], old) {
		if err := f.fs.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing an old checkpoint: %w", err)
		}
	}
	return nil
}

// checkpoints are the names of all checkpoints, in the order in which they serve to go
// on from; none where there are none.
func (f *Folder) checkpoints() ([]string, error) {
	names, err := f.stepCheckpoints()
	if err != nil {
		return nil, err
	}
	if exists(f.path(BestName)) {
		names = append(names, BestName)
	}
	if len(names) > 0 || exists(f.path(CheckpointName)) {
		names = append([]string{CheckpointName}, names...)
	}
	return names, nil
}

// stepCheckpoints are those before the newest, the one with the most steps first.
func (f *Folder) stepCheckpoints() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(f.path(CheckpointName)))
	if err != nil && exists(filepath.Dir(f.path(CheckpointName))) {
		return nil, err
	}
	var steps []int
	for _, e := range entries {
		if step := namedStep(path.Join(path.Dir(CheckpointName), e.Name())); step >= 0 {
			steps = append(steps, step)
		}
	}
	slices.SortFunc(steps, func(a, b int) int { return cmp.Compare(b, a) })
	names := make([]string, len(steps))
	for i, step := range steps {
		names[i] = stepName(step)
	}
	return names, nil
}

// restore puts a trainer where the newest good checkpoint stood.
func (f *Folder) restore(t *Trainer) error {
	names, err := f.checkpoints()
	if err != nil {
		return err
	}
	f.newest = noStep
	var damaged []error
	for _, name := range names {
		err := t.Restore(f.path(name))
		if err == nil {
			if name == CheckpointName {
				f.newest = t.step
			}
			for _, d := range damaged {
				t.warn(fmt.Errorf("%w; going on from %s, after %d steps", d, f.path(name), t.step))
			}
			return nil
		}
		damaged = append(damaged, err)
		if d := (*damagedError)(nil); !errors.As(err, &d) || t.c.OnWarning == nil {
			break // nothing to go past, or not silently
		}
	}
	return errors.Join(damaged...)
}
