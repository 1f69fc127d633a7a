package backendtest

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// byPanels is a backend whose products go by way of panels. What it makes of their padding is NaN,
// which none of them may read.
type byPanels struct {
	backend.Kernels
	by backend.Panels
}

func (k byPanels) panels(rows, units int) []float32 {
	p := make([]float32, k.by.PanelsLen(rows, units))
	for i := range p {
		p[i] = float32(math.NaN())
	}
	return p
}

// filled copies a matrix into panels and makes the padding NaN: an element that isn't 0
// there is one of the matrix that lies beside it.
func (k byPanels) filled(m backend.Mat, trans bool) []float32 {
	rows, units := m.Rows, m.Cols
	if trans {
		rows, units = units, rows
	}
	p, ones := k.panels(rows, units), backend.NewMat(m.Rows, m.Cols)
	for i := range ones.Data {
		ones.Data[i] = 1
	}
	mask := k.panels(rows, units)
	k.by.PanelsFrom(p, m, trans, 1)
	k.by.PanelsFrom(mask, ones, trans, 1)
	for i, v := range mask {
		if v == 0 {
			p[i] = float32(math.NaN())
		}
	}
	return p
}

// product makes c = MB or MᵀB, with b or bᵀ for B.
func (k byPanels) product(c, m backend.Mat, trans bool, b backend.Mat, transB bool) {
	out := k.panels(c.Rows, c.Cols)
	k.by.PanelsProduct(out, m, trans, k.filled(b, transB), c.Cols)
	k.by.PanelsTo(c, out, false, false)
}

func (k byPanels) Affine(a, x, w backend.Mat)    { k.product(a, x, false, w, true) }
func (k byPanels) Backprop(dx, d, w backend.Mat) { k.product(dx, d, false, w, false) }

// Grad makes Gᵀ = X̃ᵀR, as blocks do.
func (k byPanels) Grad(g, r, x backend.Mat) {
	out := k.panels(g.Cols, g.Rows)
	k.by.PanelsProduct(out, x, true, k.filled(r, false), g.Rows)
	k.by.PanelsTo(g, out, true, false)
}

// Gemm makes the products of the Gram form: F = γDᵀX̃, and ΔC + G with a symmetric C.
func (k byPanels) Gemm(transA, transB bool, alpha float32, a, b backend.Mat, beta float32, c backend.Mat) {
	if transA {
		e := backend.NewMat(a.Rows, a.Cols)
		k.Scale(e, a, alpha)
		k.Grad(c, e, b)
		return
	}
	out := k.panels(c.Cols, c.Rows)
	k.by.PanelsProduct(out, b, false, k.filled(a, true), a.Rows)
	k.by.PanelsTo(c, out, true, true)
}

// testPanels checks the products on panels against float64 formulas, and both Solve against
// the bits of the generic loop over the same products.
func testPanels(t *testing.T, k backend.Kernels) {
	panels, ok := k.(backend.Panels)
	if !ok {
		t.Skip("this backend has no panels; native does")
	}
	wrapped := byPanels{k, panels}
	for _, op := range products() {
		t.Run(op.name, func(t *testing.T) {
			for n, s := range op.shapes() {
				checkFormula(t, wrapped, op, s, uint64(n))
			}
		})
	}
	for _, f := range Transfers() {
		for _, r := range Rules() {
			if !backend.SolvesPanels(f, r.Kind) {
				continue
			}
			t.Run(fmt.Sprintf("%v/%s", f, ruleName(r)), func(t *testing.T) {
				for n, s := range upTo(pick(testing.Short() || raceDetector, 20_000, 100_000)) {
					for _, prox := range []float32{0, testProx} {
						checkPanelBlock(t, wrapped, s, f, r, prox, layouts[n%len(layouts)])
						if f == transfer.Identity {
							checkPanelGram(t, wrapped, s, r, prox, layouts[n%len(layouts)])
						}
					}
				}
			})
		}
	}
	gradientOfPanels(t, wrapped)
	panelLayout(t, panels)
	turnedPanels(t, wrapped)
	panelAllocations(t, wrapped)
	panelPanics(t, wrapped)
}

