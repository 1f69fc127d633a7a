package bench_test

import (
	"context"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScaling(t *testing.T) {
	base := config(t)
	larger, tooLarge := base, base
	larger.Batch, tooLarge.Batch = 10, 5_000_0
	var told []string
	r, err := bench.Scaling(context.Background(), base, []bench.Point{
		{Axis: "batch", Value: "10", Config: larger}, {Axis: "batch", Value: "50000", Config: tooLarge},
	}, 10*time.Millisecond, func(p bench.PointTime) { told = append(told, p.Value) })
	require.NoError(t, err)
	assert.Equal(t, []string{"10", "50000"}, told)
	require.Len(t, r.Points, 2)
	twice := r.Points[0]
	assert.InDelta(t, 2*r.Base.Flops, twice.Flops, 0)
	assert.Equal(t, 2, twice.Ratio.Count)
	assert.Positive(t, twice.Ratio.Min)
	assert.Positive(t, twice.Predicted)
	assert.Contains(t, r.Points[1].Skipped, "the limit is 10ms")
	assert.Zero(t, r.Points[1].Seconds)

	larger.Batch = 0
	_, err = bench.Scaling(context.Background(), base, []bench.Point{{Axis: "batch", Value: "0", Config: larger}}, 0, nil)
	assert.ErrorContains(t, err, "bench: batch 0: batch of 0")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = bench.Scaling(ctx, base, []bench.Point{{Config: base}}, 0, nil)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestSchedule(t *testing.T) {
	var cuts []bench.Cut
	for _, block := range []int{1, 8} {
		m, err := locoprop.New(locoprop.Options{Eta: 1e-5, Steps: 3, Form: locoprop.FormDirect, Block: block})
		require.NoError(t, err)
		c := config(t)
		c.Method = m
		cuts = append(cuts, bench.Cut{Block: block, Config: c})
	}
	all, err := bench.Schedule(context.Background(), cuts, []int{1, 16})
	require.NoError(t, err)
	require.Len(t, all, 2)
	// Input, forward 2, loss, backward 1; then the 10 units, one a task, or a task a layer.
	assert.Equal(t, [2]int{5 + 10, 5 + 2}, [2]int{all[0].Tasks, all[1].Tasks})
	for _, s := range all {
		assert.Equal(t, 6, s.Phases)
		assert.Equal(t, 2, s.Work.Count)
		require.Len(t, s.Simulated, 2)
		one, many := s.Simulated[0], s.Simulated[1]
		assert.LessOrEqual(t, one.Efficiency, 1.0)
		assert.Greater(t, one.Efficiency, many.Efficiency)
		assert.GreaterOrEqual(t, many.Seconds, s.Longest)
		assert.LessOrEqual(t, many.Seconds, one.Seconds)
	}
	_, err = bench.Schedule(context.Background(), []bench.Cut{{Block: 3, Config: bench.Config{Arch: cuts[0].Arch, Loss: cuts[0].Loss, Method: cuts[0].Method, Backends: cuts[0].Backends}}}, nil)
	assert.ErrorContains(t, err, "bench: block 3: batch of 0")
}
