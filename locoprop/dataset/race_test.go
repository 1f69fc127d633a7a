//go:build race

package dataset

// raceEnabled: the race detector makes loops over pixels many times slower, so tests
// over whole data sets are left to runs without it.
const raceEnabled = true
