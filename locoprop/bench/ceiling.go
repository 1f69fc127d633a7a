package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// op is what a kernel computes that a step can't do without.
type op int

const (
	opGemm op = iota
	opSyrk
	opGemm64
	opCholesky
	opSolve
	opInvert
	opSymEig
)

var opNames = [...]string{"gemm", "syrk", "gemm64", "cholesky", "solve", "invert", "symeig"}

// operation is a call of a product or a factorisation, by all that its time depends on.
type operation struct {
	op             op
	transA, transB bool
	a, b, c        size
}

// size is a matrix without its content.
type size struct{ rows, cols, stride int }

func sizeOf(m backend.Mat) size     { return size{m.Rows, m.Cols, m.Stride} }
func sizeOf64(m backend.Mat64) size { return size{m.Rows, m.Cols, m.Stride} }
func square(n int) size             { return size{n, n, n} }

func gemm(transA, transB bool, a, b, c backend.Mat) operation {
	return operation{opGemm, transA, transB, sizeOf(a), sizeOf(b), sizeOf(c)}
}

// inner is the number of terms of each element of a product.
func (o operation) inner() int {
	if o.transA {
		return o.a.rows
	}
	return o.a.cols
}

// flops are the operations that the mathematics of o needs.
func (o operation) flops() float64 {
	n := float64(o.a.rows)
	switch o.op {
	case opGemm, opGemm64:
		return 2 * float64(o.c.rows) * float64(o.c.cols) * float64(o.inner())
	case opSyrk:
		return float64(o.c.rows) * float64(o.c.rows+1) * float64(o.inner())
	case opCholesky:
		return n * n * n / 3
	case opSolve:
		return 2 * n * n * float64(o.b.cols)
	case opInvert:
		return 2 * n * n * n / 3
	default: // opSymEig: reduction, and the eigenvectors back
		return 4 * n * n * n
	}
}

func (o operation) shape() string {
	switch o.op {
	case opGemm, opSyrk, opGemm64:
		return fmt.Sprintf("%d×%d×%d", o.c.rows, o.c.cols, o.inner())
	case opSolve:
		return fmt.Sprintf("%d, %d columns", o.a.rows, o.b.cols)
	default:
		return fmt.Sprint(o.a.rows)
	}
}

// Alone is what one kind of call takes by itself, with all workers doing the same.
type Alone struct {
	Op      string  `json:"op"` // gemm, syrk, gemm64, cholesky, solve, invert, symeig
	Shape   string  `json:"shape"`
	Count   float64 `json:"count"` // in a step
	Seconds Spread  `json:"seconds"`
	Rate    float64 `json:"flops_per_second"` // of one worker
}

// ceiling measures how long the products and factorisations of a step would take if
// nothing else were done: every one at its sizes, by the backend's own kernels for single
// products, on all workers at once.
type ceiling struct {
	kernels backend.Kernels
	pool    *plan.Pool
	all     []operation
	counts  []float64   // in a step
	seconds [][]float64 // by operation and round
	memory  []operands  // per worker
}

// operands are one worker's matrices, as large as the largest operation needs.
type operands struct {
	a, b, c       []float32
	a64, b64, c64 []float64
}

const ceilingTime = 5 * time.Millisecond // for each operation and round

// newCeiling prepares the operations that were counted in a number of steps.
func newCeiling(k backend.Kernels, pool *plan.Pool, counts map[operation]int, steps int) *ceiling {
	c := &ceiling{kernels: k, pool: pool}
	var most, most64 [3]int
	for o, n := range counts {
		c.all, c.counts = append(c.all, o), append(c.counts, float64(n)/float64(steps))
		need := &most
		if o.op > opSyrk {
			need = &most64
		}
		for i, s := range [3]size{o.a, o.b, o.c} {
			need[i] = max(need[i], s.rows*s.stride)
		}
		if o.op == opSymEig { // b: eigenvalues and scratch
			need[1] = max(need[1], o.a.rows+k.SymEigWork(o.a.rows))
		}
	}
	c.seconds = make([][]float64, len(c.all))
	for range pool.Workers() {
		m := operands{
			a: backend.Alloc(most[0]), b: backend.Alloc(most[1]), c: backend.Alloc(most[2]),
			a64: make([]float64, most64[0]), b64: make([]float64, most64[1]), c64: make([]float64, most64[2]),
		}
		for i, v := range [][]float32{m.a, m.b} {
			fill(backend.Mat{Rows: 1, Cols: len(v), Stride: len(v), Data: v}, uint64(i))
		}
		for _, v := range [][]float64{m.a64, m.b64} {
			for i := range v {
				v[i] = 1e-3
			}
		}
		c.memory = append(c.memory, m)
	}
	return c
}

