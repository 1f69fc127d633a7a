package locoprop

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

const (
	// Above this condition the rounding of float32 sums would show: C or K, and G, are
	// formed in float64.
	wideCondition = 1e5
	// Rows of X̃, or columns in the dual, that are widened to float64 at a time.
	widePiece = 128
)

// exact is LocoProp-S with a proximal term, solved: the minimiser of
// ½‖X̃Δᵀ + γD‖² + ‖Δ‖²/(2λ),
//
//	Δ = −γ G (C + λ⁻¹I)⁻¹           C = X̃ᵀX̃, primal: where X̃ has as many rows as columns
//	  = −γ [X̃ᵀ (K + λ⁻¹I)⁻¹ D]ᵀ     K = X̃X̃ᵀ, dual: where it has fewer
//
// with G = DᵀX̃. The local rates matter only where they set λ = Σ ηₜ; λ = 0 means no
// step. Factors and solves are float64; see precond.Factor for what happens where the
// matrix is ill-conditioned.
//
// Sources: Amid et al. 2022 for the problem; the update is FOOF's (Benzing 2022) without
// its averages, and with γ = 1 ProxProp's exact step (Frerix et al. 2018). docs/method.md
// has the derivation.
type exact struct {
	closed
	factor  precond.Factor
	squares []float64 // per stripe of C or K: the sum of the squares of its elements
	idle    bool      // λ = 0
	wide    bool      // C or K is formed in float64
	formed  bool      // and that has been done: the factor's memory holds it
	spare   []float64 // for fill: room for a widened piece of X̃
	filler  func(a []float64)
	work    [][]plan.Job
}

func newExact(l *layer) (*exact, error) {
	c, err := newClosed(l)
	if err != nil {
		return nil, err
	}
	n := c.gram.Rows
	s := &exact{closed: c, factor: precond.NewFactor(l.kernels, n, make([]float64, n*n))}
	s.filler = s.fill // a method value allocates: once
	product := selfProduct(l, s.primal, s.gram)
	refine := make([]plan.Job, len(product))
	s.squares = make([]float64, len(product))
	for i := range product {
		t, multiply := product[i].Task, product[i].Do
		product[i].Do = func(scratch []float32) error {
			if s.idle {
				return nil
			}
			if err := multiply(scratch); err != nil {
				return err
			}
			s.squares[i] = s.sumStripe(t.Lo, t.Hi)
			return nil
		}
		refine[i] = plan.Job{Task: t, Scratch: 2 * widePiece * n, Do: func(scratch []float32) error {
			s.refine(t.Lo, t.Hi, float64s(scratch))
			return nil
		}}
	}
	order := float64(n)
	factor := []plan.Job{{
		Task:    plan.Task{Layer: l.index, Hi: n, Cost: order * order * order / 3},
		Scratch: 2 * (precond.FactorScratch(l.kernels, n) + widePiece*n), What: madeFactor, Do: s.decompose,
	}}
	var solve []plan.Job
	for _, t := range l.units(2*float64(l.x.Rows)*float64(l.x.Cols) + 2*order*order) {
		units := t.Hi - t.Lo
		solve = append(solve, plan.Job{
			Task: t, Scratch: roundLine(2*n*units) + roundLine(2*l.x.Cols*units) + roundLine(units*l.x.Cols) +
				2*widePiece*(l.x.Cols+units), What: madeSolution,
			Do: func(scratch []float32) error { return s.solve(t.Lo, t.Hi, scratch) },
		})
	}
	s.work = [][]plan.Job{product, refine, factor, solve}
	return s, nil
}

func (s *exact) stages() [][]plan.Job { return s.work }

func (s *exact) begin() { s.idle = !positive(s.prox) }

// condition is an estimate for the matrix that was factored.
func (s *exact) condition() float64 {
	if s.idle {
		return 0
	}
	return s.factor.Condition()
}

func (s *exact) state() []plan.Tensor { return nil }

// sumStripe is Σ m² over rows lo ≤ i < hi of C or K up to column hi, those left of lo
// counted for their mirror image too.
func (s *exact) sumStripe(lo, hi int) float64 {
	sum := sumSquares(backend.View(s.gram, lo, hi, lo, hi))
	if lo > 0 {
		sum += 2 * sumSquares(backend.View(s.gram, lo, hi, 0, lo))
	}
	return sum
}

