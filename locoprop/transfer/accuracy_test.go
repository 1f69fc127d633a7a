package transfer_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
)

// ulp is the spacing of float32 at v.
func ulp(v float64) float64 {
	v = math.Abs(v)
	if v < 0x1p-126 {
		return 0x1p-149
	}
	_, exponent := math.Frexp(v)
	return math.Ldexp(1, exponent-24)
}

// TestEveryMagnitude compares Eval with the float64 formulas over floats of every size and
// both signs, denormals too, every 20011th, a prime: one rounding, and the range to the bit.
// The C++ kernels, whose bounds are wider, have the same sweep in csrc/tests.
func TestEveryMagnitude(t *testing.T) {
	const step, infinity = 20011, 0x7f800000
	var a []float32
	for bits := uint32(0); bits < infinity; bits += step {
		v := math.Float32frombits(bits)
		a = append(a, v, -v)
	}
	y := make([]float32, len(a))
	for _, f := range elementwise {
		f.Eval(y, a)
		want := oracle.Apply(f, rowMat(a))
		lo, hi := f.Range()
		var worst float64
		at := float32(0)
		for i, v := range y {
			w := want.Data[i]
			if float64(v) < lo || float64(v) > hi {
				t.Fatalf("%v(%v) = %v, outside [%v, %v]", f, a[i], v, lo, hi)
			}
			if math.IsInf(float64(float32(w)), 0) {
				if v != float32(w) {
					t.Fatalf("%v(%v) = %v, want %v", f, a[i], v, w)
				}
				continue
			}
			if off := math.Abs(float64(v)-w) / ulp(w); !(off <= worst) {
				worst, at = off, a[i]
			}
		}
		assert.LessOrEqual(t, worst, 0.51, "units in the last place of %v, at %v", f, at)
	}
}

// TestRowsAtTheirEnds: what tanh and sigmoid make of zeros, the least floats, infinities and
// NaN, to the bit.
func TestRowsAtTheirEnds(t *testing.T) {
	const least, most = math.SmallestNonzeroFloat32, math.MaxFloat32
	inf, minus0 := float32(math.Inf(1)), float32(math.Copysign(0, -1))
	a := []float32{0, minus0, least, -least, most, -most, inf, -inf, float32(math.NaN())}
	bits := func(y []float32) (b []uint32) {
		for _, v := range y[:len(y)-1] {
			b = append(b, math.Float32bits(v))
		}
		assert.True(t, math.IsNaN(float64(y[len(y)-1])))
		return b
	}
	y := make([]float32, len(a))
	transfer.Tanh.Eval(y, a)
	assert.Equal(t, bits([]float32{0, minus0, least, -least, 1, -1, 1, -1, a[8]}), bits(y))
	transfer.Sigmoid.Eval(y, a)
	assert.Equal(t, bits([]float32{0.5, 0.5, 0.5, 0.5, 1, 0, 1, 0, a[8]}), bits(y))
}

// TestTemperedSoftmaxFarOut: rows shift without a change, however far, and an infinitely bad
// class has no probability.
func TestTemperedSoftmaxFarOut(t *testing.T) {
	f := transfer.TemperedSoftmax(1.5)
	near, far := make([]float32, 3), make([]float32, 3)
	f.Eval(near, []float32{1, 0, 3})
	f.Eval(far, []float32{0x1p23 + 1, 0x1p23, 0x1p23 + 3})
	assert.Equal(t, near, far)
	f.Eval(far, []float32{0x1p100, 0x1p100, float32(math.Inf(-1))})
	assert.Equal(t, []float32{0.5, 0.5, 0}, far)
	long := make([]float32, 1000)
	transfer.TemperedSoftmax(transfer.MaxTemperature).Eval(long, long)
	assert.InDelta(t, 1e-3, long[7], 1e-10)
}
