package dataset

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

func TestParseScale(t *testing.T) {
	for _, text := range []string{"none", "unit", "standard", "255", "0.5", "1e-06"} {
		s, err := ParseScale(text)
		require.NoError(t, err)
		assert.Equal(t, text, s.String())
	}
	for _, text := range []string{"", "Unit", "0", "-1", "inf", "nan"} {
		_, err := ParseScale(text)
		assert.ErrorContains(t, err, "must be none, unit, standard or a finite number above 0", text)
	}
}

// Against the formulas, over more examples than one chunk; columns of very different
// size, far from 0, and constant ones.
func TestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, dim := rapid.SampledFrom([]int{1, 2, 127, 128, 129, 300}).Draw(t, "n"), rapid.IntRange(1, 4).Draw(t, "dim")
		x := rapid.SliceOfN(rapid.Float64Range(-1, 1), n*dim, n*dim).Draw(t, "x")
		centre := rapid.SliceOfN(rapid.SampledFrom([]float64{0, 1.7e9, -3e-5}), dim, dim).Draw(t, "centre")
		size := rapid.SliceOfN(rapid.SampledFrom([]float64{0, 1, 1e4, 1e-9}), dim, dim).Draw(t, "size")
		columns := make([][]float64, dim)
		for i := range x {
			x[i] = math.Round(1e6*x[i]) / 1e6 // squares of much smaller ones would be 0
			x[i] = centre[i%dim] + size[i%dim]*x[i]
			columns[i%dim] = append(columns[i%dim], x[i])
		}
		s, err := NewNumbers(x, dim, nil)
		require.NoError(t, err)
		for _, kind := range []ScaleKind{ScaleUnit, ScaleStandard} {
			f, err := Scale{Kind: kind}.Fit(t.Context(), s)
			require.NoError(t, err)
			got := values(t, Scaled(s, f))
			for j, c := range columns {
				low, high := slices.Min(c), slices.Max(c)
				mean, deviation := stat.PopMeanStdDev(c, nil)
				shift, divisor := mean, deviation
				if kind == ScaleUnit {
					shift, divisor = low, high-low
				}
				if low == high {
					shift, divisor = low, 1
				}
				// Rounding of a mean of n numbers is a few ulps of the numbers.
				ulps := 16 * 0x1p-52 * max(math.Abs(low), math.Abs(high))
				require.InDelta(t, shift, f.Shift[j], ulps)
				require.InDelta(t, divisor, f.Divisor[j], ulps+1e-12*divisor)
				for i, v := range c {
					require.Equal(t, float32((v-f.Shift[j])/f.Divisor[j]), got[i*dim+j])
				}
				if kind == ScaleUnit && low < high {
					require.Equal(t, float32(0), got[slices.Index(c, low)*dim+j])
					require.Equal(t, float32(1), got[slices.Index(c, high)*dim+j])
				}
				if low == high {
					require.Equal(t, float32(0), got[j])
				}
			}
		}
	})
}

func stored(t *testing.T, dim int, x ...float64) *Numbers {
	t.Helper()
	s, err := NewNumbers(x, dim, nil)
	require.NoError(t, err)
	return s
}

func TestRescale(t *testing.T) {
	f, err := Scale{}.Fit(t.Context(), stored(t, 1, 3))
	require.NoError(t, err)
	assert.Nil(t, f)

	d := &Data{Train: stored(t, 2, 0, 10, 4, 30), Test: stored(t, 2, -1, 15, 9, 20)}
	f, err = Scale{Kind: ScaleUnit}.Fit(t.Context(), d.Train)
	require.NoError(t, err)
	require.NoError(t, d.Rescale(f))
	assert.Equal(t, []float32{0, 0, 1, 1}, values(t, d.Train))
	assert.Equal(t, []float32{0, 0.25, 1, 0.5}, values(t, d.Test), "beyond the training values: held in [0, 1]")
	assert.ErrorContains(t, d.Rescale(f), "scaled already")
	require.NoError(t, d.Rescale(nil))

	b, err := NewBytes([]byte{0, 51, 102, 255}, []int{2}, 255, nil)
	require.NoError(t, err)
	f, err = Scale{Kind: ScaleStandard}.Fit(t.Context(), b)
	require.NoError(t, err)
	got := values(t, Scaled(b, f))
	for i, want := range []float32{-1, -1, 1, 1} { // two numbers are one deviation from their mean
		assert.InDelta(t, want, got[i], 1e-6)
	}
	f, err = Scale{ScaleDivide, 2}.Fit(t.Context(), b)
	require.NoError(t, err)
	assert.Equal(t, []float32{0, 0.1, 0.2, 0.5}, values(t, Scaled(b, f)))
	assert.ErrorContains(t, (&Data{Train: stored(t, 1, 3)}).Rescale(f), "2 shifts and 2 divisors; examples have 1 values")

	_, err = Scale{Kind: ScaleUnit}.Fit(t.Context(), stored(t, 2, 0, 0, 0, math.NaN()))
	require.ErrorIs(t, err, ErrData)
	assert.ErrorContains(t, err, "training example 1, place 1: NaN can't be scaled")
	_, err = Scale{Kind: ScaleUnit}.Fit(t.Context(), stored(t, 1, -1.7e308, 1.7e308))
	assert.ErrorContains(t, err, "divisor +Inf")
}

// A number far from 0 keeps what float32 would drop: it is scaled before it is rounded.
func TestScalingIsRoundedOnce(t *testing.T) {
	s := stored(t, 1, 1.7e9, 1.7e9+1, 1.7e9+2)
	f, err := Scale{Kind: ScaleUnit}.Fit(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, []float32{0, 0.5, 1}, values(t, Scaled(s, f)))
	part := s.subset([]int{2, 0})
	assert.Equal(t, []float32{1, 0}, values(t, Scaled(part, f)))
}