// needsWide reports whether the condition number 1 + λ‖C‖₂ asks for float64. The
// Frobenius norm stands for ‖C‖₂: it is no less, and close where few eigenvalues
// dominate, as they do in layers' inputs.
func (s *exact) needsWide() bool {
	var squares float64
	for _, v := range s.squares {
		squares += v
	}
	return !(1+math.Sqrt(squares)/s.prox <= wideCondition) // true for NaN too
}

// refine forms rows lo ≤ i < hi of C or K anew, in float64 and in the factor's memory,
// if need be.
func (s *exact) refine(lo, hi int, scratch []float64) {
	if !s.idle && s.needsWide() {
		s.form64(s.factor.L, lo, hi, scratch)
	}
}

// form64 writes rows lo ≤ i < hi of C or K, up to the diagonal and a little beyond. It
// adds up products of pieces of X̃.
func (s *exact) form64(a []float64, lo, hi int, scratch []float64) {
	n := s.gram.Rows
	c := backend.Mat64{Rows: hi - lo, Cols: hi, Stride: n, Data: a[lo*n:]}
	inner, k := s.x.Rows, s.kernels
	if !s.primal {
		inner = s.x.Cols
	}
	beta := 0.0
	for p := 0; p < inner; p += widePiece {
		end := min(p+widePiece, inner)
		if s.primal {
			x := widened(scratch, backend.View(s.x, p, end, 0, hi))
			own := backend.Mat64{Rows: x.Rows, Cols: hi - lo, Stride: hi, Data: x.Data[lo:]}
			k.Gemm64(true, false, 1, own, x, beta, c)
		} else {
			x := widened(scratch, backend.View(s.x, 0, hi, p, end))
			own := backend.Mat64{Rows: hi - lo, Cols: x.Cols, Stride: x.Stride, Data: x.Data[lo*x.Stride:]}
			k.Gemm64(false, true, 1, own, x, beta, c)
		}
		beta = 1
	}
}

// fill writes C or K where it is to be factored.
func (s *exact) fill(a []float64) {
	switch {
	case !s.wide:
		widenLower(a, s.gram)
	case s.formed: // by refine; another attempt finds it overwritten
		s.formed = false
	default:
		s.form64(a, 0, s.gram.Rows, s.spare)
	}
}

// decompose factors C + λ⁻¹I or K + λ⁻¹I.
func (s *exact) decompose(scratch []float32) error {
	if s.idle {
		return nil
	}
	s.wide = s.needsWide()
	s.formed = s.wide
	n := s.gram.Rows
	var trace float64
	for i := range n {
		trace += float64(s.gram.Data[i*s.gram.Stride+i])
	}
	memory := float64s(scratch)
	own := precond.FactorScratch(s.kernels, n)
	s.spare = memory[own:]
	return s.factor.Make(s.filler, s.prox, trace/float64(n), memory[:own])
}

// solve makes and applies the update of units lo ≤ u < hi.
func (s *exact) solve(lo, hi int, scratch []float32) error {
	if s.idle {
		return nil
	}
	n, units := s.gram.Rows, hi-lo
	d := backend.Cols(s.d, lo, hi)
	b := float64s(scratch[:2*n*units])
	delta, scratch := carve(scratch[roundLine(2*n*units):], units, s.x.Cols)
	switch {
	case !s.primal:
		widen(b, d, false, -s.o.Gamma)
	case s.wide:
		memory := float64s(scratch)
		beta := 0.0
		for p := 0; p < s.x.Rows; p += widePiece {
			end := min(p+widePiece, s.x.Rows)
			right := widened(memory[widePiece*s.x.Cols:], backend.Rows(d, p, end))
			s.transProduct64(b, p, right, -s.o.Gamma, beta, memory)
			beta = 1
		}
	default:
		s.kernels.Grad(delta, d, s.x)
		widen(b, delta, true, -s.o.Gamma)
	}
	s.factor.Solve(b, units)
	switch {
	case s.primal:
		narrow(delta, b, true)
	case s.wide:
		product := float64s(scratch[:2*s.x.Cols*units])
		memory := float64s(scratch[roundLine(2*s.x.Cols*units):])
		beta := 0.0
		for p := 0; p < s.x.Rows; p += widePiece {
			end := min(p+widePiece, s.x.Rows)
			right := backend.Mat64{Rows: end - p, Cols: units, Stride: units, Data: b[p*units : end*units]}
			s.transProduct64(product, p, right, 1, beta, memory)
			beta = 1
		}
		narrow(delta, product, true)
	default:
		z, _ := carve(scratch, s.x.Rows, units)
		narrow(z, b, false)
		s.kernels.Grad(delta, z, s.x)
	}
	if err := s.apply(lo, hi, delta); err != nil {
		return fmt.Errorf("exact, condition %.3g: %w", s.factor.Condition(), err)
	}
	return nil
}

