package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/tensorboard/tensorboardtest"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eventsOf are a run's curves, without those of times.
func eventsOf(t *testing.T, dir string) map[string][]tensorboardtest.Point {
	t.Helper()
	all := tensorboardtest.Curves(t, filepath.Join(dir, eventsName))
	for tag := range all {
		if strings.HasPrefix(tag, "seconds/") {
			delete(all, tag)
		}
	}
	return all
}

func TestTensorBoard(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	args := small(data, "--diagnose", "3", "--schedule-epochs", "3", "--checkpoint-every", "2steps", "--keep", "9")
	straight := succeeds(t, dir, append(args, "--tensorboard", "--out", "a")...)
	assert.Contains(t, straight.stdout, "reconstructions.png tensorboard\n")
	whole := eventsOf(t, filepath.Join(dir, "a"))

	lines, err := train.ReadMetrics(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.Len(t, lines, 4)
	require.Len(t, whole["loss/test"], 4)
	for i, m := range lines {
		assert.Equal(t, tensorboardtest.Point{Step: int64(m.Step), Value: float64(float32(m.TestLoss))}, whole["loss/test"][i])
		assert.Equal(t, tensorboardtest.Point{Step: int64(m.Step), Value: float64(float32(m.TrainExcess))}, whole["excess/train"][i])
		assert.Equal(t, tensorboardtest.Point{Step: int64(m.Step), Value: float64(float32(m.LR))}, whole["lr"][i])
	}
	assert.Len(t, whole["layer 3/cosine"], 4, "of steps 0, 3, 6, 9")
	assert.NotContains(t, whole, "accuracy/test")
	assert.Len(t, tensorboardtest.Curves(t, filepath.Join(dir, "a", eventsName))["seconds/training"], 4)

	// Resumed at its end, and then from a checkpoint within the second epoch.
	succeeds(t, dir, append(args, "--tensorboard", "--out", "b", "--epochs", "2")...)
	succeeds(t, dir, "train", "--resume", "b", "--epochs", "3")
	assert.Equal(t, whole, eventsOf(t, filepath.Join(dir, "b")), "a run that has events goes on with them")
	checkpoints := filepath.Join(dir, "b", "checkpoints")
	require.NoError(t, os.Rename(filepath.Join(checkpoints, "step-00000006"), filepath.Join(checkpoints, "last")))
	for _, name := range []string{"step-00000008", "step-00000010"} {
		require.NoError(t, os.Remove(filepath.Join(checkpoints, name)))
	}
	succeeds(t, dir, "train", "--resume", "b")
	assert.Equal(t, whole, eventsOf(t, filepath.Join(dir, "b")))
	assert.Len(t, tree(t, filepath.Join(dir, "b", eventsName)), 3)

	// A run that had none begins with its last evaluation.
	succeeds(t, dir, append(args, "--out", "c", "--epochs", "2")...)
	succeeds(t, dir, "train", "--resume", "c", "--epochs", "3", "--tensorboard")
	assert.Equal(t, whole["loss/test"][2:], eventsOf(t, filepath.Join(dir, "c"))["loss/test"])

	// A folder that can't be made shows before the work.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "d"), 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "d", eventsName), nil, 0o666))
	refuses(t, dir, exitFailed, []string{"folder of event files: "}, append(args, "--tensorboard", "--out", "d")...)
}
