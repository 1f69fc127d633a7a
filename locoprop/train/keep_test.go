package train

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/tensorfile"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stepOf is the position of a checkpoint, in steps.
func stepOf(t *testing.T, path ...string) string {
	t.Helper()
	f, err := tensorfile.Read(filepath.Join(path...))
	require.NoError(t, err)
	return f.Meta["step"]
}

// What is saved when, what is kept of it, and that each file is what its name says.
func TestKeep(t *testing.T) {
	for _, c := range []struct {
		every string
		keep  int
		want  string // steps of the checkpoints, before the third step, after 6 steps and at the end
	}{
		{"1epoch", 1, "0; 4; 8"},
		{"1epoch", 0, "0; 4 0; 8 4"},
		{"3epochs", 3, "0; 4 0; 8 4 0"}, // both epochs are the best so far
		{"1step", 2, "2 1; 6 5; 8 7"},
		{"3steps", 3, "0; 6 4 3; 8 6 4"},
		{"1ns", 9, "2 1 0; 6 5 4 3 2 1 0; 8 7 6 5 4 3 2 1 0"},
	} {
		dir := t.TempDir()
		config := autoencoder(t)
		var err error
		config.CheckpointEvery, err = schedule.ParseInterval(c.every)
		require.NoError(t, err)
		config.Keep = c.keep
		var seen []string
		look := func() {
			steps := []string{stepOf(t, dir, CheckpointName)}
			names, err := (&Folder{dir: dir}).stepCheckpoints()
			require.NoError(t, err)
			for _, name := range names {
				step := stepOf(t, dir, name)
				assert.True(t, strings.HasSuffix(name, fmt.Sprintf("step-%08s", step)), "%s after %s steps", name, step)
				steps = append(steps, step)
			}
			seen = append(seen, strings.Join(steps, " "))
		}
		config.OnStep = func(p Progress) {
			if p.Step == 3 || p.Step == 7 {
				look()
			}
		}
		_, err = runIn(t, dir, config)
		require.NoError(t, err)
		look()
		assert.Equal(t, c.want, strings.Join(seen, "; "), "%+v", c)
	}
}

// The best checkpoint is that of the trained epoch with the least test loss, in a
// resumed run too, and there is none without test examples.
func TestBest(t *testing.T) {
	dir := t.TempDir()
	config := func() Config {
		c := autoencoder(t)
		c.Epochs, c.Schedule, c.Method = 12, schedule.Schedule{}, backpropMethod(t, 0.3, optimizer.AdamTorch) // far too high: the loss goes up and down
		return c
	}
	var first Config
	var losses []float64
	for stop := range 3 {
		first = config()
		ctx := context.Background()
		if stop < 2 {
			ctx = stopAt(&first, 4*testBatches)
		}
		first.OnEpoch = func(m Metrics) error { losses = append(losses, m.TestLoss); return nil }
		r, err := runWith(ctx, t, dir, first)
		best := 1
		for e, l := range losses {
			if e > 0 && l < losses[best] {
				best = e
			}
		}
		assert.Equal(t, Best{best, best * testBatches, losses[best]}, r.Best)
		assert.Equal(t, fmt.Sprint(best*testBatches), stepOf(t, dir, BestName))
		if stop == 2 {
			require.NoError(t, err)
			require.Less(t, best, 12, "else this shows nothing: %v", losses)
		}
	}

	dir = t.TempDir()
	c := autoencoder(t)
	c.Data.Test = nil
	r, err := runIn(t, dir, c)
	require.NoError(t, err)
	assert.Equal(t, noBest, r.Best)
	assert.NoFileExists(t, filepath.Join(dir, BestName))

	// Nor where training makes it worse from the start.
	dir = t.TempDir()
	c = autoencoder(t)
	c.Schedule, c.Method = schedule.Schedule{}, backpropMethod(t, 30, optimizer.SGD)
	r, err = runIn(t, dir, c)
	require.NoError(t, err)
	require.Greater(t, r.Last.TestLoss, r.Best.TestLoss)
	assert.Zero(t, r.Best.Epoch)
	assert.NoFileExists(t, filepath.Join(dir, BestName))
}

