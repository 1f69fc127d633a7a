package locoprop

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// kernel is the kernel (dual) form: direct's iterates, by way of the Gram matrix of
// the examples. A rule that is linear in the gradient keeps Δ in the span of the
// inputs and of the velocity V₀ that it starts with, so its state needs no more than
//
//	Δ = ZᵀX̃ + pV₀,  V = UᵀX̃ + aV₀      Z, U: B × m, from 0; p, a: numbers, from 0 and 1
//
// and with K = X̃X̃ᵀ, B × B, and A₀ = X̃V₀ᵀ, B × m, formed once, an iteration is
//
//	dA = X̃Δᵀ = KZ + pA₀,  R as in the direct form,  ∂W̃ = RᵀX̃
//	(Z, U) and (p, a) ← the rule's update, with gradients R and 0
//
// which costs 2B²m instead of 4B(n+1)m. A proximal term's gradient Δ/λ is Z/λ in the
// one pair and p/λ in the other, which is what the update adds. Without momentum, or
// with one that starts at 0 in every batch, V₀ and its two products drop out.
type kernel struct {
	iterated             // no slots unless a velocity is carried from batch to batch
	examples backend.Mat // K
	carried  bool        // there is a V₀
	share    []float32   // p before iteration t, and, last, after all
	velocity []float32   // a, one element
	work     [][]plan.Job
}

func newKernel(l *layer) *kernel {
	carried := l.o.carries()
	var rule optimizer.Rule
	if carried {
		rule = l.o.Optimizer
	}
	s := &kernel{
		iterated: newIterated(l, rule), examples: backend.NewPadded(l.x.Rows, l.x.Rows),
		carried: carried, share: make([]float32, l.o.Steps+1), velocity: make([]float32, 1),
	}
	fast, _ := l.kernels.(backend.KernelSolver)
	cost := predict(FormKernel, l.workload()).flops() / float64(l.w.Rows)
	var blocks []plan.Job
	for _, t := range l.units(cost) {
		b := backend.KernelBlock{
			Block:  l.block(t.Lo, t.Hi, s.slots.Rows(t.Lo, t.Hi)), // of V₀, where there is one
			Kernel: s.examples, Share: s.share,
		}
		blocks = append(blocks, plan.Job{
			Task: t, Scratch: backend.KernelScratchLen(l.x.Rows, l.x.Cols, t.Hi-t.Lo),
			Do: func(scratch []float32) error {
				b.Velocity = s.velocity[0]
				if fast != nil && fast.SolvesBlock(b.F) {
					return fast.SolveKernel(&b, s.list, scratch)
				}
				backend.LoopKernel(l.kernels, &b, s.list, scratch)
				return nil
			},
		})
	}
	s.work = [][]plan.Job{selfProduct(l, false, s.examples), blocks}
	return s
}

// carries reports whether the optimiser has a velocity that lasts from batch to batch.
func (o Options) carries() bool { return o.Optimizer.Kind.NumSlots() > 0 && !o.Reset }

// begin makes the updates of a batch and, since it is the same for all units, the way
// of the coefficients p and a.
func (s *kernel) begin() {
	s.iterated.begin()
	if !s.carried {
		return
	}
	var p, zero [1]float32
	s.velocity[0] = 1
	for t, u := range s.list {
		s.share[t] = p[0]
		u.Apply(p[:], nil, zero[:], [][]float32{s.velocity})
	}
	s.share[len(s.list)] = p[0]
}

func (s *kernel) stages() [][]plan.Job { return s.work }

func (s *kernel) explain(p *plan.LayerPlan) {
	p.Form, p.Tasks, p.StateBytes, p.MemoryBytes = FormKernel.String(), len(s.work[1]), s.slots.Bytes(), matBytes(s.examples)
	s.layer.explain(FormKernel, p)
}