// round measures every operation once and returns the time of all those of a step,
// shared out evenly among the workers.
func (c *ceiling) round() float64 {
	sum := 0.0
	for i, o := range c.all {
		t := c.alone(o)
		c.seconds[i] = append(c.seconds[i], t)
		sum += c.counts[i] * t
	}
	return sum / float64(c.pool.Workers())
}

// alone is the time of one operation while all workers do the same.
func (c *ceiling) alone(o operation) float64 {
	workers := c.pool.Workers()
	times := make([]float64, workers)
	each(c.pool, func(w int) {
		m := &c.memory[w]
		m.prepare(o)
		c.call(o, m)
		var spent time.Duration
		count := 0
		for start := time.Now(); count == 0 || time.Since(start) < ceilingTime; count++ {
			m.prepare(o)
			begin := time.Now()
			c.call(o, m)
			spent += time.Since(begin)
		}
		times[w] = spent.Seconds() / float64(count)
	})
	rate := 0.0
	for _, t := range times {
		rate += 1 / t
	}
	return float64(workers) / rate
}

// parts are the operations with what they took, those that take most of a step first.
func (c *ceiling) parts() []Alone {
	parts := make([]Alone, len(c.all))
	for i, o := range c.all {
		s := spread(c.seconds[i])
		parts[i] = Alone{Op: opNames[o.op], Shape: o.shape(), Count: c.counts[i], Seconds: s, Rate: o.flops() / s.Median}
	}
	slices.SortFunc(parts, func(a, b Alone) int {
		return cmp.Or(cmp.Compare(b.Count*b.Seconds.Median, a.Count*a.Seconds.Median), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Shape, b.Shape))
	})
	return parts
}

// prepare writes the operands that a call overwrites or that must be of a kind: a
// positive definite matrix for Cholesky, and its factor for what follows on it.
func (m *operands) prepare(o operation) {
	n := o.a.rows
	switch o.op {
	case opCholesky, opSymEig: // 1/(1 + |i − j|), the diagonal raised
		for i := range n {
			for j := range n {
				m.a64[i*n+j] = 1 / (1 + math.Abs(float64(i-j)))
			}
			m.a64[i*n+i] = float64(1 + n)
		}
	case opSolve, opInvert:
		for i := range n {
			for j := range n {
				m.a64[i*n+j] = 1e-3
			}
			m.a64[i*n+i] = 1
		}
		for i := range o.b.rows * o.b.cols {
			m.b64[i] = 1
		}
	}
}

func (c *ceiling) call(o operation, m *operands) {
	switch o.op {
	case opGemm:
		c.kernels.Gemm(o.transA, o.transB, 1, o.a.of(m.a), o.b.of(m.b), 0, o.c.of(m.c))
	case opSyrk:
		c.kernels.Syrk(o.transA, 1, o.a.of(m.a), 0, o.c.of(m.c))
	case opGemm64:
		c.kernels.Gemm64(o.transA, o.transB, 1, o.a.of64(m.a64), o.b.of64(m.b64), 0, o.c.of64(m.c64))
	case opCholesky:
		_ = c.kernels.Cholesky(m.a64[:o.a.rows*o.a.rows], o.a.rows) // it is positive definite
	case opSolve:
		c.kernels.Solve(m.a64[:o.a.rows*o.a.rows], o.a.rows, m.b64[:o.b.rows*o.b.cols], o.b.cols)
	case opInvert:
		c.kernels.Invert(m.a64[:o.a.rows*o.a.rows], o.a.rows)
	case opSymEig:
		n := o.a.rows
		_ = c.kernels.SymEig(m.a64[:n*n], n, m.b64[:n], m.b64[n:]) // only the time counts
	}
}

func (s size) of(memory []float32) backend.Mat {
	return backend.Mat{Rows: s.rows, Cols: s.cols, Stride: s.stride, Data: memory[:s.rows*s.stride]}
}

func (s size) of64(memory []float64) backend.Mat64 {
	return backend.Mat64{Rows: s.rows, Cols: s.cols, Stride: s.stride, Data: memory[:s.rows*s.stride]}
}
