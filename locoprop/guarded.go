package locoprop

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

const (
	armijoTries    = 21   // steps 1, ½, …, 2⁻²⁰
	armijoShare    = 1e-4 // of the decrease that the gradient promises
	armijoRounding = 1e-6 // of the terms of the loss, which float32 products leave uncertain
)

// guarded solves a block in direct form with Armijo's rule and the tolerance.
type guarded struct {
	*direct
	block  backend.Block
	groups [][2]int        // units that are decided on together
	slots  [][]backend.Mat // their rows of the block's slots
	buffer backend.Mat     // rows of a buffer of displacements, which are shortened with a step

	first  []float64 // ‖g_0‖
	value  []float64 // ℓ_u now
	terms  []float64 // and the sum of its absolute terms
	frozen []bool
}

// guardedWork makes the task of a block.
func (s *direct) guardedWork(t plan.Task, b backend.Block) plan.Job {
	g := &guarded{direct: s, block: b, groups: s.groups(t.Hi - t.Lo)}
	count := len(g.groups)
	g.first, g.value, g.terms, g.frozen = make([]float64, count), make([]float64, count), make([]float64, count), make([]bool, count)
	for _, u := range g.groups {
		g.slots = append(g.slots, s.slots.Rows(t.Lo+u[0], t.Lo+u[1]))
	}
	if s.o.Optimizer.Kind.KeepsDisplacement() {
		g.buffer = b.Slots[velocitySlot(s.o.Optimizer)]
	}
	index := len(s.used)
	s.used = append(s.used, 0)
	rows, cols, units := b.X.Rows, b.X.Cols, b.W.Rows
	return s.job(t, 4*roundLine(rows*units)+3*roundLine(units*cols)+roundLine(units), func(scratch []float32) error {
		s.used[index] = g.solve(scratch)
		return nil
	})
}

// iterations is the most that a unit of the layer took in the last batch.
func (s *direct) iterations() int {
	if s.used == nil {
		return len(s.list)
	}
	most := 0
	for _, n := range s.used {
		most = max(most, n)
	}
	return most
}

// solve makes the local iterations of the block and returns how many it took.
func (s *guarded) solve(scratch []float32) (used int) {
	k, b := s.kernels, &s.block
	rows, cols, units := b.X.Rows, b.X.Cols, b.W.Rows
	e, scratch := carve(scratch, rows, units)
	da, scratch := carve(scratch, rows, units)
	residual, scratch := carve(scratch, rows, units)
	along, scratch := carve(scratch, rows, units) // dA of the proposals
	delta, scratch := carve(scratch, units, cols)
	proposal, scratch := carve(scratch, units, cols)
	grad, scratch := carve(scratch, units, cols)
	loss := localLoss{f: b.F, ahat: b.Ahat, e: e, da: da, more: along, row: scratch[:units]}
	armijo := s.o.Safety.Armijo
	clear(delta.Data)
	clear(da.Data)
	clear(s.value)
	clear(s.terms)
	clear(s.frozen)
	k.Scale(e, b.D, b.Gamma)
	for t, u := range s.list {
		r := e
		if t > 0 {
			if !armijo { // else da has followed every step
				k.Affine(da, b.X, delta)
			}
			k.Residual(residual, da, b.Ahat, b.Yhat, e, b.F)
			r = residual
		}
		k.Grad(grad, r, b.X)
		if s.stop(t, grad, delta) {
			break
		}
		used = t + 1
		backend.Copy(proposal, delta)
		for i, g := range s.groups {
			if !s.frozen[i] {
				k.Update(u, backend.Rows(proposal, g[0], g[1]), backend.Rows(b.W, g[0], g[1]), backend.Rows(grad, g[0], g[1]), s.slots[i])
			}
		}
		if !armijo {
			delta, proposal = proposal, delta
			continue
		}
		subtract(proposal, proposal, delta)
		k.Affine(along, b.X, proposal)
		for i := range s.groups {
			if !s.frozen[i] {
				s.backtrack(i, &loss, grad, delta, proposal)
			}
		}
	}
	k.AddInto(b.W, delta)
	return used
}

