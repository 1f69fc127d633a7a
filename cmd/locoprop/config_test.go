package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The file's keys are the catalog's, in its order.
func TestConfigKeys(t *testing.T) {
	t.Parallel()
	keysOf := func(of any) (keys []string) {
		require.NoError(t, eachField(reflect.ValueOf(of).Elem(), func(key string, _ reflect.Value) error {
			keys = append(keys, key)
			return nil
		}))
		return keys
	}
	assert.Equal(t, catalog.Keys(), keysOf(&configFile{}))
	assert.Equal(t, catalog.LayerKeys(), keysOf(&localConfig{}))
	var described []string
	for _, f := range settingFlags() {
		described = append(described, f.key)
	}
	assert.ElementsMatch(t, catalog.Keys(), described, "every key is a flag")
}

func TestConfigRoundTrip(t *testing.T) {
	t.Parallel()
	for _, v := range []catalog.Values{
		{},
		{"preset": "paper", "data": "/a \"folder\" o'mine", "seed": "4294967295"},
		{"dataset": "idx", "data": "/d", "data-prefix": "emnist-", "target": "label", "arch": "784,20:leaky-relu(0.2),47"},
		{"method": "backprop", "optimizer": "adamw:weight-decay=0.1", "lr": "1e-07", "schedule": "cosine"},
		{"method": "shampoo:graft=adagrad,momentum=0", "lr": "1"},
		{"method": "foof:damping=0.1", "lr": "1", "optimizer": "momentum"},
		{"lr": "0.30000000000000004", "gamma": "1e300", "epochs": "0"},
		{"preset": "fast", "outer-momentum": "0.5", "metric-refresh": "9", "gamma-rule": "fixed"},
		{"form": "implicit", "prox": "1e-09", "solver": "newton"},
		{"form": "implicit", "prox": "1e-09", "solver-tolerance": "0.5", "solver-iterations": "3", "solver-memory": "1", "solver-relax": "1.5", "layers.1.solver-relax": "auto"},
		{"prox": "auto", "reset-state": "true", "local-floor": "0"},
		{"preset": "curves", "gamma-per-example": "0.1", "weight-decay": "0.01", "armijo": "true", "tolerance": "0.5", "layers.1.armijo": "false", "drop-last": "false"},
		{"method": "locoprop-s", "form": "statistics", "statistics-relative": "1", "statistics-average": "0", "update-cap": "2", "reject": "true"},
		{"preset": "curves", "clip-targets": "true", "correction": "1", "d-momentum": "0.5", "d-momentum-limit": "100", "layers.0.gamma-per-example": "1"},
		{"layers.2.form": "metric", "layers.11.gamma": "3", "layers.10.reset-state": "true", "layers.0.prox": "0.5"},
	} {
		e, _, err := catalog.Resolve(catalog.Layer{Values: v})
		require.NoError(t, err)
		content, err := encodeConfig(&e, "backend = gonum")
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "c.toml")
		require.NoError(t, os.WriteFile(path, content, 0o644))
		l, err := readConfig(path)
		require.NoError(t, err, string(content))
		assert.Equal(t, e.Values(), l.Values)
		again, _, err := catalog.Resolve(l)
		require.NoError(t, err)
		assert.Equal(t, e.Values(), again.Values())
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ text, want string }{
		{"batch = 10\nbacth = 20\n", `c.toml:2:1: unknown key "bacth"; did you mean batch?`},
		{"[deep]\nbatch = 3\n", `c.toml:1:2: unknown key "deep"`},
		{"[layer.3]\ngamma = 3\n", `c.toml:1:2: unknown key "layer.3"; did you mean layers?`},
		{"batch = 3\n[layers.3]\ngamma = 3\ngama = 3\n", `c.toml:4:1: unknown key of layers.3 "gama"; did you mean gamma?`},
		{"[layers.3]\nbatch = 3\n", `c.toml:2:1: unknown key of layers.3 "batch" (known: form, solver, solver-tolerance, solver-iterations, solver-memory, solver-relax, prox`},
		{"seed = 1\n[layers.3]\n[layers.x]\ngamma = 3\n", "c.toml:3:2: layers.x: a table of settings for one layer has its number for a name, from 0"},
		{"layers.01.gamma = 3\n", "c.toml:1:1: layers.01: a table of settings for one layer"},
		{"[layers.3]\ngamma = 'three'\n", "c.toml:2:9: "},
		{"layers = 3\n", "c.toml:1:10: "},
		{"[layers.3]\ngamma = 0\n", "c.toml: layers.3.gamma 0: must be a finite number above 0"},
		{"[layers.12]\ngamma = 1\n", "c.toml: layers.12: the network has layers 0 to 11"},
		{"prox = 'on'", "c.toml: prox on: must be off, auto or λ"},
		{"prox = -0.5", "c.toml: prox -0.5: must be off, auto or λ"},
		{"reset-state = 'true'", "c.toml:1:15: "},
		{"form = 'metric'\noptimizer = 'sgd'", "c.toml: optimizer: only forms auto"},
		{"json = true", `c.toml:1:1: unknown key "json"`},
		{"batch = \"ten\"", "c.toml:1:9: "},
		{"batch = 1.5", "c.toml:1:9: "},
		{"batch = \n", "c.toml:1:9: "},
		{"batch = 1\nbatch = 2", "batch"},
		{"batch = 0", "c.toml: batch 0: must be a whole number from 1"},
		{"lr = -1.0", "c.toml: lr -1: must be a finite number above 0"},
		{"lr = nan", "c.toml: lr NaN: must be a finite number above 0"},
		{"optimizer = 'rmsprop:rh=1'", `c.toml: optimizer rmsprop:rh=1: optimizer rmsprop: unknown key "rh"; did you mean rho?`},
		{"preset = 'papr'", `c.toml: preset: unknown preset "papr"; did you mean paper?`},
		{"method = 'backprop'\nlr = 1\ngamma = 2", "c.toml: gamma: method backprop has no local problems"},
		{"seed = -1", "c.toml: seed -1: must be a whole number from 0"},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "c.toml"), []byte(c.text), 0o644))
		refuses(t, dir, exitUsage, []string{c.want}, "train", "--config", "c.toml")
	}
	assert.Equal(t, []string{"c.toml"}, tree(t, dir))
}