// unknown is scratch, with values that a solver mustn't count on.
func unknown(length int) []float32 {
	scratch := make([]float32, length)
	for i := range scratch {
		scratch[i] = guard
	}
	return scratch
}

func (k byPanels) block(b *backend.Block) (block *backend.PanelBlock, scratch []float32) {
	return &backend.PanelBlock{Block: *b}, unknown(backend.PanelScratchLen(k.by, b.X.Rows, b.X.Cols, b.W.Rows, len(b.Slots), false))
}

// kept is what passes leave of a block's activations, which it takes from the block.
func (k byPanels) kept(b *backend.Block, values bool) backend.Kept {
	kept := backend.NewKept(k.by, b.D.Rows, b.D.Cols, values)
	k.by.PanelsFrom(kept.E, b.D, false, b.Gamma)
	if values {
		k.by.PanelsFrom(kept.Ahat, b.Ahat, false, 1)
	}
	b.Ahat, b.Yhat, b.D = backend.Mat{}, backend.Mat{}, backend.Mat{}
	return kept
}

// solve solves a block in panels, of what passes keep or of matrices.
func (k byPanels) solve(b *backend.Block, updates []optimizer.Update, kept bool) {
	block, scratch := k.block(b)
	if kept {
		block.Kept = k.kept(&block.Block, b.F != transfer.Identity)
		scratch = unknown(backend.PanelScratchLen(k.by, b.X.Rows, b.X.Cols, b.W.Rows, len(b.Slots), true))
	}
	block.Solve(k.Kernels, k.by, updates, scratch)
}

func checkPanelBlock(t testing.TB, k byPanels, s Shape, f transfer.Func, r optimizer.Rule, prox float32, l layout) {
	t.Helper()
	loop := make([]float32, backend.ScratchLen(s.B, s.N+1, s.M))
	for _, steps := range []int{0, 1, 4} {
		b, updates, outs := newBlock(newArena(50, l), s, f, r, prox)
		k.Apply(b.Yhat, b.Ahat, f) // as blocks in panels do
		backend.Loop(k, b, updates[:steps], loop)
		want := snapshot(outs)
		for _, kept := range []bool{false, true} {
			if kept && !backend.KeepsPanels(k.by, s.M, s.M) {
				continue // parts of the block begin within panels
			}
			a := newArena(50, l)
			b, updates, outs = newBlock(a, s, f, r, prox)
			k.solve(b, updates[:steps], kept)
			a.check(t)
			if d := sameBits(snapshot(outs), want); d != "" {
				t.Fatalf("%v, %s, prox %v, T = %d, kept %v: Solve differs from the loop over its products: %s", s, l.name, prox, steps, kept, d)
			}
		}
	}
}

// gramOf makes the second moment of a block's design.
func gramOf(k backend.Kernels, b *backend.Block) backend.Mat {
	c := backend.NewMat(b.X.Cols, b.X.Cols)
	k.Syrk(true, 1, b.X, 0, c)
	return c
}

