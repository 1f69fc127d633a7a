package transfer_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The bounds that docs/method.md states, in units of 2⁻⁵³ of the value. Values below
// leastNormal have fewer digits, or none.
const (
	potentialBound  = 16
	divergenceBound = 64
	leastNormal     = 1e-290
)

// unitsOff is the relative error in units of 2⁻⁵³.
func unitsOff(got float64, want *big.Float) float64 {
	off, _ := over(minus(wide(got), want), want).Float64()
	return math.Abs(off) * 0x1p53
}

// exponents visits floats of every exponent and both signs, denormals too, about each
// step-th, a prime; with -short an eleventh of them.
func exponents(step uint32, visit func(v float32)) {
	const infinity = 0x7f800000
	if testing.Short() {
		step *= 11
	}
	for bits := uint32(0); bits < infinity; bits += step {
		visit(math.Float32frombits(bits))
		visit(-math.Float32frombits(bits))
	}
}

// TestIntegralOfEveryMagnitude: F loses no digits where it is small, and doesn't overflow.
func TestIntegralOfEveryMagnitude(t *testing.T) {
	for _, f := range monotone {
		worst, at := 0.0, float32(0)
		exponents(2000003, func(v float32) {
			got := f.Integral([]float32{v})
			if f == transfer.Exp && v > 709 {
				return
			}
			want := bigF(f, float64(v))
			if w, _ := want.Float64(); w < leastNormal {
				require.LessOrEqual(t, got, leastNormal, "%v(%v)", f, v)
				require.GreaterOrEqual(t, got, 0.0, "%v(%v)", f, v)
				return
			}
			if off := unitsOff(got, want); !(off <= worst) {
				worst, at = off, v
			}
		})
		t.Logf("F of %v: %.2f units of 2⁻⁵³, at %v", f, worst, at)
		assert.LessOrEqual(t, worst, float64(potentialBound), "%v at %v", f, at)
	}
}

// TestDivergenceOfEveryMagnitude: nor does D_F, between neighbours, near points and far
// ones, across 0 and across kinks.
func TestDivergenceOfEveryMagnitude(t *testing.T) {
	for _, f := range monotone {
		worst, at, from := 0.0, float32(0), float32(0)
		exponents(8388617, func(ahat float32) {
			if f == transfer.Exp && ahat > 600 {
				return
			}
			start, slope := bigF(f, float64(ahat)), bigAt(f, float64(ahat))
			for _, a := range []float32{
				math.Nextafter32(ahat, 1e38), math.Nextafter32(ahat, -1e38), ahat * (1 + 0x1p-12), ahat + 0.3, ahat - 0.9, ahat + 2.5, ahat - 70,
				-ahat, 0, 3 * ahat,
			} {
				if math.IsInf(float64(a), 0) || f == transfer.Exp && a > 700 {
					continue
				}
				got := f.Divergence([]float32{a}, []float32{ahat})
				if a == ahat {
					require.Zero(t, got, "%v, %v", f, a)
					continue
				}
				want := minus(minus(bigF(f, float64(a)), start), times(slope, minus(wide(float64(a)), wide(float64(ahat)))))
				if w, _ := want.Float64(); w < leastNormal {
					require.LessOrEqual(t, got, leastNormal, "%v, from %v to %v", f, ahat, a)
					require.GreaterOrEqual(t, got, 0.0, "%v, from %v to %v", f, ahat, a)
					continue
				}
				if off := unitsOff(got, want); !(off <= worst) {
					worst, at, from = off, a, ahat
				}
			}
		})
		t.Logf("D_F of %v: %.2f units of 2⁻⁵³, from %v to %v", f, worst, from, at)
		assert.LessOrEqual(t, worst, float64(divergenceBound), "%v, from %v to %v", f, from, at)
	}
}

// bigRow is log Σ eᵃ and softmax of a row.
func bigRow(a []float32) (lse *big.Float, y []*big.Float) {
	top := math.Inf(-1)
	for _, v := range a {
		top = math.Max(top, float64(v))
	}
	sum := wide(0)
	for _, v := range a {
		y = append(y, bigExp(minus(wide(float64(v)), wide(top))))
		sum = plus(sum, y[len(y)-1])
	}
	for i := range y {
		y[i] = over(y[i], sum)
	}
	return plus(wide(top), bigLog(sum)), y
}

// rows visits a few rows for each exponent; with -short for an eleventh of them.
func rows(visit func(a []float32, rng *rand.Rand)) {
	rng, step := rand.New(rand.NewPCG(7, 7)), 1
	if testing.Short() {
		step = 11
	}
	for exponent := -149; exponent < 128; exponent += step {
		for _, length := range []int{1, 2, 9} {
			a := make([]float32, length)
			for i := range a {
				a[i] = float32(math.Ldexp(2*rng.Float64()-1, exponent))
			}
			visit(a, rng)
		}
	}
}

