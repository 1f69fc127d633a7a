package locoprop

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// direct is the direct form: T iterations of the optimiser on Δ, each with the products
// dA = X̃Δᵀ and ∂W̃ = RᵀX̃. Valid for every method, optimiser and transfer function. Where the
// backend can and it pays, it is solved in panels; see backend.Panels.
type direct struct {
	iterated
	work []plan.Job
	used []int // iterations of each guarded task
}

// panelRows is how many rows X̃, or C in the Gram form, needs for panels to pay: with fewer, the
// weights and the optimiser's state take as long to go into panels and back as products gain.
// Fixed, since it decides the bits of the result.
const panelRows = 256

// panels is the backend's where a block of the direct form, with so many rows of X̃, or of the Gram
// form, with so many of C, is solved in panels, with what passes keep for it, Â where values is set;
// else nil.
func (l *layer) panels(rows int, values bool) (backend.Panels, backend.Kept) {
	if k, ok := l.kernels.(backend.Panels); ok && l.o.inPanels(l.f, rows) {
		return k, l.keep(values)
	}
	return nil, backend.Kept{}
}

// inPanels tells whether blocks of the direct form, with so many rows of X̃, or of the Gram form,
// with so many of C, are solved in panels where the backend has them.
func (o Options) inPanels(f transfer.Func, rows int) bool {
	return rows >= panelRows && o.Steps > 1 && !o.guarded() && backend.SolvesPanels(f, o.Optimizer.Kind)
}

// guarded tells whether a guard looks at each iteration.
func (o Options) guarded() bool { return o.Safety.Armijo || o.Safety.Tolerance > 0 }

func newDirect(l *layer) *direct {
	s := &direct{iterated: newIterated(l, l.o.Optimizer)}
	panels, kept := l.panels(l.x.Rows, l.f != transfer.Identity)
	fast, _ := l.kernels.(backend.BlockSolver)
	for _, t := range l.units(directFlops(l.x.Rows, l.x.Cols, 1, l.o.Steps)) {
		b := l.block(t.Lo, t.Hi, s.slots.Rows(t.Lo, t.Hi))
		switch {
		case l.o.guarded():
			s.work = append(s.work, s.guardedWork(t, b))
		case panels != nil:
			s.work = append(s.work, s.panelWork(t, b, panels, kept))
		default:
			s.work = append(s.work, s.blockWork(t, b, fast))
		}
	}
	return s
}

// blockWork solves a block by its matrices.
func (s *direct) blockWork(t plan.Task, b backend.Block, fast backend.BlockSolver) plan.Job {
	return s.job(t, backend.ScratchLen(b.X.Rows, b.X.Cols, b.W.Rows), func(scratch []float32) error {
		if fast != nil && fast.SolvesBlock(b.F) {
			return fast.SolveBlock(&b, s.list, scratch)
		}
		SolveBlock(s.kernels, &b, s.list, scratch)
		return nil
	})
}

// panelWork solves a block in panels.
func (s *direct) panelWork(t plan.Task, b backend.Block, k backend.Panels, kept backend.Kept) plan.Job {
	block := backend.PanelBlock{Block: b, Kept: kept.Units(k, b.X.Rows, t.Lo, t.Hi)}
	length := backend.PanelScratchLen(k, b.X.Rows, b.X.Cols, b.W.Rows, len(b.Slots), kept.E != nil)
	return s.job(t, length, func(scratch []float32) error {
		block.Solve(s.kernels, k, s.list, scratch)
		return nil
	})
}

func (s *direct) stages() [][]plan.Job { return [][]plan.Job{s.work} }

func (s *direct) explain(p *plan.LayerPlan) {
	p.Form, p.Tasks, p.StateBytes = FormDirect.String(), len(s.work), s.slots.Bytes()
	s.layer.explain(FormDirect, p)
}

// directFlops counts the products of the direct form: T gradients and T − 1 forward
// products of 2·B·(n+1)·m each.
func directFlops(batch, cols, units, steps int) float64 {
	return (4*float64(steps) - 2) * float64(batch) * float64(cols) * float64(units)
}
