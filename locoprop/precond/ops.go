package precond

import (
	"errors"
	"fmt"

	"gonum.org/v1/gonum/blas/blas32"
)

// Mat is a row-major float32 matrix, or a view of one.
type Mat = blas32.General

// Ops is the arithmetic that the package needs. Every backend of
// locoprop/backend has it: backend/gonum, backend/native, backend/netlib.
type Ops interface {
	// Gemm computes C ← α·op(A)·op(B) + β·C, op transposing where told to. With
	// β = 0, C isn't read.
	Gemm(transA, transB bool, alpha float32, a, b blas32.General, beta float32, c blas32.General)
	// Cholesky overwrites the lower triangle of a symmetric positive definite a (n × n,
	// row-major) by L with LLᵀ = A; the rest of a is unspecified afterwards. It returns an
	// error where a pivot isn't positive.
	Cholesky(a []float64, n int) error
	// Solve overwrites b (n × k, row-major) by A⁻¹B for a matrix factored by Cholesky.
	Solve(l []float64, n int, b []float64, k int)
	// Invert overwrites l, as Cholesky left it, by A⁻¹: both triangles, with the same bits.
	Invert(l []float64, n int)
	// SymEig overwrites a symmetric a (n × n, lower triangle read) by its eigenvectors, one
	// per column, and w (length n) by the eigenvalues. work has SymEigWork(n) elements.
	SymEig(a []float64, n int, w, work []float64) error
	SymEigWork(n int) int
}

// ErrNotFinite is the error of an update that isn't finite: a gradient that isn't, or
// steps with rates beyond 2/‖C̄ + ρI‖₂ so many that they overflow.
var ErrNotFinite = errors.New("update isn't finite")

// FactorError is the error of a second moment that can't be factored: not with more
// damping, nor by its eigenvalues.
type FactorError struct {
	Damping   float64 // ρ of the last attempt
	Condition float64 // estimate of the condition number of the damped matrix; +Inf where there is none
	Err       error
}

func (e *FactorError) Error() string {
	return fmt.Sprintf("second moment of the input can't be factored (damping %.3g, condition %.3g): %v", e.Damping, e.Condition, e.Err)
}

// Unwrap gives the cause.
func (e *FactorError) Unwrap() error { return e.Err }

func must(ok bool, text string) {
	if !ok {
		panic(text)
	}
}

// view is rows r0 ≤ i < r1 and columns c0 ≤ j < c1 of m.
func view(m Mat, r0, r1, c0, c1 int) Mat {
	v := Mat{Rows: r1 - r0, Cols: c1 - c0, Stride: m.Stride}
	if v.Rows > 0 && v.Cols > 0 {
		v.Data = m.Data[r0*m.Stride+c0 : (r1-1)*m.Stride+c1]
	}
	return v
}

func row(m Mat, i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }

// finite reports whether m holds neither NaN nor infinity.
func finite(m Mat) bool {
	for i := range m.Rows {
		var sum float32
		for _, v := range row(m, i) {
			sum += v * 0 // 0, or NaN from then on
		}
		if sum != 0 {
			return false
		}
	}
	return true
}