// A table of a layer comes after the run's settings, in the order of the layers, and a λ
// may be given as a number.
func TestConfigLayers(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--form", "direct", "--out", "plain")...)
	config := string(read(t, dir, "plain/config.toml"))
	write := func(name, extra string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(config+extra), 0o644))
	}
	write("a.toml", "\n[layers.3]\nform = 'metric'\nlocal-steps = 2\n[layers.1]\nprox = 0.01\ngamma = 5\n")
	out := succeeds(t, dir, "train", "--config", "a.toml", "--out", "a")
	assert.Contains(t, out.stderr, "\nlayer 1: prox 0.01, gamma 5\nlayer 3: form metric, lr 1, gamma 0.0011, gamma-rule fisher, local-steps 2, metric-damping 0.3,")
	assert.Contains(t, out.stderr, "forms: direct ×3, metric ×1\n")
	written := string(read(t, dir, "a/config.toml"))
	assert.Contains(t, written, "\n[layers.1]\nprox = '0.01'\ngamma = 5.0\n\n[layers.3]\nform = 'metric'\nlr = 1.0\n")
	assert.NotEqual(t, read(t, dir, "plain/model.safetensors"), read(t, dir, "a/model.safetensors"))

	succeeds(t, dir, "train", "--config", "a/config.toml", "--out", "b")
	assert.Equal(t, read(t, dir, "a/model.safetensors"), read(t, dir, "b/model.safetensors"))
	assert.Equal(t, written, string(read(t, dir, "b/config.toml")))

	// A layer's settings are part of what a checkpoint belongs to.
	edit(t, filepath.Join(dir, "a", "config.toml"), "gamma = 5.0", "gamma = 6.0")
	refuses(t, dir, exitData, []string{"checkpoint of another run: layers.1.gamma is 5 there and 6 here"}, "train", "--resume", "a")
	write("c.toml", "\n[layers.2]\nform = 'kernel'\n")
	refuses(t, dir, exitUsage, []string{"layer 2: form kernel needs optimizer sgd, or momentum, or nesterov, not rmsprop"}, "train", "--config", "c.toml")
}

func TestConfigRepeatsARun(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--out", "a", "--optimizer", "adam:variant=tf1,beta1=0.8", "--init", "he", "--block", "7")...)
	succeeds(t, dir, "train", "--config", "a/config.toml", "--out", "b")
	assert.Equal(t, read(t, dir, "a/model.safetensors"), read(t, dir, "b/model.safetensors"))
	assert.Equal(t, read(t, dir, "a/config.toml"), read(t, dir, "b/config.toml"))
	assert.Equal(t, withoutTimes(read(t, dir, "a/metrics.jsonl")), withoutTimes(read(t, dir, "b/metrics.jsonl")))

	// Flags beside it override it; the activation reaches layers that weren't named.
	succeeds(t, dir, "train", "--config", "a/config.toml", "--activation", "relu", "--out", "c")
	assert.NotEqual(t, read(t, dir, "a/model.safetensors"), read(t, dir, "c/model.safetensors"))
	assert.Contains(t, string(read(t, dir, "c/config.toml")), "activation = 'relu'")
	// Another pair without a rate takes that pair's.
	out := succeeds(t, dir, "train", "--config", "a/config.toml", "--method", "backprop", "--optimizer", "adam", "--out", "d")
	assert.Contains(t, out.stderr, "taking the default rate of this pair")
}

// A run's configuration says what its last bits depend on; where that has changed, the
// run that repeats it or goes on with it is told.
func TestConfigArithmetic(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--out", "a", "--epochs", "1")...)
	path := filepath.Join(dir, "a", "config.toml")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(content), "\narithmetic = ")
	const warning = "bits may differ from the run of a/config.toml: "
	out := succeeds(t, dir, "train", "--config", "a/config.toml", "--out", "same")
	assert.NotContains(t, out.stderr, "bits may differ")
	out = succeeds(t, dir, "train", "--config", "a/config.toml", "--block", "7", "--out", "block")
	assert.Contains(t, out.stderr, warning+"block ")

	other := regexp.MustCompile(`Go = [^,]*`).ReplaceAllString(string(content), "Go = go1.0")
	require.NoError(t, os.WriteFile(path, []byte(other), 0o600))
	out = succeeds(t, dir, "train", "--config", "a/config.toml", "--out", "b")
	assert.Contains(t, out.stderr, warning+"Go go1.0 → go1.")
	out = succeeds(t, dir, "train", "--resume", "a", "--epochs", "2")
	assert.Contains(t, out.stderr, warning+"Go go1.0 → go1.")
	out = succeeds(t, dir, "train", "--resume", "a", "--epochs", "3")
	assert.NotContains(t, out.stderr, "bits may differ", "it went on here before")
	out = succeeds(t, dir, "train", "--config", "a/config.toml", "--out", "c")
	assert.Contains(t, out.stderr, warning+"it was itself computed in more than one way")
}
