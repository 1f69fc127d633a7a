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
	work     [][]work
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
	cost := predict(FormKernel, l.workload()).flops() / float64(l.w.Rows)
	var blocks []work
	for _, t := range l.units(cost) {
		b := l.block(t.Lo, t.Hi, s.slots.Rows(t.Lo, t.Hi))
		dual := make([]backend.Mat, l.o.Optimizer.Kind.NumSlots()) // U, in the scratch of a call
		blocks = append(blocks, work{
			Task: t, scratch: (4+len(dual))*roundLine(l.x.Rows*(t.Hi-t.Lo)) + roundLine((t.Hi-t.Lo)*l.x.Cols),
			do: func(scratch []float32) error {
				s.solve(&b, dual, scratch)
				return nil
			},
		})
	}
	s.work = [][]work{selfProduct(l, false, s.examples), blocks}
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

// solve makes all local iterations of a block of units. b.Slots is its V₀, where there
// is one, and becomes V; dual holds U.
func (s *kernel) solve(b *backend.Block, dual []backend.Mat, scratch []float32) {
	k := s.kernels
	rows, units := b.D.Rows, b.D.Cols
	e, scratch := carve(scratch, rows, units)
	z, scratch := carve(scratch, rows, units)
	r, scratch := carve(scratch, rows, units)
	start, scratch := carve(scratch, rows, units) // A₀
	for i := range dual {
		dual[i], scratch = carve(scratch, rows, units)
		clear(dual[i].Data)
	}
	clear(z.Data)
	k.Scale(e, b.D, b.Gamma)
	if s.carried {
		k.Affine(start, b.X, b.Slots[0])
	}
	for t, u := range s.list {
		g := e
		if t > 0 {
			s.combine(r, t, start, false, s.examples, z)
			k.Residual(r, r, b.Ahat, b.Yhat, e, b.F)
			g = r
		}
		// What Δ starts from isn't read by these rules: any matrix of the shape will do.
		k.Update(u, z, b.Ahat, g, dual)
	}
	delta, _ := carve(scratch, units, b.W.Cols)
	if !s.carried {
		k.Grad(delta, z, b.X)
	} else {
		s.combine(delta, len(s.list), b.Slots[0], true, z, b.X)
		k.Gemm(true, false, 1, dual[0], b.X, s.velocity[0], b.Slots[0])
	}
	k.AddInto(b.W, delta)
}

// combine computes dst = op(a)·b + p·v, p before iteration t, v unused without a
// carried velocity.
func (s *kernel) combine(dst backend.Mat, t int, v backend.Mat, transA bool, a, b backend.Mat) {
	beta := float32(0)
	if s.carried {
		s.kernels.Scale(dst, v, s.share[t])
		beta = 1
	}
	s.kernels.Gemm(transA, false, 1, a, b, beta, dst)
}

func (s *kernel) stages() [][]work { return s.work }

func (s *kernel) explain(p *plan.LayerPlan) {
	p.Form, p.Tasks, p.StateBytes = FormKernel.String(), len(s.work[1]), s.slots.Bytes()
	s.layer.explain(FormKernel, p)
}