// explain counts primal Bn² + 2Bnm + n³/3 + 2n²m flops, dual B²n + 2Bnm + B³/3 + 2B²m.
func (s *exact) explain(p *plan.LayerPlan) {
	b, n, m, order := float64(s.x.Rows), float64(s.x.Cols), float64(s.w.Rows), float64(s.gram.Rows)
	syrk, gemm, factor := b*n*order, 2*b*n*m, order*order*order/3+2*order*order*m
	p.Form, p.Tasks = FormExact.String(), len(s.work[len(s.work)-1])
	p.LocalFlops = syrk + gemm + factor
	p.MemoryBytes = s.bytes() + 8*order*order
	s.tell(s.predict(), p)
}

// closed is what the forms share that solve LocoProp-S in closed form, by the smaller
// one of C and K.
type closed struct {
	*layer
	primal bool
	gram   backend.Mat // C = X̃ᵀX̃ (primal) or K = X̃X̃ᵀ
}

func newClosed(l *layer) (closed, error) {
	n := min(l.x.Cols, l.x.Rows)
	if n > precond.MaxBlock {
		return closed{}, fmt.Errorf("layer with %d inputs and a design of %d rows: this form factors a matrix of the smaller size, at most %d",
			l.x.Cols-1, l.x.Rows, precond.MaxBlock)
	}
	return closed{layer: l, primal: l.x.Cols <= l.x.Rows, gram: backend.NewPadded(n, n)}, nil
}

// bytes is the memory of C or K.
func (c *closed) bytes() float64 { return matBytes(c.gram) }

// choleskyCondition estimates the condition number of a matrix from below, by the diagonal
// of its Cholesky factor l, n × n.
func choleskyCondition(l []float64, n int) float64 {
	f := precond.NewFactor(nil, n, l)
	return f.Condition()
}

// apply adds Δ to the weights of units lo ≤ u < hi, if it is finite.
func (l *layer) apply(lo, hi int, delta backend.Mat) error {
	if i, v := plan.FirstNonFinite([]backend.Mat{delta}); i >= 0 {
		return fmt.Errorf("%w: found %v", precond.ErrNotFinite, v)
	}
	l.kernels.AddInto(backend.Rows(l.w, lo, hi), delta)
	return nil
}

// widen writes scale·m to b, row-major, or its transpose.
func widen(b []float64, m backend.Mat, trans bool, scale float64) {
	row, col := m.Cols, 1
	if trans {
		row, col = 1, m.Rows
	}
	for i := range m.Rows {
		for j, v := range m.Data[i*m.Stride : i*m.Stride+m.Cols] {
			b[i*row+j*col] = scale * float64(v)
		}
	}
}

// widenLower writes the lower triangle of a square m to a, row-major.
func widenLower(a []float64, m backend.Mat) {
	for i := range m.Rows {
		for j, v := range m.Data[i*m.Stride : i*m.Stride+i+1] {
			a[i*m.Cols+j] = float64(v)
		}
	}
}

// narrow rounds b, row-major, or its transpose, to m.
func narrow(m backend.Mat, b []float64, trans bool) {
	row, col := m.Cols, 1
	if trans {
		row, col = 1, m.Rows
	}
	for i := range m.Rows {
		mi := m.Data[i*m.Stride : i*m.Stride+m.Cols]
		for j := range mi {
			mi[j] = float32(b[i*row+j*col])
		}
	}
}

// widened is m in float64, in memory of the caller.
func widened(memory []float64, m backend.Mat) backend.Mat64 {
	w := backend.Mat64{Rows: m.Rows, Cols: m.Cols, Stride: m.Cols, Data: memory[:m.Rows*m.Cols]}
	widen(w.Data, m, false, 1)
	return w
}

// transProduct64 computes C ← αX̃ᵀB + βC in float64, C without gaps, of as many rows of X̃,
// from row p on, as B has.
func (l *layer) transProduct64(c []float64, p int, b backend.Mat64, alpha, beta float64, memory []float64) {
	x := widened(memory, backend.Rows(l.x, p, p+b.Rows))
	l.kernels.Gemm64(true, false, alpha, x, b, beta, backend.Mat64{Rows: x.Cols, Cols: b.Cols, Stride: b.Cols, Data: c})
}
