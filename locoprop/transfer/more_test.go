package transfer_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestConjugate, where F* is simple: D_F(A, Â) = F(A) + F*(Ŷ) − A·Ŷ, and the duality
// D_F(A, Â) = D_F*(Ŷ, Y) of divergences, for (F*)′ = f⁻¹.
func TestConjugate(t *testing.T) {
	xlogx := func(y float64) float64 { return y * math.Log(y) }
	const alpha = 0.25
	for f, dual := range map[transfer.Func]func(y float64) float64{
		transfer.Tanh:             func(y float64) float64 { return (xlogx(1+y) + xlogx(1-y)) / 2 },
		transfer.Sigmoid:          func(y float64) float64 { return xlogx(y) + xlogx(1-y) },
		transfer.Exp:              func(y float64) float64 { return xlogx(y) - y },
		transfer.Softsign:         func(y float64) float64 { return -math.Abs(y) - math.Log(1-math.Abs(y)) },
		transfer.Arctan:           func(y float64) float64 { return -math.Log(math.Cos(y)) },
		transfer.Identity:         func(y float64) float64 { return y * y / 2 },
		transfer.LeakyReLU(alpha): func(y float64) float64 { return y * math.Min(y, y/alpha) / 2 },
		transfer.ELU(alpha): func(y float64) float64 {
			if y > 0 {
				return y * y / 2
			}
			return xlogx((y+alpha)/alpha)*alpha - y
		},
		// ∫ log(eᵗ − 1) dt from 0: the dilogarithm of e⁻ʸ by its series.
		transfer.Softplus: func(y float64) float64 {
			sum, x := 0.0, 1.0
			for k := 1.0; k < 4000; k++ {
				x *= math.Exp(-y)
				sum += x / (k * k)
			}
			return y*y/2 + sum - math.Pi*math.Pi/6
		},
	} {
		rapid.Check(t, func(t *rapid.T) {
			a, ahat := rapid.Float32Range(-4, 4).Draw(t, "A"), rapid.Float32Range(-4, 4).Draw(t, "Â")
			y, yhat := f.At(float64(a)), f.At(float64(ahat))
			d := f.Divergence([]float32{a}, []float32{ahat})
			require.InDelta(t, f.Integral([]float32{a})+dual(yhat)-float64(a)*yhat, d, 1e-12, "%v", f)
			require.InDelta(t, dual(yhat)-dual(y)-float64(a)*(yhat-y), d, 1e-12, "%v", f)
		})
	}
}

// TestConjugateOfSoftmax: F* is the negative entropy, and the divergences are that of
// Kullback and Leibler.
func TestConjugateOfSoftmax(t *testing.T) {
	softmax := func(a []float32) []float64 {
		y, sum := make([]float64, len(a)), 0.0
		for i, v := range a {
			y[i] = math.Exp(float64(v))
			sum += y[i]
		}
		for i := range y {
			y[i] /= sum
		}
		return y
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "n")
		row := rapid.SliceOfN(rapid.Float32Range(-4, 4), n, n)
		a, ahat := row.Draw(t, "A"), row.Draw(t, "Â")
		y, yhat := softmax(a), softmax(ahat)
		young, kl := transfer.Softmax.Integral(a), 0.0
		for i, v := range yhat {
			young += v*math.Log(v) - float64(a[i])*v
			kl += v * math.Log(v/y[i])
		}
		d := transfer.Softmax.Divergence(a, ahat)
		require.InDelta(t, young, d, 1e-12)
		require.InDelta(t, kl, d, 1e-12)
	})
}

// TestSoftplusIntegral against values of Li₂: −Li₂(−1) = π²/12, and the branches meet.
func TestSoftplusIntegral(t *testing.T) {
	at := func(a float32) float64 { return transfer.Softplus.Integral([]float32{a}) }
	assert.InDelta(t, math.Pi*math.Pi/12, at(0), 1e-15)
	assert.InDelta(t, at(0), at(1e-20), 1e-15)
	// The integral over [0, 1], by Simpson's rule with 2000 intervals.
	const n = 2000
	sum := transfer.Softplus.At(0) + transfer.Softplus.At(1)
	for i := 1; i < n; i++ {
		sum += float64(2+2*(i%2)) * transfer.Softplus.At(float64(i)/n)
	}
	assert.InDelta(t, sum/n/3, at(1)-at(0), 1e-14)
	for _, a := range []float32{-50, -3, -1} {
		assert.Positive(t, at(a))
	}
}

