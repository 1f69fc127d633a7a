package loss_test

import (
	"errors"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBiTemperedAtOne: t1 = t2 = 1 is softmax cross-entropy less the targets' entropy,
// with its gradient.
func TestBiTemperedAtOne(t *testing.T) {
	a, target := example(9)
	d, want := make([]float32, 9), make([]float32, 9)
	got := eval(pair{loss.BiTempered(1, 1), transfer.Softmax}, d, a, target, 0.5)
	ce := eval(pair{loss.SoftmaxCE, transfer.Softmax}, want, a, target, 0.5)
	assert.InDelta(t, ce-loss.SoftmaxCE.Floor(target), got, 1e-6) // Σt is 1 to float32 only
	assert.InDeltaSlice(t, want, d, 1e-7)
}

// TestBiTemperedIsBounded: below t1 = 1 the worst prediction costs a finite amount.
func TestBiTemperedIsBounded(t *testing.T) {
	p := pair{loss.BiTempered(0.5, 1.5), transfer.TemperedSoftmax(1.5)}
	limit := 1/(1-0.5) - 1/(2-0.5) + 1/(2-0.5)
	got := eval(p, nil, []float32{1e30, -1e30}, []float32{0, 1}, 1)
	assert.InDelta(t, limit, got, 1e-6)
}

func TestParseBiTempered(t *testing.T) {
	l, err := loss.Parse("bi-tempered(0.3,4)")
	require.NoError(t, err)
	assert.Equal(t, loss.BiTempered(0.3, 4), l)
	again, err := loss.Parse(l.String())
	require.NoError(t, err)
	assert.Equal(t, l, again)
	l, err = loss.Parse("bi-tempered")
	require.NoError(t, err)
	assert.Equal(t, "bi-tempered(0.8,1.2)", l.String())
	assert.NoError(t, l.CheckTransfer(transfer.TemperedSoftmax(1.2)))
	assert.Error(t, l.CheckTransfer(transfer.Softmax))
	assert.Error(t, l.CheckTarget([]float32{0.5, 0.4}))
	for _, name := range []string{"bi-tempered(", "bi-tempered(1)", "bi-tempered(1.1,2)", "bi-tempered(0.5,0.9)", "bi-tempered(NaN,2)", "bi-tempered(0.5,11)"} {
		_, err := loss.Parse(name)
		assert.ErrorContains(t, err, "0 ≤ t1 ≤ 1 ≤ t2 ≤ 10", name)
	}
	assert.Panics(t, func() { loss.BiTempered(2, 1) })
}

func TestRegister(t *testing.T) {
	mine, err := loss.Register("half-squared", loss.Custom{
		Eval: func(d, a, y, t []float32, f transfer.Func, scale float32) float64 {
			return loss.Squared.Eval(d, a, y, t, f, scale)
		},
		AnyTransfer: true,
		Floor:       func([]float32) float64 { return 0.25 },
		CheckTarget: func([]float32) error { return errors.New("no") },
	})
	require.NoError(t, err)
	parsed, err := loss.Parse("half-squared")
	require.NoError(t, err)
	assert.Equal(t, mine, parsed)
	assert.Contains(t, loss.Known(), "half-squared")
	assert.NoError(t, mine.CheckTransfer(transfer.Tanh))
	assert.Equal(t, 0.25, mine.Floor(nil))
	assert.EqualError(t, mine.CheckTarget([]float32{0}), "no")
	a, target := example(5)
	d, want := make([]float32, 5), make([]float32, 5)
	assert.Equal(t, eval(pair{loss.Squared, transfer.Tanh}, want, a, target, 2), eval(pair{mine, transfer.Tanh}, d, a, target, 2))
	assert.Equal(t, want, d)
	for _, name := range []string{"half-squared", "squared", "A"} {
		_, err := loss.Register(name, loss.Custom{Eval: loss.Squared.Eval})
		assert.ErrorContains(t, err, name)
	}
	_, err = loss.Register("empty", loss.Custom{})
	assert.ErrorContains(t, err, "no Eval")
}
