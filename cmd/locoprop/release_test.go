package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// firstRelease is a run of the first release: 2 epochs on the data of writeData. It is
// never to be made anew: checkpoints are good for all versions with the same major
// number, and models for good. A later one is added by
//
//	locoprop train --dataset idx --data data --arch 64,6:identity,64 --batch 30 --epochs 2 --schedule-epochs 4 \
//	  --warmup-steps 4 --lr 1e-4 --backend gonum --workers 1 --keep 1 --out run-vN
const firstRelease = "testdata/run-v1"

// Runs of earlier releases go on, to what a run of this one comes to, and their models
// can be used.
func TestEarlierRelease(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "old"), os.DirFS(firstRelease)))
	var was train.Metrics
	lines := strings.Split(strings.TrimSpace(string(read(t, dir, "old/metrics.jsonl"))), "\n")
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &was))

	out := succeeds(t, dir, "eval", "--model", "old/model.safetensors", "--dataset", "idx", "--data", data, "--json")
	var scores struct{ Test struct{ Loss float64 } }
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &scores))
	assert.InDelta(t, was.TestLoss, scores.Test.Loss, 1e-4)

	out = succeeds(t, dir, "train", "--resume", "old", "--data", data, "--epochs", "4")
	assert.NotContains(t, out.stderr, "warning")
	assert.NotContains(t, out.stderr, "epoch 2 of 4 done", "it went on from there")
	succeeds(t, dir, "train", "--config", "old/config.toml", "--data", data, "--epochs", "4", "--out", "new")
	lastLoss := func(run string) float64 {
		lines := strings.Split(strings.TrimSpace(string(read(t, dir, run, "metrics.jsonl"))), "\n")
		require.Len(t, lines, 5)
		var m train.Metrics
		require.NoError(t, json.Unmarshal([]byte(lines[4]), &m))
		return m.TestLoss
	}
	assert.Less(t, lastLoss("old"), was.TestLoss)
	assert.InDelta(t, lastLoss("new"), lastLoss("old"), 1e-3, "on another machine the last bits may differ")
}
