package precond_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// P(C̄ + ρI) = I, for C̄ with a factor of its own, where it is rank-deficient too; nothing is
// allocated.
func TestInverse(t *testing.T) {
	const factor, rho = 0.25, 0.4
	for _, batch := range []int{20, 2} {
		x := inputs(5, batch)
		m, err := precond.NewMoment(ops, cols, precond.Options{StepsOnly: true})
		require.NoError(t, err)
		m.Begin()
		m.AccumulateScaled(x.To32(), factor, 0, 3)
		m.AccumulateScaled(x.To32(), factor, 3, cols)
		want := scaled(oracle.Mul(x.T(), x), factor/float64(batch))
		second := oracle.From32(m.Second())
		assert.LessOrEqual(t, oracle.MaxDiff(second, want), 1e-6*oracle.MaxAbs(want))
		assert.InEpsilon(t, oracle.Trace(want)/cols, m.Mean(), 1e-6)

		p := backend.NewPadded(cols, cols)
		scratch := make([]float64, m.InverseScratch())
		require.NoError(t, m.Inverse(p, rho, scratch))
		product := oracle.Mul(oracle.From32(p), plusIdentity(second, rho))
		assert.LessOrEqual(t, oracle.MaxDiff(product, oracle.Eye(cols, 1)), 1e-5)
		assert.Equal(t, oracle.From32(p), oracle.From32(p).T(), "symmetric to the bit")
		assert.Zero(t, testing.AllocsPerRun(5, func() { _ = m.Inverse(p, rho, scratch) }))
	}
}

func TestInverseFails(t *testing.T) {
	m, err := precond.NewMoment(ops, cols, precond.Options{StepsOnly: true})
	require.NoError(t, err)
	m.Begin()
	x := inputs(5, 4).To32()
	x.Data[3] = float32(math.NaN())
	m.Accumulate(x, 0, cols)
	var factor *precond.FactorError
	require.ErrorAs(t, m.Inverse(backend.NewMat(cols, cols), 1, make([]float64, m.InverseScratch())), &factor)
	assert.PanicsWithValue(t, "precond: Inverse needs p (n+1) × (n+1)", func() {
		_ = m.Inverse(backend.NewMat(cols, 2), 1, make([]float64, m.InverseScratch()))
	})
	d, err := precond.NewMoment(ops, cols, precond.Options{Structure: precond.Diagonal})
	require.NoError(t, err)
	assert.Panics(t, func() { d.Second() })
}
