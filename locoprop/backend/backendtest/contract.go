package backendtest

import (
	"strings"
	"sync"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// probe is the shape of contract tests: nothing divides a vector or a block, and it is
// large enough that a library which goes parallel by size would.
var probe = Shape{65, 130, 133}

// testAlignment checks that bits don't follow from where in memory the data lies.
func testAlignment(t testing.TB, k backend.Kernels) {
	offsets := []int{1, 2, 3, 4, 5, 7, 8, 13, 15}
	if testing.Short() || raceDetector {
		offsets = []int{1, 3}
	}
	for _, op := range operations() {
		base := op.prep(newArena(5, layouts[0]), probe)
		base.run(k)
		want, sum := snapshot(base.outs), total(base)
		for _, o := range offsets {
			c := op.prep(newArena(5, layout{offset: o}), probe)
			c.run(k)
			if d := sameBits(snapshot(c.outs), want); d != "" || total(c) != sum {
				t.Errorf("%s: data %d floats further on give other bits: %s, sum %v and %v", op.name, o, d, total(c), sum)
			}
		}
	}
}

// testConcurrency runs every operation on shared inputs from several goroutines, each
// with outputs of its own, and compares their bits.
func testConcurrency(t testing.TB, k backend.Kernels) {
	callers := pick(raceDetector, 4, 8)
	if limit := k.Info().MaxWorkers; limit > 0 {
		callers = min(callers, limit)
	}
	for n, op := range operations() {
		a := newArena(6, layouts[0])
		base := op.prep(a, probe)
		base.run(k)
		want := snapshot(base.outs)
		calls := make([]call, callers)
		for i := range calls {
			calls[i] = op.prep(newArena(6, layouts[n%len(layouts)]), probe)
		}
		var wait sync.WaitGroup
		for _, c := range calls {
			wait.Go(func() { c.run(k) })
		}
		wait.Wait()
		for i, c := range calls {
			if d := sameBits(snapshot(c.outs), want); d != "" || total(c) != total(base) {
				t.Errorf("%s: caller %d of %d at once gets other bits: %s", op.name, i, callers, d)
			}
		}
	}
	testSharedInputs(t, k, callers)
}

// testSharedInputs lets all callers read the same matrices: the tasks of a layer share
// X̃. A kernel that wrote to its input for a moment would show under -race, or here.
func testSharedInputs(t testing.TB, k backend.Kernels, callers int) {
	a := newArena(8, layouts[0])
	x, w := a.in(probe.B, probe.N+1, symmetric), a.in(probe.M, probe.N+1, symmetric)
	outs := make([]backend.Mat, callers)
	for i := range outs {
		outs[i] = a.out(probe.B, probe.M, nan)
	}
	var wait sync.WaitGroup
	for _, out := range outs {
		wait.Go(func() {
			for range 20 {
				k.Affine(out, x, w)
			}
		})
	}
	wait.Wait()
	a.check(t)
	want := snapshot(outs[:1])
	for i := range outs {
		if d := sameBits(snapshot(outs[i:i+1]), want); d != "" {
			t.Errorf("Affine: caller %d of %d with shared inputs gets other bits: %s", i, callers, d)
		}
	}
}

// testAllocations checks that no kernel allocates, after a first call that may.
func testAllocations(t testing.TB, k backend.Kernels) {
	for _, op := range operations() {
		c := op.prep(newArena(9, layouts[0]), probe)
		c.run(k)
		if n := testing.AllocsPerRun(5, func() { c.run(k) }); n > 0 {
			t.Errorf("%s: %v allocations per call, want 0", op.name, n)
		}
	}
	const n, cols = 150, 70
	a, b := spd(n, 1), make([]float64, n*cols)
	w, work := make([]float64, n), make([]float64, k.SymEigWork(n))
	l := make([]float64, n*n)
	square := backend.Mat64{Rows: n, Cols: n, Stride: n, Data: l}
	product := backend.Mat64{Rows: n, Cols: n, Stride: n, Data: make([]float64, n*n)}
	for name, f := range map[string]func(){
		"Cholesky": func() { copy(l, a); must(k.Cholesky(l, n)) },
		"Solve":    func() { k.Solve(l, n, b, cols) },
		"Invert":   func() { copy(l, a); must(k.Cholesky(l, n)); k.Invert(l, n) },
		"Gemm64":   func() { k.Gemm64(true, false, 1, square, square, 0, product) },
		"SymEig":   func() { copy(l, a); must(k.SymEig(l, n, w, work)) },
	} {
		copy(l, a)
		must(k.Cholesky(l, n))
		if n := testing.AllocsPerRun(3, f); n > 0 {
			t.Errorf("%s: %v allocations per call, want 0", name, n)
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// testPosition checks that an element-wise kernel gives an element the same bits
// wherever it stands in a matrix: alone in its row, in a block of rows, or (unless f
// couples a row) in a block of columns.
func testPosition(t testing.TB, k backend.Kernels) {
	for _, f := range Transfers() {
		a := newArena(10, layouts[0])
		pre, d, e := a.in(9, 67, preActivation), a.in(9, 67, symmetric), a.in(9, 67, symmetric)
		y := a.applied(f, pre)
		kernels := map[string]func(out backend.Mat, cut func(backend.Mat) backend.Mat){
			"Apply": func(out backend.Mat, cut func(backend.Mat) backend.Mat) { k.Apply(out, cut(pre), f) },
			"Residual": func(out backend.Mat, cut func(backend.Mat) backend.Mat) {
				k.Residual(out, cut(d), cut(pre), cut(y), cut(e), f)
			},
			"Chain": func(out backend.Mat, cut func(backend.Mat) backend.Mat) {
				k.AddInto(out, cut(d)) // out starts at 0
				k.Chain(out, cut(pre), cut(y), f)
			},
		}
		for name, run := range kernels {
			whole := newMat(9, 67)
			run(whole, func(m backend.Mat) backend.Mat { return m })
			for _, w := range windows(f.RowCoupled()) {
				part := newMat(w.rows, w.cols)
				run(part, w.of)
				if diff := sameBits(snapshot([]backend.Mat{part}), snapshot([]backend.Mat{w.of(whole)})); diff != "" {
					t.Errorf("%s/%v: the %d × %d block at (%d, %d) alone has other bits than within the matrix: %s",
						name, f, w.rows, w.cols, w.row, w.col, diff)
				}
			}
		}
	}
	testUpdatePosition(t, k)
}

// testUpdatePosition is testPosition for the update rules; the last column is the bias,
// so blocks reach to it.
func testUpdatePosition(t testing.TB, k backend.Kernels) {
	for _, r := range Rules() {
		build := func() (delta, w0, g backend.Mat, slots []backend.Mat) {
			a := newArena(11, layouts[0])
			w0, g, delta = a.in(9, 67, symmetric), a.in(9, 67, symmetric), a.in(9, 67, symmetric)
			for range r.Slots() {
				slots = append(slots, a.in(9, 67, positive))
			}
			return delta, w0, g, slots
		}
		u := r.At(testRate, testFirst)
		u.Prox = testProx
		whole, w0, g, slots := build()
		k.Update(u, whole, w0, g, slots)
		for _, w := range windows(false) {
			if w.col+w.cols < 67 || w.col > 0 && r.Kind.WholeRows() {
				continue
			}
			delta, w0, g, parts := build()
			for i := range parts {
				parts[i] = w.of(parts[i])
			}
			delta = w.of(delta)
			k.Update(u, delta, w.of(w0), w.of(g), parts)
			got := append([]backend.Mat{delta}, parts...)
			want := []backend.Mat{w.of(whole)}
			for _, s := range slots {
				want = append(want, w.of(s))
			}
			if diff := sameBits(snapshot(got), snapshot(want)); diff != "" {
				t.Errorf("Update/%s: the %d × %d block at (%d, %d) alone has other bits than within the matrix: %s",
					ruleName(r), w.rows, w.cols, w.row, w.col, diff)
			}
		}
	}
}

// window is a block of a matrix.
type window struct{ row, col, rows, cols int }

func (w window) of(m backend.Mat) backend.Mat {
	return backend.Mat{Rows: w.rows, Cols: w.cols, Stride: m.Stride, Data: m.Data[w.row*m.Stride+w.col:]}
}

// windows lists blocks of a 9 × 67 matrix.
func windows(wholeRows bool) []window {
	w := []window{{0, 0, 1, 67}, {4, 0, 1, 67}, {8, 0, 1, 67}, {2, 0, 5, 67}}
	if !wholeRows {
		w = append(w, window{0, 66, 9, 1}, window{3, 1, 1, 66}, window{1, 5, 7, 31}, window{8, 59, 1, 8}, window{5, 34, 2, 33})
	}
	return w
}

func newMat(rows, cols int) backend.Mat {
	return backend.Mat{Rows: rows, Cols: cols, Stride: max(1, cols), Data: make([]float32, rows*cols)}
}

// testEmpty calls every kernel on matrices without rows or columns: nothing to do, and a
// product over no terms is zero.
func testEmpty(t testing.TB, k backend.Kernels) {
	for _, s := range []Shape{{0, 3, 2}, {3, 3, 0}, {0, 0, 0}} {
		for _, op := range operations() {
			if s.M == 0 && strings.HasPrefix(op.name, "Loss/") {
				continue // a loss over no outputs isn't defined (softmax of nothing)
			}
			c := op.prep(newArena(12, layouts[1]), s)
			want := c.want()
			c.run(k)
			compare(t, op.name+" on "+s.String(), c, want, 1)
		}
	}
	c := newMat(2, 3)
	for i := range c.Data {
		c.Data[i] = 4
	}
	k.Gemm(false, false, 1, newMat(2, 0), newMat(0, 3), 0.5, c)
	if c.Data[0] != 2 || c.Data[5] != 2 {
		t.Errorf("Gemm over no terms, β = 0.5: C = %v, want all 2", c.Data)
	}
	must(k.Cholesky(nil, 0))
	k.Solve(nil, 0, nil, 4)
	k.Invert(nil, 0)
	k.Gemm64(false, false, 1, backend.Mat64{}, backend.Mat64{}, 0, backend.Mat64{})
	must(k.SymEig(nil, 0, nil, make([]float64, k.SymEigWork(0))))
}

// testPanics calls every kernel with wrong shapes.
func testPanics(t testing.TB, k backend.Kernels) {
	m := newMat
	short := backend.Mat{Rows: 3, Cols: 4, Stride: 4, Data: make([]float32, 11)}
	narrow := backend.Mat{Rows: 3, Cols: 4, Stride: 3, Data: make([]float32, 12)}
	negative := backend.Mat{Rows: -1, Cols: 4, Stride: 4}
	momentum, prox := optimizer.New(optimizer.Momentum).At(1, 1), optimizer.New(optimizer.SGD).At(1, 1)
	prox.Prox = 1
	f, l := transfer.Tanh, loss.Squared
	own, two, three := backend.FactoredOf(k), make([]float32, 2), make([]float32, 3)
	secant, wide2, wide3 := backend.SecantOf(k), make([]float64, 2), make([]float64, 3)
	sm3 := func(change func(s *backend.SM3)) func() {
		s := &backend.SM3{W: m(2, 4), G: m(2, 4), M: m(2, 4), Rows: two, Biases: two, Columns: three, Top: three}
		change(s)
		return func() { own.StepSM3(s) }
	}
	for name, call := range map[string]func(){
		"Affine: x, w disagree":            func() { k.Affine(m(3, 2), m(3, 4), m(2, 5)) },
		"Affine: rows of a":                func() { k.Affine(m(2, 2), m(3, 4), m(2, 4)) },
		"Affine: short data":               func() { k.Affine(m(3, 2), short, m(2, 4)) },
		"Affine: stride below cols":        func() { k.Affine(m(3, 2), narrow, m(2, 4)) },
		"Affine: negative rows":            func() { k.Affine(m(3, 2), negative, m(2, 4)) },
		"Apply: shapes":                    func() { k.Apply(m(2, 3), m(3, 2), f) },
		"Apply: short y":                   func() { k.Apply(short, m(3, 4), f) },
		"Chain: shapes":                    func() { k.Chain(m(2, 3), m(2, 3), m(2, 4), f) },
		"Backprop: d, w disagree":          func() { k.Backprop(m(3, 4), m(3, 2), m(3, 4)) },
		"Backprop: cols of dx":             func() { k.Backprop(m(3, 5), m(3, 2), m(2, 4)) },
		"Grad: batch":                      func() { k.Grad(m(2, 4), m(3, 2), m(4, 4)) },
		"Grad: rows of g":                  func() { k.Grad(m(3, 4), m(3, 2), m(3, 4)) },
		"Loss: target":                     func() { k.Loss(backend.Mat{}, m(2, 3), m(2, 3), m(2, 2), f, l, 1) },
		"Loss: gradient":                   func() { k.Loss(m(1, 3), m(2, 3), m(2, 3), m(2, 3), f, l, 1) },
		"Residual: e":                      func() { k.Residual(m(2, 3), m(2, 3), m(2, 3), m(2, 3), m(3, 3), f) },
		"Residual: yhat":                   func() { k.Residual(m(2, 3), m(2, 3), m(2, 3), backend.Mat{}, m(2, 3), f) },
		"Scale: shapes":                    func() { k.Scale(m(2, 3), m(2, 2), 1) },
		"Update: gradient":                 func() { k.Update(momentum, m(2, 3), backend.Mat{}, m(2, 2), []backend.Mat{m(2, 3)}) },
		"Update: no slot":                  func() { k.Update(momentum, m(2, 3), backend.Mat{}, m(2, 3), nil) },
		"Update: shape of a slot":          func() { k.Update(momentum, m(2, 3), backend.Mat{}, m(2, 3), []backend.Mat{m(3, 3)}) },
		"Update: w0":                       func() { k.Update(momentum, m(2, 3), m(1, 3), m(2, 3), []backend.Mat{m(2, 3)}) },
		"Update: proximal term without w0": func() { k.Update(prox, m(2, 3), backend.Mat{}, m(2, 3), nil) },
		"AddInto: shapes":                  func() { k.AddInto(m(2, 3), m(2, 4)) },
		"StepSM3: gradient":                sm3(func(s *backend.SM3) { s.G = m(2, 3) }),
		"StepSM3: momentum":                sm3(func(s *backend.SM3) { s.M = m(2, 3) }),
		"StepSM3: rows":                    sm3(func(s *backend.SM3) { s.Rows = three }),
		"StepSM3: biases":                  sm3(func(s *backend.SM3) { s.Biases = two[:1] }),
		"StepSM3: columns":                 sm3(func(s *backend.SM3) { s.Columns = two }),
		"StepSM3: top":                     sm3(func(s *backend.SM3) { s.Top = two }),
		"SquareSums: rows":                 func() { own.SquareSums(m(2, 3), make([]float64, 3), make([]float64, 3)) },
		"SquareSums: columns":              func() { own.SquareSums(m(2, 3), make([]float64, 2), make([]float64, 2)) },
		"ScaledSquares: rows":              func() { own.ScaledSquares(m(2, 3), three, three) },
		"ScaledSquares: short data":        func() { own.ScaledSquares(short, three, make([]float32, 4)) },
		"ScaledStep: shapes":               func() { own.ScaledStep(m(2, 3), m(2, 4), two, make([]float32, 4)) },
		"ScaledStep: columns":              func() { own.ScaledStep(m(2, 3), m(2, 3), two, two) },
		"ColumnSums: columns":              func() { secant.ColumnSums(m(2, 3), wide2) },
		"ColumnSums: short data":           func() { secant.ColumnSums(short, make([]float64, 4)) },
		"Times: rows":                      func() { secant.Times(wide3, m(2, 3), wide3) },
		"Times: columns":                   func() { secant.Times(wide2, m(2, 3), wide2) },
		"RankTwo: vector":                  func() { secant.RankTwo(m(2, 3), 0, 1, 1, wide3, wide2) },
		"RankTwo: beyond the last row":     func() { secant.RankTwo(m(2, 3), 2, 1, 1, wide3, wide3) },
		"RankTwo: more rows than columns":  func() { secant.RankTwo(m(3, 2), 0, 1, 1, wide2, wide2) },
		"RankTwo: first":                   func() { secant.RankTwo(m(2, 3), -1, 1, 1, wide3, wide3) },
		"Gemm: inner":                      func() { k.Gemm(false, false, 1, m(2, 3), m(2, 3), 0, m(2, 3)) },
		"Gemm: transposed":                 func() { k.Gemm(true, true, 1, m(2, 3), m(3, 2), 0, m(2, 2)) },
		"Gemm: c":                          func() { k.Gemm(false, true, 1, m(2, 3), m(2, 3), 0, m(2, 3)) },
		"Syrk: size":                       func() { k.Syrk(true, 1, m(2, 3), 0, m(2, 2)) },
		"Syrk: not square":                 func() { k.Syrk(false, 1, m(2, 3), 0, m(2, 3)) },
		"Cholesky: short":                  func() { _ = k.Cholesky(make([]float64, 8), 3) },
		"Solve: short right-hand side":     func() { k.Solve(make([]float64, 9), 3, make([]float64, 5), 2) },
		"Invert: short":                    func() { k.Invert(make([]float64, 8), 3) },
		"Gemm64: inner": func() {
			d := backend.Mat64{Rows: 2, Cols: 3, Stride: 3, Data: make([]float64, 6)}
			k.Gemm64(false, false, 1, d, d, 0, d)
		},
		"SymEig: short w":    func() { _ = k.SymEig(make([]float64, 9), 3, make([]float64, 2), make([]float64, k.SymEigWork(3))) },
		"SymEig: short work": func() { _ = k.SymEig(make([]float64, 9), 3, make([]float64, 3), make([]float64, k.SymEigWork(3)-1)) },
	} {
		if got := panicText(call); !strings.Contains(got, ": ") {
			t.Errorf("%s: panics with %q, want a text that names the package and the rule", name, got)
		}
	}
}

// panicText is the string that f panics with, "" if it doesn't or panics with
// anything else (an index out of range isn't a check).
func panicText(f func()) (text string) {
	defer func() { text, _ = recover().(string) }()
	f()
	return ""
}
