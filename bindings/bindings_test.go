//go:build cgo && !purego

package bindings

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/locoprop/locoprop-go/csrc"
)

func TestCheck(t *testing.T) {
	if err := Check(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(csrc.Header, "#define LP_ABI") {
		t.Error("csrc.Header isn't the C header")
	}
}

// Every function is called once with memory that it may use, twice over: allocations are
// counted, and the results are checked where one number shows that the arguments arrived
// in order. What the functions compute is tested in csrc/tests and by the backends.
func calls() map[string]func() error {
	const n = 4
	m := func() *float32 {
		s := make([]float32, n*n)
		for i := range s {
			s[i] = 0.25
		}
		return &s[0]
	}
	a, b, c, d, e := m(), m(), m(), m(), m()
	top, biases := m(), m()
	l, x, w := make([]float64, n*n), make([]float64, n*n), make([]float64, n)
	identity := func() {
		for i := range l {
			l[i] = 0
		}
		for i := range n {
			l[i*n+i] = 4
		}
	}
	work := make([]float64, SymEigWork(n))
	scratch := make([]float32, SolveDirectScratch(n, n, n))
	rule := &Rule{Kind: 8, C: [8]float32{0.1, 0.9, 0.1, 0.999, 0.001, 1e-8, 1, 0}}
	const tanh, sigmoid, sigmoidCE = 1, 3, 0
	return map[string]func() error{
		"Affine":        func() error { return Affine(n, n, n, a, n, b, n, c, n) },
		"Backprop":      func() error { return Backprop(n, n, n, a, n, b, n, c, n) },
		"Grad":          func() error { return Grad(n, n, n, a, n, b, n, c, n) },
		"Gemm":          func() error { return Gemm(false, true, n, n, n, 1, b, n, c, n, 0, a, n) },
		"Syrk":          func() error { return Syrk(true, n, n, 1, b, n, 0, a, n) },
		"Cholesky":      func() error { identity(); return Cholesky(n, &l[0]) },
		"Solve":         func() error { identity(); return Solve(n, n, &l[0], &x[0]) },
		"SymEig":        func() error { identity(); return SymEig(n, &l[0], &w[0], &work[0], len(work)) },
		"Apply":         func() error { return Apply(n, n, a, n, b, n, tanh, 0) },
		"Chain":         func() error { return Chain(n, n, a, n, b, n, c, n, tanh, 0) },
		"Loss":          func() error { _, err := Loss(n, n, a, n, b, n, c, n, d, n, sigmoid, 0, sigmoidCE, 0, 1); return err },
		"Residual":      func() error { return Residual(n, n, a, n, b, n, c, n, d, n, e, n, tanh, 0) },
		"Scale":         func() error { return Scale(n, n, a, n, b, n, 2) },
		"Update":        func() error { return Update(rule, n, n, a, n, b, n, c, n, d, n, e, n, nil, 0) },
		"AddInto":       func() error { return AddInto(n, n, a, n, b, n) },
		"SM3":           func() error { return SM3(n, n, a, n, b, n, c, n, d, e, top, biases, 0.1, 0.9, 0.1) },
		"SquareSums":    func() error { return SquareSums(n, n, b, n, &x[0], &x[n]) },
		"ScaledSquares": func() error { _, err := ScaledSquares(n, n, b, n, c, d); return err },
		"ScaledStep":    func() error { return ScaledStep(n, n, a, n, b, n, c, d) },
		"SolveDirect": func() error {
			return SolveDirect(n, n, n, a, n, b, n, b, n, b, n, c, n, d, n, e, n, nil, 0, tanh, 0, 1, rule, 1, &scratch[0], len(scratch))
		},
		"FMAPeak": func() error { FMAPeak(1); return nil },
		"Threads": func() error { Threads(); return nil },
	}
}

func TestCallsAllocateNothing(t *testing.T) {
	for name, call := range calls() {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if allocs := testing.AllocsPerRun(20, func() { _ = call() }); allocs != 0 {
			t.Errorf("%s: %v allocations per call, want 0", name, allocs)
		}
	}
}

func TestResults(t *testing.T) {
	x, y := []float32{1, 2, 3, 4, 5, 6}, []float32{1, 0, -1, 2, 2, 2}
	out := make([]float32, 4)
	if err := Affine(2, 3, 2, &out[0], 2, &x[0], 3, &y[0], 3); err != nil {
		t.Fatal(err)
	}
	if want := [4]float32{-2, 12, -2, 30}; [4]float32(out) != want {
		t.Errorf("Affine: %v, want %v", out, want)
	}
	sum, err := Loss(1, 2, nil, 0, &[]float32{0, 0}[0], 2, &[]float32{0.5, 0.5}[0], 2, &[]float32{1, 0}[0], 2, 3, 0, 0, 0, 1)
	if err != nil || math.Abs(sum-2*math.Ln2) > 1e-6 {
		t.Errorf("Loss: %v, %v, want 2 log 2", sum, err)
	}
	sums := make([]float64, 5)
	if err := SquareSums(2, 3, &x[0], 3, &sums[0], &sums[2]); err != nil || [5]float64(sums) != [5]float64{14, 77, 17, 29, 45} {
		t.Errorf("SquareSums: %v, %v", sums, err)
	}
	if sum, err := ScaledSquares(2, 1, &x[0], 3, &y[3], &x[2]); err != nil || sum != 36+36*16 {
		t.Errorf("ScaledSquares: %v, %v, want (2·1·3)² + (2·4·3)²", sum, err)
	}
	if err := ScaledStep(1, 2, &out[0], 2, &x[0], 6, &x[2], &y[2]); err != nil || [2]float32(out) != [2]float32{1, 0} {
		t.Errorf("ScaledStep: %v, %v, want −2 − 3·1·−1 and 12 − 3·2·2", out[:2], err)
	}
	w, m, r, b := []float32{5, 7}, []float32{8, 8}, []float32{4}, []float32{7}
	top := []float32{1}
	// ν = min(4, 5) + 0 and 7 + 3²; steps of ½·(½·8 + ½·g/√ν).
	if err := SM3(1, 2, &w[0], 2, &[]float32{0, 3}[0], 2, &m[0], 2, &r[0], &[]float32{5}[0], &top[0], &b[0], 0.5, 0.5, 0.5); err != nil ||
		w[0] != 3 || w[1] != 7-0.5*(4+0.375) || m[1] != 4.375 || r[0] != 4 || top[0] != 4 || b[0] != 16 {
		t.Errorf("SM3: w %v, m %v, r %v, top %v, b %v, %v", w, m, r, top, b, err)
	}
	weight, g := float32(3), float32(2)
	if err := Update(&Rule{C: [8]float32{0.5}}, 1, 1, &weight, 1, nil, 0, &g, 1, nil, 0, nil, 0, nil, 0); err != nil || weight != 2 {
		t.Errorf("Update: %v, %v, want 2", weight, err)
	}
}

func TestErrors(t *testing.T) {
	var e *Error
	x := make([]float32, 9)
	err := Affine(3, 3, 3, &x[0], 3, &x[0], 2, &x[0], 3)
	if !errors.As(err, &e) || *e != (Error{Func: "lp_affine", Status: Stride, Arg: 7, Got: 2, Want: 3}) {
		t.Errorf("stride below the width: %#v", err)
	}
	const want = "lp_affine: argument 7: stride below the width of a row (got 2, want 3)"
	if err.Error() != want {
		t.Errorf("error text %q, want %q", err, want)
	}
	err = Scale(1, math.MinInt32, &x[0], 1, &x[0], 1, 1)
	if !errors.As(err, &e) || e.Status != Size || e.Got != math.MinInt32 {
		t.Errorf("negative size: %v", err)
	}
	err = Affine(1, 1<<31, 1, &x[0], 1, &x[0], 1<<31, &x[0], 1<<31)
	if !errors.As(err, &e) || e.Status != Size || e.Want != math.MaxInt32 {
		t.Errorf("size above 32 bits: %v", err)
	}
	if _, err := Loss(1, 1, nil, 0, nil, 1, nil, 1, nil, 1, 0, 0, 2, 0, 1); err == nil {
		t.Error("nil matrices with elements: no error")
	}
}

// The first acquisition sets one thread, the last release restores what was there.
func TestSingleThread(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	SetThreads(2)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(AcquireSingleThread)
	}
	wait.Wait()
	for i := range 8 {
		if n := Threads(); n != 1 {
			t.Errorf("after %d of 8 releases: %d threads, want 1", i, n)
		}
		ReleaseSingleThread()
	}
	if n := Threads(); n != 2 {
		t.Errorf("after the last release: %d threads, want 2", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("one release too many doesn't panic")
		}
	}()
	ReleaseSingleThread()
}

func TestInfo(t *testing.T) {
	i := GetInfo()
	if !strings.HasPrefix(i.OpenBLAS, "OpenBLAS ") || i.Core == "" || i.SIMD == "" || i.Compiler == "" || i.MaxThreads < 1 {
		t.Errorf("%+v", i)
	}
	if SetTarget("no such target") {
		t.Error("there is no such target")
	}
	if flops := FMAPeak(100); flops < 100_000 {
		t.Errorf("FMAPeak(100) did %v operations, want 100,000 or a little more", flops)
	}
}

func BenchmarkCall(b *testing.B) {
	x := []float32{1}
	for b.Loop() {
		_ = Scale(1, 1, &x[0], 1, &x[0], 1, 1)
	}
}
