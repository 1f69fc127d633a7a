package bench_test

import (
	"context"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/kfac"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func config(t *testing.T) bench.Config {
	t.Helper()
	m, err := locoprop.New(locoprop.Options{Eta: 1e-5, Steps: 3, Form: locoprop.FormDirect})
	require.NoError(t, err)
	return bench.Config{
		Arch: nn.Arch{Widths: []int{6, 4, 6}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}},
		Loss: loss.SigmoidCE, Method: m, Batch: 5, Workers: 2, Rounds: 2, Sizes: []int{64}, Sample: time.Microsecond,
		Backends: []backend.Kernels{gonum.New(), gonum.New()},
	}
}

func TestRun(t *testing.T) {
	c := config(t)
	var rounds []int
	c.OnRound = func(done int) { rounds = append(rounds, done) }
	r, err := bench.Run(context.Background(), c)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2}, rounds)
	// Forward 2·5·(7·4 + 5·6), backward 2·5·4·6, local (4·3 − 2)·5·(7·4 + 5·6).
	assert.InDelta(t, 580+240+2900, r.Flops, 0)
	assert.Nil(t, r.FMA, "gonum can't measure it")
	assert.Positive(t, r.Sgemm.Median)
	require.Len(t, r.Steps, 2)
	assert.InDelta(t, 1, r.Steps[0].Ratio, 0, "the first is compared with itself")
	for _, s := range r.Steps {
		assert.Equal(t, 2, s.Seconds.Count)
		assert.Zero(t, s.Allocations)
		assert.Positive(t, s.OfSgemm)
		assert.Positive(t, s.OfCeiling)
	}
	assert.Positive(t, r.Ceiling.Median)

	// Weights, 4·7 + 6·5 of them, are read and written, gradients read; SGD has no state.
	assert.InDelta(t, 4*58*(2+1), r.Traffic.Bytes, 0)
	assert.Positive(t, r.Traffic.Bandwidth.Median)
	assert.Equal(t, 1, r.Cycle)
	var calls float64
	for _, a := range r.Alone {
		assert.Equal(t, "gemm", a.Op)
		assert.Equal(t, 2, a.Seconds.Count)
		assert.Positive(t, a.Rate)
		calls += a.Count
	}
	assert.InDelta(t, 2+1+2*(2+3), calls, 0, "forward, backward, dA and G of both layers")

	w := r.Waterfall
	sum := 0.0
	for _, p := range w.Parts {
		assert.Positive(t, p.Share)
		sum += p.Share
	}
	assert.InDelta(t, 1, sum, 1e-9, "a waterfall is of all the time: %+v", w.Parts)
	// Forward 2 × (affine, apply), loss, backward and chain; then per layer (one block)
	// E, 2 × (dA, R), 3 × (G, update), W̃ + Δ.
	assert.InDelta(t, 4+1+2+2*(1+4+6+1), w.Calls, 0)
	assert.Positive(t, w.OverStep)
}

func TestRunEndsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := bench.Run(ctx, config(t))
	assert.ErrorIs(t, err, context.Canceled)
}

func TestRunRefuses(t *testing.T) {
	c := config(t)
	c.Backends = nil
	_, err := bench.Run(context.Background(), c)
	assert.ErrorContains(t, err, "no backend")
	c = config(t)
	c.Batch = 0
	_, err = bench.Run(context.Background(), c)
	assert.ErrorContains(t, err, "batch of 0")
}

// The ceiling of a method that works in cycles has its factorisations at their rate.
func TestRunCycles(t *testing.T) {
	c := config(t)
	var err error
	c.Method, err = kfac.New(kfac.Options{Eta: 0.01, Damping: 1, Refresh: 4, Plain: true})
	require.NoError(t, err)
	c.Backends, c.Rounds = c.Backends[:1], 1
	r, err := bench.Run(context.Background(), c)
	require.NoError(t, err)
	assert.Equal(t, 4, r.Cycle)
	found := map[string]float64{}
	for _, a := range r.Alone {
		found[a.Op] += a.Count
		assert.NotEmpty(t, a.Shape)
	}
	// Two layers, two factors each, once in four steps.
	assert.InDelta(t, 4.0/4, found["cholesky"], 0)
	assert.InDelta(t, 4.0/4, found["invert"], 0)
	assert.Positive(t, found["gemm"])
}

// meterKernels can measure a peak.
type meterKernels struct {
	backend.Kernels
	rate float64
}

func (m meterKernels) FMAPeak(time.Duration) float64 { return m.rate }

func TestQuickPeak(t *testing.T) {
	rate, what, err := bench.QuickPeak(t.Context(), meterKernels{gonum.New(), 3e9}, 2)
	require.NoError(t, err)
	assert.InDelta(t, 6e9, rate, 0, "the sum over workers")
	assert.Equal(t, "FMA peak", what)
	rate, what, err = bench.QuickPeak(t.Context(), gonum.New(), 1)
	require.NoError(t, err)
	assert.Positive(t, rate)
	assert.Equal(t, "sgemm rate", what)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = bench.QuickPeak(ctx, gonum.New(), 1)
	assert.ErrorIs(t, err, context.Canceled)
}
