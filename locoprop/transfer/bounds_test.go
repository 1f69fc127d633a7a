package transfer_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
)

// TestMaxSlope: f′ comes up to the bound and never above it.
func TestMaxSlope(t *testing.T) {
	for _, f := range elementwise {
		limit, ok := f.MaxSlope()
		assert.Equal(t, f != transfer.Exp && f != transfer.ReLU2, ok, "%v", f)
		if !ok {
			continue
		}
		var top float64
		for i := range 4001 {
			top = max(top, math.Abs(f.Deriv(float64(i-2000)/100)))
		}
		assert.LessOrEqual(t, top, limit, "%v", f)
		assert.InDelta(t, limit, top, 1e-4, "%v", f)
	}
}

// TestMaxSlopeOfSoftmax: the Jacobian of a row stretches no vector by more than a half,
// and comes close where two outputs share everything.
func TestMaxSlopeOfSoftmax(t *testing.T) {
	limit, ok := transfer.Softmax.MaxSlope()
	assert.True(t, ok)
	rng := rand.New(rand.NewPCG(3, 3))
	a, y, d := make([]float32, 5), make([]float32, 5), make([]float32, 5)
	norm := func() (s float64) {
		for _, v := range d {
			s += float64(v) * float64(v)
		}
		return s
	}
	for range 2000 {
		for i := range a {
			a[i], d[i] = float32(3*rng.NormFloat64()), float32(rng.NormFloat64())
		}
		transfer.Softmax.Eval(y, a)
		before := norm()
		transfer.Softmax.EvalDeriv(d, a, y)
		assert.LessOrEqual(t, norm(), limit*limit*before*(1+1e-6))
	}
	copy(a, []float32{0, 0, -50, -50, -50})
	copy(d, []float32{1, -1, 0, 0, 0})
	transfer.Softmax.Eval(y, a)
	transfer.Softmax.EvalDeriv(d, a, y)
	assert.InDelta(t, limit, d[0], 1e-6)
}
