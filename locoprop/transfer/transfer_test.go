package transfer_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
)

var elementwise = []transfer.Func{
	transfer.Identity, transfer.Tanh, transfer.ReLU, transfer.LeakyReLU(0.3), transfer.Sigmoid,
	transfer.ReLU2, transfer.Arctan, transfer.Softplus, transfer.Softsign, transfer.ELU(1), transfer.ELU(1.5),
	transfer.HardTanh, transfer.Exp, transfer.GELU, transfer.SiLU,
}

// monotone leaves out the functions without a convex F.
var monotone = slices.DeleteFunc(slices.Clone(elementwise), func(f transfer.Func) bool { return !f.Monotone() })

var all = append(elementwise[:len(elementwise):len(elementwise)], transfer.Softmax, transfer.TemperedSoftmax(1.5))

// points are pre-activations off the kinks, where differences of float32 keep their digits.
var points = []float64{-20, -5, -1.25, -0.25, -0.0625, 0.0625, 0.25, 1.25, 5, 8}

// difference is a central difference with h = 2⁻¹⁰ of a function of float32 values that
// h doesn't round; its error is h²/6 of a third derivative, at most 4e-7.
func difference(f func(h float64) float64) float64 {
	const h = 1.0 / 1024
	return (f(h) - f(-h)) / (2 * h)
}

func TestIntegralHasDerivativeF(t *testing.T) {
	for _, f := range monotone {
		for _, a := range points {
			got := difference(func(h float64) float64 { return f.Integral([]float32{float32(a) + float32(h)}) })
			size := 1 + math.Abs(f.At(a)) + math.Abs(f.Deriv(a)) // exp: all derivatives are as large
			assert.InDelta(t, f.At(a), got, 1e-6*size, "%v at %v", f, a)
		}
	}
	row := []float32{0.5, -1, 2, 0}
	y := make([]float32, len(row))
	transfer.Softmax.Eval(y, row)
	for j := range row {
		got := difference(func(h float64) float64 {
			moved := append([]float32(nil), row...)
			moved[j] += float32(h)
			return transfer.Softmax.Integral(moved)
		})
		assert.InDelta(t, y[j], got, 1e-6, "softmax, output %d", j)
	}
}

func TestDerivIsDerivativeOfAt(t *testing.T) {
	for _, f := range elementwise {
		for _, a := range points {
			got := difference(func(h float64) float64 { return f.At(a + h) })
			assert.InDelta(t, f.Deriv(a), got, 1e-6*(1+math.Abs(f.Deriv(a))), "%v at %v", f, a)
		}
	}
}

func TestDerivAtTheKink(t *testing.T) {
	assert.Zero(t, transfer.ReLU.Deriv(0))
	assert.EqualValues(t, float32(0.3), transfer.LeakyReLU(0.3).Deriv(0))
	assert.Equal(t, 1.5, transfer.ELU(1.5).Deriv(0))
	assert.Zero(t, transfer.HardTanh.Deriv(1))
	assert.Zero(t, transfer.HardTanh.Deriv(-1))
	for a, want := range map[float32]float32{1: 0, -1: 0, 0.5: 2} {
		d := []float32{2}
		transfer.HardTanh.EvalDeriv(d, []float32{a}, []float32{a})
		assert.Equal(t, want, d[0])
	}
	d := []float32{3}
	transfer.ELU(1.5).EvalDeriv(d, []float32{0}, []float32{0})
	assert.EqualValues(t, 4.5, d[0])
	d = []float32{2}
	transfer.LeakyReLU(0.5).EvalDeriv(d, []float32{0}, []float32{0})
	assert.EqualValues(t, 1, d[0])
}

// TestEval compares with the float64 formulas: inner arithmetic is float64, so a result
// is at most one rounding off.
func TestEval(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	a := make([]float32, 1000)
	for i := range a {
		a[i] = float32(4 * rng.NormFloat64())
	}
	for _, f := range all {
		y := make([]float32, len(a))
		f.Eval(y, a)
		want := oracle.Apply(f, rowMat(a))
		for i, v := range y {
			assert.InDelta(t, want.Data[i], float64(v), math.Abs(want.Data[i])*1.01/(1<<24)+1e-45, "%v(%v)", f, a[i])
		}
		inPlace := append([]float32(nil), a...)
		f.Eval(inPlace, inPlace)
		assert.Equal(t, y, inPlace, "%v in place", f)
	}
}

