package kbfgs

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
)

// recursionScratch is the length of the scratch that the two-loop recursion needs for a
// number of columns.
func (f *factors) recursionScratch(cols int) int {
	if !f.o.Limited {
		return 0
	}
	return mat.RoundLine(f.W.Rows*cols) + mat.RoundLine(f.o.Memory*cols) + mat.RoundLine(cols) + mat.RoundLine(f.o.Memory)
}

// recursion overwrites Q (m × any) by H_g Q, H_g that of the stored pairs from the identity,
// column by column but at once:
//
//	newest to oldest:  αᵢ = ρᵢ sᵢᵀQ,  Q ← Q − yᵢαᵢ
//	oldest to newest:  Q ← Q + sᵢ(αᵢ − ρᵢ yᵢᵀQ)
func (f *factors) recursion(q backend.Mat, scratch []float32) {
	pairs := int(min(f.count[0], int64(f.o.Memory)))
	alpha, scratch := mat.Carve(scratch, f.o.Memory, q.Cols)
	beta, scratch := mat.Carve(scratch, 1, q.Cols)
	ρ := scratch[:pairs]
	pair := func(i int) (s, y backend.Mat) { // the i-th oldest
		at := i
		if f.count[0] > int64(f.o.Memory) {
			at = int((f.count[0] + int64(i)) % int64(f.o.Memory))
		}
		return backend.Rows(f.pairS, at, at+1), backend.Rows(f.pairY, at, at+1)
	}
	for i := pairs - 1; i >= 0; i-- {
		s, y := pair(i)
		ρ[i] = float32(1 / mat.Dot(s, y))
		a := backend.Rows(alpha, i, i+1)
		f.Kernels.Gemm(false, false, ρ[i], s, q, 0, a)
		f.Kernels.Gemm(true, false, -1, y, a, 1, q)
	}
	for i := range pairs {
		s, y := pair(i)
		a := backend.Rows(alpha, i, i+1)
		backend.Copy(beta, a)
		f.Kernels.Gemm(false, false, -ρ[i], y, q, 1, beta)
		f.Kernels.Gemm(true, false, 1, s, beta, 1, q)
	}
}

// timesLimited computes hy = H_g y.
func (f *factors) timesLimited(hy, y []float64, scratch []float32) {
	q, scratch := mat.Carve(scratch, len(y), 1)
	for u, v := range y {
		q.Data[u] = float32(v)
	}
	f.recursion(q, scratch)
	for u, v := range q.Data {
		hy[u] = float64(v)
	}
}

// moveLimited makes the step of columns lo ≤ j < hi.
func (f *factors) moveLimited(lo, hi int, rate float64, scratch []float32) {
	q, scratch := mat.Carve(scratch, f.W.Rows, hi-lo)
	backend.Copy(q, backend.Cols(f.half, lo, hi))
	f.recursion(q, scratch)
	step := float32(-rate)
	for u := range q.Rows {
		w := mat.Row(f.W, u)[lo:hi]
		for j, v := range mat.Row(q, u) {
			w[j] += step * v
		}
	}
}
