package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Methods with settings of their own: a run that is resumed equals one that is not, bit for
// bit, and the settings can't be changed on the way.
func TestMethodsResume(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	for _, method := range []string{"kfac:damping=1,refresh=5", "shampoo:tile=10,refresh=2", "kbfgs:variant=limited,memory=3", "foof:refresh=3"} {
		args := func(epochs, out string) []string {
			return small(data, "--method", method, "--lr", "0.01", "--schedule-epochs", "4", "--epochs", epochs, "--out", out)
		}
		name := method[:4]
		out := succeeds(t, dir, args("4", name+"whole")...)
		assert.Contains(t, out.stderr, "preset curves: "+method[:5])
		succeeds(t, dir, args("2", name+"part")...)
		succeeds(t, dir, "train", "--resume", name+"part", "--epochs", "4", "--workers", "1")
		require.Equal(t, read(t, dir, name+"whole/model.safetensors"), read(t, dir, name+"part/model.safetensors"), method)
	}
	succeeds(t, dir, small(data, "--method", "kfac:damping=1", "--lr", "0.01", "--schedule-epochs", "4", "--epochs", "2", "--out", "other")...)
	edit(t, dir+"/other/config.toml", "damping=1,", "damping=2,")
	refuses(t, dir, exitData, []string{"method"}, "train", "--resume", "other", "--epochs", "4")
}