func checkPanelGram(t testing.TB, k byPanels, s Shape, r optimizer.Rule, prox float32, l layout) {
	t.Helper()
	for _, steps := range []int{0, 1, 4} {
		b, updates, outs := newBlock(newArena(50, l), s, transfer.Identity, r, prox)
		second := gramOf(k, b)
		backend.LoopGram(k, &backend.GramBlock{Block: *b, Second: second}, updates[:steps], make([]float32, backend.GramScratchLen(s.N+1, s.M)))
		want := snapshot(outs)

		for _, kept := range []bool{false, true} {
			if kept && !backend.KeepsPanels(k.by, s.M, s.M) {
				continue
			}
			a := newArena(50, l)
			b, updates, outs = newBlock(a, s, transfer.Identity, r, prox)
			block := &backend.PanelGramBlock{GramBlock: backend.GramBlock{Block: *b, Second: second}}
			if kept {
				block.Kept = k.kept(&block.Block, false)
			}
			block.Solve(k.Kernels, k.by, updates[:steps], unknown(backend.PanelGramScratchLen(k.by, s.B, s.N+1, s.M, len(b.Slots), kept)))
			a.check(t)
			if d := sameBits(snapshot(outs), want); d != "" {
				t.Fatalf("%v, %s, prox %v, T = %d, kept %v: Solve of the Gram form differs from the loop over its products: %s", s, l.name, prox, steps, kept, d)
			}
		}
	}
}

// panelLayout checks where panels have their elements, which passes count on.
func panelLayout(t testing.TB, k backend.Panels) {
	whole := k.PanelUnits()
	if whole < 2 || whole%2 != 0 {
		t.Fatalf("PanelUnits is %d; must be even", whole)
	}
	const rows = 7
	for _, units := range []int{1, whole / 2, whole, 3 * whole, 3*whole + 1} {
		m := backend.NewMat(rows, units)
		for i := range m.Data {
			m.Data[i] = float32(i + 1)
		}
		p := make([]float32, k.PanelsLen(rows, units))
		k.PanelsFrom(p, m, false, 1)
		for i := range rows {
			for u := range units {
				first := u - u%whole
				width := whole
				if units-first <= whole/2 {
					width = whole / 2
				}
				at := first/whole*k.PanelsLen(rows, whole) + i*width + u - first
				if want := float32(i*units + u + 1); p[at] != want {
					t.Fatalf("%d units: element (%d, %d) isn't at %d", units, i, u, at)
				}
			}
		}
	}
}

// turnedPanels checks PanelsTurn as passes use it: examples go, a few at a time, from panels where
// they lie side by side to panels where units do.
func turnedPanels(t testing.TB, k byPanels) {
	whole := k.by.PanelUnits()
	for _, s := range [][2]int{{1, 1}, {whole, whole}, {2*whole + 3, whole + 1}, {5, 3*whole - 1}, {700, 400}} {
		rows, units := s[0], s[1]
		m := newArena(54, layouts[0]).in(rows, units, symmetric)
		want := make([]float32, k.by.PanelsLen(rows, units))
		k.by.PanelsFrom(want, m, false, -2)
		got := backend.Alloc(len(want))
		for first := 0; first < rows; {
			count := min(2*whole, rows-first)
			if count < 2*whole {
				count = min(whole/2, count)
			}
			k.by.PanelsTurn(got, rows, first, -2, k.filled(backend.Rows(m, first, first+count), true), units, count)
			first += count
		}
		if d := sameBits(got, want); d != "" {
			t.Fatalf("PanelsTurn of %d × %d: %s", rows, units, d)
		}
	}
}

