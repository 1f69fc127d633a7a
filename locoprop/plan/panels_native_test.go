//go:build cgo && !purego

package plan_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/backend/native"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Passes by panels give what passes by matrices do, in batches that are parts of a panel, whole
// ones and more, for any number of workers the same bits, and allocate nothing; Again gives their
// loss.
func TestPassesByPanels(t *testing.T) {
	k := native.New()
	defer k.Close()
	for name, c := range map[string]struct {
		arch nn.Arch
		loss loss.Loss
	}{
		"autoencoder": {nn.Arch{
			Widths:   []int{9, 20, 600, 2, 13, 9},
			Transfer: []transfer.Func{transfer.Tanh, transfer.ReLU, transfer.Identity, transfer.SiLU, transfer.Sigmoid},
		}, loss.SigmoidCE},
		"classifier": {nn.Arch{Widths: []int{40, 33, 10}, Transfer: []transfer.Func{transfer.GELU, transfer.Softmax}}, loss.SoftmaxCE},
		"one layer":  {nn.Arch{Widths: []int{1, 1}, Transfer: []transfer.Func{transfer.Identity}}, loss.Squared},
	} {
		for _, batch := range []int{1, 16, 17, 33, 64, 200} {
			t.Run(fmt.Sprintf("%s/%d", name, batch), func(t *testing.T) {
				net, err := nn.New(c.arch)
				require.NoError(t, err)
				net.Init(nn.Glorot, 3)
				x, target := batchFor(net, batch)
				run := func(k backend.Kernels, workers int) (*plan.Tape, float64) {
					pool := plan.NewPool(workers)
					defer pool.Close()
					tape, err := plan.NewTape(net, c.loss, batch, k)
					require.NoError(t, err)
					mean, err := tape.Run(pool, x, target)
					require.NoError(t, err)
					again, err := tape.Again(pool)
					require.NoError(t, err)
					assert.Equal(t, mean, again)
					assert.Zero(t, testing.AllocsPerRun(3, func() { _, _ = tape.Run(pool, x, target) }))
					return tape, mean
				}
				want, mean := run(gonum.New(), 1)
				got, other := run(k, 1)
				three, same := run(k, 3)
				assert.InEpsilon(t, mean, other, 1e-5)
				assert.Equal(t, other, same)
				for ℓ := range net.Layers {
					for what, m := range map[string][3]backend.Mat{
						"X": {want.Design[ℓ], got.Design[ℓ], three.Design[ℓ]}, "A": {want.A[ℓ], got.A[ℓ], three.A[ℓ]},
						"Y": {want.Y[ℓ], got.Y[ℓ], three.Y[ℓ]}, "D": {want.D[ℓ], got.D[ℓ], three.D[ℓ]},
					} {
						for i := range batch {
							assert.InDeltaSlice(t, row(m[0], i), row(m[1], i), 2e-5, "%s of layer %d, example %d", what, ℓ, i)
							require.Equal(t, row(m[1], i), row(m[2], i), "%s of layer %d, example %d", what, ℓ, i)
						}
					}
				}
			})
		}
	}
}

// A tape whose A is left makes the same D, and finds all the same where values stop being finite.
func TestLeaveA(t *testing.T) {
	k := native.New()
	defer k.Close()
	pool := plan.NewPool(1)
	defer pool.Close()
	net, err := nn.New(nn.Arch{Widths: []int{4, 5, 6, 3}, Transfer: []transfer.Func{transfer.Tanh, transfer.Tanh, transfer.Identity}})
	require.NoError(t, err)
	net.Init(nn.Glorot, 3)
	x, target := batchFor(net, 20)
	all, err := plan.NewTape(net, loss.Squared, 20, k)
	require.NoError(t, err)
	some, err := plan.NewTape(net, loss.Squared, 20, k)
	require.NoError(t, err)
	some.LeaveA()
	want, err := all.Run(pool, x, target)
	require.NoError(t, err)
	got, err := some.Run(pool, x, target)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, all.D, some.D)
	assert.Equal(t, all.A[2], some.A[2])
	assert.Empty(t, some.A[1])

	again, err := some.Again(pool)
	require.NoError(t, err)
	assert.Equal(t, want, again)
	assert.Panics(t, func() { some.NewBackward(func(_, _, _ backend.Mat, _ int) {}) })

	net.Weights()[1].Data[0] = float32(math.Inf(1)) // tanh makes it finite again
	net.Weights()[2].Data[0] = float32(math.NaN())
	_, err = some.Run(pool, x, target)
	var diverged *plan.DivergedError
	require.ErrorAs(t, err, &diverged)
	assert.Equal(t, 1, diverged.Layer)
	assert.Equal(t, "pre-activations", diverged.What)
	net.Weights()[1].Data[0], net.Weights()[2].Data[0] = 0, 0
	assert.Empty(t, some.A[1], "A is left again")
	_, err = some.Run(pool, x, target)
	require.NoError(t, err)
}

