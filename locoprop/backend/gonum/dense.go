package gonum

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/gonum"
)

// The factorisations are ours, blocked over the BLAS's Dgemm, because gonum's LAPACK
// calls whatever implementation blas64 holds, on several goroutines.

// panel is the width of a block column.
const panel = 64

// Cholesky implements backend.Kernels: left-looking, a block column at a time.
//
//	A[j:, j:j+p] ← A[j:, j:j+p] − L[j:, :j] L[j:j+p, :j]ᵀ     (Dgemm)
//	A[j:j+p, j:j+p] = L_jj L_jjᵀ                             (unblocked)
//	L[j+p:, j:j+p] = A[j+p:, j:j+p] L_jj⁻ᵀ                   (row by row)
func (k *Backend) Cholesky(a []float64, n int) error {
	backend.CheckSquare(a, n, nil, 0)
	for j := 0; j < n; j += panel {
		p := min(panel, n-j)
		if j > 0 {
			k.blas.Dgemm(blas.NoTrans, blas.Trans, n-j, p, j, -1, a[j*n:], n, a[j*n:], n, 1, a[j*n+j:], n)
		}
		for i := j; i < n; i++ {
			// Row i of the block column by rows j to min(i, j+p) above it.
			x := a[i*n+j : i*n+j+min(p, i-j+1)]
			for c := range x {
				l := a[(j+c)*n+j : (j+c)*n+j+c+1]
				v := x[c]
				for q, y := range l[:c] {
					v -= float64(x[q] * y)
				}
				if j+c < i {
					x[c] = v / l[c]
					continue
				}
				if !(v > 0) { // NaN isn't positive either
					return &backend.NotPositiveDefinite{Minor: i + 1}
				}
				x[c] = math.Sqrt(v)
			}
		}
	}
	return nil
}

// Solve implements backend.Kernels: L Z = B, then Lᵀ X = Z, in blocks of rows.
func (k *Backend) Solve(l []float64, n int, b []float64, cols int) {
	backend.CheckSquare(l, n, b, cols)
	if n == 0 || cols == 0 {
		return
	}
	for j := 0; j < n; j += panel {
		end := min(j+panel, n)
		if j > 0 {
			k.blas.Dgemm(blas.NoTrans, blas.NoTrans, end-j, cols, j, -1, l[j*n:], n, b, cols, 1, b[j*cols:], cols)
		}
		for i := j; i < end; i++ {
			bi := b[i*cols : (i+1)*cols]
			for q := j; q < i; q++ {
				subtract(bi, l[i*n+q], b[q*cols:])
			}
			divide(bi, l[i*n+i])
		}
	}
	for j := (n - 1) / panel * panel; j >= 0; j -= panel {
		end := min(j+panel, n)
		if end < n {
			k.blas.Dgemm(blas.Trans, blas.NoTrans, end-j, cols, n-end, -1, l[end*n+j:], n, b[end*cols:], cols, 1, b[j*cols:], cols)
		}
		for i := end - 1; i >= j; i-- {
			bi := b[i*cols : (i+1)*cols]
			for q := i + 1; q < end; q++ {
				subtract(bi, l[q*n+i], b[q*cols:])
			}
			divide(bi, l[i*n+i])
		}
	}
}

func subtract(dst []float64, factor float64, src []float64) {
	for j, v := range src[:len(dst)] {
		dst[j] -= float64(factor * v)
	}
}

func divide(dst []float64, by float64) {
	for j := range dst {
		dst[j] /= by
	}
}

// SymEig implements backend.Kernels by gonum's Dsyev. The work that it is given
// allows no blocking, which keeps it from gemm and thus on the calling goroutine.
func (k *Backend) SymEig(a []float64, n int, w, work []float64) error {
	backend.CheckSquare(a, n, w, 1)
	need := k.SymEigWork(n)
	if len(work) < need {
		panic("gonum: SymEig needs work of SymEigWork(n) elements")
	}
	if n == 0 {
		return nil
	}
	if !(gonum.Implementation{}).Dsyev(lapack.EVCompute, blas.Lower, n, a, n, w, work[:need], need) {
		return backend.ErrNoConvergence
	}
	return nil
}

// SymEigWork implements backend.Kernels.
func (k *Backend) SymEigWork(n int) int { return max(1, 3*n-1) }
