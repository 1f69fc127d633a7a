// Package tune searches for good settings: learning rates along a grid, and points of
// search spaces.
package tune

import (
	"fmt"
	"math"
	"strconv"
)

// Rate is point j of the grid {1, 3}·10ⁱ: 10^(j/2) for even j, 3·10^((j−1)/2) for odd.
func Rate(j int) float64 {
	i := j >> 1
	digit := 1
	if j&1 == 1 {
		digit = 3
	}
	// Parsed, so that the rate is the decimal number nearest to what it says.
	rate, err := strconv.ParseFloat(fmt.Sprintf("%de%d", digit, i), 64)
	if err != nil {
		panic("tune: grid point outside the range of float64")
	}
	return rate
}

// Past is how far a search goes on beyond the best point on either side.
const Past = 2

// Limit bounds the grid points that a search visits: |j| ≤ Limit.
const Limit = 40

// Best searches the grid from point start for the rate with the lowest loss: it walks
// both ways until it is two points past the best. A loss of NaN or +Inf (a diverged
// run) counts as worse than any other. It returns the best point and its loss; found
// is false where every run diverged. An error of measure ends the search.
func Best(start int, measure func(rate float64) (float64, error)) (best int, loss float64, found bool, err error) {
	best, loss = start, math.Inf(1)
	lo, hi := start, start
	visit := func(j int) error {
		l, err := measure(Rate(j))
		if err == nil && l < loss { // false for NaN
			best, loss, found = j, l, true
		}
		return err
	}
	if err := visit(start); err != nil {
		return best, loss, found, err
	}
	for {
		switch {
		case found && hi < best+Past && hi < Limit:
			hi++
			err = visit(hi)
		case (lo > best-Past || !found) && lo > -Limit: // all diverged: only smaller rates can help
			lo--
			err = visit(lo)
		default:
			return best, loss, found, nil
		}
		if err != nil {
			return best, loss, found, err
		}
	}
}
