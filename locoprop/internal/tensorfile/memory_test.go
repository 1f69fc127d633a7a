package tensorfile

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
)

// A tensor's memory, which little-endian machines write as it is, is what encode makes of it.
func TestMemoryIsEncoding(t *testing.T) {
	for _, x := range []Tensor{
		{Tensor: plan.Tensor{Shape: []int{2, 2}, F32: []float32{1, -2.5, float32(math.NaN()), 1e-40}}},
		{Tensor: plan.Tensor{Shape: []int{2}, F64: []float64{math.Pi, math.Inf(-1)}}},
		{Tensor: plan.Tensor{Shape: []int{3}, I64: []int64{-1, 0, math.MaxInt64}}},
		{Tensor: plan.Tensor{Shape: []int{2, 1}, F32: []float32{1, 9, 2}}, Stride: 2},
	} {
		v, other := &view{t: x, buffer: new([]byte)}, &view{t: x, buffer: new([]byte)}
		assert.Equal(t, other.encode(), v.Data(), "%+v", x)
		assert.Len(t, v.Data(), int(v.DataLen()))
		if littleEndian {
			assert.Equal(t, x.Stride != 0, *v.buffer != nil, "%+v: encoded", x)
		}
	}
}
