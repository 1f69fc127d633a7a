package transfer_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
)

// The bounds lie in the closed range, and touch it only where the range is closed.
func TestClip(t *testing.T) {
	for _, f := range []transfer.Func{transfer.Tanh, transfer.Sigmoid, transfer.Softmax, transfer.ReLU} {
		lo, hi, ok := f.Clip()
		low, high := f.Range()
		assert.True(t, ok, f)
		assert.LessOrEqual(t, low, lo, f)
		assert.True(t, hi <= high || math.IsInf(hi, 1), f)
		assert.Less(t, lo, hi, f)
	}
	for _, f := range []transfer.Func{transfer.Identity, transfer.LeakyReLU(0.1)} {
		_, _, ok := f.Clip()
		assert.False(t, ok, f)
	}
}
