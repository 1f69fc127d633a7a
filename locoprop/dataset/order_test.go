package dataset

import (
	"slices"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Every window reads from at most 17 pieces of the data, each contiguous; all of it once.
func TestOrderWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, window := rapid.IntRange(1, 3000).Draw(t, "n"), rapid.IntRange(0, 600).Draw(t, "window")
		seed, epoch := rapid.Uint32().Draw(t, "seed"), rapid.IntRange(0, 9).Draw(t, "epoch")
		order, again := make([]int, n), make([]int, n)
		OrderWithin(order, seed, epoch, window)
		OrderWithin(again, seed, epoch, window)
		require.Equal(t, order, again)
		if window > 0 && window < n {
			b := max(1, window/16)
			for lo := 0; lo < n; lo += window {
				blocks := map[int]bool{}
				for _, i := range order[lo:min(lo+window, n)] {
					blocks[i/b] = true
				}
				// a window may begin and end within a block, and hold the short last one too
				require.LessOrEqual(t, len(blocks), (window+b-1)/b+2)
			}
		} else {
			Order(again, seed, epoch)
			require.Equal(t, again, order)
		}
		slices.Sort(order)
		for i, v := range order {
			require.Equal(t, i, v)
		}
	})
}

func TestOrderWithinChanges(t *testing.T) {
	const n, window = 2000, 160
	var orders [][]int
	for _, c := range [][2]int{{1, 0}, {1, 1}, {2, 0}} {
		order := make([]int, n)
		OrderWithin(order, uint32(c[0]), c[1], window)
		for _, o := range orders {
			assert.NotEqual(t, o, order)
			// Were the windows the same pieces in another order, what is learnt from
			// together would be the same in every epoch.
			first := slices.Sorted(slices.Values(order[:window]))
			assert.NotEqual(t, slices.Sorted(slices.Values(o[:window])), first)
		}
		orders = append(orders, order)
	}
	shuffled := 0
	for i := range window - 1 {
		if orders[0][i+1] == orders[0][i]+1 {
			shuffled++
		}
	}
	assert.Less(t, shuffled, 10, "neighbours of the file don't stay neighbours")
	assert.Panics(t, func() { OrderWithin(nil, 1, 0, -1) })
}

// Windows are shuffled each in its own way: after an order of blocks that is known, the
// places that the entries of two windows take differ.
func TestOrderWithinShufflesEachWindow(t *testing.T) {
	const window, b, n = 160, 10, 320
	blocks := make([]int, n/b)
	philox.Permutation(blocks, 1, philox.Order, 5)
	order := make([]int, n)
	OrderWithin(order, 1, 5, window)
	var places [2][]int
	for i := range n {
		example := blocks[i/b]*b + i%b
		at := slices.Index(order, example)
		require.Equal(t, i/window, at/window, "an example stays in its window")
		places[i/window] = append(places[i/window], at%window)
	}
	assert.NotEqual(t, places[0], places[1])
}

func TestHoldOut(t *testing.T) {
	for _, c := range []struct {
		n     int
		share float64
		want  int
	}{{2, 0.001, 1}, {2, 0.999, 1}, {10, 0.2, 2}, {10, 0.25, 3}, {1000, 0.1, 100}} {
		train, test := holdOut(c.n, c.share, 3)
		assert.Len(t, test, c.want)
		assert.True(t, slices.IsSorted(train) && slices.IsSorted(test))
		all := slices.Sorted(slices.Values(append(slices.Clone(train), test...)))
		for i, v := range all {
			require.Equal(t, i, v)
		}
		require.Len(t, all, c.n)
	}
	_, a := holdOut(1000, 0.1, 3)
	_, b := holdOut(1000, 0.1, 4)
	assert.NotEqual(t, a, b)
	_, b = holdOut(1000, 0.1, 3)
	assert.Equal(t, a, b)
}
