package shampoo

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

const (
	startSteps   = 5     // steps in the graft's direction, before the roots mean anything
	adaGradFloor = 1e-10 // added to √Σg² of GraftAdaGrad
	leastNorm    = 1e-16 // added to ‖P‖
)

// rule is Shampoo on one layer.
type rule struct {
	*layerwise.Layer
	o          Options
	sum        layerwise.Squares
	grad       backend.Mat // G
	direction  backend.Mat // P
	momentum   backend.Mat // M; none without momentum
	squares    backend.Mat // Σg² of GraftAdaGrad; none otherwise
	sides      []*side
	tiles      []tile
	steps      []int64
	rate       float64
	due, ready bool // roots are made anew; P is used
	stages     [][]plan.Job
	graftSums  [2][]float64 // ‖S‖² of W and b, by task of units
	ownSums    [2][]float64 // ‖P‖², by tile
}

// side is one side of a tile: its second moment and root.
type side struct {
	of     backend.Mat // the tile's gradient
	trans  bool        // the right side: GᵀG
	power  int         // p of the root −1/p
	second backend.Mat // L
	root   backend.Mat
}

// tile is a part of W or b.
type tile struct {
	r0, r1, c0, c1 int
	tensor         int   // 0: W, 1: b
	left, right    *side // nil: not preconditioned
}

func newRule(l *layerwise.Layer, o Options) *rule {
	m, n := l.W.Rows, l.W.Cols
	r := &rule{Layer: l, o: o, sum: layerwise.NewSquares(l.Kernels, l.W), grad: backend.NewMat(m, n), direction: backend.NewMat(m, n), steps: make([]int64, 1)}
	if o.Momentum > 0 {
		r.momentum = backend.NewMat(m, n)
	}
	if o.Graft == GraftAdaGrad {
		r.squares = backend.NewMat(m, n)
	}
	step := o.Tile
	if o.Original {
		step = max(m, n)
	}
	for r0 := 0; r0 < m; r0 += step {
		r1 := min(r0+step, m)
		for c0 := 0; c0 < n-1; c0 += step {
			c1 := min(c0+step, n-1)
			t := tile{r0: r0, r1: r1, c0: c0, c1: c1}
			switch { // a vector has one side
			case n == 2:
				t.left = r.newSide(t, false, 2)
			case m == 1:
				t.right = r.newSide(t, true, 2)
			default:
				t.left, t.right = r.newSide(t, false, 4), r.newSide(t, true, 4)
			}
			r.tiles = append(r.tiles, t)
		}
		t := tile{r0: r0, r1: r1, c0: n - 1, c1: n, tensor: 1}
		t.left = r.newSide(t, false, 2)
		r.tiles = append(r.tiles, t)
	}
	r.planStages()
	return r
}

func (r *rule) newSide(t tile, trans bool, power int) *side {
	size := t.r1 - t.r0
	if trans {
		size = t.c1 - t.c0
	}
	if size > MaxSide {
		return nil
	}
	s := &side{
		of: backend.View(r.grad, t.r0, t.r1, t.c0, t.c1), trans: trans, power: power,
		second: backend.NewMat(size, size), root: backend.NewMat(size, size),
	}
	for i := range size {
		s.second.Data[i*size+i] = float32(r.o.Epsilon)
		s.root.Data[i*size+i] = 1
	}
	r.sides = append(r.sides, s)
	return s
}

func (r *rule) planStages() {
	first := r.Gradient(r.grad, r.graft)
	var roots, products []plan.Job
	for _, s := range r.sides {
		size := s.second.Rows
		cube := math.Pow(float64(size), 3)
		roots = append(roots, plan.Job{
			Task:    plan.Task{Layer: r.Index, Hi: size, Cost: 8 * cube},
			Scratch: rootScratch(size), Do: func(scratch []float32) error { r.observe(s, scratch); return nil },
		})
	}
	for i, t := range r.tiles {
		height, width := t.r1-t.r0, t.c1-t.c0
		products = append(products, plan.Job{
			Task:    plan.Task{Layer: r.Index, Lo: t.r0, Hi: t.r1, Cost: 2 * float64(height*width) * float64(height+width)},
			Scratch: height * width, Do: func(scratch []float32) error { r.precondition(i, scratch); return nil },
		})
	}
	for i := range r.graftSums {
		r.graftSums[i], r.ownSums[i] = make([]float64, len(first)), make([]float64, len(r.tiles))
	}
	r.stages = [][]plan.Job{first, roots, products, r.moves()}
}

func (r *rule) Stages() [][]plan.Job { return r.stages }

// start is the number of first steps that use no roots.
func (r *rule) start() int64 {
	if r.o.Graft == GraftNone {
		return 0
	}
	return startSteps
}

// Cycle is that of the roots.
func (r *rule) Cycle() plan.Cycle {
	return plan.Cycle{Begin: int(r.start()) + r.o.Refresh, Length: r.o.Refresh}
}

// Begin decides whether this step uses roots, and makes them anew.
func (r *rule) Begin(rate float64) {
	r.steps[0]++
	r.rate = rate
	k := r.steps[0] - r.start() // from 1 where P is used
	r.ready = k > 0
	r.due = r.ready && (k < int64(r.o.Refresh) && k&(k-1) == 0 || r.steps[0]%int64(r.o.Refresh) == 0)
}

