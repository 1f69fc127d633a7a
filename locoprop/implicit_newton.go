package locoprop

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

const (
	armijoPart   = 1e-4    // of the decrease that the slope promises
	armijoLeast  = 0x1p-20 // step
	armijoNoise  = 1e-6    // of the loss's terms, which are computed from float32 A
	newtonLadder = 4       // tries of Cholesky, the damping ten times that before
	// Where f is flat, a step that the regulariser alone holds back can be too long by more
	// than the search along it makes up for. Then the direction is damped, as Levenberg
	// (1944) does, by a factor, so many times at most.
	damping  = 1000
	dampMost = 4
)

// planNewton lays out Newton's method: in the primal form each unit's Hessian is of
// order n+1, in the dual of the order of the batch.
func (s *implicit) planNewton() error {
	l := s.layer
	rows, cols := l.x.Rows, l.x.Cols
	if l.f.RowCoupled() {
		return fmt.Errorf("solver newton needs independent units, which %v doesn't give: use solver anderson or fixed", l.f)
	}
	if order := min(rows, cols); order > NewtonLimit {
		return fmt.Errorf("solver newton factors a matrix of order min(n+1, examples) = %d for every unit and iteration; the limit is %d: use solver anderson or fixed",
			order, NewtonLimit)
	}
	s.dual = rows < cols
	if s.dual {
		s.gram = make([]float64, rows*rows)
		var products []plan.Job
		for _, t := range plan.UnitTasks(l.index, rows, l.o.Block, false, 2*float64(rows*cols)) {
			products = append(products, plan.Job{Task: t, Do: func([]float32) error { s.setGram(t.Lo, t.Hi); return nil }})
		}
		s.work = append(s.work, products)
	}
	s.blocks(func(lo, hi int, took *tally) (int, func([]float32) error) {
		n := &newton{implicit: s, block: s.block(lo, hi, nil), took: took}
		return n.carve(nil), n.run
	})
	return nil
}

// setGram makes rows lo ≤ i < hi of K = X̃X̃ᵀ. In float64, unlike the other forms' K: the
// order is small, and Newton's accuracy would end at that of K.
func (s *implicit) setGram(lo, hi int) {
	if s.lambda == 0 {
		return
	}
	for i := lo; i < hi; i++ {
		for j := range s.x.Rows {
			s.gram[i*s.x.Rows+j] = inner(s.example(i), s.example(j))
		}
	}
}

// example is row i of X̃.
func (s *implicit) example(i int) []float32 { return s.x.Data[i*s.x.Stride : i*s.x.Stride+s.x.Cols] }

// newton solves the units of a block one after the other, in float64. With
// ȧ = a − â, r = (f(a) − ŷ) + γd and, in the dual, Δ = X̃ᵀz:
//
//	primal  q = X̃ᵀr + Δ/λ   p = −(X̃ᵀ diag(f′) X̃ + I/λ)⁻¹q             for Δ
//	dual    q = r + z/λ     p = λ(−q + S(I/λ + SKS)⁻¹SKq), S = diag √f′   for z
//
// q is the gradient of the local loss φ in Δ, or X̃ᵀq is; the step along p is the largest
// of 1, ½, ¼, … that lowers φ by a part of what its slope promises (Armijo 1966).
type newton struct {
	*implicit
	block backend.Block
	took  *tally

	// In the scratch of a run. As long as the batch:
	ahat, yhat, e, moved, r, slope, along []float64 // â, ŷ, γd, ȧ, r, f′(a), change of a along p
	image                                 []float64 // dual: Kq
	trial                                 []float32 // a where φ is tried
	// As long as the unknown, n+1 or the batch:
	v, q, p []float64
	// The matrix that is factored, and in the primal form √f′∘X̃ and its second moment.
	hessian        []float64
	factored       float64 // estimate of its condition; 0 where it couldn't be
	scaled, second backend.Mat
	sum            []float64 // dual: Δ

	// φ(v + sp) = Σ D_F + γ⟨d, ȧ⟩ + (vv + 2s·vp + s²·pp)/2λ; falls is its slope at s = 0.
	vv, vp, pp, falls float64
}

// carve takes the vectors from scratch and returns how much that is, which is all it
// does where scratch is nil.
func (n *newton) carve(scratch []float32) int {
	rows, cols := n.x.Rows, n.x.Cols
	order, used := min(rows, cols), 0
	take := func(v *[]float64, size int) {
		need := roundLine(2 * size)
		if scratch != nil {
			*v = float64s(scratch[used : used+need])[:size]
		}
		used += need
	}
	for _, v := range [...]*[]float64{&n.ahat, &n.yhat, &n.e, &n.moved, &n.r, &n.slope, &n.along, &n.image} {
		take(v, rows)
	}
	for _, v := range [...]*[]float64{&n.v, &n.q, &n.p} {
		take(v, order)
	}
	take(&n.hessian, order*order)
	take(&n.sum, cols)
	floats := func(m *backend.Mat, r, c int) {
		if scratch != nil {
			*m, _ = carve(scratch[used:], r, c)
		}
		used += roundLine(r * c)
	}
	var trial backend.Mat
	floats(&trial, 1, rows)
	n.trial = trial.Data
	if !n.dual {
		floats(&n.scaled, rows, cols)
		floats(&n.second, cols, cols)
	}
	return used
}

// run solves the units of the block.
func (n *newton) run(scratch []float32) error {
	*n.took = tally{}
	if n.lambda == 0 {
		return nil
	}
	n.carve(scratch)
	for u := range n.block.W.Rows {
		if err := n.unit(u); err != nil {
			return err
		}
	}
	return nil
}