// What a tape keeps in panels are Â and γD, whatever the workers; where it can't, matrices stay.
func TestKeep(t *testing.T) {
	k := native.New()
	defer k.Close()
	const batch = 700 // of which 400 units are written past the caches
	net, err := nn.New(nn.Arch{Widths: []int{4, 400, 33, 3}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid, transfer.Identity}})
	require.NoError(t, err)
	net.Init(nn.Glorot, 3)
	x, target := batchFor(net, batch)
	all, err := plan.NewTape(net, loss.Squared, batch, k)
	require.NoError(t, err)
	for _, workers := range []int{1, 3} {
		pool := plan.NewPool(workers)
		some, err := plan.NewTape(net, loss.Squared, batch, k)
		require.NoError(t, err)
		assert.Empty(t, some.Keep(0, k.PanelUnits()+1, 2.5, true), "blocks that begin within panels")
		assert.Empty(t, some.Keep(2, 64, 2.5, true), "the last layer")
		kept := []backend.Kept{some.Keep(0, 64, 2.5, true), some.Keep(1, 64, 1, false)}
		require.NotNil(t, kept[0].Ahat)
		require.Nil(t, kept[1].Ahat)
		want, err := all.Run(pool, x, target)
		require.NoError(t, err)
		got, err := some.Run(pool, x, target)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		check := func() {
			for ℓ, gamma := range []float32{2.5, 1} {
				panels := make([]float32, k.PanelsLen(batch, all.D[ℓ].Cols))
				k.PanelsFrom(panels, all.D[ℓ], false, gamma)
				assert.Equal(t, panels, kept[ℓ].E, "E of layer %d", ℓ)
				assert.Empty(t, some.A[ℓ])
				assert.Empty(t, some.D[ℓ])
			}
			panels := make([]float32, k.PanelsLen(batch, all.A[0].Cols))
			k.PanelsFrom(panels, all.A[0], false, 1)
			assert.Equal(t, panels, kept[0].Ahat)
			assert.Equal(t, all.A[2], some.A[2])
			assert.Equal(t, all.D[2], some.D[2])
		}
		check()

		bias := net.Weights()[0].Data
		was := bias[4]
		bias[4]++
		again, err := some.Again(pool)
		require.NoError(t, err)
		assert.NotEqual(t, want, again)
		bias[4] = was
		again, err = some.Again(pool)
		require.NoError(t, err)
		assert.Equal(t, want, again)
		check()
		assert.Panics(t, func() { some.Keep(0, 64, 1, true) }, "kept twice")
		assert.Zero(t, testing.AllocsPerRun(3, func() { _, _ = some.Run(pool, x, target) }))
		assert.Panics(t, func() { some.NewBackward(func(_, _, _ backend.Mat, _ int) {}) })
		bias[4] = float32(math.NaN())
		_, err = some.Run(pool, x, target)
		var diverged *plan.DivergedError
		require.ErrorAs(t, err, &diverged)
		assert.Equal(t, 0, diverged.Layer)
		bias[4] = was
		_, err = some.Run(pool, x, target)
		require.NoError(t, err)
		check()
		pool.Close()
	}
}
