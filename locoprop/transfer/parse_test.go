package transfer_test

import (
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseInvertsString(t *testing.T) {
	for _, f := range []transfer.Func{
		transfer.Identity, transfer.Tanh, transfer.ReLU, transfer.Sigmoid, transfer.Softmax,
		transfer.LeakyReLU(0.01), transfer.LeakyReLU(0.1), transfer.LeakyReLU(1), transfer.LeakyReLU(1e-30),
		transfer.ReLU2, transfer.Arctan, transfer.Softplus, transfer.Softsign, transfer.ELU(1), transfer.ELU(1.5), transfer.HardTanh,
		transfer.Exp, transfer.GELU, transfer.SiLU, transfer.TemperedSoftmax(1.3), transfer.TemperedSoftmax(1),
	} {
		got, err := transfer.Parse(f.String())
		require.NoError(t, err)
		assert.Equal(t, f, got, f.String())
	}
	for _, name := range transfer.Names {
		_, err := transfer.Parse(name)
		assert.NoError(t, err)
	}
	got, err := transfer.Parse("leaky-relu(-0)")
	require.NoError(t, err)
	assert.Equal(t, transfer.ReLU, got)
}

func TestParseErrors(t *testing.T) {
	assert.Equal(t, transfer.Names, transfer.Known()[:len(transfer.Names)])
	_, err := transfer.Parse("tanhh")
	assert.EqualError(t, err, `unknown transfer function "tanhh"; known are `+strings.Join(transfer.Known(), ", ")+` and leaky-relu(SLOPE), elu(ALPHA), tempered-softmax(T)`)
	for _, name := range []string{"leaky-relu(1e39)", "leaky-relu(-0.1)", "leaky-relu(NaN)", "leaky-relu(", "leaky-relu()", "leaky-relu(0.1", "leaky-relu(0.1))", "leaky-relu(x)"} {
		_, err := transfer.Parse(name)
		assert.ErrorContains(t, err, "the slope must be a finite number, 0 or more", name)
	}
	for _, name := range []string{"elu(0)", "elu(-1)", "elu(1e-60)", "elu(Inf)", "elu("} {
		_, err := transfer.Parse(name)
		assert.ErrorContains(t, err, "α must be a finite number above 0", name)
	}
	for _, name := range []string{"tempered-softmax(0.9)", "tempered-softmax(11)", "tempered-softmax()"} {
		_, err := transfer.Parse(name)
		assert.ErrorContains(t, err, "the temperature must be 1 to 10", name)
	}
	for _, name := range []string{"", "Tanh", "relu ", "tanh(1)"} {
		_, err := transfer.Parse(name)
		assert.ErrorContains(t, err, "unknown transfer function", name)
	}
}