// gradientOfPanels checks Gradient on a batch that is large enough for panels, and what bounds its use.
func gradientOfPanels(t testing.TB, wrapped byPanels) {
	k := wrapped.Kernels
	const batch, cols, units = 257, 5, 40
	gradient, few := backend.NewGradient(k, batch), backend.NewGradient(k, 255)
	if got := gradient.Units(cols, 128); got != 32 {
		t.Errorf("%d units at a time, want 32", got)
	}
	if got := few.Units(cols, 128); got != 128 || few.ScratchLen(cols, units) != 0 {
		t.Errorf("of 255 examples %d units at a time with %d of scratch, want all and none", got, few.ScratchLen(cols, units))
	}
	if got := gradient.Units(1<<14, 128); got != 128 {
		t.Errorf("%d units at a time of a large X̃, want all", got)
	}
	a := newArena(53, layouts[0])
	g, d, x := a.out(units, cols, nan), a.in(batch, units, symmetric), a.in(batch, cols, symmetric)
	scratch := unknown(gradient.ScratchLen(cols, units))
	want := backend.NewMat(units, cols)
	wrapped.Grad(want, d, x)
	gradient.Of(g, d, x, scratch)
	a.check(t)
	for i := range units {
		for j := range cols {
			if got, want := g.Data[i*g.Stride+j], want.Data[i*want.Stride+j]; got != want {
				t.Fatalf("Gradient, element (%d, %d): %v, and by one product %v", i, j, got, want)
			}
		}
	}
	if by := gradient.Panels(); backend.KeepsPanels(by, units, units) {
		kept := backend.NewKept(by, batch, units, false)
		by.PanelsFrom(kept.E, d, false, 1)
		of := backend.NewMat(units, cols)
		gradient.OfKept(of, kept, x, scratch)
		if d := sameBits(of.Data, want.Data); d != "" {
			t.Errorf("Gradient of what is kept: %s", d)
		}
		if n := testing.AllocsPerRun(5, func() { gradient.OfKept(of, kept, x, scratch) }); n > 0 {
			t.Errorf("Gradient of what is kept: %v allocations per call, want 0", n)
		}
		for name, call := range map[string]func(){
			"without panels": func() { few.OfKept(of, kept, x, scratch) },
			"other batch":    func() { gradient.OfKept(of, kept, backend.Rows(x, 1, batch), scratch) },
			"shape of G":     func() { gradient.OfKept(backend.Cols(of, 1, cols), kept, x, scratch) },
			"too little":     func() { gradient.OfKept(of, backend.Kept{E: kept.E[1:]}, x, scratch) },
			"short scratch":  func() { gradient.OfKept(of, kept, x, scratch[:1]) },
		} {
			if panicText(call) == "" {
				t.Errorf("Gradient of what is kept, %s: doesn't panic with a text", name)
			}
		}
	}
	if n := testing.AllocsPerRun(5, func() { gradient.Of(g, d, x, scratch) }); n > 0 {
		t.Errorf("Gradient: %v allocations per call, want 0", n)
	}
	for name, call := range map[string]func(){
		"short scratch": func() { gradient.Of(g, d, x, scratch[1:]) },
		"other batch": func() {
			gradient.Of(g, backend.Rows(d, 1, batch), backend.Rows(x, 1, batch), scratch)
		},
		"shape of G": func() { gradient.Of(backend.Rows(g, 1, units), d, x, scratch) },
	} {
		if panicText(call) == "" {
			t.Errorf("Gradient, %s: doesn't panic with a text", name)
		}
	}
}

func panelAllocations(t testing.TB, k byPanels) {
	b, updates, _ := newBlock(newArena(51, layouts[0]), probe, transfer.Tanh, optimizer.New(optimizer.RMSPropTF1), 0)
	block, scratch := k.block(b)
	if n := testing.AllocsPerRun(5, func() {
		block.Solve(k.Kernels, k.by, updates, scratch)
	}); n > 0 {
		t.Errorf("Solve: %v allocations per call, want 0", n)
	}
	if backend.KeepsPanels(k.by, b.W.Rows, b.W.Rows) {
		block.Kept = k.kept(&block.Block, true)
		if n := testing.AllocsPerRun(5, func() {
			block.Solve(k.Kernels, k.by, updates, scratch)
		}); n > 0 {
			t.Errorf("Solve of what is kept: %v allocations per call, want 0", n)
		}
	}
	b, updates, _ = newBlock(newArena(51, layouts[0]), probe, transfer.Identity, optimizer.New(optimizer.RMSPropTF1), 0)
	gram := &backend.PanelGramBlock{GramBlock: backend.GramBlock{Block: *b, Second: gramOf(k.Kernels, b)}}
	scratch = make([]float32, backend.PanelGramScratchLen(k.by, b.X.Rows, b.W.Cols, b.W.Rows, len(b.Slots), false))
	if n := testing.AllocsPerRun(5, func() { gram.Solve(k.Kernels, k.by, updates, scratch) }); n > 0 {
		t.Errorf("Solve of the Gram form: %v allocations per call, want 0", n)
	}
}

