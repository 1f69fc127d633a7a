package backendtest

import (
	"fmt"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// testSolveBlock checks that a backend's fast path gives the bits of the generic loop
// over its own kernels, in weights and optimiser state, writes nothing else, and
// allocates nothing.
func testSolveBlock(t *testing.T, k backend.Kernels) {
	solver, ok := k.(backend.BlockSolver)
	if !ok {
		t.Skip("this backend has no BlockSolver; the generic loop serves it")
	}
	for _, f := range Transfers() {
		if !solver.SolvesBlock(f) {
			continue
		}
		for _, r := range Rules() {
			t.Run(fmt.Sprintf("%v/%s", f, ruleName(r)), func(t *testing.T) {
				for n, s := range upTo(pick(testing.Short() || raceDetector, 20_000, 300_000)) {
					for _, prox := range []float32{0, testProx} {
						checkBlock(t, k, solver, s, f, r, prox, layouts[n%len(layouts)])
					}
				}
			})
		}
	}
	blockAllocations(t, solver)
	blockPanics(t, solver)
}

// newBlock makes a block's problem and T = 4 updates.
func newBlock(a *arena, s Shape, f transfer.Func, r optimizer.Rule, prox float32) (*backend.Block, []optimizer.Update, []backend.Mat) {
	b := &backend.Block{F: f, Gamma: 2}
	b.X = a.in(s.B, s.N+1, symmetric)
	b.W = a.out(s.M, s.N+1, symmetric)
	b.Ahat = a.in(s.B, s.M, preActivation)
	b.D = a.in(s.B, s.M, symmetric)
	b.Yhat = a.applied(f, b.Ahat)
	outs := []backend.Mat{b.W}
	for range r.Slots() {
		slot := a.out(s.M, s.N+1, positive)
		b.Slots = append(b.Slots, slot)
		outs = append(outs, slot)
	}
	var updates []optimizer.Update
	for t, floor := range []float64{1, 0.75, 0.5, 0.25} {
		u := r.At(testRate*floor, int64(testFirst+t))
		u.Prox = prox
		updates = append(updates, u)
	}
	return b, updates, outs
}

func checkBlock(t testing.TB, k backend.Kernels, solver backend.BlockSolver, s Shape, f transfer.Func, r optimizer.Rule, prox float32, l layout) {
	t.Helper()
	scratch := make([]float32, backend.ScratchLen(s.B, s.N+1, s.M))
	b, updates, outs := newBlock(newArena(50, l), s, f, r, prox)
	backend.Loop(k, b, updates, scratch)
	want := snapshot(outs)

	a := newArena(50, l)
	b, updates, outs = newBlock(a, s, f, r, prox)
	for i := range scratch {
		scratch[i] = guard // the solver must not count on what it holds
	}
	if err := solver.SolveBlock(b, updates, scratch); err != nil {
		t.Fatalf("%v, %s, prox %v: %v", s, l.name, prox, err)
	}
	a.check(t)
	if d := sameBits(snapshot(outs), want); d != "" {
		t.Fatalf("%v, %s, prox %v: SolveBlock differs from the loop over kernels: %s", s, l.name, prox, d)
	}
	// T = 0 changes nothing; T = 1 needs neither Â nor Ŷ.
	for _, steps := range []int{0, 1} {
		a.refresh()
		backend.Loop(k, b, updates[:steps], scratch)
		want := snapshot(outs)
		a.refresh()
		if err := solver.SolveBlock(b, updates[:steps], scratch); err != nil {
			t.Fatal(err)
		}
		if d := sameBits(snapshot(outs), want); d != "" {
			t.Fatalf("%v, %s, T = %d: SolveBlock differs from the loop over kernels: %s", s, l.name, steps, d)
		}
	}
}

func blockAllocations(t testing.TB, solver backend.BlockSolver) {
	b, updates, _ := newBlock(newArena(51, layouts[0]), probe, transfer.Tanh, optimizer.New(optimizer.RMSPropTF1), 0)
	scratch := make([]float32, backend.ScratchLen(probe.B, probe.N+1, probe.M))
	if n := testing.AllocsPerRun(5, func() { must(solver.SolveBlock(b, updates, scratch)) }); n > 0 {
		t.Errorf("SolveBlock: %v allocations per call, want 0", n)
	}
}

func blockPanics(t testing.TB, solver backend.BlockSolver) {
	s := Shape{5, 4, 3}
	enough := backend.ScratchLen(s.B, s.N+1, s.M)
	for name, change := range map[string]func(b *backend.Block, updates []optimizer.Update, scratch *[]float32){
		"short scratch":   func(_ *backend.Block, _ []optimizer.Update, scratch *[]float32) { *scratch = (*scratch)[:enough-1] },
		"no slots":        func(b *backend.Block, _ []optimizer.Update, _ *[]float32) { b.Slots = nil },
		"shape of D":      func(b *backend.Block, _ []optimizer.Update, _ *[]float32) { b.D.Rows-- },
		"shape of W":      func(b *backend.Block, _ []optimizer.Update, _ *[]float32) { b.W.Cols-- },
		"shape of a slot": func(b *backend.Block, _ []optimizer.Update, _ *[]float32) { b.Slots[0].Rows-- },
		"another rule": func(_ *backend.Block, u []optimizer.Update, _ *[]float32) {
			u[0] = optimizer.New(optimizer.SGD).At(1, 1)
		},
	} {
		b, updates, _ := newBlock(newArena(52, layouts[0]), s, transfer.Tanh, optimizer.New(optimizer.Momentum), 0)
		scratch := make([]float32, enough)
		change(b, updates, &scratch)
		if got := panicText(func() { _ = solver.SolveBlock(b, updates, scratch) }); got == "" {
			t.Errorf("SolveBlock with %s: doesn't panic with a text", name)
		}
	}
}
