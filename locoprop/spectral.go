package locoprop

import (
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// spectral is LocoProp-S under plain SGD, all T iterations at once. With C = X̃ᵀX̃ =
// Q diag(c) Qᵀ, an iteration multiplies what Δ lacks along an eigenvector by 1 − ηₜc, so
//
//	Δ = −γ (GQ) diag q(c) Qᵀ,  q(c) = (1 − Πₜ(1 − ηₜc))/c,  q(0) = Σₜ ηₜ
//
// for any rates, those too that diverge. A proximal term adds λ⁻¹ to every c. Where X̃
// has fewer rows than columns the eigenvectors are those of K = X̃X̃ᵀ, and
// Δ = −γ [X̃ᵀ Q diag q(c) QᵀD]ᵀ.
//
// Source: Amid et al. 2022 for the iterations; docs/method.md.
type spectral struct {
	closed
	vectors backend.Mat // Q, an eigenvector per column
	factors []float32   // −γ·q per eigenvector
	least   float64     // eigenvalue of C or K
	most    float64     // the same
	idle    bool        // all rates are 0
	work    [][]plan.Job
}

// leastEigenvalue is what eigenvalues of a float32 C or K are told apart from 0 by,
// relative to the largest: below it they are its rounding.
const leastEigenvalue = 0x1p-24

func newSpectral(l *layer) (*spectral, error) {
	c, err := newClosed(l)
	if err != nil {
		return nil, err
	}
	n := c.gram.Rows
	s := &spectral{closed: c, vectors: backend.NewPadded(n, n), factors: make([]float32, n)}
	product := selfProduct(l, s.primal, s.gram)
	for i := range product {
		multiply := product[i].Do
		product[i].Do = func(scratch []float32) error {
			if s.idle {
				return nil
			}
			return multiply(scratch)
		}
	}
	order := float64(n)
	decompose := []plan.Job{{
		Task:    plan.Task{Layer: l.index, Hi: n, Cost: eigenFlops(order)},
		Scratch: 2 * (n*n + n + l.kernels.SymEigWork(n)), What: "eigenvectors of the second moment", Do: s.decompose,
	}}
	var solve []plan.Job
	for _, t := range l.units(2*float64(l.x.Rows)*float64(l.x.Cols) + 4*order*order) {
		units := t.Hi - t.Lo
		solve = append(solve, plan.Job{
			Task: t, Scratch: 2*roundLine(n*units) + roundLine(units*l.x.Cols), What: madeSolution,
			Do: func(scratch []float32) error { return s.solve(t.Lo, t.Hi, scratch) },
		})
	}
	s.work = [][]plan.Job{product, decompose, solve}
	return s, nil
}

// eigenFlops is about what the eigenvectors of a symmetric matrix cost by tridiagonal
// reduction and implicit QR (Golub & Van Loan, Matrix Computations, 8.3).
func eigenFlops(n float64) float64 { return 9 * n * n * n }

func (s *spectral) stages() [][]plan.Job { return s.work }

func (s *spectral) begin() { s.idle = s.rates[0] == 0 } // the largest of them

func (s *spectral) state() []plan.Tensor { return nil }

var errSpectralInput = errors.New("it holds numbers that aren't finite")

// decompose makes Q and −γ·q.
func (s *spectral) decompose(scratch []float32) error {
	if s.idle {
		return nil
	}
	n := s.gram.Rows
	if i, _ := plan.FirstNonFinite([]backend.Mat{s.gram}); i >= 0 {
		return errSpectralInput
	}
	memory := float64s(scratch)
	a, c, work := memory[:n*n], memory[n*n:n*n+n], memory[n*n+n:]
	widenLower(a, s.gram)
	if err := s.kernels.SymEig(a, n, c, work); err != nil {
		return err
	}
	narrow(s.vectors, a, false)
	s.least, s.most = c[0], c[n-1]
	for k, v := range c {
		s.factors[k] = float32(-s.o.Gamma * manySteps(math.Max(v, 0)+s.prox, s.rates)) // below 0 by rounding only
	}
	return nil
}

// condition estimates, from below, the condition number of the matrix whose eigenvectors
// were taken last, C + λ⁻¹I or K + λ⁻¹I, without the λ⁻¹ where there is no proximal term.
// Eigenvalues that are rounding count as the least that isn't. 0 where the matrix is 0.
func (s *spectral) condition() float64 {
	most := s.most + s.prox
	if s.idle || !positive(most) {
		return 0
	}
	return most / (math.Max(s.least, leastEigenvalue*s.most) + s.prox)
}

// manySteps is q(c) = (1 − Πₜ(1 − ηₜc))/c for c ≥ 0: what T steps of gradient descent
// with rates ηₜ reach along an eigenvector, for a gradient of 1.
func manySteps(c float64, rates []float64) float64 {
	sum, logs, product, small := 0.0, 0.0, 1.0, true
	for _, eta := range rates {
		sum += eta
		product *= 1 - eta*c
		if small = small && eta*c < 1; small {
			logs += math.Log1p(-eta * c)
		}
	}
	switch {
	case c == 0:
		return sum
	case small: // no digits are lost where all ηₜc are small
		return -math.Expm1(logs) / c
	}
	return (1 - product) / c
}

// solve makes and applies the update of units lo ≤ u < hi.
func (s *spectral) solve(lo, hi int, scratch []float32) error {
	if s.idle {
		return nil
	}
	k, n, units := s.kernels, s.gram.Rows, hi-lo
	d := backend.Cols(s.d, lo, hi)
	delta, scratch := carve(scratch, units, s.x.Cols)
	if s.primal {
		along, _ := carve(scratch, units, n)
		k.Grad(delta, d, s.x)
		k.Gemm(false, false, 1, delta, s.vectors, 0, along)
		for u := range units {
			for j, q := range s.factors {
				along.Data[u*n+j] *= q
			}
		}
		k.Gemm(false, true, 1, along, s.vectors, 0, delta)
	} else {
		along, scratch := carve(scratch, n, units)
		z, _ := carve(scratch, n, units)
		k.Gemm(true, false, 1, s.vectors, d, 0, along)
		for j, q := range s.factors {
			for u := range units {
				along.Data[j*units+u] *= q
			}
		}
		k.Gemm(false, false, 1, s.vectors, along, 0, z)
		k.Grad(delta, z, s.x)
	}
	if err := s.apply(lo, hi, delta); err != nil {
		return fmt.Errorf("%d local steps at once, rates from %.3g: %w", len(s.rates), s.rates[0], err)
	}
	return nil
}

// explain counts the self-product, the eigenvectors, G and two products with Q.
func (s *spectral) explain(p *plan.LayerPlan) {
	b, n, m, order := float64(s.x.Rows), float64(s.x.Cols), float64(s.w.Rows), float64(s.gram.Rows)
	p.Form, p.Tasks = FormSpectral.String(), len(s.work[len(s.work)-1])
	p.LocalFlops = b*n*order + 2*b*n*m + eigenFlops(order) + 4*order*order*m
	p.MemoryBytes = s.bytes() + matBytes(s.vectors) + 4*order
	s.tell(s.predict(), p)
}