// unit solves one unit.
func (n *newton) unit(u int) error {
	n.load(u)
	limit, damped := 0.0, 0
	rho := n.prox
	for i := 0; ; i++ {
		norm := n.gradient()
		if i == 0 {
			if math.IsNaN(norm) || math.IsInf(norm, 0) {
				return errGradient
			}
			limit = n.o.Implicit.Tolerance * norm
		}
		if norm <= limit || i == n.o.Implicit.Iterations {
			break
		}
		n.took.used++
		n.took.most = max(n.took.most, i+1)
		n.direct(rho)
		if n.o.Diagnose > 0 {
			n.took.condition = math.Max(n.took.condition, n.factored)
		}
		step := n.search()
		if step == 0 {
			damped++
			if damped > dampMost {
				break // what is left is rounding
			}
			rho *= damping
			continue
		}
		damped, rho = 0, math.Max(rho/damping, n.prox)
		for j, p := range n.p {
			n.v[j] += float64(step * p)
		}
		for j, a := range n.along {
			n.moved[j] += float64(step * a)
		}
	}
	n.store(u)
	return nil
}

// load starts a unit at Δ = 0. ŷ is f(â) in float64, not the float32 Ŷ, or else rounding
// alone would move a unit with d = 0.
func (n *newton) load(u int) {
	b := &n.block
	for i := range n.ahat {
		a := float64(b.Ahat.Data[i*b.Ahat.Stride+u])
		n.ahat[i], n.yhat[i] = a, n.f.At(a)
		n.e[i] = float64(b.Gamma) * float64(b.D.Data[i*b.D.Stride+u])
	}
	clear(n.moved)
	clear(n.v)
}

// store adds Δ to the unit's weights, if float32 can hold it.
func (n *newton) store(u int) {
	delta := n.v
	if n.dual {
		delta = n.sum
		clear(delta)
		for i, z := range n.v {
			axpyWide(delta, z, n.example(i))
		}
	}
	for _, v := range delta {
		if !(math.Abs(v) <= math.MaxFloat32/2) {
			return
		}
	}
	w := n.block.W.Data[u*n.block.W.Stride:]
	for j, v := range delta {
		w[j] = float32(float64(w[j]) + v)
	}
}

// gradient sets r, f′ and q, and returns ‖∂φ/∂Δ‖₂.
func (n *newton) gradient() float64 {
	for i, moved := range n.moved {
		a := n.ahat[i] + moved
		n.r[i], n.slope[i] = (n.f.At(a)-n.yhat[i])+n.e[i], n.f.Deriv(a)
	}
	if n.dual {
		for i, r := range n.r {
			n.q[i] = r + float64(n.prox*n.v[i])
		}
		n.multiply(n.image, n.q)
		return math.Sqrt(math.Max(dotWide(n.q, n.image), 0))
	}
	for j, v := range n.v {
		n.q[j] = float64(n.prox * v)
	}
	for i, r := range n.r {
		axpyWide(n.q, r, n.example(i))
	}
	return math.Sqrt(dotWide(n.q, n.q))
}

// direct sets p, with ρ for 1/λ in its matrix, the change of a along it, and the
// coefficients of φ's quadratic part.
func (n *newton) direct(rho float64) {
	n.factored = 0
	if n.dual {
		n.directDual(rho)
		n.multiply(n.along, n.p)
		n.vv, n.vp, n.pp = dotWide(n.v, n.moved), dotWide(n.v, n.along), dotWide(n.p, n.along)
		n.falls = dotWide(n.q, n.along)
		return
	}
	n.directPrimal(rho)
	for i := range n.along {
		n.along[i] = dotMixed(n.p, n.example(i))
	}
	n.vv, n.vp, n.pp = dotWide(n.v, n.v), dotWide(n.v, n.p), dotWide(n.p, n.p)
	n.falls = dotWide(n.q, n.p)
}

// search returns the step along p, 0 where none lowers φ. Near the minimum φ's decrease
// drowns in its rounding, and there the slope at the end of the step, which doesn't
// cancel, has to have become smaller instead (Hager & Zhang 2005).
func (n *newton) search() float64 {
	if !(n.falls < 0) {
		return 0
	}
	start, terms := n.value(0)
	for s := 1.0; s >= armijoLeast; s /= 2 {
		value, _ := n.value(s)
		least := start + armijoPart*s*n.falls
		if value <= least || value <= least+armijoNoise*terms && n.slopeAt(s) <= (1-2*armijoPart)*-n.falls {
			return s
		}
	}
	return 0
}

// value is φ at step s up to a constant, and the sum of its terms' sizes. F takes a
// float32, and so all terms take that same one.
func (n *newton) value(s float64) (value, terms float64) {
	var linear, size float64
	for i := range n.trial {
		a := float32(n.ahat[i] + n.moved[i] + float64(s*n.along[i]))
		n.trial[i] = a
		v := float64((n.yhat[i] - n.e[i]) * float64(a))
		linear += v
		size += math.Abs(v)
	}
	potential := n.f.Integral(n.trial)
	square := (n.vv + s*(2*n.vp+s*n.pp)) * n.prox / 2
	return potential - linear + square, math.Abs(potential) + size + square
}

// slopeAt is φ's derivative in s at step s.
func (n *newton) slopeAt(s float64) float64 {
	sum := (n.vp + s*n.pp) * n.prox
	for i, along := range n.along {
		r := (n.f.At(n.ahat[i]+n.moved[i]+float64(s*along)) - n.yhat[i]) + n.e[i]
		sum += float64(r * along)
	}
	return sum
}
