package backendtest

import (
	"fmt"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// formCase is a block's problem in one of the other forms: the fast path and the loop
// that it must agree with to the bit.
type formCase struct {
	outs    []backend.Mat
	scratch []float32
	fast    func(scratch []float32) error
	loop    func(scratch []float32)
}

// testSolvers checks a backend's solvers of the kernel, Gram and metric forms as
// testSolveBlock does that of the direct form.
func testSolvers(t *testing.T, k backend.Kernels) {
	shapes := upTo(pick(testing.Short() || raceDetector, 20_000, 300_000))
	each := func(name string, f transfer.Func, prepare func(a *arena, s Shape) formCase) {
		for n, s := range shapes {
			checkSolver(t, fmt.Sprintf("%s, %v, %v", name, s, f), layouts[n%len(layouts)], func(a *arena) formCase { return prepare(a, s) })
		}
	}
	if solver, ok := k.(backend.KernelSolver); ok {
		for _, f := range Transfers() {
			for _, r := range linearRules() {
				for _, carried := range []bool{false, len(r.Slots()) > 0} {
					if solver.SolvesBlock(f) {
						each("SolveKernel/"+ruleName(r), f, func(a *arena, s Shape) formCase {
							return kernelCase(a, k, solver, s, f, r, carried)
						})
					}
				}
			}
		}
	}
	if solver, ok := k.(backend.GramSolver); ok {
		for _, r := range Rules() {
			each("SolveGram/"+ruleName(r), transfer.Identity, func(a *arena, s Shape) formCase {
				return gramCase(a, k, solver, s, r)
			})
		}
	}
	if solver, ok := k.(backend.MetricSolver); ok {
		for _, f := range Transfers() {
			for _, steps := range []int{0, 1, 4} {
				if solver.SolvesBlock(f) {
					each("SolveMetric", f, func(a *arena, s Shape) formCase { return metricCase(a, k, solver, s, f, steps) })
				}
			}
		}
	}
	solverPanics(t, k)
}

// linearRules are those of the kernel form.
func linearRules() (rules []optimizer.Rule) {
	for _, r := range Rules() {
		switch r.Kind {
		case optimizer.SGD, optimizer.Momentum, optimizer.Nesterov, optimizer.MomentumBuffer:
			rules = append(rules, r)
		}
	}
	return rules
}

func checkSolver(t *testing.T, what string, l layout, prepare func(a *arena) formCase) {
	t.Helper()
	c := prepare(newArena(60, l))
	c.loop(c.scratch)
	want := snapshot(c.outs)
	a := newArena(60, l)
	c = prepare(a)
	for i := range c.scratch {
		c.scratch[i] = guard // the solver must not count on what it holds
	}
	must(c.fast(c.scratch))
	a.check(t)
	if d := sameBits(snapshot(c.outs), want); d != "" {
		t.Fatalf("%s, %s: differs from the loop over kernels: %s", what, l.name, d)
	}
	if n := testing.AllocsPerRun(1, func() { must(c.fast(c.scratch)) }); n > 0 {
		t.Fatalf("%s: %v allocations per call, want 0", what, n)
	}
}

func kernelCase(a *arena, k backend.Kernels, solver backend.KernelSolver, s Shape, f transfer.Func, r optimizer.Rule, carried bool) formCase {
	block, updates, _ := newBlock(a, s, f, optimizer.Rule{}, testProx)
	for t := range updates {
		updates[t] = r.At(testRate/float64(t+1), int64(testFirst+t))
		updates[t].Prox = testProx
	}
	b := &backend.KernelBlock{Block: *block, Kernel: a.in(s.B, s.B, symmetric), Share: []float32{0, 0.25, -0.5, 0.125, 0.75}, Velocity: 0.5}
	outs := []backend.Mat{b.W}
	if carried {
		b.Slots = []backend.Mat{a.out(s.M, s.N+1, symmetric)}
		outs = append(outs, b.Slots[0])
	}
	return formCase{
		outs: outs, scratch: make([]float32, backend.KernelScratchLen(s.B, s.N+1, s.M)),
		fast: func(scratch []float32) error { return solver.SolveKernel(b, updates, scratch) },
		loop: func(scratch []float32) { backend.LoopKernel(k, b, updates, scratch) },
	}
}

func gramCase(a *arena, k backend.Kernels, solver backend.GramSolver, s Shape, r optimizer.Rule) formCase {
	block, updates, outs := newBlock(a, s, transfer.Identity, r, testProx)
	b := &backend.GramBlock{Block: *block, Second: a.in(s.N+1, s.N+1, symmetric)}
	return formCase{
		outs: outs, scratch: make([]float32, backend.GramScratchLen(s.N+1, s.M)),
		fast: func(scratch []float32) error { return solver.SolveGram(b, updates, scratch) },
		loop: func(scratch []float32) { backend.LoopGram(k, b, updates, scratch) },
	}
}

func metricCase(a *arena, k backend.Kernels, solver backend.MetricSolver, s Shape, f transfer.Func, steps int) formCase {
	block, _, outs := newBlock(a, s, f, optimizer.New(optimizer.Momentum), 0)
	b := &backend.MetricBlock{
		Block: *block, Kernel: a.in(s.B, s.B, symmetric), XP: a.in(s.B, s.N+1, symmetric),
		Step: 0.25, Rate: 0.75, Momentum: 0.9, Steps: steps,
	}
	return formCase{
		outs: outs, scratch: make([]float32, backend.MetricScratchLen(s.B, s.N+1, s.M)),
		fast: func(scratch []float32) error { return solver.SolveMetric(b, scratch) },
		loop: func(scratch []float32) { backend.LoopMetric(k, b, scratch) },
	}
}

// solverPanics gives solvers and loops arguments that don't fit.
func solverPanics(t *testing.T, k backend.Kernels) {
	s := Shape{5, 4, 3}
	a := newArena(61, layouts[0])
	adam, momentum := optimizer.New(optimizer.AdamTorch), optimizer.New(optimizer.Momentum)
	block, updates, _ := newBlock(a, s, transfer.Tanh, momentum, 0)
	wrong, square := a.in(s.B, s.B+1, symmetric), a.in(s.B, s.B, symmetric)
	second := a.in(s.N+1, s.N+1, symmetric)
	scratch := make([]float32, 1000)
	kernel := func(b backend.KernelBlock, updates []optimizer.Update, scratch []float32) func() {
		return func() { backend.LoopKernel(k, &b, updates, scratch) }
	}
	gram := func(b backend.GramBlock, updates []optimizer.Update, scratch []float32) func() {
		return func() { backend.LoopGram(k, &b, updates, scratch) }
	}
	metric := func(b backend.MetricBlock, scratch []float32) func() {
		return func() { backend.LoopMetric(k, &b, scratch) }
	}
	share := make([]float32, len(updates)+1)
	x := a.in(s.B, s.N+1, symmetric)
	none := *block
	none.Slots = nil
	for name, call := range map[string]func(){
		"kernel: shape of K":    kernel(backend.KernelBlock{Block: *block, Kernel: wrong, Share: share}, updates, scratch),
		"kernel: short share":   kernel(backend.KernelBlock{Block: *block, Kernel: square, Share: share[1:]}, updates, scratch),
		"kernel: short scratch": kernel(backend.KernelBlock{Block: *block, Kernel: square, Share: share}, updates, scratch[:90]),
		"kernel: rule":          kernel(backend.KernelBlock{Block: none, Kernel: square}, []optimizer.Update{adam.At(1, 1)}, scratch),
		"gram: shape of C":      gram(backend.GramBlock{Block: *block, Second: square}, updates[:1], scratch[:1]),
		"gram: short scratch":   gram(backend.GramBlock{Block: *block, Second: second}, updates, scratch[:10]),
		"gram: no slots":        gram(backend.GramBlock{Block: none, Second: second}, updates, scratch),
		"metric: shape of K":    metric(backend.MetricBlock{Block: *block, Kernel: wrong, XP: x, Steps: 2}, scratch),
		"metric: shape of XP":   metric(backend.MetricBlock{Block: *block, Kernel: square, XP: wrong, Steps: 2}, scratch),
		"metric: no velocity":   metric(backend.MetricBlock{Block: none, Kernel: square, XP: x, Steps: 2}, scratch),
		"metric: short scratch": metric(backend.MetricBlock{Block: *block, Kernel: square, XP: x, Steps: 2}, scratch[:30]),
	} {
		if panicText(call) == "" {
			t.Errorf("%s: doesn't panic with a text", name)
		}
	}
}
