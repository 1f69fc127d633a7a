package locoprop

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// How the fixed point iteration and its acceleration are kept on their way.
const (
	mixedGrowth   = 2       // an accelerated step may raise a residual to this times the least, a plain one not at all
	leastRelax    = 0x1p-20 // of the first α: below it a unit stops
	stallBelow    = 0.01    // of the first residual: below it, one
	stallFactor   = 0.99    // that falls by less than this
	stallPatience = 20      // in so many iterations is at the floor that rounding sets
	andersonRidge = 1e-6    // relative to the largest ‖r‖², for residuals in float32
)

func (s *implicit) planFixed() {
	l := s.layer
	s.power, s.image = backend.NewMat(1, l.x.Cols), backend.NewMat(l.x.Rows, 1)
	norm := []plan.Job{{
		Task: plan.Task{Layer: l.index, Hi: l.w.Rows, Cost: 4 * normProducts * float64(l.x.Rows) * float64(l.x.Cols)},
		What: "norm of the second moment",
		Do:   s.setRelax,
	}}
	s.work = [][]plan.Job{norm}
	s.blocks(func(lo, hi int, took *tally) (int, func([]float32) error) {
		t := newIteration(s, lo, hi, took)
		return t.scratch(), t.run
	})
}

// iteration is the fixed point iteration of a block of units, accelerated where its
// memory is above 1. With w for Δ and g(w) = −λRᵀX̃, the residual is r = g(w) − w; a
// plain step is w ← w + αr.
type iteration struct {
	*implicit
	block  backend.Block
	memory int
	took   *tally
	parts  []part
	mixer  mixer

	// In the scratch of a run, all units × (n+1): the iterate and its residual, those with
	// the least residual so far, and the last ones.
	w, r, bestW, bestR backend.Mat
	pastW, pastR       []backend.Mat
}

// part is a unit's way, or that of all units of a row-coupled layer: one problem.
type part struct {
	lo, hi   int       // its elements of a units × (n+1) matrix
	first    float64   // ‖r‖ at W̃ₖ
	best     float64   // the least so far
	mark     float64   // the least when progress was last seen
	since    int       // the iteration when that was
	relax    float64   // α
	held     int       // iterates in memory
	next     int       // where the next one goes
	products []float64 // ⟨rᵢ, rⱼ⟩ of those in memory
	done     bool
}

func newIteration(s *implicit, lo, hi int, took *tally) *iteration {
	t := &iteration{implicit: s, block: s.block(lo, hi, nil), memory: 1, took: took}
	if s.o.Implicit.Solver == SolverAnderson {
		t.memory = s.o.Implicit.Memory
	}
	size := s.x.Cols
	if s.f.RowCoupled() {
		size *= hi - lo
	}
	for at := 0; at < (hi-lo)*s.x.Cols; at += size {
		t.parts = append(t.parts, part{lo: at, hi: at + size, products: make([]float64, t.memory*t.memory)})
	}
	t.pastW, t.pastR = make([]backend.Mat, t.memory), make([]backend.Mat, t.memory)
	t.mixer = newMixer(t.memory)
	return t
}

func (t *iteration) scratch() int {
	units := t.block.W.Rows
	return backend.ScratchLen(t.x.Rows, t.x.Cols, units) + (2+2*t.memory)*roundLine(units*t.x.Cols)
}

// run solves the block.
func (t *iteration) run(scratch []float32) error {
	*t.took = tally{}
	if t.lambda == 0 {
		return nil
	}
	k, b := t.kernels, &t.block
	rows, cols, units := b.X.Rows, b.X.Cols, b.W.Rows
	var e, da backend.Mat
	e, da, t.w, t.r = backend.CarveScratch(scratch, rows, cols, units)
	scratch = scratch[backend.ScratchLen(rows, cols, units):]
	t.bestW, scratch = carve(scratch, units, cols)
	t.bestR, scratch = carve(scratch, units, cols)
	for i := range t.memory {
		t.pastW[i], scratch = carve(scratch, units, cols)
		t.pastR[i], scratch = carve(scratch, units, cols)
	}
	clear(t.w.Data)
	k.Scale(e, b.D, b.Gamma)
	for i := 0; ; i++ {
		residual := e
		if i > 0 {
			k.Affine(da, b.X, t.w)
			k.Residual(da, da, b.Ahat, b.Yhat, e, b.F)
			residual = da
		}
		k.Grad(t.r, residual, b.X)
		running := false
		for j := range t.parts {
			if err := t.advance(&t.parts[j], i); err != nil {
				return err
			}
			running = running || !t.parts[j].done
		}
		if !running {
			t.took.used, t.took.most = i, i
			break
		}
	}
	k.AddInto(b.W, t.bestW)
	return nil
}

// advance takes one part from iterate i to the next, or ends it. r holds RᵀX̃.
func (t *iteration) advance(p *part, i int) error {
	if i > 0 && p.done {
		return nil
	}
	w, r := t.w.Data[p.lo:p.hi], t.r.Data[p.lo:p.hi]
	for j, g := range r {
		r[j] = float32(-float64(t.lambda*float64(g)) - float64(w[j]))
	}
	norm := math.Sqrt(inner(r, r))
	if i == 0 {
		if !finite(r) {
			return errGradient
		}
		*p = part{
			lo: p.lo, hi: p.hi, products: p.products,
			first: norm, best: math.Inf(1), mark: math.Inf(1), relax: t.relax,
		}
	}
	growth := 1.0 // a gradient step that isn't too long never raises the gradient of a convex function
	if p.held > 1 {
		growth = mixedGrowth
	}
	if norm < p.best {
		p.best = norm
		copy(t.bestW.Data[p.lo:p.hi], w)
		copy(t.bestR.Data[p.lo:p.hi], r)
	} else if !(norm <= growth*p.best) { // NaN too
		t.back(p)
	}
	if p.best < stallFactor*p.mark || p.best > stallBelow*p.first {
		p.mark, p.since = p.best, i
	}
	o := &t.o.Implicit
	p.done = p.best <= o.Tolerance*p.first || i == o.Iterations || i-p.since >= stallPatience || p.relax < leastRelax*t.relax
	if !p.done {
		t.step(p)
	}
	return nil
}

// back returns a part to its best iterate, from which it goes on with a plain step:
// shorter than before if a plain step brought it here.
func (t *iteration) back(p *part) {
	if p.held <= 1 {
		p.relax /= 2
	}
	p.held, p.next = 0, 0
	copy(t.w.Data[p.lo:p.hi], t.bestW.Data[p.lo:p.hi])
	copy(t.r.Data[p.lo:p.hi], t.bestR.Data[p.lo:p.hi])
}

// step puts the iterate into memory and replaces it by the next.
func (t *iteration) step(p *part) {
	w, r := t.w.Data[p.lo:p.hi], t.r.Data[p.lo:p.hi]
	if t.memory == 1 {
		for j, v := range r {
			w[j] = float32(float64(w[j]) + float64(p.relax*float64(v)))
		}
		return
	}
	t.remember(p, w, r)
	t.mix(p, w)
}
