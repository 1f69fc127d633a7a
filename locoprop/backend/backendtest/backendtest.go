// Package backendtest is the conformance suite of package backend: [Run] checks an
// implementation of backend.Kernels against float64 formulas and against the contract
// of the interface, [Against] checks it against another implementation, [Bench]
// measures it. All three go over the same operations, options and shapes
// (shapes.txt).
//
//	func TestConformance(t *testing.T) { backendtest.Run(t, mybackend.New()) }
//
// A tolerance is a constant times the unit round-off of float32 times a magnitude;
// the reason stands where it is computed.
package backendtest

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
)

// Run runs the whole suite on k. Under -short it leaves out the larger shapes.
func Run(t *testing.T, k backend.Kernels) {
	t.Run("Info", func(t *testing.T) { testInfo(t, k) })
	t.Run("Formulas", func(t *testing.T) { testFormulas(t, k) })
	t.Run("Dense", func(t *testing.T) { testDense(t, k) })
	t.Run("Gradients", func(t *testing.T) { testGradients(t, k) })
	t.Run("SpecialValues", func(t *testing.T) { testSpecialValues(t, k) })
	t.Run("Empty", func(t *testing.T) { testEmpty(t, k) })
	t.Run("Panics", func(t *testing.T) { testPanics(t, k) })
	t.Run("Position", func(t *testing.T) { testPosition(t, k) })
	t.Run("Alignment", func(t *testing.T) { testAlignment(t, k) })
	t.Run("Concurrency", func(t *testing.T) { testConcurrency(t, k) })
	t.Run("Allocations", func(t *testing.T) { testAllocations(t, k) })
	t.Run("SolveBlock", func(t *testing.T) { testSolveBlock(t, k) })
	t.Run("Panels", func(t *testing.T) { testPanels(t, k) })
	t.Run("Solvers", func(t *testing.T) { testSolvers(t, k) })
}

func testInfo(t testing.TB, k backend.Kernels) {
	i := k.Info()
	if i.Name == "" || i.Detail == "" {
		t.Errorf("Info() = %+v: name and detail must say what this is", i)
	}
	if i.MaxWorkers < 0 || (i.MaxWorkers > 0) != (i.LimitedBy != "") {
		t.Errorf("Info() = %+v: a limit on workers needs its reason, and only a limit does", i)
	}
}

// testFormulas checks every operation on every shape: the first layout against float64
// formulas, the others against the bits of the first, a second run against the bits of
// the first run; and that nothing but the outputs was written.
func testFormulas(t *testing.T, k backend.Kernels) {
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			for n, s := range op.shapes() {
				checkFormula(t, k, op, s, uint64(n))
			}
		})
	}
}

func checkFormula(t testing.TB, k backend.Kernels, op operation, s Shape, seed uint64) {
	t.Helper()
	var first []float32
	var sum float64
	for i, l := range layouts {
		a := newArena(seed, l)
		c := op.prep(a, s)
		var want expected
		if i == 0 {
			want = c.want()
		}
		c.run(k)
		a.check(t)
		got := snapshot(c.outs)
		if i == 0 {
			first = got
			compare(t, s.String(), c, want, 1)
			sum = total(c)
		} else if d := sameBits(got, first); d != "" || total(c) != sum {
			t.Fatalf("%v: layout %q gives other bits than %q: %s, sum %v and %v", s, l.name, layouts[0].name, d, total(c), sum)
		}
		a.refresh()
		c.run(k)
		if d := sameBits(snapshot(c.outs), first); d != "" || total(c) != sum {
			t.Fatalf("%v: a second run gives other bits: %s, sum %v and %v", s, d, total(c), sum)
		}
	}
}

func total(c call) float64 {
	if c.sum == nil {
		return 0
	}
	return *c.sum
}

// compare fails the test where an output is off by more than factor times its bound.
func compare(t testing.TB, what string, c call, want expected, factor float64) {
	t.Helper()
	for n, m := range c.outs {
		got := oracle.From32(m)
		for i, v := range got.Data {
			w, bound := want.outs[n].Data[i], factor*want.bounds[n].Data[i]
			if !(math.Abs(v-w) <= bound) {
				t.Fatalf("%s: output %d, element (%d, %d): got %.9g, want %.9g ± %.2g (off by %.2g)",
					what, n, i/m.Cols, i%m.Cols, v, w, bound, math.Abs(v-w))
			}
		}
	}
	if c.sum != nil && !(math.Abs(*c.sum-want.sum) <= factor*want.sumBound) {
		t.Fatalf("%s: sum: got %.12g, want %.12g ± %.2g", what, *c.sum, want.sum, factor*want.sumBound)
	}
}
