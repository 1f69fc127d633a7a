package tensorboard

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/tensorboard/tensorboardtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// points are those of steps and values in turn.
func points(of ...float64) (list []tensorboardtest.Point) {
	for i := 0; i < len(of); i += 2 {
		list = append(list, tensorboardtest.Point{Step: int64(of[i]), Value: of[i+1]})
	}
	return list
}

// writeRun writes a run that was rolled back, then killed and resumed; wanted are the
// curves that it should show.
func writeRun(t *testing.T, dir string) (wanted map[string][]tensorboardtest.Point) {
	t.Helper()
	clock := time.Unix(1_700_000_000, 250_000_000)
	now := func() time.Time { return clock }
	w, err := create(dir, 0, now)
	require.NoError(t, err)
	assert.Equal(t, "events.out.tfevents.1700000000.", filepath.Base(w.Path())[:31])
	add := func(step int64, list ...Scalar) { require.NoError(t, w.Add(step, list...)) }
	add(0, Scalar{"loss/train", 8}, Scalar{"loss/test", 9})
	add(0, Scalar{"layers/0/cosine", 0.5})
	add(10, Scalar{"loss/train", 4}, Scalar{"loss/test", math.Inf(1)})
	add(20, Scalar{"loss/train", 100})
	add(10, Scalar{"loss/train", 3}, Scalar{"loss/test", 5}) // rolled back
	add(20, Scalar{"loss/train", 99})
	add(20, Scalar{"loss/train", 2}) // the same once more
	add(30, Scalar{"loss/train", 50})
	require.NoError(t, w.Close())

	w, err = create(dir, 20, now) // within the same second
	require.NoError(t, err)
	add(20, Scalar{"loss/train", 2})
	add(30, Scalar{"loss/train", 1})
	require.NoError(t, w.Close())
	return map[string][]tensorboardtest.Point{
		"loss/train":      points(0, 8, 10, 3, 20, 2, 30, 1),
		"loss/test":       points(0, 9, 10, 5),
		"layers/0/cosine": points(0, 0.5),
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b c")
	wanted := writeRun(t, dir)
	assert.Equal(t, wanted, tensorboardtest.Curves(t, dir))
	names, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", "*"))
	require.NoError(t, err)
	assert.Len(t, names, 2)

	first := tensorboardtest.Decode(t, must(os.ReadFile(names[0])))
	assert.InDelta(t, 1_700_000_000.25, first[0].Wall, 0)
	assert.True(t, first[1].Start)
	assert.Zero(t, first[1].Step)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TensorBoard itself reads the same curves.
func TestTensorBoardReads(t *testing.T) {
	t.Parallel()
	python := os.Getenv("LOCOPROP_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", "build", "python", "bin", "python")
	}
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import tensorboard").CombinedOutput(); err != nil {
		t.Skipf("no Python with the package tensorboard (%v %s): make python sets one up", err, out)
	}
	dir := t.TempDir()
	wanted := writeRun(t, dir)
	out, err := exec.CommandContext(t.Context(), python, "-c", `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1])
a.Reload()
print(json.dumps({tag: [{"Step": e.step, "Value": e.value} for e in a.Scalars(tag)] for tag in a.Tags()["scalars"]}))
`, dir).Output()
	require.NoError(t, err)
	var got map[string][]tensorboardtest.Point
	require.NoError(t, json.Unmarshal(out, &got), string(out))
	assert.Equal(t, wanted, got)
}

// fullDisk fails after so many bytes, a part of which it may have written.
type fullDisk struct {
	*os.File
	room int
}

var errFull = errors.New("no space left on device")

func (f *fullDisk) Write(b []byte) (int, error) {
	if len(b) <= f.room {
		f.room -= len(b)
		return f.File.Write(b)
	}
	n, _ := f.File.Write(b[:f.room])
	f.room = 0
	return n, errFull
}

// On a full disk the file keeps its whole records; what came meanwhile follows once there
// is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for room := range 60 {
		dir := t.TempDir()
		w, err := Create(dir, 0)
		require.NoError(t, err)
		require.NoError(t, w.Add(1, Scalar{"a", 1}))
		disk := &fullDisk{w.file.(*os.File), room}
		w.file = disk
		errs := 0
		for step := int64(2); step < 5; step++ {
			if err := w.Add(step, Scalar{"a", 1}); err != nil {
				errs++
				assert.ErrorIs(t, err, errFull)
				assert.ErrorContains(t, err, "writing "+w.Path())
			}
			assert.Len(t, tensorboardtest.Curves(t, dir)["a"], int(step)-errs)
		}
		assert.Positive(t, errs)
		disk.room = 1000
		require.NoError(t, w.Close())
		assert.Equal(t, points(1, 1, 2, 1, 3, 1, 4, 1), tensorboardtest.Curves(t, dir)["a"])
		assert.ErrorContains(t, w.Close(), "closing ")
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Create(dir, -1)
	assert.EqualError(t, err, "event file: first step is -1; must be 0 or more")
	w, err := Create(dir, 0)
	require.NoError(t, err)
	assert.EqualError(t, w.Add(-2), "event file: step is -2; must be 0 or more")
	require.NoError(t, w.Close())
	_, err = Create(w.Path(), 0)
	assert.ErrorContains(t, err, "folder of event files: ")
}
