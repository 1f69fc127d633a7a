//go:build cgo && !purego

package method_test

import (
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

// Every method on native: as on gonum but for rounding, the same bits for any number of
// workers, with layers beyond one block of units.
func TestNative(t *testing.T) {
	k := native.New()
	defer k.Close()
	tanh := transfer.Tanh
	o := linear()
	o.arch = nn.Arch{Widths: []int{6, 133, 140, 4}, Transfer: []transfer.Func{tanh, tanh, transfer.Sigmoid}}
	o.loss = loss.SigmoidCE
	for i, v := range o.t.Data {
		o.t.Data[i] = float32(1 / (1 + math.Exp(-float64(v))))
	}
	run := func(c contender, k backend.Kernels, workers int) []plan.Tensor {
		m, err := c.make(1e-3)
		require.NoError(t, err)
		n, err := nn.New(o.arch)
		require.NoError(t, err)
		glorot(n)
		s, err := m.Plan(n, o.loss, o.x.Rows, k)
		require.NoError(t, err)
		pool := plan.NewPool(workers)
		defer pool.Close()
		for range 7 {
			_, err := s.Step(pool, o.x, o.t, 1)
			require.NoError(t, err)
		}
		return s.State()
	}
	start, err := nn.New(o.arch)
	require.NoError(t, err)
	glorot(start)
	for _, c := range contenders() {
		got, want := run(c, k, 1), run(c, gonum.New(), 2)
		require.Equal(t, got, run(c, k, 3), c.name)
		layer := 0
		for i, tensor := range got {
			w := want[i]
			if tensor.Name != "layers."+string(rune('0'+layer))+".w" {
				continue
			}
			var diff, change float64
			for j, v := range tensor.F32 {
				diff = math.Max(diff, math.Abs(float64(v)-float64(w.F32[j])))
				change = math.Max(change, math.Abs(float64(v)-float64(start.Weights()[layer].Data[j])))
			}
			// Two units in the last place, and what ill-conditioned roots and quotients by small
			// moments make of rounding.
			assert.Less(t, diff, 0x1p-22+0.03*change, "%s: layer %d", c.name, layer)
			layer++
		}
		assert.Equal(t, 3, layer)
	}
}
