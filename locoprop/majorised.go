package locoprop

import (
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// majorised is LocoProp-M with a proximal term, by majorisation and minimisation (Hunter
// & Lange 2004; for logistic losses Böhning & Lindsay 1988; docs/method.md). With
// c_f = sup f′ and C = X̃ᵀX̃, c_f·C + λ⁻¹I bounds the local loss's curvature everywhere,
// so that the quadratic with this curvature lies above the loss and touches it where it
// is made. Each iteration goes to that quadratic's minimum:
//
//	Δ ← Δ − (RᵀX̃ + λ⁻¹Δ)(c_f·C + λ⁻¹I)⁻¹
//
// T times: one Cholesky a batch, no rate, and no iteration raises the loss, of softmax
// neither. The first is exact LocoProp-S with c_f·C for C; on the identity the first is
// all. Where the batch is smaller than n+1, the same iterates come from K = X̃X̃ᵀ:
//
//	Δ = ZᵀX̃,  Z ← Z − (c_f·K + λ⁻¹I)⁻¹(R + λ⁻¹Z)
type majorised struct {
	*layer
	slope  float64     // c_f
	dual   bool        // by K
	second backend.Mat // C or K
	factor []float64   // of c_f·C + ρI, by Cholesky
	work   [][]plan.Job
}

const (
	// leastDamping bounds ρ from below, relative to c_f·tr C: far below it the float32 C is
	// noise. A larger ρ still majorises; only directions with hardly any input slow down.
	leastDamping = 0x1p-20
	// jitter, relative to tr K, keeps a float32 K from having negative eigenvalues that
	// outweigh 1/λ. Added where ρ is above 1/λ, and nowhere else.
	jitter = 0x1p-22
	// dampings are how often Cholesky is tried, each time with ten times the ρ, before C is
	// replaced by its trace.
	dampings = 4
)

// errGradient is what a solve returns that can't begin.
var errGradient = errors.New("gradient of the local problem isn't finite; the inputs, weights or derivatives have left the range of float32")

func newMajorised(l *layer) (solver, error) {
	slope, ok := l.f.MaxSlope()
	if !ok {
		return nil, fmt.Errorf("form %v needs a transfer function whose slope has a bound, which %v has not: use form implicit", FormMajorised, l.f)
	}
	rows, cols := l.x.Rows, l.x.Cols
	order := min(rows, cols)
	s := &majorised{
		layer: l, slope: slope, dual: rows < cols,
		second: backend.NewPadded(order, order), factor: make([]float64, order*order),
	}
	n := float64(order)
	factor := []plan.Job{{
		Task: plan.Task{Layer: l.index, Hi: order, Cost: n * n * n / 3},
		What: madeFactor,
		Do:   func([]float32) error { return s.factorise() },
	}}
	var blocks []plan.Job
	for _, t := range l.units(s.flops() / float64(l.w.Rows)) {
		b := l.block(t.Lo, t.Hi, nil)
		blocks = append(blocks, plan.Job{
			Task: t, Scratch: s.scratch(t.Hi - t.Lo), What: madeSolution,
			Do: func(scratch []float32) error { return s.solve(&b, scratch) },
		})
	}
	s.work = [][]plan.Job{selfProduct(l, !s.dual, s.second), factor, blocks}
	return s, nil
}

func (s *majorised) stages() [][]plan.Job { return s.work }
func (s *majorised) begin()               {}
func (s *majorised) state() []plan.Tensor { return nil }

// iterations are T, or none where λ = 0.
func (s *majorised) iterations() int {
	if !positive(s.prox) {
		return 0
	}
	return s.o.Steps
}

// condition is an estimate for the matrix that was factored.
func (s *majorised) condition() float64 {
	if !positive(s.prox) {
		return 0
	}
	return choleskyCondition(s.factor, s.second.Rows)
}

// factorise makes the Cholesky factor of c_f·C + ρI with ρ = 1/λ, or more where C is too
// ill conditioned for that. It fails only where C isn't finite.
func (s *majorised) factorise() error {
	if !positive(s.prox) {
		return nil // λ = 0: no step
	}
	n := s.second.Rows
	var trace float64
	for i := range n {
		trace += float64(s.second.Data[i*s.second.Stride+i])
	}
	if math.IsNaN(trace) || math.IsInf(trace, 0) {
		return errGradient
	}
	rho := s.prox
	if least := leastDamping * s.slope * trace; rho < least {
		rho = least
		if s.dual {
			for i := range n {
				s.second.Data[i*s.second.Stride+i] += float32(jitter * trace)
			}
		}
	}
	for range dampings {
		s.fill(s.slope, rho)
		if s.kernels.Cholesky(s.factor, n) == nil {
			return nil
		}
		rho *= 10
	}
	s.fill(0, s.prox+s.slope*trace) // majorises too: tr C ≥ ‖C‖₂
	return s.kernels.Cholesky(s.factor, n)
}

// fill sets factor to scale·C + ρI, the lower triangle.
func (s *majorised) fill(scale, rho float64) {
	n := s.second.Rows
	for i := range n {
		row := s.factor[i*n : i*n+i+1]
		for j, v := range s.second.Data[i*s.second.Stride : i*s.second.Stride+i+1] {
			row[j] = float64(scale * float64(v))
		}
		row[i] += rho
	}
}

// scratch counts the float32 of a task on units: E, R, the iterate and the gradient of
// the order of C or K, the latter in float64, and what the end takes.
func (s *majorised) scratch(units int) int {
	n := s.second.Rows
	return 2*roundLine(s.x.Rows*units) + 2*roundLine(n*units) + roundLine(2*n*units) + roundLine(units*s.x.Cols)
}

// solve makes all iterations of a block of units. The iterate v is Δᵀ, or Z in the dual:
// a column per unit, as Solve takes it.
func (s *majorised) solve(b *backend.Block, scratch []float32) error {
	if !positive(s.prox) {
		return nil
	}
	k := s.kernels
	n, rows, units := s.second.Rows, b.D.Rows, b.W.Rows
	e, scratch := carve(scratch, rows, units)
	r, scratch := carve(scratch, rows, units)
	v, scratch := carve(scratch, n, units)
	g, scratch := carve(scratch, n, units)
	step := float64s(scratch)[:n*units]
	delta, _ := carve(scratch[roundLine(2*n*units):], units, b.W.Cols)
	clear(v.Data)
	k.Scale(e, b.D, b.Gamma)
	for t := range s.o.Steps {
		residual := e
		if t > 0 {
			s.forward(r, v, b)
			k.Residual(r, r, b.Ahat, b.Yhat, e, b.F)
			residual = r
		}
		if s.dual {
			g = residual
		} else {
			k.Gemm(true, false, 1, b.X, residual, 0, g)
		}
		for j, x := range v.Data {
			step[j] = float64(g.Data[j]) + float64(s.prox*float64(x))
		}
		if t == 0 && !finite(step) {
			return errGradient
		}
		k.Solve(s.factor, n, step, units)
		for j, x := range step {
			v.Data[j] = float32(float64(v.Data[j]) - x)
		}
	}
	s.finish(b, v, delta)
	return nil
}

// forward computes dA from the iterate.
func (s *majorised) forward(da, v backend.Mat, b *backend.Block) {
	q := b.X
	if s.dual {
		q = s.second
	}
	s.kernels.Gemm(false, false, 1, q, v, 0, da)
}

// finish adds Δ to the weights, but for units whose Δ has left the finite numbers.
func (s *majorised) finish(b *backend.Block, v, delta backend.Mat) {
	if s.dual {
		s.kernels.Grad(delta, v, b.X)
	} else {
		for j := range v.Rows {
			for u, x := range v.Data[j*v.Stride : j*v.Stride+v.Cols] {
				delta.Data[u*delta.Stride+j] = x
			}
		}
	}
	for u := range delta.Rows {
		row := backend.Rows(delta, u, u+1)
		switch {
		case finite(row.Data):
		case b.F.RowCoupled():
			return // one problem: all or nothing
		default:
			clear(row.Data)
		}
	}
	s.kernels.AddInto(b.W, delta)
}

// finite reports whether all elements are.
func finite[T float32 | float64](x []T) bool {
	for _, v := range x {
		if x := float64(v); math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// flops counts products, the factorisation and the triangular solves.
func (s *majorised) flops() float64 {
	b, n, m, t := float64(s.x.Rows), float64(s.x.Cols), float64(s.w.Rows), float64(s.o.Steps)
	if s.dual {
		return b*b*n + b*b*b/3 + t*2*b*b*m + (t-1)*2*b*b*m + 2*b*n*m
	}
	return b*n*n + n*n*n/3 + t*(2*b*n*m+2*n*n*m) + (t-1)*2*b*n*m
}

func (s *majorised) explain(p *plan.LayerPlan) {
	p.Form, p.Tasks = FormMajorised.String(), len(s.work[2])
	p.LocalFlops = s.flops()
	p.MemoryBytes = matBytes(s.second) + 8*float64(len(s.factor))
	s.tell(s.predict(), p)
}