// graft sums the squares of the graft's step for rows lo ≤ u < hi.
func (r *rule) graft(lo, hi int) {
	n := r.W.Cols - 1
	var sums [2]float64
	if r.o.Graft == GraftAdaGrad {
		for u := lo; u < hi; u++ {
			g, s := mat.Row(r.grad, u), mat.Row(r.squares, u)
			for j, v := range g {
				s[j] += v * v
				step := float64(r.graftStep(v, s[j]))
				sums[j/n] += float64(step * step)
			}
		}
	} else {
		rows := backend.Rows(r.grad, lo, hi)
		sums[0], sums[1] = r.sum.Of(backend.WithoutBias(rows)), r.sum.Of(backend.Cols(rows, n, n+1))
	}
	for i, v := range sums {
		r.graftSums[i][lo/r.Block] = v
	}
}

// graftStep is an element of S.
func (r *rule) graftStep(g, square float32) float32 {
	if r.o.Graft == GraftAdaGrad {
		return g / (float32(math.Sqrt(float64(square))) + adaGradFloor)
	}
	return g
}

// observe takes the gradient into a side's second moment, and makes its root if need be.
func (r *rule) observe(s *side, scratch []float32) {
	share, keep := float32(1-r.o.Beta2), float32(r.o.Beta2)
	if r.o.Beta2 == 1 {
		share = 1
	}
	r.Kernels.Syrk(s.trans, share, s.of, keep, s.second)
	if !r.due {
		return
	}
	ridge := r.o.Epsilon
	if r.o.Original { // ε is in L
		ridge = 0
	}
	root(r.Kernels, s.root, s.second, s.power, ridge, scratch)
}

// precondition makes P of a tile.
func (r *rule) precondition(i int, scratch []float32) {
	if !r.ready {
		return
	}
	t := &r.tiles[i]
	g := backend.View(r.grad, t.r0, t.r1, t.c0, t.c1)
	p := backend.View(r.direction, t.r0, t.r1, t.c0, t.c1)
	switch {
	case t.left != nil && t.right != nil:
		half, _ := mat.Carve(scratch, g.Rows, g.Cols)
		r.Kernels.Gemm(false, false, 1, t.left.root, g, 0, half)
		r.Kernels.Gemm(false, false, 1, half, t.right.root, 0, p)
	case t.left != nil:
		r.Kernels.Gemm(false, false, 1, t.left.root, g, 0, p)
	case t.right != nil:
		r.Kernels.Gemm(false, false, 1, g, t.right.root, 0, p)
	default:
		backend.Copy(p, g)
	}
	r.ownSums[t.tensor][i] = r.sum.Of(p)
}

// moves make the step: each scales its rows of P, or of the graft's step, and hands them to
// Nesterov's momentum, or without one to plain gradient descent.
func (r *rule) moves() (jobs []plan.Job) {
	n := r.W.Cols - 1
	for _, t := range plan.UnitTasks(r.Index, r.W.Rows, layerwise.CacheRows, false, 3*plan.ElementCost*float64(n+1)) {
		w, p := backend.Rows(r.W, t.Lo, t.Hi), backend.Rows(r.direction, t.Lo, t.Hi)
		parts := [2]backend.Mat{backend.WithoutBias(p), backend.Cols(p, n, n+1)}
		kind, slots := optimizer.SGD, []backend.Mat(nil)
		if r.momentum.Data != nil {
			kind, slots = optimizer.Nesterov, []backend.Mat{backend.Rows(r.momentum, t.Lo, t.Hi)}
		}
		jobs = append(jobs, plan.Job{Task: t, Do: func([]float32) error {
			if !r.ready {
				r.useGraft(t.Lo, t.Hi)
			}
			for i, part := range parts {
				if scale := r.scale(i); scale != 1 {
					r.Kernels.Scale(part, part, scale)
				}
			}
			step := optimizer.Update{Kind: kind, C: [8]float32{float32(r.rate), float32(r.o.Momentum)}}
			r.Kernels.Update(step, w, backend.Mat{}, p, slots)
			return nil
		}})
	}
	return jobs
}

// scale gives P of W (0) or b (1) the length of the graft's step.
func (r *rule) scale(tensor int) float32 {
	if !r.ready || r.o.Graft == GraftNone {
		return 1
	}
	return float32(math.Sqrt(mat.Sum(r.graftSums[tensor])) / (math.Sqrt(mat.Sum(r.ownSums[tensor])) + leastNorm))
}

// useGraft makes the graft's step the direction of rows lo ≤ u < hi.
func (r *rule) useGraft(lo, hi int) {
	for u := lo; u < hi; u++ {
		g, p := mat.Row(r.grad, u), mat.Row(r.direction, u)
		copy(p, g)
		if r.o.Graft == GraftAdaGrad {
			for j, s := range mat.Row(r.squares, u) {
				p[j] = r.graftStep(g[j], s)
			}
		}
	}
}

// State lists momentum, graft and both sides of every tile.
func (r *rule) State() []plan.Tensor {
	var state []plan.Tensor
	if r.momentum.Data != nil {
		state = append(state, r.Tensor("shampoo.m", r.momentum))
	}
	if r.squares.Data != nil {
		state = append(state, r.Tensor("shampoo.squares", r.squares))
	}
	for i, s := range r.sides {
		state = append(state, r.Tensor(fmt.Sprintf("shampoo.second.%d", i), s.second), r.Tensor(fmt.Sprintf("shampoo.root.%d", i), s.root))
	}
	return append(state, r.Counter("shampoo.steps", r.steps))
}

// Explain counts roots at their average rate, 15 iterations each.
func (r *rule) Explain(p *plan.LayerPlan) {
	p.Tasks = len(r.tiles)
	p.LocalFlops = r.GradFlops()
	for _, t := range r.tiles {
		for _, s := range []*side{t.left, t.right} {
			if s == nil {
				continue
			}
			size, elements := float64(s.second.Rows), float64((t.r1-t.r0)*(t.c1-t.c0))
			p.LocalFlops += 3*size*elements + 15*8*size*size*size/float64(r.o.Refresh)
		}
	}
}