// TestSoftmaxOfEveryMagnitude: softmax to one rounding, and log Σ eᵃ to 4 units of 2⁻⁵³ of
// max|a| + log m + 1.
func TestSoftmaxOfEveryMagnitude(t *testing.T) {
	rows(func(a []float32, _ *rand.Rand) {
		lse, want := bigRow(a)
		y := make([]float32, len(a))
		transfer.Softmax.Eval(y, a)
		for i, v := range y {
			w, _ := want[i].Float64()
			require.InDelta(t, w, float64(v), 0.51*ulp(w), "%v", a)
		}
		most := 1 + math.Log(float64(len(a)))
		for _, v := range a {
			most = math.Max(most, math.Abs(float64(v))+1+math.Log(float64(len(a))))
		}
		off, _ := minus(wide(transfer.LogSumExp(a)), lse).Float64()
		require.LessOrEqual(t, math.Abs(off), 4*0x1p-53*most, "%v", a)
	})
}

// TestSoftmaxDivergenceOfEveryMagnitude: D_F of rows that are moved by as much as they
// are large, by a little, and by a shift that nearly all of them share. What is left of a
// shift by rounding has an effect of its square.
func TestSoftmaxDivergenceOfEveryMagnitude(t *testing.T) {
	worst := 0.0
	rows(func(ahat []float32, rng *rand.Rand) {
		lse, y := bigRow(ahat)
		for _, share := range []float64{1, 0x1p-4, 0x1p-12, 0x1p-22} {
			for _, shift := range []float64{0, 1} {
				a := make([]float32, len(ahat))
				for i, v := range ahat {
					a[i] = float32(float64(v)*(1+share*rng.NormFloat64()) + shift)
				}
				if slices.ContainsFunc(a, func(v float32) bool { return math.IsInf(float64(v), 0) }) {
					continue
				}
				end, _ := bigRow(a)
				want, most := minus(end, lse), 0.0
				for i := range a {
					want = minus(want, times(y[i], minus(wide(float64(a[i])), wide(float64(ahat[i])))))
					for j := range a {
						most = math.Max(most, math.Abs((float64(a[i])-float64(ahat[i]))-(float64(a[j])-float64(ahat[j]))))
					}
				}
				got := transfer.Softmax.Divergence(a, ahat)
				require.GreaterOrEqual(t, got, 0.0)
				w, _ := want.Float64()
				off, _ := minus(wide(got), want).Float64()
				limit := divergenceBound*0x1p-53*w + (0x1p-50*most)*(0x1p-50*most) + leastNormal
				if most > 600 { // by exponents
					limit += 8 * 0x1p-53 * most
				}
				require.LessOrEqual(t, math.Abs(off), limit, "from %v to %v", ahat, a)
				if most < 600 && w > 0x1p-60*most*most && w > leastNormal {
					worst = math.Max(worst, math.Abs(off)/w*0x1p53)
				}
			}
		}
	})
	t.Logf("D_F of softmax: %.2f units of 2⁻⁵³", worst)
}

// TestTemperedPotential: F and D_F of tempered softmax by another way, to an absolute error
// of 1e-11 of 1 + max|a|.
func TestTemperedPotential(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, temperature := range []float64{1.01, 1.2, 1.9, 2, 2.5} {
		f := transfer.TemperedSoftmax(temperature)
		for exponent := -40; exponent < 14; exponent++ {
			a, b := make([]float32, 5), make([]float32, 5)
			most := 1.0
			for i := range a {
				a[i], b[i] = float32(math.Ldexp(rng.NormFloat64(), exponent)), float32(math.Ldexp(rng.NormFloat64(), exponent))
				most = math.Max(most, 1+math.Max(math.Abs(float64(a[i])), math.Abs(float64(b[i]))))
			}
			require.InDelta(t, oracle.Integral(f, rowMat(a).Data)-oracle.Integral(f, rowMat(b).Data), f.Integral(a)-f.Integral(b), 1e-11*most, "%v: %v, %v", f, a, b)
			require.InDelta(t, oracle.Divergence(f, rowMat(a), rowMat(b)), f.Divergence(a, b), 1e-11*most, "%v: %v, %v", f, a, b)
		}
	}
}

// TestDivergenceOfSpecialValues: a NaN stays one.
func TestDivergenceOfSpecialValues(t *testing.T) {
	nan := float32(math.NaN())
	for _, f := range append(monotone[:len(monotone):len(monotone)], transfer.Softmax) {
		assert.True(t, math.IsNaN(f.Divergence([]float32{nan, 1}, []float32{1, 2})), "%v", f)
		assert.True(t, math.IsNaN(f.Divergence([]float32{2, 1}, []float32{1, nan})), "%v", f)
		assert.Zero(t, f.Divergence(nil, nil), "%v", f)
	}
}