func rowMat(a []float32) oracle.Mat {
	m := oracle.New(1, len(a))
	for i, v := range a {
		m.Data[i] = float64(v)
	}
	return m
}

// TestEvalDeriv: 1 − y² and y(1 − y) of a rounded y lose what they cancel, so the bound
// is absolute: 4ε of d.
func TestEvalDeriv(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	a, d := make([]float32, 100), make([]float32, 100)
	for i := range a {
		a[i], d[i] = float32(2*rng.NormFloat64()), float32(rng.NormFloat64())
	}
	for _, f := range all {
		y, got := make([]float32, len(a)), append([]float32(nil), d...)
		f.Eval(y, a)
		f.EvalDeriv(got, a, y)
		want := oracle.Chain(f, rowMat(d), rowMat(a))
		for i, v := range got {
			assert.InDelta(t, want.Data[i], float64(v), 4/float64(1<<24)*math.Abs(float64(d[i]))*max(1, math.Abs(want.Data[i]/float64(d[i])))+1e-9, "%v at %v", f, a[i])
		}
	}
}

// TestDivergence: D_F ≥ 0, 0 at A = Â, for every pair of points, kinks and extremes.
func TestDivergence(t *testing.T) {
	values := []float32{0, float32(math.Copysign(0, -1)), 1e-30, -1e-30, 0.5, -0.5, 3, -3, 20, -20, 1e4, -1e4}
	divergence := func(f transfer.Func, a, ahat float32) float64 {
		return f.Integral([]float32{a}) - f.Integral([]float32{ahat}) - f.At(float64(ahat))*(float64(a)-float64(ahat))
	}
	for _, f := range monotone {
		for _, a := range values {
			for _, ahat := range values {
				if f == transfer.Exp && max(a, ahat) > 700 {
					continue // F overflows
				}
				got := f.Divergence([]float32{a}, []float32{ahat})
				assert.GreaterOrEqual(t, got, 0.0, "%v, A = %v, Â = %v", f, a, ahat)
				// The difference of two F is off by their rounding, as what is looked at isn't.
				size := math.Abs(f.Integral([]float32{a})) + math.Abs(f.Integral([]float32{ahat})) + 1
				assert.InDelta(t, math.Max(0, divergence(f, a, ahat)), got, 1e-12*(1+math.Abs(got))+1e-15*size)
				assert.GreaterOrEqual(t, divergence(f, a, ahat), -1e-15*size, "%v, A = %v, Â = %v", f, a, ahat)
			}
			assert.Zero(t, f.Divergence([]float32{a}, []float32{a}), "%v at A = Â = %v", f, a)
		}
	}
}

func TestExtremes(t *testing.T) {
	const most = math.MaxFloat32
	inf := math.Inf(1)
	for _, c := range []struct {
		f             transfer.Func
		a             float32
		want, wantInt float64 // f(a), F(a)
	}{
		{transfer.Tanh, most, 1, most - math.Ln2},
		{transfer.Tanh, -most, -1, most - math.Ln2},
		{transfer.Tanh, float32(inf), 1, inf},
		{transfer.Sigmoid, most, 1, most},
		{transfer.Sigmoid, -most, 0, 0},
		{transfer.Sigmoid, float32(-inf), 0, 0},
		{transfer.Sigmoid, float32(inf), 1, inf},
		{transfer.Identity, most, most, most / 2 * most},
		{transfer.ReLU, most, most, most / 2 * most},
		{transfer.ReLU, -most, 0, 0},
		{transfer.ReLU, float32(-inf), 0, math.NaN()},
		{transfer.Softsign, float32(-inf), -1, math.NaN()},
		{transfer.Softsign, most, 1, most},
		{transfer.Arctan, most, math.Pi / 2, most * (math.Pi / 2)},
		{transfer.Softplus, -most, 0, 0},
		{transfer.Softplus, most, most, most / 2 * most},
		{transfer.HardTanh, -most, -1, most},
		{transfer.ELU(2), -most, -2, 2 * most},
		{transfer.ReLU2, -most, 0, 0},
		{transfer.Exp, -most, 0, 0},
		{transfer.GELU, float32(-inf), 0, math.NaN()},
		{transfer.GELU, float32(inf), inf, math.NaN()},
		{transfer.SiLU, float32(-inf), 0, math.NaN()},
		{transfer.SiLU, most, most, math.NaN()},
		{transfer.LeakyReLU(0.5), -most, -most / 2, most / 4 * most},
	} {
		y := []float32{0}
		c.f.Eval(y, []float32{c.a})
		assert.EqualValues(t, float32(c.want), y[0], "%v(%v)", c.f, c.a)
		assert.Equal(t, c.want, c.f.At(float64(c.a)), "%v(%v) in float64", c.f, c.a)
		if math.IsNaN(c.wantInt) {
			continue
		}
		got := c.f.Integral([]float32{c.a})
		assert.True(t, got == c.wantInt || math.Abs(got-c.wantInt) <= 1e-15*c.wantInt, "F of %v at %v is %v, want %v", c.f, c.a, got, c.wantInt)
	}
	y := make([]float32, 3)
	transfer.Softmax.Eval(y, []float32{most, -most, most})
	assert.Equal(t, []float32{0.5, 0, 0.5}, y)
	assert.InEpsilon(t, most, transfer.LogSumExp([]float32{most, -most, most}), 1e-15)
	transfer.Softmax.Eval(y, []float32{-1000, -1000, -1000})
	assert.InDelta(t, 1.0/3, y[1], 1e-7)
}

