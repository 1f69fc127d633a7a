package muon

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

const (
	iterations = 5
	linear     = 3.4445
	cubic      = -4.7750
	quintic    = 2.0315
	leastNorm  = 1e-7
	stripe     = 128 // rows or columns of a product per task
)

// orthogonal is Muon on a hidden layer. The iteration works on the smaller one of XXᵀ and
// XᵀX; the latter is what a transposed X would give.
type orthogonal struct {
	*layerwise.Layer
	o          Options
	sum        layerwise.Squares
	bias       *elementwise
	momentum   backend.Mat     // M, m × n
	momentumOf [][]backend.Mat // its rows by task of units, each a kernel's one slot
	x          [2]backend.Mat  // X before and after an iteration
	gram       backend.Mat     // A
	poly       backend.Mat     // cubic·A + quintic·A²
	tall       bool            // m > n: A = XᵀX
	squares    []float64       // ‖U‖² by task of units
	rate       float64
}

func newOrthogonal(l *layerwise.Layer, o Options) *orthogonal {
	m, n := l.W.Rows, l.W.Cols-1
	size := min(m, n)
	r := &orthogonal{
		Layer: l, o: o, sum: layerwise.NewSquares(l.Kernels, l.W), tall: m > n, momentum: backend.NewMat(m, n),
		bias: &elementwise{Layer: l, o: o, first: n, slots: plan.NewSlots(backend.Cols(l.W, n, n+1), adamW(o))},
		x:    [2]backend.Mat{backend.NewPadded(m, n), backend.NewPadded(m, n)},
		gram: backend.NewPadded(size, size), poly: backend.NewPadded(size, size),
		squares: make([]float64, (m+l.Block-1)/l.Block),
	}
	for lo := 0; lo < m; lo += l.Block {
		r.momentumOf = append(r.momentumOf, []backend.Mat{backend.Rows(r.momentum, lo, min(lo+l.Block, m))})
	}
	return r
}

func (r *orthogonal) Begin(rate float64) {
	r.rate = rate
	r.bias.Begin(rate)
}

func (r *orthogonal) Stages() [][]plan.Job {
	m, n := r.W.Rows, r.W.Cols-1
	var biases []func(g backend.Mat)
	for lo := 0; lo < m; lo += r.Block {
		biases = append(biases, r.bias.task(lo, min(lo+r.Block, m)))
	}
	stages := [][]plan.Job{r.Units(0, func(lo, hi int, g backend.Mat, _ []float32) error {
		biases[lo/r.Block](g)
		r.gather(lo, hi, g)
		return nil
	})}
	small, large := float64(min(m, n)), float64(max(m, n))
	for i := range iterations {
		x, next := r.x[i%2], r.x[(i+1)%2]
		first := i == 0
		stages = append(stages,
			layerwise.Stripes(r.Index, r.gram.Rows, stripe, small*large, 0, func(lo, hi int, _ []float32) error {
				r.multiply(x, lo, hi, first)
				return nil
			}),
			layerwise.Stripes(r.Index, r.gram.Rows, stripe, 2*small*small, 0, func(lo, hi int, _ []float32) error {
				p := backend.Rows(r.poly, lo, hi)
				backend.Copy(p, backend.Rows(r.gram, lo, hi))
				r.Kernels.Gemm(false, false, quintic, backend.Rows(r.gram, lo, hi), r.gram, cubic, p)
				return nil
			}),
			layerwise.Stripes(r.Index, max(m, n), stripe, 2*small*small, 0, func(lo, hi int, _ []float32) error {
				r.advance(x, next, lo, hi, first)
				return nil
			}))
	}
	return append(stages, layerwise.Stripes(r.Index, m, layerwise.CacheRows, 2*plan.ElementCost*float64(n), 0, func(lo, hi int, _ []float32) error {
		r.move(lo, hi)
		return nil
	}))
}

// gather takes the gradient g of rows lo ≤ u < hi into the momentum, and makes U of it: with
// (1 − μ)g for the gradient, it is what Nesterov's momentum moves a weight of 0 by at rate −1.
func (r *orthogonal) gather(lo, hi int, g backend.Mat) {
	g, u := backend.WithoutBias(g), backend.Rows(r.x[0], lo, hi)
	r.Kernels.Scale(g, g, float32(1-r.o.Momentum))
	for i := range u.Rows {
		clear(mat.Row(u, i))
	}
	step := optimizer.Update{Kind: optimizer.Nesterov, C: [8]float32{-1, float32(r.o.Momentum)}}
	r.Kernels.Update(step, u, backend.Mat{}, g, r.momentumOf[lo/r.Block])
	r.squares[lo/r.Block] = r.sum.Of(u)
}

// scale is 1/(‖U‖ + 1e-7) in the first iteration, and 1 in the others.
func (r *orthogonal) scale(first bool) float32 {
	if !first {
		return 1
	}
	return float32(1 / (math.Sqrt(mat.Sum(r.squares)) + leastNorm))
}

// multiply makes rows lo ≤ i < hi of A up to the diagonal, and what mirrors them.
func (r *orthogonal) multiply(x backend.Mat, lo, hi int, first bool) {
	s := r.scale(first)
	a := backend.View(r.gram, lo, hi, 0, hi)
	if r.tall {
		r.Kernels.Gemm(true, false, s*s, backend.Cols(x, lo, hi), backend.Cols(x, 0, hi), 0, a)
	} else {
		r.Kernels.Gemm(false, true, s*s, backend.Rows(x, lo, hi), backend.Rows(x, 0, hi), 0, a)
	}
	for i := lo; i < hi; i++ {
		for j, v := range mat.Row(r.gram, i)[:i] {
			r.gram.Data[j*r.gram.Stride+i] = v
		}
	}
}

// advance makes X of the next iteration: columns lo ≤ j < hi, or its rows where it is tall.
func (r *orthogonal) advance(x, next backend.Mat, lo, hi int, first bool) {
	s := r.scale(first)
	part := backend.Cols
	if r.tall {
		part = backend.Rows
	}
	from, to := part(x, lo, hi), part(next, lo, hi)
	backend.Copy(to, from)
	if r.tall {
		r.Kernels.Gemm(false, false, s, from, r.poly, linear*s, to)
	} else {
		r.Kernels.Gemm(false, false, s, r.poly, from, linear*s, to)
	}
}

// move makes the step of rows lo ≤ u < hi.
func (r *orthogonal) move(lo, hi int) {
	m, n := float64(r.W.Rows), float64(r.W.Cols-1)
	w := backend.WithoutBias(backend.Rows(r.W, lo, hi))
	if keep := float32(1 - r.rate*r.o.WeightDecay); keep != 1 {
		r.Kernels.Scale(w, w, keep)
	}
	layerwise.AddScaled(r.Kernels, w, -float32(r.rate*math.Sqrt(math.Max(1, m/n))), backend.Rows(r.x[iterations%2], lo, hi))
}

func (r *orthogonal) State() []plan.Tensor {
	return append([]plan.Tensor{r.Tensor("muon.m", r.momentum)}, r.bias.State()...)
}

func (r *orthogonal) Explain(p *plan.LayerPlan) {
	m, n := float64(r.W.Rows), float64(r.W.Cols-1)
	small, large := math.Min(m, n), math.Max(m, n)
	p.Form, p.Tasks = "orthogonal", len(r.squares)
	p.LocalFlops = r.GradFlops() + iterations*(3*small*small*large+2*small*small*small)
}