// A newest checkpoint that is cut at any length or has a bit flipped anywhere is named,
// and the one before it is taken; where nobody is told, it is an error.
func TestFallback(t *testing.T) {
	dir := t.TempDir()
	_, err := runIn(t, dir, autoencoder(t))
	require.NoError(t, err)
	path := filepath.Join(dir, CheckpointName)
	good := readFile(t, path)
	c := autoencoder(t)
	var warnings []string
	c.OnWarning = func(err error) { warnings = append(warnings, err.Error()) }
	trainer := newTrainer(t, c)
	f := &Folder{dir: dir}
	require.NoError(t, f.restore(trainer))
	require.Equal(t, 2*testBatches, trainer.step)
	require.Equal(t, 2*testBatches, f.newest)
	require.Empty(t, warnings)
	refused := func(content []byte, what string, i int) {
		t.Helper()
		file, err := tensorfile.Decode(bytes.NewReader(content), int64(len(content)))
		if err == nil { // the damage may be in the digest's own name
			err = trainer.restore(file)
		}
		require.Error(t, err, "%s %d", what, i)
		if i%16 != 0 {
			return // the rest is the same
		}
		require.NoError(t, os.Remove(path)) // of the best one it is another name
		require.NoError(t, os.WriteFile(path, content, 0o600))
		warnings = warnings[:0]
		require.NoError(t, f.restore(trainer), "%s %d", what, i)
		require.Equal(t, testBatches, trainer.step, "%s %d", what, i)
		require.Equal(t, noStep, f.newest)
		require.Len(t, warnings, 1)
		require.Contains(t, warnings[0], path+": ")
		require.Contains(t, warnings[0], "; going on from "+filepath.Join(dir, stepName(testBatches))+", after 4 steps")
	}
	for n := range good {
		refused(good[:n], "cut at", n)
	}
	bad := append([]byte(nil), good...)
	for i := range good {
		bad[i] ^= 1 << (i % 8)
		refused(bad, "bit flipped in", i)
		bad[i] = good[i]
	}
	trainer.c.OnWarning = nil
	require.ErrorContains(t, f.restore(trainer), path+": ")

	// The next one too: the best is the last resort, here that of the end.
	trainer.c.OnWarning = c.OnWarning
	require.NoError(t, os.WriteFile(filepath.Join(dir, stepName(testBatches)), nil, 0o600))
	warnings = nil
	require.NoError(t, f.restore(trainer))
	assert.Equal(t, 2*testBatches, trainer.step)
	assert.Len(t, warnings, 2)

	// A good checkpoint of another run isn't gone past.
	require.NoError(t, os.WriteFile(path, good, 0o600))
	trainer.c.Seed++
	require.ErrorContains(t, f.restore(trainer), "checkpoint of another run: seed is 7 there and 8 here")
	trainer.c.Seed--
	if os.Geteuid() != 0 { // whom nothing is forbidden
		require.NoError(t, os.Chmod(path, 0))
		require.ErrorContains(t, f.restore(trainer), "permission denied")
	}
}

// Gone on from a checkpoint before the newest, the run ends as the undisturbed one, and
// the damaged one is replaced at once.
func TestFallbackRuns(t *testing.T) {
	straight, dir := t.TempDir(), t.TempDir()
	_, err := runIn(t, straight, diagnosed(t, 2))
	require.NoError(t, err)
	_, err = runIn(t, dir, diagnosed(t, 2))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, CheckpointName), nil, 0o600))
	c := diagnosed(t, 2)
	warnings := 0
	c.OnWarning = func(error) { warnings++ }
	c.OnStep = func(p Progress) {
		if p.Step == testBatches+1 {
			assert.Equal(t, "4", stepOf(t, dir, CheckpointName))
		}
	}
	_, err = runIn(t, dir, c)
	require.NoError(t, err)
	assert.Equal(t, 1, warnings)
	sameRun(t, straight, dir)
}

func TestRunInUse(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(dir)
	require.NoError(t, err)
	_, err = Create(dir)
	var usage *ConfigError
	require.ErrorAs(t, err, &usage)
	require.ErrorIs(t, err, ErrRunInUse)
	assert.ErrorContains(t, err, fmt.Sprintf("%s: run is in use: locked by process %d, since ", dir, os.Getpid()))
	require.NoError(t, f.WriteFile(ConfigName, nil))
	_, err = Open(dir)
	require.ErrorIs(t, err, ErrRunInUse)
	require.NoError(t, f.Close())
	require.NoError(t, f.Close(), "once more")
	f, err = Open(dir)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	assert.Equal(t, []string{ConfigName}, tree(t, dir))
}
