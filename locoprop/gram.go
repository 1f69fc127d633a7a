package locoprop

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// gram is the Gram form of LocoProp-S: direct's iterates, by way of the input's second
// moment. With C = X̃ᵀX̃, (n+1) × (n+1), and G = DᵀX̃, m × (n+1), formed once,
//
//	∂W̃ = RᵀX̃ = (X̃Δᵀ + γD)ᵀX̃ = ΔC + γG
//
// so that an iteration never looks at the batch again: it is cheaper than direct's
// where n is small against the batch. Any optimiser; a proximal term is added by the
// update, as in the direct form.
type gram struct {
	iterated
	second backend.Mat // C
	work   [][]plan.Job
}

func newGram(l *layer) *gram {
	s := &gram{iterated: newIterated(l, l.o.Optimizer), second: backend.NewPadded(l.x.Cols, l.x.Cols)}
	s.work = append(s.work, selfProduct(l, true, s.second))
	panels, kept := l.panels(l.x.Cols, false)
	fast, _ := l.kernels.(backend.GramSolver)
	cost := predict(FormGram, l.workload()).flops() / float64(l.w.Rows)
	var blocks []plan.Job
	for _, t := range l.units(cost) {
		b := backend.GramBlock{Block: l.block(t.Lo, t.Hi, s.slots.Rows(t.Lo, t.Hi)), Second: s.second}
		if panels != nil {
			blocks = append(blocks, s.panelWork(t, b, panels, kept))
		} else {
			blocks = append(blocks, s.blockWork(t, b, fast))
		}
	}
	s.work = append(s.work, blocks)
	return s
}

// blockWork solves a block by its matrices.
func (s *gram) blockWork(t plan.Task, b backend.GramBlock, fast backend.GramSolver) plan.Job {
	return s.job(t, backend.GramScratchLen(b.W.Cols, b.W.Rows), func(scratch []float32) error {
		if fast != nil {
			return fast.SolveGram(&b, s.list, scratch)
		}
		backend.LoopGram(s.kernels, &b, s.list, scratch)
		return nil
	})
}

// panelWork solves a block in panels.
func (s *gram) panelWork(t plan.Task, b backend.GramBlock, k backend.Panels, kept backend.Kept) plan.Job {
	block := backend.PanelGramBlock{GramBlock: b, Kept: kept.Units(k, b.X.Rows, t.Lo, t.Hi)}
	length := backend.PanelGramScratchLen(k, b.X.Rows, b.W.Cols, b.W.Rows, len(b.Slots), kept.E != nil)
	return s.job(t, length, func(scratch []float32) error {
		block.Solve(s.kernels, k, s.list, scratch)
		return nil
	})
}

func (s *gram) stages() [][]plan.Job { return s.work }

func (s *gram) explain(p *plan.LayerPlan) {
	p.Form, p.Tasks, p.StateBytes = FormGram.String(), len(s.work[len(s.work)-1]), s.slots.Bytes()
	p.MemoryBytes = matBytes(s.second)
	s.layer.explain(FormGram, p)
}

// iterated is what forms share that make T steps of an element-wise optimiser.
type iterated struct {
	*layer
	slots *plan.Slots
	list  []optimizer.Update // one per local iteration, made anew for every batch
}

// newIterated allocates the state of a rule, which is the layer's optimiser or one
// with fewer slots.
func newIterated(l *layer, r optimizer.Rule) iterated {
	return iterated{layer: l, slots: plan.NewSlots(l.w, r), list: make([]optimizer.Update, l.o.Steps)}
}

// job makes the task that solves a block of units, whose part of the optimiser's state begins
// anew where that of each batch does.
func (s *iterated) job(t plan.Task, length int, solve func(scratch []float32) error) plan.Job {
	return plan.Job{Task: t, Scratch: length, Do: func(scratch []float32) error {
		if s.o.Reset {
			s.slots.ResetRows(t.Lo, t.Hi)
		}
		return solve(scratch)
	}}
}

func (s *iterated) begin() {
	if s.o.Reset {
		s.slots.Count[0] = 0
	}
	s.updates(s.list, s.slots.Count[0])
	s.slots.Count[0] += int64(len(s.list))
}

func (s *iterated) state() []plan.Tensor { return s.slots.Tensors(s.index) }

// selfStripe is how many rows of C or K a task makes at most. Fixed, so that bits
// depend neither on workers nor on the block of units: narrow stripes would be slow
// where the block is small.
const selfStripe = 256

// selfProduct makes tasks that fill p with X̃ᵀX̃ (trans) or X̃X̃ᵀ. Each computes a stripe
// of rows up to the diagonal and mirrors it above, hence half the flops of a product
// of two matrices; a task's Lo and Hi are the rows of p, and what it writes in other
// rows lies in these columns above the diagonal, where no other task writes.
func selfProduct(l *layer, trans bool, p backend.Mat) []plan.Job {
	inner, stripe := l.x.Rows, func(lo, hi int) backend.Mat { return backend.Cols(l.x, lo, hi) }
	if !trans {
		inner, stripe = l.x.Cols, func(lo, hi int) backend.Mat { return backend.Rows(l.x, lo, hi) }
	}
	var tasks []plan.Job
	for _, t := range plan.UnitTasks(l.index, p.Rows, stripeSize(p.Rows), false, 0) {
		lo, hi := t.Lo, t.Hi
		t.Cost = float64(inner) * float64(hi-lo) * float64(hi+lo)
		diagonal, left := backend.View(p, lo, hi, lo, hi), backend.View(p, lo, hi, 0, lo)
		own, before := stripe(lo, hi), stripe(0, lo)
		tasks = append(tasks, plan.Job{Task: t, Do: func([]float32) error {
			l.kernels.Syrk(trans, 1, own, 0, diagonal)
			if lo > 0 {
				l.kernels.Gemm(trans, !trans, 1, own, before, 0, left)
				mirror(p, lo, hi)
			}
			return nil
		}})
	}
	return tasks
}

// stripeSize cuts size rows into as few stripes as selfStripe allows, of about equal
// width, a multiple of 16.
func stripeSize(size int) int {
	count := (size + selfStripe - 1) / selfStripe
	return roundLine((size + count - 1) / count)
}

// mirror copies rows lo ≤ i < hi left of column lo to their place above the diagonal,
// in tiles that stay in the cache.
func mirror(p backend.Mat, lo, hi int) {
	const tile = 32
	for i0 := lo; i0 < hi; i0 += tile {
		for j0 := 0; j0 < lo; j0 += tile {
			for j := j0; j < min(j0+tile, lo); j++ {
				row := p.Data[j*p.Stride : j*p.Stride+p.Cols]
				for i := i0; i < min(i0+tile, hi); i++ {
					row[i] = p.Data[i*p.Stride+j]
				}
			}
		}
	}
}
