//go:build cgo && !purego

package native_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/backendtest"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/backend/native"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

func open(t testing.TB) *native.Backend {
	t.Helper()
	k := native.New()
	t.Cleanup(k.Close)
	return k
}

// TestMain runs the tests with the Highway target that LP_TEST_TARGET names and the
// OpenBLAS kernels that OPENBLAS_CORETYPE does; see make test-targets.
func TestMain(m *testing.M) {
	if name := os.Getenv("LP_TEST_TARGET"); name != "" && !bindings.SetTarget(name) {
		fmt.Printf("skipped: this CPU has no %s\n", name)
		return
	}
	info := bindings.GetInfo()
	if core := os.Getenv("OPENBLAS_CORETYPE"); core != "" && !strings.EqualFold(core, info.Core) {
		fmt.Printf("skipped: OpenBLAS has no kernels for %s here\n", core)
		return
	}
	fmt.Printf("OpenBLAS %s; Highway %s\n", info.Core, info.SIMD)
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) { backendtest.Run(t, open(t)) }

func TestAgainstGonum(t *testing.T) { backendtest.Against(t, open(t), gonum.New()) }

func BenchmarkKernels(b *testing.B) { backendtest.Bench(b, open(b)) }

func TestInfo(t *testing.T) {
	i := open(t).Info()
	if i.Name != "native" || !strings.HasPrefix(i.Detail, "OpenBLAS ") || !strings.Contains(i.Detail, "; Highway ") {
		t.Errorf("%+v", i)
	}
	if i.MaxWorkers < 1 || i.MaxWorkers > 128 {
		t.Errorf("MaxWorkers is %d, want 1 to 128", i.MaxWorkers)
	}
}

// New sets OpenBLAS to one thread, and the last Close restores it, once.
func TestClose(t *testing.T) {
	before := bindings.Threads()
	defer bindings.SetThreads(before)
	bindings.SetThreads(2)
	a, b := native.New(), native.New()
	a.Close()
	a.Close()
	if n := bindings.Threads(); n != 1 {
		t.Errorf("one of two backends closed: %d threads, want 1", n)
	}
	b.Close()
	if n := bindings.Threads(); n != 2 {
		t.Errorf("both backends closed: %d threads, want 2", n)
	}
}

// Sizes that fit Go and not OpenBLAS are refused before it sees them.
func TestStrideBeyondOpenBLAS(t *testing.T) {
	k := open(t)
	far := backend.Mat{Rows: 1, Cols: 1, Stride: 1 << 40, Data: make([]float32, 1)}
	near := backend.Mat{Rows: 1, Cols: 1, Stride: 1, Data: make([]float32, 1)}
	k.Scale(far, near, 1) // no BLAS, no limit
	defer func() {
		if text, _ := recover().(string); !strings.HasPrefix(text, "native: lp_affine: argument 7: ") {
			t.Errorf("panic text %q", text)
		}
	}()
	k.Affine(near, far, near)
}

// layer makes the local problem of all units of a layer. With gap, every matrix is a view
// whose rows don't touch.
func layer(s backendtest.Shape, r optimizer.Rule, f transfer.Func, gap int) *backend.Block {
	rng := rand.New(rand.NewPCG(1, 2))
	mat := func(rows, cols int, value func() float64) backend.Mat {
		m := backend.Mat{Rows: rows, Cols: cols, Stride: cols + gap, Data: make([]float32, rows*(cols+gap))}
		for i := range rows {
			for j := range cols {
				m.Data[i*m.Stride+j] = float32(value())
			}
		}
		return m
	}
	b := &backend.Block{
		X:    mat(s.B, s.N+1, rng.NormFloat64),
		Ahat: mat(s.B, s.M, rng.NormFloat64),
		Yhat: mat(s.B, s.M, rng.Float64),
		D:    mat(s.B, s.M, func() float64 { return 1e-3 * rng.NormFloat64() }),
		W:    mat(s.M, s.N+1, rng.NormFloat64),
		F:    f, Gamma: 10,
	}
	for range r.Slots() {
		b.Slots = append(b.Slots, mat(s.M, s.N+1, rng.Float64))
	}
	return b
}

