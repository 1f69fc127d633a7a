package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smallFigures is a report of all standing steps, each of them made small, measured once.
func smallFigures(t *testing.T) *figuresReport {
	t.Helper()
	figuresOnce.Do(func() { measuredFigures = measureFigures(t) })
	require.NotNil(t, measuredFigures)
	return measuredFigures
}

var (
	figuresOnce     sync.Once
	measuredFigures *figuresReport
)

func measureFigures(t *testing.T) *figuresReport {
	t.Helper()
	k := gonum.New()
	r := &figuresReport{
		origin:  origin{Version: "1.2.3", Command: "locoprop bench figures --rounds 1", Date: "2026-12-31", Machine: bench.ThisMachine()},
		Backend: k.Info(), Workers: 2, Rounds: 1,
	}
	config, _, err := stepConfig(catalog.Values{"arch": "6,4,6", "batch": "4", "optimizer": "momentum", "form": "direct", "local-steps": "2"})
	require.NoError(t, err)
	config.Backends, config.Rounds, config.Workers, config.Sizes, config.Sample = []backend.Kernels{k}, 1, 2, []int{32}, time.Microsecond
	for _, s := range standings() {
		c := config
		if s.rival != nil {
			c.Rivals = []bench.Rival{{Name: s.rival["form"], Method: c.Method}}
		}
		if s.others {
			c.Backends = append(c.Backends, k)
		}
		report, err := bench.Run(context.Background(), c)
		require.NoError(t, err, s.name)
		r.Standing = append(r.Standing, standingReport{s.name, report})
	}
	r.Epoch = &bench.Epoch{Rest: bench.Spread{Median: 0.01, Min: 0.01, Max: 0.03, Count: 2}, OfSgemm: bench.Spread{Median: 0.8, Min: 0.7, Max: 0.9, Count: 2}}
	r.Figures = judge(r)
	return r
}

func TestFigures(t *testing.T) {
	t.Parallel()
	r := smallFigures(t)
	found := map[string]judgement{}
	waterfall := 0.0
	for _, f := range r.Figures {
		found[f.Name] = f
		if strings.HasPrefix(f.Name, "of that step: ") {
			waterfall += f.Median
		}
	}
	assert.InDelta(t, 2, waterfall, 1e-9, "two steps' waterfalls, each of all its time")
	rest := found["epoch: share of neither steps nor evaluation"]
	assert.Equal(t, "≤ 2.00 %", rest.verdict())
	assert.Equal(t, "1.00 %", rest.text(rest.Median))
	assert.Equal(t, "≥ 0.85, missed", found["evaluation: rate over square products"].verdict())
	assert.Contains(t, found["allocations in a step, the most of all"].verdict(), "≤ 0")
	assert.NotContains(t, found, "LocoProp-M, direct, --workers 2: over the FMA peak", "pure Go can't measure it")

	var out strings.Builder
	require.NoError(t, printFigures(&out, r))
	for _, part := range []string{"ought to be", stepFast, "the same, gram", "the same on gonum"} {
		assert.Contains(t, out.String(), part)
	}
	_, err := json.Marshal(r)
	require.NoError(t, err)
}

func TestFiguresPage(t *testing.T) {
	t.Parallel()
	got := figuresPage(smallFigures(t))
	assert.True(t, strings.HasPrefix(got, "    locoprop bench figures --rounds 1\n\n"))
	assert.Contains(t, got, "; locoprop 1.2.3; 2026-12-31. Medians over 1 rounds")
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "|") {
			assert.Contains(t, []int{5, 18}, strings.Count(line, "|")-1, line)
		}
	}
}
