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
	kernels backend.Factored
	sum     layerwise.Squares
	grad    backend.Mat // g
	rows    []float32   // r
	columns []float32   // c
	biases  []float32   // V of the biases
	steps   []int64

	squares [2][]float64 // Σ g² by unit; by column, a row of n per task
	scales  [2][]float32 // U = g∘scales: √(mean(r)/r) by unit, 1/√c by column
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
		Layer: l, o: o, kernels: backend.FactoredOf(l.Kernels), sum: layerwise.NewSquares(l.Kernels, l.W), grad: backend.NewMat(m, n+1), rows: make([]float32, m), columns: make([]float32, n),
		biases: make([]float32, m), steps: make([]int64, 1),
		squares: [2][]float64{make([]float64, m), make([]float64, tasks*n)}, scales: [2][]float32{make([]float32, m), make([]float32, n)},
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
		Task: plan.Task{Layer: r.Index, Hi: n, Cost: float64(len(r.squares[1]))},
		Do:   func([]float32) error { r.combine(); return nil },
	}
	return [][]plan.Job{r.Gradient(r.grad, r.observe), {combine}, units(r.measure), units(r.move)}
}

// observe takes rows lo ≤ u < hi of the gradient into r, and sums squares for c.
func (r *rule) observe(lo, hi int) {
	n, task := r.W.Cols-1, lo/r.Block
	g, sums := backend.Rows(r.grad, lo, hi), r.squares[0][lo:hi]
	r.kernels.SquareSums(backend.WithoutBias(g), sums, r.squares[1][task*n:][:n])
	for i, sum := range sums {
		b := float64(mat.Row(g, i)[n])
		r.rows[lo+i] = r.averaged(r.rows[lo+i], sum/float64(n))
		r.biases[lo+i] = r.averaged(r.biases[lo+i], b*b)
	}
	if r.o.Fixed {
		return
	}
	w := backend.Rows(r.W, lo, hi)
	r.sizes[0][task] = r.sum.Of(backend.WithoutBias(w))
	r.sizes[1][task] = r.sum.Of(backend.Cols(w, n, n+1))
}

func (r *rule) averaged(old float32, square float64) float32 {
	return float32(float64(r.keep*float64(old)) + float64((1-r.keep)*(square+least)))
}

// combine makes c and its scales, and the mean of r.
func (r *rule) combine() {
	n, m := len(r.columns), float64(len(r.rows))
	for j, c := range r.columns {
		var sum float64
		for at := j; at < len(r.squares[1]); at += n {
			sum += r.squares[1][at]
		}
		r.columns[j] = r.averaged(c, sum/m)
		r.scales[1][j] = float32(1 / math.Sqrt(float64(r.columns[j])))
	}
	var sum float64
	for _, v := range r.rows {
		sum += float64(v)
	}
	r.mean = sum / m
}

// measure makes the scales of rows lo ≤ u < hi, and sums the squares of U before it is
// clipped.
func (r *rule) measure(lo, hi int) {
	task, n := lo/r.Block, r.W.Cols-1
	g, scales := backend.Rows(r.grad, lo, hi), r.scales[0][lo:hi]
	var biases float64
	for i, v := range r.rows[lo:hi] {
		scales[i] = float32(math.Sqrt(r.mean / float64(v)))
		b := r.bias(lo+i, mat.Row(g, i)[n])
		biases += float64(b * b)
	}
	r.updates[0][task] = r.kernels.ScaledSquares(backend.WithoutBias(g), scales, r.scales[1])
	r.updates[1][task] = biases
}

// bias is U of unit u's bias, whose gradient is g.
func (r *rule) bias(u int, g float32) float64 { return float64(g) / math.Sqrt(float64(r.biases[u])) }

// move makes the step of rows lo ≤ u < hi.
func (r *rule) move(lo, hi int) {
	m, n := float64(r.W.Rows), r.W.Cols-1
	var step [2]float64
	for i, count := range [2]float64{m * float64(n), m} {
		step[i] = r.rate / math.Max(1, math.Sqrt(mat.Sum(r.updates[i])/count))
		if !r.o.Fixed {
			step[i] *= math.Max(leastSize, math.Sqrt(mat.Sum(r.sizes[i])/count))
		}
	}
	g, w, scales := backend.Rows(r.grad, lo, hi), backend.Rows(r.W, lo, hi), r.scales[0][lo:hi]
	for i := range scales {
		scales[i] *= float32(step[0])
		mat.Row(w, i)[n] -= float32(step[1] * r.bias(lo+i, mat.Row(g, i)[n]))
	}
	r.kernels.ScaledStep(backend.WithoutBias(w), backend.WithoutBias(g), scales, r.scales[1])
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