func panelPanics(t testing.TB, k byPanels) {
	s := Shape{6, 4, 3}
	for name, call := range map[string]func(b *backend.PanelBlock, updates []optimizer.Update, scratch []float32){
		"short scratch": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			b.Solve(k.Kernels, k.by, u, scratch[1:])
		},
		"no slots": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			b.Slots = nil
			b.Solve(k.Kernels, k.by, u, scratch)
		},
		"shape of D": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			b.D.Rows--
			b.Solve(k.Kernels, k.by, u, scratch)
		},
		"a rule that reads weights": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			u[0].Kind, b.Slots = optimizer.AdamW, append(b.Slots, b.Slots[0])
			b.Solve(k.Kernels, k.by, u[:1], append(scratch, make([]float32, len(scratch))...))
		},
		"softmax": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			b.F = transfer.Softmax
			b.Solve(k.Kernels, k.by, u, scratch)
		},
		"another design": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			b.X.Rows--
			b.Solve(k.Kernels, k.by, u, scratch)
		},
		"Gram form, shape of C": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			(&backend.PanelGramBlock{GramBlock: backend.GramBlock{Block: b.Block, Second: b.X}}).Solve(k.Kernels, k.by, u, scratch)
		},
		"short panels of a product": func(b *backend.PanelBlock, _ []optimizer.Update, scratch []float32) {
			k.by.PanelsProduct(scratch, b.W, false, scratch[:1], s.M)
		},
		"no panels for a product": func(b *backend.PanelBlock, _ []optimizer.Update, scratch []float32) {
			k.by.PanelsProduct(nil, b.W, true, scratch, s.M)
		},
		"too little kept": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			b.Kept = backend.NewKept(k.by, s.B, s.M, true)
			b.Kept.E = b.Kept.E[1:]
			b.Solve(k.Kernels, k.by, u, scratch)
		},
		"kept without E": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			b.Kept.Ahat = backend.NewKept(k.by, s.B, s.M, true).Ahat
			b.Solve(k.Kernels, k.by, u, scratch)
		},
		"kept without Â": func(b *backend.PanelBlock, u []optimizer.Update, scratch []float32) {
			b.Kept = backend.NewKept(k.by, s.B, s.M, false)
			b.Solve(k.Kernels, k.by, u, scratch)
		},
		"kept, cut within a panel": func(*backend.PanelBlock, []optimizer.Update, []float32) {
			backend.NewKept(k.by, s.B, s.M, false).Units(k.by, s.B, 1, s.M)
		},
		"turned rows that aren't there": func(_ *backend.PanelBlock, _ []optimizer.Update, scratch []float32) {
			k.by.PanelsTurn(scratch, 2, 1, 1, scratch, 1, 2)
		},
		"turned to too little": func(_ *backend.PanelBlock, _ []optimizer.Update, scratch []float32) {
			k.by.PanelsTurn(nil, 2, 1, 1, scratch, 1, 1)
		},
		"panels of a part": func(b *backend.PanelBlock, _ []optimizer.Update, _ []float32) {
			k.by.PanelsFrom(nil, b.D, false, 1)
		},
		"panels to a whole": func(b *backend.PanelBlock, _ []optimizer.Update, _ []float32) {
			k.by.PanelsTo(b.W, nil, true, true)
		},
	} {
		b, updates, _ := newBlock(newArena(52, layouts[0]), s, transfer.Tanh, optimizer.New(optimizer.Momentum), 0)
		block, scratch := k.block(b)
		if got := panicText(func() { call(block, updates, scratch) }); got == "" {
			t.Errorf("panels, %s: doesn't panic with a text", name)
		}
	}
}