func TestNaN(t *testing.T) {
	nan := float32(math.NaN())
	for _, f := range all {
		y := []float32{0, 0, 0}
		f.Eval(y, []float32{nan, 1, -1})
		assert.True(t, math.IsNaN(float64(y[0])), "%v(NaN) = %v", f, y[0])
		assert.Equal(t, f.RowCoupled(), math.IsNaN(float64(y[1])), "%v: a NaN in the row makes its neighbour %v", f, y[1])
		assert.True(t, math.IsNaN(f.Integral([]float32{1, nan})), "F of %v at NaN", f)
	}
	for _, f := range elementwise {
		assert.True(t, math.IsNaN(f.At(math.NaN())), "%v", f)
	}
}

func TestRange(t *testing.T) {
	for _, f := range all {
		lo, hi := f.Range()
		clipLo, clipHi, _ := f.Clip()
		assert.True(t, !f.Monotone() || clipLo >= lo && clipLo < clipHi && (clipHi <= hi || f.RowCoupled()), "%v: clip bounds %v, %v", f, clipLo, clipHi)
		y := make([]float32, 6)
		f.Eval(y, []float32{-1e9, -3, 0, 0.5, 3, 1e9})
		for _, v := range y {
			assert.True(t, float64(v) >= lo && float64(v) <= hi, "%v gives %v, outside [%v, %v]", f, v, lo, hi)
		}
		assert.Equal(t, f != transfer.GELU && f != transfer.SiLU, f.Monotone(), "%v", f)
	}
}

func TestString(t *testing.T) {
	for f, want := range map[transfer.Func]string{
		{}:                       "identity",
		transfer.Tanh:            "tanh",
		transfer.ReLU:            "relu",
		transfer.LeakyReLU(0):    "relu",
		transfer.LeakyReLU(0.01): "leaky-relu(0.01)",
		transfer.LeakyReLU(0.1):  "leaky-relu(0.1)",
		transfer.Sigmoid:         "sigmoid",
		transfer.Softmax:         "softmax",
	} {
		assert.Equal(t, want, f.String())
	}
}

func TestConstructorPanics(t *testing.T) {
	for _, slope := range []float64{-0.1, 1e39, math.NaN(), math.Inf(1)} {
		assert.Panics(t, func() { transfer.LeakyReLU(slope) }, "slope %v", slope)
	}
	assert.Panics(t, func() { transfer.Softmax.At(0) })
	assert.Panics(t, func() { transfer.Softmax.Deriv(0) })
}

// TestNumbers pins what files and the C interface rely on.
func TestNumbers(t *testing.T) {
	for want, f := range []transfer.Func{
		transfer.Identity, transfer.Tanh, transfer.ReLU, transfer.Sigmoid, transfer.Softmax,
		transfer.ReLU2, transfer.Arctan, transfer.Softplus, transfer.Softsign, transfer.ELU(1), transfer.HardTanh, transfer.Exp,
		transfer.GELU, transfer.SiLU, transfer.TemperedSoftmax(2),
	} {
		assert.EqualValues(t, want, f.Kind(), "%v", f)
	}
	assert.EqualValues(t, float32(0.25), transfer.LeakyReLU(0.25).Param())
	assert.Equal(t, []bool{false, true}, []bool{transfer.Tanh.RowCoupled(), transfer.Softmax.RowCoupled()})
}
