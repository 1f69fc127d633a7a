package dataset

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
)

// Order writes the order in which an epoch (0, 1, …) visits the examples into dst:
// a random permutation of 0 … len(dst)−1 that depends on seed and epoch only. Batch i
// of size B is dst[iB : (i+1)B].
func Order(dst []int, seed uint32, epoch int) {
	philox.Permutation(dst, seed, philox.Order, uint64(epoch))
}

// windowBlocks is the number of pieces of the data that a window is made of.
const windowBlocks = 16

// OrderWithin is [Order] for data that is read faster in pieces than at random, such as
// a file larger than memory. The n = len(dst) examples are cut into blocks of
//
//	b = max(1, ⌊window/16⌋)
//
// neighbours, the last of which may be short; the blocks follow one another in a random
// order, and every window entries of that sequence, from its start, are shuffled among
// themselves. So while a window lasts, all reading is within 16 or 17 blocks, each of
// them contiguous. Order of blocks and shuffles are functions of seed and epoch, and no
// epoch has the windows of another. A window that is 0 or holds all examples gives Order
// itself; a negative one panics. It allocates n/b integers.
func OrderWithin(dst []int, seed uint32, epoch, window int) {
	n := len(dst)
	switch {
	case window < 0:
		panic("dataset: window is negative")
	case window == 0 || window >= n:
		Order(dst, seed, epoch)
		return
	}
	b := max(1, window/windowBlocks)
	blocks := make([]int, (n+b-1)/b)
	philox.Permutation(blocks, seed, philox.Order, uint64(epoch))
	filled := 0
	for _, block := range blocks {
		for i := block * b; i < min(block*b+b, n); i++ {
			dst[filled] = i
			filled++
		}
	}
	for k, lo := uint64(1), 0; lo < n; k, lo = k+1, lo+window {
		philox.Shuffle(dst[lo:min(lo+window, n)], seed, philox.Order, k<<32|uint64(epoch))
	}
}

// holdOut picks the examples of a file that are for testing and those that are left for
// training, both in their own order. The tested ones are the first
//
//	k = ⌊share·n + ½⌋, at least 1 and at most n−1
//
// of a permutation that seed alone decides.
func holdOut(n int, share float64, seed uint32) (train, test []int) {
	k := min(max(int(math.Floor(float64(share*float64(n))+0.5)), 1), n-1)
	order := make([]int, n)
	philox.Permutation(order, seed, philox.Split, 0)
	held := make([]bool, n)
	for _, i := range order[:k] {
		held[i] = true
	}
	train, test = order[:0:n-k], make([]int, 0, k) // the permutation has done its work
	for i, h := range held {
		if h {
			test = append(test, i)
		} else {
			train = append(train, i)
		}
	}
	return train, test
}