// stop freezes the units that have come within the tolerance and reports whether none
// is left.
func (s *guarded) stop(t int, grad, delta backend.Mat) bool {
	tol := s.o.Safety.Tolerance
	if tol == 0 {
		return false
	}
	all := true
	for i, g := range s.groups {
		norm := 0.0
		for j := g[0] * grad.Cols; j < g[1]*grad.Cols; j++ {
			x := float64(grad.Data[j]) + s.prox*float64(delta.Data[j])
			norm += x * x
		}
		norm = math.Sqrt(norm)
		if t == 0 {
			s.first[i] = norm
		} else if norm <= tol*s.first[i] {
			s.frozen[i] = true
		}
		all = all && s.frozen[i]
	}
	return all
}

// backtrack takes the step of a group that Armijo's rule accepts.
func (s *guarded) backtrack(i int, loss *localLoss, grad, delta, proposal backend.Mat) {
	lo, hi := s.groups[i][0], s.groups[i][1]
	// The proximal term along Δ + s·p is ½/λ·(‖Δ‖² + 2s⟨Δ, p⟩ + s²‖p‖²).
	var slope, dd, dp, pp float64
	for j := lo * delta.Cols; j < hi*delta.Cols; j++ {
		d, p := float64(delta.Data[j]), float64(proposal.Data[j])
		slope += (float64(grad.Data[j]) + s.prox*d) * p
		dd, dp, pp = dd+d*d, dp+d*p, pp+p*p
	}
	slope = math.Min(slope, 0)
	limit := s.value[i] + armijoRounding*s.terms[i]
	step := 1.0
	for range armijoTries {
		value, terms := loss.at(lo, hi, float32(step))
		near := s.prox / 2 * (dd + 2*step*dp + step*step*pp)
		value, terms = value+near, terms+near
		if value <= limit+armijoShare*step*slope {
			s.value[i], s.terms[i] = value, terms
			s.advance(lo, hi, float32(step), loss, delta, proposal)
			return
		}
		step /= 2
	}
	s.advance(lo, hi, 0, loss, delta, proposal)
}

// advance moves units by a share of their proposal; 0 keeps even a proposal that isn't
// finite out. It may overwrite the proposal.
func (s *guarded) advance(lo, hi int, share float32, loss *localLoss, delta, proposal backend.Mat) {
	if share != 1 && s.o.Optimizer.Kind.FollowsWeights() {
		defer s.follow(lo, hi, delta, proposal)
	}
	if s.buffer.Data != nil && share != 1 {
		v := backend.Rows(s.buffer, lo, hi)
		for j := range v.Data {
			v.Data[j] *= share
		}
		if share == 0 {
			clear(v.Data)
		}
	}
	if share == 0 {
		return
	}
	change := backend.Rows(delta, lo, hi)
	addScaled(change, change, backend.Rows(proposal, lo, hi), share)
	for i := range loss.da.Rows {
		for u := lo; u < hi; u++ {
			loss.da.Data[i*loss.da.Stride+u] = loss.moved(i, u, share)
		}
	}
}

// follow makes the slots of units those of W̃ₖ + Δ, for which it takes the rows of sum.
func (s *guarded) follow(lo, hi int, delta, sum backend.Mat) {
	var held [optimizer.MaxSlots][]float32
	slots := held[:len(s.block.Slots)]
	for u := lo; u < hi; u++ {
		for i, slot := range s.block.Slots {
			slots[i] = backend.Rows(slot, u, u+1).Data
		}
		w := backend.Rows(sum, u, u+1)
		addScaled(w, backend.Rows(s.block.W, u, u+1), backend.Rows(delta, u, u+1), 1)
		s.o.Optimizer.Start(w.Data, slots)
	}
}
