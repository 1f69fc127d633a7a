//go:build cgo && !purego

package backprop_test

import (
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/backend/native"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Large batches, whose gradients native makes by panels, a few units at a time, take the steps that
// they take by matrices; neither workers nor blocks change a bit of them, nor does a step allocate.
func TestGradientsByPanels(t *testing.T) {
	const batch = 260
	k := native.New()
	defer k.Close()
	r := rand.New(rand.NewPCG(5, 1))
	x, y := backend.NewMat(batch, 9), backend.NewMat(batch, 4)
	for i := range x.Data {
		x.Data[i] = float32(2*r.Float64() - 1)
	}
	for i := range y.Data {
		y.Data[i] = float32(r.Float64())
	}
	run := func(k backend.Kernels, workers, block int) [][]float32 {
		n, err := nn.New(nn.Arch{Widths: []int{9, 70, 37, 4}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid, transfer.Sigmoid}})
		require.NoError(t, err)
		n.Init(nn.Glorot, 3)
		m, err := backprop.New(backprop.Options{Eta: 0.1, Optimizer: optimizer.New(optimizer.Momentum), Block: block})
		require.NoError(t, err)
		s, err := m.Plan(n, loss.SigmoidCE, batch, k)
		require.NoError(t, err)
		pool := plan.NewPool(workers)
		defer pool.Close()
		step := func() {
			_, err := s.Step(pool, x, y, 1)
			require.NoError(t, err)
		}
		for range 5 {
			step()
		}
		var weights [][]float32
		for _, w := range n.Weights() {
			weights = append(weights, append([]float32(nil), w.Data...))
		}
		assert.Zero(t, testing.AllocsPerRun(2, step), "a step allocates")
		return weights
	}
	matrices, panels := run(gonum.New(), 1, 128), run(k, 1, 128)
	for ℓ, w := range matrices {
		for i, want := range w {
			require.InDelta(t, want, panels[ℓ][i], 1e-5, "layer %d, element %d", ℓ, i)
		}
	}
	for _, workers := range []int{2, 3} {
		assert.Equal(t, panels, run(k, workers, 128), "%d workers", workers)
	}
	assert.Equal(t, panels, run(k, 2, 50), "another block")
}
