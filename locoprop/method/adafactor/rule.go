package adafactor

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

const (
	decay        = 0.8   // of 1 − β
	least        = 1e-30 // added to squares
	leastSize    = 1e-3  // of weights that a step is relative to
	largestShare = 0.01  // of that size
)

// rule is Adafactor on one layer. Sums are float64, one per task, added in their order.
type rule struct {
	*layerwise.Layer
	o       Options
	grad    backend.Mat // g
	rows    []float32   // r
	columns []float32   // c
	biases  []float32   // V of the biases
	steps   []int64

	squares []float64    // sums of g² over columns, a row of n per task
	scales  []float64    // 1/√c
	sizes   [2][]float64 // ΣW² and Σb² by task
	updates [2][]float64 // ΣU²
	mean    float64      // of r
	keep    float64      // β
	rate    float64
}

func newRule(l *layerwise.Layer, o Options) *rule {
	m, n := l.W.Rows, l.W.Cols-1
	tasks := (m + l.Block - 1) / l.Block
	r := &rule{
		Layer: l, o: o, grad: backend.NewMat(m, n+1), rows: make([]float32, m), columns: make([]float32, n),
		biases: make([]float32, m), steps: make([]int64, 1), squares: make([]float64, tasks*n), scales: make([]float64, n),
	}
	for i := range r.sizes {
		r.sizes[i], r.updates[i] = make([]float64, tasks), make([]float64, tasks)
	}
	return r
}

func (r *rule) Begin(rate float64) {
	r.steps[0]++
	r.rate, r.keep = rate, 1-math.Pow(float64(r.steps[0]), -decay)
	if !r.o.Fixed {
		r.rate *= math.Min(largestShare, 1/math.Sqrt(float64(r.steps[0])))
	}
}

func (r *rule) Stages() [][]plan.Job {
	m, n := r.W.Rows, r.W.Cols-1
	units := func(do func(lo, hi int)) []plan.Job {
		return layerwise.Stripes(r.Index, m, r.Block, 4*float64(n), 0, func(lo, hi int, _ []float32) error {
			do(lo, hi)
			return nil
		})
	}
	combine := plan.Job{
		Task: plan.Task{Layer: r.Index, Hi: n, Cost: float64(len(r.squares))},
		Do:   func([]float32) error { r.combine(); return nil },
	}
	return [][]plan.Job{r.Gradient(r.grad, r.observe), {combine}, units(r.measure), units(r.move)}
}

// observe takes rows lo ≤ u < hi of the gradient into r, and sums squares for c.
func (r *rule) observe(lo, hi int) {
	n := r.W.Cols - 1
	sums := r.squares[lo/r.Block*n:][:n]
	clear(sums)
	for u := lo; u < hi; u++ {
		g := mat.Row(r.grad, u)
		var row float64
		for j := range sums {
			square := float64(g[j]) * float64(g[j])
			row += square
			sums[j] += square
		}
		r.rows[u] = r.averaged(r.rows[u], row/float64(n))
		r.biases[u] = r.averaged(r.biases[u], float64(g[n])*float64(g[n]))
	}
	w := backend.Rows(r.W, lo, hi)
	r.sizes[0][lo/r.Block] = mat.SumSquares(backend.WithoutBias(w))
	r.sizes[1][lo/r.Block] = mat.SumSquares(backend.Cols(w, n, n+1))
}

func (r *rule) averaged(old float32, square float64) float32 {
	return float32(float64(r.keep*float64(old)) + float64((1-r.keep)*(square+least)))
}

// combine makes c, and the mean of r.
func (r *rule) combine() {
	n, m := len(r.columns), float64(len(r.rows))
	for j, c := range r.columns {
		var sum float64
		for at := j; at < len(r.squares); at += n {
			sum += r.squares[at]
		}
		r.columns[j] = r.averaged(c, sum/m)
		r.scales[j] = 1 / math.Sqrt(float64(r.columns[j]))
	}
	var sum float64
	for _, v := range r.rows {
		sum += float64(v)
	}
	r.mean = sum / m
}

// measure overwrites rows lo ≤ u < hi of the gradient by U before it is clipped, and sums
// its squares.
func (r *rule) measure(lo, hi int) {
	n := r.W.Cols - 1
	var sums [2]float64
	for u := lo; u < hi; u++ {
		// A root and a quotient for each row and column, not for each element.
		g, row := mat.Row(r.grad, u), 1/math.Sqrt(float64(r.rows[u])/r.mean)
		for j, scale := range r.scales {
			v := float64(g[j]) * row * scale
			sums[0] += float64(v * v)
			g[j] = float32(v)
		}
		v := float64(g[n]) / math.Sqrt(float64(r.biases[u]))
		sums[1] += float64(v * v)
		g[n] = float32(v)
	}
	for i, v := range sums {
		r.updates[i][lo/r.Block] = v
	}
}

// move makes the step of rows lo ≤ u < hi.
func (r *rule) move(lo, hi int) {
	m, n := float64(r.W.Rows), r.W.Cols-1
	var step [2]float32
	for i, count := range [2]float64{m * float64(n), m} {
		s := r.rate / math.Max(1, math.Sqrt(mat.Sum(r.updates[i])/count))
		if !r.o.Fixed {
			s *= math.Max(leastSize, math.Sqrt(mat.Sum(r.sizes[i])/count))
		}
		step[i] = float32(s)
	}
	for u := lo; u < hi; u++ {
		g, w := mat.Row(r.grad, u), mat.Row(r.W, u)
		for j := range n {
			w[j] -= step[0] * g[j]
		}
		w[n] -= step[1] * g[n]
	}
}

func (r *rule) State() []plan.Tensor {
	return []plan.Tensor{
		r.Vector("adafactor.rows", r.rows), r.Vector("adafactor.columns", r.columns), r.Vector("adafactor.biases", r.biases),
		r.Counter("adafactor.steps", r.steps),
	}
}

func (r *rule) Explain(p *plan.LayerPlan) {
	p.Tasks, p.LocalFlops = len(r.sizes[0]), r.GradFlops()
}
