package locoprop

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// The forms that FormAuto doesn't choose from have a prediction too: what they ask of
// their kernels, counted as predict counts it, over the tasks of the plan itself. What is
// float64 counts as so many float32 operations as take as long, and twice the elements.

const (
	// How much longer a factorisation's operations, in float64, take than a product's in
	// float32.
	factorCost = 2.1
	// F of Newton's method is evaluated twice, f and f′ once each, for an iteration of an
	// example: as long as so many f of a kernel.
	newtonTransfers = 4
)

// product counts a product of a rows × inner and an inner × cols matrix.
func (w *Work) product(rows, inner, cols float64) {
	w.Product += 2 * rows * inner * cols
	w.Operand += rows*inner + inner*cols + rows*cols
	w.Call++
}

// square counts C or K, of rows inner products of length inner, as selfProduct makes it.
func (w *Work) square(rows int, inner float64) {
	for lo, stripe := 0, stripeSize(rows); lo < rows; lo += stripe {
		left, own := float64(lo), float64(min(stripe, rows-lo))
		w.Square += inner * own * (own + 2*left)
		w.Operand += own * (inner + own)
		w.Call++
		if lo > 0 {
			w.Operand += inner*(own+left) + own*left
			w.Element += 2 * own * left // mirrored
			w.Call++
		}
	}
}

// wide counts a call in float64: operations, and elements read and written.
func (w *Work) wide(flops, elements float64) {
	w.Product += factorCost * flops
	w.Operand += 2 * elements
	w.Call++
}

func (w *Work) cholesky(n float64) { w.wide(n*n*n/3, n*n) }

// solve counts triangular solves for k right-hand sides.
func (w *Work) solve(n, k float64) { w.wide(2*n*n*k, n*n+n*k) }

func (w *Work) eigenvectors(n float64) { w.wide(eigenFlops(n), n*n+n) }

// element counts a call of another kernel.
func (w *Work) element(elements float64) {
	w.Element += elements
	w.Call++
}

// residual counts R of so many elements.
func (w *Work) residual(f transfer.Func, elements float64) {
	if f == transfer.Identity {
		w.element(3 * elements)
		return
	}
	w.element(5 * elements)
	w.Transfer += elements
}

// add adds a share of other work.
func (w *Work) add(share float64, x Work) {
	w.Product += share * x.Product
	w.Square += share * x.Square
	w.Operand += share * x.Operand
	w.Element += share * x.Element
	w.Transfer += share * x.Transfer
	w.Call += share * x.Call
}

// tell fills in what some work is predicted to take.
func (l *layer) tell(w Work, p *plan.LayerPlan) {
	p.Bytes, p.Seconds = 4*(w.Operand+w.Element), l.o.Costs.Seconds(w)
}

// shape is B, as rows of X̃, and n+1.
func (l *layer) shape() (rows, cols float64) { return float64(l.x.Rows), float64(l.x.Cols) }

// unitsOf is the number of a task's units.
func unitsOf(t *plan.Job) float64 { return float64(t.Hi - t.Lo) }

// predict counts one factorisation of C or K in float32.
func (s *exact) predict() (w Work) {
	rows, cols := s.shape()
	order := s.selfProduct(&w)
	w.cholesky(order)
	for i := range s.work[3] {
		units := unitsOf(&s.work[3][i])
		w.product(units, rows, cols) // G, or Δ of the dual's solution
		w.solve(order, units)
		w.element(3 * units * cols) // W̃ + Δ
	}
	return w
}

func (s *spectral) predict() (w Work) {
	rows, cols := s.shape()
	order := s.selfProduct(&w)
	w.eigenvectors(order)
	for i := range s.work[2] {
		units := unitsOf(&s.work[2][i])
		w.product(units, rows, cols)
		w.product(units, order, order) // into the eigenvectors' frame
		w.product(units, order, order) // and back
		w.element(3 * units * cols)
	}
	return w
}

// selfProduct counts C or K and returns its order.
func (c *closed) selfProduct(w *Work) float64 {
	rows, cols := c.shape()
	if c.primal {
		w.square(c.x.Cols, rows)
		return cols
	}
	w.square(c.x.Rows, cols)
	return rows
}

