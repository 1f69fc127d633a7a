package tune

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRate(t *testing.T) {
	for j, want := range map[int]float64{0: 1, 1: 3, 2: 10, 3: 30, -1: 0.3, -2: 0.1, -9: 3e-5, -10: 1e-5} {
		assert.Equal(t, want, Rate(j), "point %d", j)
	}
}

func TestBestFindsTheLowest(t *testing.T) {
	for target := -12; target <= 4; target++ {
		visited := map[float64]int{}
		best, loss, found, err := Best(-6, func(rate float64) (float64, error) {
			visited[rate]++
			if rate > Rate(target+3) {
				return math.NaN(), nil // diverged
			}
			return math.Abs(math.Log(rate / Rate(target))), nil
		})
		require.NoError(t, err)
		assert.True(t, found)
		assert.Equal(t, target, best)
		assert.Zero(t, loss)
		for j := target - Past; j <= target+Past; j++ {
			assert.Equal(t, 1, visited[Rate(j)], "point %d for target %d", j, target)
		}
	}
}

func TestBestEndsWhereAllDiverge(t *testing.T) {
	_, _, found, err := Best(0, func(float64) (float64, error) { return math.NaN(), nil })
	require.NoError(t, err)
	assert.False(t, found)
}

func TestBestStopsAtAnError(t *testing.T) {
	stop := errors.New("stop")
	runs := 0
	_, _, _, err := Best(0, func(float64) (float64, error) {
		runs++
		if runs == 3 {
			return 0, stop
		}
		return float64(runs), nil
	})
	assert.ErrorIs(t, err, stop)
	assert.Equal(t, 3, runs)
}
