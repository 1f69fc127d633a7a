package locoprop

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// direct is the direct form: T iterations of the optimiser on Δ, each with the products
// dA = X̃Δᵀ and ∂W̃ = RᵀX̃. Valid for every method, optimiser and transfer function. Where the
// backend can and it pays, the design is packed before; see backend.Packed.
type direct struct {
	iterated
	work   [][]plan.Job
	design backend.Design // packed; without data: it isn't
	used   []int          // iterations of each guarded task
}

// packedRows is how many rows a design needs for packing to pay: with fewer, the weights and
// the optimiser's state take as long to go into panels and back as products gain. Fixed, since
// it decides the bits of the result.
const packedRows = 256

// packs tells whether the direct form packs a design, and the Gram form C, of so many rows,
// where the backend can.
func (o Options) packs(f transfer.Func, rows int) bool {
	return rows >= packedRows && o.Steps > 1 && !o.guarded() && backend.SolvesPacked(f, o.Optimizer.Kind)
}

// guarded tells whether a guard looks at each iteration.
func (o Options) guarded() bool { return o.Safety.Armijo || o.Safety.Tolerance > 0 }

func newDirect(l *layer) *direct {
	s := &direct{iterated: newIterated(l, l.o.Optimizer)}
	packed, ok := l.kernels.(backend.Packed)
	if ok = ok && l.o.packs(l.f, l.x.Rows); ok {
		s.design = backend.NewDesign(packed, l.x.Rows, l.x.Cols, true)
		s.work = append(s.work, l.packing(packed, s.design, l.x))
	}
	fast, _ := l.kernels.(backend.BlockSolver)
	var blocks []plan.Job
	for _, t := range l.units(directFlops(l.x.Rows, l.x.Cols, 1, l.o.Steps)) {
		b := l.block(t.Lo, t.Hi, s.slots.Rows(t.Lo, t.Hi))
		switch {
		case l.o.guarded():
			blocks = append(blocks, s.guardedWork(t, b))
		case ok:
			blocks = append(blocks, s.packedWork(t, b, packed))
		default:
			blocks = append(blocks, s.blockWork(t, b, fast))
		}
	}
	s.work = append(s.work, blocks)
	return s
}

// blockWork solves a block whose design isn't packed.
func (s *direct) blockWork(t plan.Task, b backend.Block, fast backend.BlockSolver) plan.Job {
	return s.job(t, backend.ScratchLen(b.X.Rows, b.X.Cols, b.W.Rows), func(scratch []float32) error {
		if fast != nil && fast.SolvesBlock(b.F) {
			return fast.SolveBlock(&b, s.list, scratch)
		}
		SolveBlock(s.kernels, &b, s.list, scratch)
		return nil
	})
}

// packedWork solves a block whose design is packed.
func (s *direct) packedWork(t plan.Task, b backend.Block, k backend.Packed) plan.Job {
	block := backend.PackedBlock{Block: b, Design: s.design}
	return s.job(t, backend.PackedScratchLen(k, b.X.Rows, b.X.Cols, b.W.Rows, len(b.Slots)), func(scratch []float32) error {
		block.Solve(s.kernels, k, s.list, scratch)
		return nil
	})
}

// packing makes the tasks that pack x into d, each as much as fills a core's cache.
func (l *layer) packing(k backend.Packed, d backend.Design, x backend.Mat) []plan.Job {
	const values = 1 << 17
	size := x.Rows * x.Cols
	parts := max(1, size/values)
	var jobs []plan.Job
	for part := range parts {
		jobs = append(jobs, plan.Job{
			Task: plan.Task{Layer: l.index, Hi: x.Rows, Cost: plan.ElementCost * 2 * float64(size) / float64(parts)},
			Do: func([]float32) error {
				k.PackDesign(d, x, part, parts)
				return nil
			},
		})
	}
	return jobs
}

func (s *direct) stages() [][]plan.Job { return s.work }

func (s *direct) explain(p *plan.LayerPlan) {
	p.Form, p.Tasks = FormDirect.String(), len(s.work[len(s.work)-1])
	p.StateBytes, p.MemoryBytes = s.slots.Bytes(), 4*float64(len(s.design.Data))
	s.layer.explain(FormDirect, p)
}

// directFlops counts the products of the direct form: T gradients and T − 1 forward
// products of 2·B·(n+1)·m each.
func directFlops(batch, cols, units, steps int) float64 {
	return (4*float64(steps) - 2) * float64(batch) * float64(cols) * float64(units)
}
