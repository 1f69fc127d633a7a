//go:build race

package backendtest

// raceDetector: the race detector makes the float64 formulas some ten times slower, and
// what it looks for doesn't depend on the size of a shape.
const raceDetector = true
