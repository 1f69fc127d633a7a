package plan_test

import (
	"slices"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTilesCover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(1, 1500).Draw(t, "rows"), rapid.IntRange(1, 1500).Draw(t, "cols")
		tasks := plan.Tiles(3, rows, cols, 7)
		covered := 0
		for i, a := range tasks {
			require.Equal(t, 3, a.Layer)
			require.Positive(t, a.Hi-a.Lo)
			require.Positive(t, a.Right-a.Left)
			require.LessOrEqual(t, max(a.Hi-a.Lo, a.Right-a.Left), 256)
			require.LessOrEqual(t, max(a.Hi, a.Right)-max(rows, cols), 0)
			require.Zero(t, a.Left%16)
			area := (a.Hi - a.Lo) * (a.Right - a.Left)
			require.InDelta(t, 7*area, a.Cost, 0)
			covered += area
			for _, b := range tasks[:i] {
				require.False(t, a.Lo < b.Hi && b.Lo < a.Hi && a.Left < b.Right && b.Left < a.Right, "%v and %v overlap", a, b)
			}
		}
		require.Equal(t, rows*cols, covered)
	})
}

func TestTilesCounts(t *testing.T) {
	for _, c := range []struct{ rows, cols, want int }{
		{1000, 1000, 16}, {1000, 784, 16}, {1000, 30, 4}, {200, 250, 4}, {64, 1000, 4}, {32, 64, 1}, {1, 1, 1}, {4096, 30, 16},
	} {
		assert.Len(t, plan.Tiles(0, c.rows, c.cols, 1), c.want, "%d × %d", c.rows, c.cols)
	}
}

// wide is a network each of whose layers makes several tiles that aren't all alike.
func wide(t *testing.T, last transfer.Func) *nn.Network {
	t.Helper()
	n, err := nn.New(nn.Arch{Widths: []int{70, 290, 33, 275}, Transfer: []transfer.Func{transfer.Tanh, transfer.ReLU, last}})
	require.NoError(t, err)
	n.Init(nn.Glorot, 3)
	return n
}

// Both passes in tiles are those of whole matrices, to rounding, and have the same bits
// for any number of workers.
func TestTapeInTiles(t *testing.T) {
	const examples = 261
	k := gonum.New()
	for _, c := range []struct {
		last transfer.Func
		loss loss.Loss
	}{{transfer.Sigmoid, loss.SigmoidCE}, {transfer.Softmax, loss.SoftmaxCE}, {transfer.Identity, loss.Squared}} {
		n := wide(t, c.last)
		x, target := batchFor(n, examples)
		var first *plan.Tape
		for _, workers := range []int{1, 2, 5} {
			pool := plan.NewPool(workers)
			tape, err := plan.NewTape(n, c.loss, examples, k)
			require.NoError(t, err)
			_, err = tape.Run(pool, x, target)
			require.NoError(t, err)
			pool.Close()
			if first == nil {
				first = tape
				checkPasses(t, n, c.loss, tape, x, target)
				continue
			}
			for ℓ := range n.Layers {
				require.Equal(t, first.A[ℓ].Data, tape.A[ℓ].Data, "%v: layer %d with %d workers", c.last, ℓ, workers)
				require.Equal(t, first.Y[ℓ].Data, tape.Y[ℓ].Data, "%v: layer %d with %d workers", c.last, ℓ, workers)
				require.Equal(t, first.D[ℓ].Data, tape.D[ℓ].Data, "%v: layer %d with %d workers", c.last, ℓ, workers)
			}
		}
	}
}

// checkPasses compares a tape with products of whole matrices.
func checkPasses(t *testing.T, n *nn.Network, l loss.Loss, tape *plan.Tape, x, target backend.Mat) {
	t.Helper()
	k := gonum.New()
	act := nn.NewActivations(n, x.Rows)
	backend.Copy(backend.WithoutBias(act.Input[0]), x)
	act.Forward(k, n.Weights(), 0, x.Rows)
	last := len(n.Layers) - 1
	d := backend.NewPadded(x.Rows, n.Outputs())
	k.Loss(d, act.A[last], act.Y[last], target, n.Last().Transfer(), l, 1/float32(x.Rows))
	// 3e-6: float32 sums of up to 290 terms below 1, in another order.
	for ℓ := last; ℓ >= 0; ℓ-- {
		assert.InDelta(t, 0, distance(act.A[ℓ], tape.A[ℓ]), 3e-6, "A of layer %d", ℓ)
		assert.InDelta(t, 0, distance(act.Y[ℓ], tape.Y[ℓ]), 3e-6, "Y of layer %d", ℓ)
		assert.InDelta(t, 0, distance(d, tape.D[ℓ]), 3e-6*scaleOf(d), "D of layer %d", ℓ)
		assert.Positive(t, scaleOf(d))
		if ℓ > 0 {
			w := backend.WithoutBias(n.Weights()[ℓ])
			below := backend.NewPadded(x.Rows, w.Cols)
			k.Backprop(below, d, w)
			k.Chain(below, act.A[ℓ-1], act.Y[ℓ-1], n.Layers[ℓ-1].Transfer())
			d = below
		}
	}
}

func distance(a, b backend.Mat) float64 {
	var most float64
	for i := range a.Rows {
		for j, v := range row(a, i) {
			most = max(most, float64(v)-float64(row(b, i)[j]), float64(row(b, i)[j])-float64(v))
		}
	}
	return most
}

func scaleOf(m backend.Mat) float64 { return distance(m, backend.NewMat(m.Rows, m.Cols)) }

// The phases of a run write every layer's matrices, and a layer's before those that read them.
func TestTapePhases(t *testing.T) {
	n := wide(t, transfer.Sigmoid)
	tape, err := plan.NewTape(n, loss.SigmoidCE, 261, gonum.New())
	require.NoError(t, err)
	var layers []int
	for _, ph := range tape.Phases() {
		assert.Equal(t, plan.PassPhase, ph.Name)
		layers = append(layers, ph.Tasks[0].Layer)
	}
	assert.Equal(t, []int{-1, 0, 1, 2, -1, 1, 0}, layers, "input, forward, loss, backward")
	assert.True(t, slices.IsSortedFunc(tape.Phases()[1].Tasks, func(a, b plan.Task) int { return int(b.Cost - a.Cost) }), "longest first")
}
