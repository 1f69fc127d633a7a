package locoprop

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// direct is the direct form: T iterations of the optimiser on Δ, each with the products
// dA = X̃Δᵀ and ∂W̃ = RᵀX̃. Valid for every method, optimiser and transfer function.
type direct struct {
	iterated
	tasks []plan.Job
	used  []int // iterations of each guarded task
}

func newDirect(l *layer) *direct {
	s := &direct{iterated: newIterated(l, l.o.Optimizer)}
	fast, _ := l.kernels.(backend.BlockSolver)
	for _, t := range l.units(directFlops(l.x.Rows, l.x.Cols, 1, l.o.Steps)) {
		b := l.block(t.Lo, t.Hi, s.slots.Rows(t.Lo, t.Hi))
		if l.o.Safety.Armijo || l.o.Safety.Tolerance > 0 {
			s.tasks = append(s.tasks, s.guardedWork(t, b))
			continue
		}
		s.tasks = append(s.tasks, plan.Job{
			Task: t, Scratch: backend.ScratchLen(l.x.Rows, l.x.Cols, t.Hi-t.Lo),
			Do: func(scratch []float32) error {
				if l.o.Reset {
					s.slots.ResetRows(t.Lo, t.Hi)
				}
				if fast != nil && fast.SolvesBlock(b.F) {
					return fast.SolveBlock(&b, s.list, scratch)
				}
				SolveBlock(l.kernels, &b, s.list, scratch)
				return nil
			},
		})
	}
	return s
}

func (s *direct) stages() [][]plan.Job { return [][]plan.Job{s.tasks} }

func (s *direct) explain(p *plan.LayerPlan) {
	p.Form, p.Tasks = FormDirect.String(), len(s.tasks)
	p.StateBytes = s.slots.Bytes()
	s.layer.explain(FormDirect, p)
}

// directFlops counts the products of the direct form: T gradients and T − 1 forward
// products of 2·B·(n+1)·m each.
func directFlops(batch, cols, units, steps int) float64 {
	return (4*float64(steps) - 2) * float64(batch) * float64(cols) * float64(units)
}
