package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The file's keys are the catalog's, in its order.
func TestConfigKeys(t *testing.T) {
	t.Parallel()
	var keys []string
	require.NoError(t, new(configFile).fields(func(key string, _ reflect.Value) error {
		keys = append(keys, key)
		return nil
	}))
	assert.ElementsMatch(t, catalog.Keys(), keys)
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
		{"lr": "0.30000000000000004", "gamma": "1e300", "epochs": "0"},
	} {
		e, _, err := catalog.Resolve(catalog.Layer{Values: v})
		require.NoError(t, err)
		content, err := encodeConfig(&e)
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