// TestTemperedSoftmax: rows sum to 1, F has gradient f and D_F is not negative, for
// temperatures on both sides of 2 and at it.
func TestTemperedSoftmax(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, temp := range []float64{1.01, 1.5, 2, 2.5, 4} {
		f := transfer.TemperedSoftmax(temp)
		for range 20 {
			a, b, y := make([]float32, 6), make([]float32, 6), make([]float32, 6)
			for i := range a {
				a[i], b[i] = float32(3*rng.NormFloat64()), float32(3*rng.NormFloat64())
			}
			f.Eval(y, a)
			var sum float64
			for _, v := range y {
				sum += float64(v)
			}
			assert.InDelta(t, 1, sum, 1e-6)
			assert.GreaterOrEqual(t, f.Divergence(a, b), 0.0)
			assert.Zero(t, f.Divergence(a, a))
			const h = 1.0 / 256
			for j, v := range a {
				at := func(x float64) float64 {
					moved := append([]float32(nil), a...)
					moved[j] = float32(x)
					return f.Integral(moved)
				}
				up, down := float32(float64(v)+h), float32(float64(v)-h)
				slope := (at(float64(up)) - at(float64(down))) / (float64(up) - float64(down))
				assert.InDelta(t, float64(y[j]), slope, 1e-5, "t = %v", temp)
			}
		}
	}
	assert.Equal(t, transfer.Softmax, transfer.TemperedSoftmax(1))
	y, near := make([]float32, 3), make([]float32, 3)
	row := []float32{1, -2, 0.5}
	transfer.Softmax.Eval(y, row)
	transfer.TemperedSoftmax(1+1e-6).Eval(near, row)
	assert.InDeltaSlice(t, y, near, 1e-5)
}

func TestNonMonotoneHaveNoIntegral(t *testing.T) {
	for _, f := range []transfer.Func{transfer.GELU, transfer.SiLU} {
		assert.False(t, f.Monotone())
		assert.True(t, math.IsNaN(f.Integral([]float32{1})))
		assert.True(t, math.IsNaN(f.Divergence([]float32{1}, []float32{2})))
	}
}

func TestRegister(t *testing.T) {
	f, err := transfer.Register("my-tanh", transfer.Custom{
		F:     func(a float32) float32 { return float32(math.Tanh(float64(a))) },
		Deriv: func(_, y float32) float32 { return 1 - float32(y*y) }, Monotone: true, MaxSlope: 1,
	})
	require.NoError(t, err)
	again, err := transfer.Parse("my-tanh")
	require.NoError(t, err)
	assert.Equal(t, f, again)
	assert.Equal(t, "my-tanh", f.String())
	assert.Contains(t, transfer.Known(), "my-tanh")
	assert.Equal(t, transfer.KindCustom, f.Kind())
	slope, ok := f.MaxSlope()
	assert.True(t, ok && slope == 1 && f.Monotone() && !f.RowCoupled())
	a := []float32{-2, 0.5, 3}
	y, want, d, wantD := make([]float32, 3), make([]float32, 3), []float32{1, 2, 3}, []float32{1, 2, 3}
	f.Eval(y, a)
	transfer.Tanh.Eval(want, a)
	f.EvalDeriv(d, a, y)
	transfer.Tanh.EvalDeriv(wantD, a, y)
	assert.Equal(t, want, y)
	assert.Equal(t, wantD, d)
	assert.InDelta(t, transfer.Tanh.Integral(a), f.Integral(a), 1e-6, "quadrature")
	assert.InDelta(t, transfer.Tanh.Divergence(a, d), f.Divergence(a, d), 1e-6)

	row, err := transfer.Register("my-cube", transfer.Custom{
		Row: func(y, a []float32) {
			for i, v := range a {
				y[i] = v * v * v
			}
		},
		Deriv:    func(a, _ float32) float32 { return 3 * a * a },
		Integral: func(a float32) float64 { return math.Pow(float64(a), 4) / 4 },
		Monotone: true,
	})
	require.NoError(t, err)
	assert.Equal(t, 8.0, row.At(2))
	assert.Equal(t, 12.0, row.Deriv(2))
	assert.Equal(t, 4.0, row.Integral([]float32{2}))
	_, ok = row.MaxSlope()
	assert.False(t, ok)

	deriv := func(_, _ float32) float32 { return 1 }
	one := func(a float32) float32 { return a }
	for name, c := range map[string]transfer.Custom{
		"my-tanh": {F: one, Deriv: deriv}, "tanh": {F: one, Deriv: deriv}, "Bad": {F: one, Deriv: deriv}, "a(b)": {F: one, Deriv: deriv},
		"no-deriv": {F: one}, "no-f": {Deriv: deriv}, "steep": {F: one, Deriv: deriv, MaxSlope: math.Inf(1)},
	} {
		_, err := transfer.Register(name, c)
		assert.ErrorContains(t, err, name)
	}
}