// The conformance suite compares the two on its smaller shapes; these are the others,
// several blocks of OpenBLAS's wide, with the rules in turn.
func TestSolveBlockIsTheLoopOnLargeShapes(t *testing.T) {
	k := open(t)
	rules := backendtest.Rules()
	turn := 0
	for _, s := range backendtest.Shapes() {
		if s.B*s.N*s.M <= 300_000 {
			continue
		}
		for _, f := range backendtest.Transfers() {
			if !k.SolvesBlock(f) {
				t.Fatalf("SolvesBlock(%v) is false; C++ has every built-in function", f)
			}
			r := rules[turn%len(rules)]
			turn++
			updates := make([]optimizer.Update, 3)
			for i := range updates {
				updates[i] = r.At(1e-3, int64(i+1))
				updates[i].Prox = float32(turn%2) / 4
			}
			fast, slow := layer(s, r, f, turn%3), layer(s, r, f, turn%3)
			scratch := backend.Alloc(backend.ScratchLen(s.B, s.N+1, s.M))
			for i := range scratch {
				scratch[i] = float32(math.NaN())
			}
			if err := k.SolveBlock(fast, updates, scratch); err != nil {
				t.Fatal(err)
			}
			backend.Loop(k, slow, updates, scratch)
			what := fmt.Sprintf("%v, %v, %s", s, f, r.Name())
			sameBits(t, what+": weights", fast.W, slow.W)
			for i := range fast.Slots {
				sameBits(t, fmt.Sprintf("%s: slot %d", what, i), fast.Slots[i], slow.Slots[i])
			}
		}
	}
}

// A registered function has no kernel in C++.
func TestRegisteredFunctionRunsInGo(t *testing.T) {
	k := open(t)
	f, err := transfer.Register("native-test-half", transfer.Custom{
		F:     func(a float32) float32 { return a / 2 },
		Deriv: func(_, _ float32) float32 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	if k.SolvesBlock(f) {
		t.Error("SolvesBlock of a registered function is true")
	}
	m := backend.Mat{Rows: 1, Cols: 1, Stride: 1, Data: []float32{4}}
	k.Apply(m, m, f)
	if m.Data[0] != 2 {
		t.Errorf("f(4) is %v, want 2", m.Data[0])
	}
}

func sameBits(t *testing.T, what string, a, b backend.Mat) {
	t.Helper()
	for i, v := range a.Data {
		if math.Float32bits(v) != math.Float32bits(b.Data[i]) {
			t.Fatalf("%s: element %d is %v by SolveBlock and %v by the loop", what, i, v, b.Data[i])
		}
	}
}

// The scratch that C asks for is the scratch that Go gives.
func TestScratchLen(t *testing.T) {
	for _, s := range append(backendtest.Shapes(), backendtest.Shape{}) {
		if got, want := bindings.SolveDirectScratch(s.B, s.N+1, s.M), backend.ScratchLen(s.B, s.N+1, s.M); got != want {
			t.Errorf("%v: C needs %d floats, Go gives %d", s, got, want)
		}
		for _, n := range [][2]int{
			{bindings.SolveKernelScratch(s.B, s.N+1, s.M), backend.KernelScratchLen(s.B, s.N+1, s.M)},
			{bindings.SolveGramScratch(s.N+1, s.M), backend.GramScratchLen(s.N+1, s.M)},
			{bindings.SolveMetricScratch(s.B, s.N+1, s.M), backend.MetricScratchLen(s.B, s.N+1, s.M)},
		} {
			if n[0] != n[1] {
				t.Errorf("%v: C needs %d floats for another form, Go gives %d", s, n[0], n[1])
			}
		}
	}
}

func TestSolveBlockAllocatesNothing(t *testing.T) {
	k := open(t)
	s := backendtest.Shape{B: 20, N: 12, M: 9}
	r := optimizer.New(optimizer.RMSPropTF1)
	b := layer(s, r, transfer.Tanh, 0)
	updates := []optimizer.Update{r.At(1e-5, 1), r.At(1e-5, 2)}
	scratch := backend.Alloc(backend.ScratchLen(s.B, s.N+1, s.M))
	if n := testing.AllocsPerRun(20, func() { _ = k.SolveBlock(b, updates, scratch) }); n != 0 {
		t.Errorf("%v allocations per call, want 0", n)
	}
}

// The lengths of panels are those that the kernels count on.
func TestPanelsLen(t *testing.T) {
	k := open(t)
	for _, rows := range []int{-1, 0, 1, 5, 6, 7, 12, 13, 1000, 1 << 30, 1<<30 + 1} {
		for _, units := range []int{-1, 0, 1, 15, 16, 17, 33, 1000, 1 << 30, 1<<30 + 1} {
			if got, want := k.PanelsLen(rows, units), bindings.PanelsLen(rows, units); got != want {
				t.Errorf("%d × %d: %d, want %d", rows, units, got, want)
			}
		}
	}
}
