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
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
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
	assert.InDelta(t, 1, r.Steps[0].Ratio.Median, 0, "the first is compared with itself")
	for _, s := range r.Steps {
		assert.Equal(t, 2, s.Seconds.Count)
		assert.Zero(t, s.Allocations)
		assert.Positive(t, s.OfSgemm.Median)
		assert.Positive(t, s.OfCeiling.Median)
	}
	assert.Positive(t, r.Ceiling.Median)

	// Weights, 4·7 + 6·5 of them, are read and written; SGD has no state.
	assert.InDelta(t, 4*58*2, r.Traffic.Bytes, 0)
	assert.Equal(t, 2, r.Traffic.Updates.Count)
	assert.Positive(t, r.Traffic.Updates.Min)
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

// A rival is measured beside the first and compared with it, as a whole and in its local
// phase.
func TestRunRivals(t *testing.T) {
	c := config(t)
	other, err := locoprop.New(locoprop.Options{Eta: 1e-5, Steps: 3, Form: locoprop.FormKernel})
	require.NoError(t, err)
	c.Backends, c.Rivals = c.Backends[:1], []bench.Rival{{Name: "kernel", Method: other}}
	r, err := bench.Run(context.Background(), c)
	require.NoError(t, err)
	require.Len(t, r.Rivals, 1)
	kernel := r.Rivals[0]
	assert.Equal(t, "kernel", kernel.Rival)
	assert.Equal(t, 2, kernel.Ratio.Count)
	assert.Positive(t, kernel.LocalRatio.Median)
	assert.Less(t, kernel.Local.Median, kernel.Seconds.Median)

	c.Rivals[0].Method, err = locoprop.New(locoprop.Options{Eta: 1e-5, Steps: 3, Form: locoprop.FormKernel, Optimizer: optimizer.New(optimizer.AdaGrad)})
	if err == nil {
		_, err = bench.Run(context.Background(), c)
	}
	assert.ErrorContains(t, err, "kernel")
}

// What a step keeps above what it needs is known, and overheads are measured.
func TestRunMemory(t *testing.T) {
	c := config(t)
	c.Arch.Widths = []int{60, 400, 60}
	c.Batch = 200
	r, err := bench.Run(context.Background(), c)
	require.NoError(t, err)
	// Batch; weights; X̃, A and D of both layers.
	assert.InDelta(t, 4*(200*120+400*61+60*401+200*(61+800+401+120)), r.Memory.Needed, 0)
	assert.Positive(t, r.Memory.Scratch)
	assert.Positive(t, r.Memory.Total)
	assert.Positive(t, r.Overhead.CallSeconds)
	assert.Positive(t, r.Overhead.PhaseSeconds)
	assert.Positive(t, r.Overhead.Share)
	// Passes: input, forward of two layers, loss, backward; then the local problems.
	assert.InDelta(t, 5+1, r.Overhead.Phases, 1)
}

func TestMeasureEpoch(t *testing.T) {
	c := config(t)
	c.Arch = nn.Arch{Widths: []int{784, 4, 784}, Transfer: c.Arch.Transfer}
	e, err := bench.MeasureEpoch(context.Background(), c, t.TempDir())
	require.NoError(t, err)
	assert.Equal(t, 2, e.Seconds.Count)
	assert.InDelta(t, 60, e.Test, 0, "ten training and two test batches of 5")
	for name, share := range map[string]bench.Spread{"step": e.Step, "evaluation": e.Evaluation, "rest": e.Rest} {
		assert.Positive(t, share.Min, name)
		assert.Less(t, share.Max, 1.0, name)
	}
	assert.Positive(t, e.OfSgemm.Median)

	_, err = bench.MeasureEpoch(context.Background(), config(t), t.TempDir())
	assert.ErrorContains(t, err, "784")
	c.Backends = nil
	_, err = bench.MeasureEpoch(context.Background(), c, t.TempDir())
	assert.EqualError(t, err, "bench: no backend given")
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
