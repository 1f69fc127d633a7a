package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
)

func TestMeter(t *testing.T) { // not in parallel: it counts allocations
	clock := time.Unix(1000, 0)
	m := &meter{epochs: 4, batches: 10, all: 40, batch: 50, flops: 2e9, floor: 25, peak: 160e9, now: func() time.Time { return clock }}
	at := func(step int, seconds float64) speeds {
		return m.step(train.Progress{Epoch: 1 + (step-1)/10, Batch: 1 + (step-1)%10, Batches: 10, Step: step, Loss: 31, Seconds: seconds})
	}
	first := at(5, 2)
	assert.Equal(t, speeds{excess: 6, done: 0.125}, first, "one step tells no speed")

	clock = clock.Add(time.Second)
	s := at(15, 2.5) // 10 steps in half a second of training and a second of all
	assert.InDelta(t, 20*50, s.examples, 1e-9)
	assert.InDelta(t, 40e9, s.flops, 1)
	assert.InDelta(t, 0.25, s.share, 1e-9)
	assert.Equal(t, 2500*time.Millisecond, s.left, "25 steps to go at 10 a second")

	// A run that slows down shows its late speed, not its mean.
	seconds := 2.5
	for step := 16; step <= 36; step++ {
		seconds++
		s = at(step, seconds)
	}
	assert.InDelta(t, 1, s.examples/50, 0.5)

	// After a rollback it starts again, without speeds from steps that never were.
	s = at(20, seconds+1)
	assert.Equal(t, speeds{excess: 6, done: 0.5}, s)
	assert.Zero(t, testing.AllocsPerRun(10, func() { seconds++; at(21, seconds) }))
	assert.Positive(t, residentMemory())

	// A run that ends by the clock: whichever end comes first.
	m = &meter{all: 100, limit: 10, now: func() time.Time { return clock }}
	at(5, 2)
	clock = clock.Add(4 * time.Second)
	s = at(10, 4)
	assert.InDelta(t, 0.4, s.done, 1e-9)
	assert.Equal(t, 12*time.Second, s.left, "6 seconds of training, each of which takes 2")
	assert.InDelta(t, 0.95, at(95, 5).done, 1e-9)
	assert.Zero(t, at(96, 11).left)

	m = &meter{epochs: 12, batches: 10, all: 120}
	assert.Equal(t, "epoch  3 of 12", m.place(train.Metrics{Epoch: 3, Step: 30}))
	assert.Equal(t, "step  35 of 120", m.place(train.Metrics{Epoch: 3, Step: 35}))
}

func TestLiveRows(t *testing.T) {
	t.Parallel()
	m := &moment{
		Progress: train.Progress{Epoch: 3, Batch: 45, Batches: 100, Step: 245, Loss: 61.25},
		speeds:   speeds{examples: 4312, flops: 85.1e9, share: 0.62, done: 0.102, left: 80 * time.Second, excess: 3.125},
		epochs:   24, peakName: "FMA peak", resident: 210e6,
	}
	assert.Equal(t, "run    epoch 3 of 24    [===>-----------------------------------] 10 %, 1m20s left", m.runRow(82))
	assert.Equal(t, "epoch  step 45 of 100   [=================>-----------------------] 45 %", m.epochRow(72))
	assert.Equal(t, "run    epoch 3 of 24  10 %, 1m20s left", m.runRow(40), "no room for a bar")
	assert.Equal(t, "run    epoch 3 of 24", m.runRow(30))
	assert.Equal(t, "run    epo", m.runRow(10))
	assert.Equal(t, "loss 61.250  excess 3.125  4312 examples/s  85.1 GF/s, 62 % of FMA peak  210 MB", m.figuresRow(80))
	assert.Equal(t, "loss 61.250", m.figuresRow(20))
	for width := range 201 {
		for _, row := range []string{m.runRow(width), m.epochRow(width), m.figuresRow(width)} {
			assert.LessOrEqual(t, utf8.RuneCountInString(row), width)
			assert.NotContains(t, row, "\n")
		}
	}
	for _, c := range []struct {
		share float64
		width int
		want  string
	}{{0, 12, "[----------]"}, {0.1, 12, "[>---------]"}, {1, 12, "[==========]"}, {1.1, 12, "[==========]"}, {1, 4, "[==]"}} {
		assert.Equal(t, c.want, bar(c.share, c.width))
	}
	unknown := &moment{Progress: train.Progress{Epoch: 1, Batch: 1, Batches: 2, Step: 1}, speeds: speeds{done: 0.5}, epochs: 1, resident: 1e6}
	assert.Equal(t, "loss 0.000  excess 0.000  1 MB", unknown.figuresRow(80))
	assert.Equal(t, "run    epoch 1 of 1  50 %", unknown.runRow(30))
}

// What is printed: everything, nothing, or data alone.
func TestVerbosity(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	for _, c := range []struct {
		flags        string
		lines, steps int // on standard output as JSON, and on standard error as log lines of steps
		stderr       bool
	}{
		{"--json", 4, 0, true},
		{"--quiet", 0, 0, false},
		{"--quiet --json", 4, 0, false},
		{"--verbose --json", 4, 12, true},
	} {
		out := succeeds(t, dir, small(data, append(strings.Fields(c.flags), "--out", strings.ReplaceAll(c.flags, " ", ""))...)...)
		isJSONLines(t, out.stdout, c.lines)
		assert.Equal(t, c.steps, strings.Count(out.stderr, " batch_loss="), c.flags)
		assert.Equal(t, c.stderr, out.stderr != "", "%s: %s", c.flags, out.stderr)
		assert.Equal(t, c.steps > 0, strings.Contains(out.stderr, " by a short measurement: "), c.flags)
	}
	assert.Equal(t, tree(t, filepath.Join(dir, "--json")), tree(t, filepath.Join(dir, "--quiet")), "the files are the same")
	assert.Equal(t, read(t, dir, "--json/model.safetensors"), read(t, dir, "--verbose--json/model.safetensors"))
	out := program(t, dir, small(data, "--quiet", "--lr", "1e30", "--out", "bad")...)
	assert.Equal(t, exitDiverged, out.code)
	assert.Contains(t, out.stderr, "locoprop: ", "an error is said all the same")
	assert.Equal(t, 1, strings.Count(out.stderr, "\n"), out.stderr)
}

func isJSONLines(t *testing.T, text string, lines int) {
	t.Helper()
	assert.Equal(t, lines, strings.Count(text, "\n"), text)
	for line := range strings.Lines(text) {
		assert.True(t, json.Valid([]byte(line)), line)
	}
}