// predict counts one factorisation: none where λ = 0, more where C is ill conditioned.
func (s *majorised) predict() (w Work) {
	rows, cols := s.shape()
	order, again := float64(s.second.Rows), float64(s.o.Steps-1)
	inner := rows
	if s.dual {
		inner = cols
	}
	w.square(s.second.Rows, inner)
	w.cholesky(order)
	for i := range s.work[2] {
		units := unitsOf(&s.work[2][i])
		var each Work // but the first iteration needs no dA
		each.product(rows, order, units)
		each.residual(s.f, rows*units)
		w.add(again, each)
		each = Work{}
		if !s.dual {
			each.product(cols, rows, units) // the gradient
		}
		each.solve(order, units)
		w.add(again+1, each)
		w.element(2 * rows * units) // E = γD
		if s.dual {
			w.product(units, rows, cols) // Δ = ZᵀX̃
		}
		w.element(3 * units * cols)
	}
	return w
}

// predict counts factors at their average rate.
func (s *statistics) predict() (w Work) {
	rows, cols := s.shape()
	c := s.o.Statistics
	diagonal := c.Structure == precond.Diagonal
	for _, t := range s.work[0] {
		if diagonal {
			w.Element += rows * float64(t.Hi-t.Lo)
			continue
		}
		lo := 0
		for i := range s.moment.Blocks() {
			hi := lo + s.moment.BlockColumns(i)
			if from, to := max(t.Lo, lo), min(t.Hi, hi); from < to {
				w.product(float64(to-from), rows, float64(to-lo))
			}
			lo = hi
		}
	}
	updates := s.work[len(s.work)-1]
	for i := range s.moment.Blocks() {
		n := float64(s.moment.BlockColumns(i))
		if diagonal {
			break
		}
		if !c.Iterate {
			var factor Work
			factor.cholesky(n)
			w.add(1/float64(c.Refresh), factor)
		}
		for j := range updates {
			var each Work
			if units := unitsOf(&updates[j]); c.Iterate {
				each.product(units, n, n)
				w.add(float64(s.o.Steps-1), each)
			} else {
				w.solve(n, units)
			}
		}
	}
	for j := range updates {
		units := unitsOf(&updates[j])
		w.product(units, rows, cols)
		w.element(3 * units * cols)
	}
	return w
}

// predict counts the iterations that the last step took, before the first step those
// that it may take at most.
func (s *implicit) predict() (w Work) {
	newton := s.o.Implicit.Solver == SolverNewton
	if !newton && s.o.Implicit.Relax == 0 {
		rows, cols := s.shape()
		var each Work
		each.product(rows, cols, 1)
		each.product(1, rows, cols)
		w.add(normProducts, each)
	}
	if s.dual {
		rows, cols := s.shape()
		w.Operand += rows * rows * cols // K, by inner products in float64
	}
	blocks := s.work[len(s.work)-1]
	for i := range blocks {
		units, used := unitsOf(&blocks[i]), float64(s.tallies[i].used)
		if used < 0 {
			used = float64(s.o.Implicit.Iterations)
			if newton {
				used *= units
			}
		}
		if newton {
			s.predictNewton(&w, units, used)
		} else {
			s.predictFixed(&w, units, used)
		}
	}
	return w
}

// predictFixed counts a block of SolverFixed or SolverAnderson.
func (s *implicit) predictFixed(w *Work, units, iterations float64) {
	rows, cols := s.shape()
	var each Work
	each.product(rows, cols, units)
	each.product(units, rows, cols)
	each.residual(s.f, rows*units)
	if memory := float64(s.o.Implicit.Memory); s.o.Implicit.Solver == SolverAnderson && memory > 1 {
		parts := units
		if s.f.RowCoupled() {
			parts = 1
		}
		var mix Work
		mix.cholesky(memory)
		mix.solve(memory, 1)
		each.add(parts, mix)
		each.Element += 2 * memory * units * cols // iterates and residuals that are combined
	}
	w.add(iterations, each)
	w.product(units, rows, cols) // the gradient at W̃ₖ, which iterations come behind
	w.element(2 * rows * units)
	w.element(3 * units * cols)
}

// predictNewton counts a block of SolverNewton. Its loops in float64 pass over X̃, or K,
// once per vector that they make.
func (s *implicit) predictNewton(w *Work, units, iterations float64) {
	rows, cols := s.shape()
	order := math.Min(rows, cols)
	var each Work
	if s.dual {
		each.Operand += 3 * 2 * order * order // Kq, Kp, and the matrix made of K
	} else {
		each.Square += rows * cols * cols
		each.Operand += rows*cols + cols*cols
		each.Call++
		each.Operand += 4 * rows * cols // gradient, √f′∘X̃ (read and written), change of a along p
	}
	each.cholesky(order)
	each.solve(order, 1)
	each.Transfer += newtonTransfers * rows
	w.add(iterations, each)
	w.Operand += units * rows * cols // the last gradient, or Δ of z
}
