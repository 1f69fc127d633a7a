package backendtest

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
)

// epsilon is the unit round-off of float32: an operation's result is off by at most
// this much of itself.
const epsilon = 1.0 / (1 << 24)

// tiny is a few quanta of the smallest denormals, where relative errors end.
const tiny = 8 * math.SmallestNonzeroFloat32

// operation is one kernel with one set of options. The same operation serves as test
// against float64 formulas, as test of the contract and as benchmark.
type operation struct {
	name string
	prep func(a *arena, s Shape) call
	// thin marks options that the larger shapes add nothing to.
	thin bool
}

// shapes lists the shapes that the operation is checked on.
func (op operation) shapes() []Shape {
	switch {
	case raceDetector:
		return upTo(20_000)
	case testing.Short():
		return upTo(300_000)
	case op.thin:
		return upTo(600_000)
	}
	return Shapes()
}

// call is an operation on given matrices.
type call struct {
	run  func(k backend.Kernels)
	outs []backend.Mat // what run overwrites
	sum  *float64      // what run adds up (Loss), or nil
	// want gives what each out and sum must be. It reads the inputs, so it is called
	// before run.
	want func() expected
	// flops counts the multiplications and additions that the mathematics needs; bytes
	// the floats × 4 that must move. One of them rates a benchmark.
	flops, bytes float64
}

// expected holds float64 results and how far a backend may be from each.
type expected struct {
	outs, bounds  []oracle.Mat
	sum, sumBound float64
}

func operations() []operation {
	var ops []operation
	ops = append(ops, products()...)
	ops = append(ops, gemms()...)
	ops = append(ops, syrks()...)
	ops = append(ops, transfers()...)
	ops = append(ops, losses()...)
	ops = append(ops, residuals()...)
	ops = append(ops, updates()...)
	ops = append(ops, factored()...)
	ops = append(ops, secants()...)
	return ops
}

// dotBound is how far a float32 dot product of k terms may be from the exact one:
//
//	(4 + √k)·ε·Σ|aᵢ||bᵢ|
//
// Each of the k additions is off by at most ε times a partial sum, itself at most
// Σ|aᵢ||bᵢ|; the errors' signs vary, so they grow like √k and not like k. The 4 covers
// products, α and β.
func dotBound(absolute oracle.Mat, k int) oracle.Mat {
	return absolute.Map(func(v float64) float64 { return (4+math.Sqrt(float64(k)))*epsilon*v + tiny })
}

func absolute(m oracle.Mat) oracle.Mat { return m.Map(math.Abs) }

// scaled is s·|m| + tiny, for bounds.
func scaled(s float64, m oracle.Mat) oracle.Mat {
	return m.Map(func(v float64) float64 { return s*math.Abs(v) + tiny })
}

// combine is the matrix of f(x, y) over elements.
func combine(x, y oracle.Mat, f func(x, y float64) float64) oracle.Mat {
	r := oracle.New(x.Rows, x.Cols)
	for i := range r.Data {
		r.Data[i] = f(x.Data[i], y.Data[i])
	}
	return r
}

// one wraps the result of an operation with a single output.
func one(value, bound oracle.Mat) expected {
	return expected{outs: []oracle.Mat{value}, bounds: []oracle.Mat{bound}}
}
