package gonum

import (
	"math"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// serial is gonum's BLAS on the calling goroutine. It cuts a product into pieces
// small enough that gonum computes them in place, in the form C += A·B that gonum
// does by adding multiples of B's rows to C's:
//
//   - gonum's gemm starts goroutines and allocates for larger sizes; here workers
//     belong to the caller;
//   - its form for A·Bᵀ takes dot products whose rounding depends on where B lies
//     modulo 16 bytes; here every element is Σ over k = 0, 1, … in that order,
//     whatever the addresses, the strides and the pieces;
//   - it skips the zeros of A, so that 0·NaN would be lost; see multiply;
//   - rows of 192 rather than 64 columns make it faster than the whole gemm.
type serial struct {
	free32 freeList[float32]
	free64 freeList[float64]
}

// Pieces of op(A) are rowPiece × depth, of op(B) depth × colPiece. gonum's gemm stays
// serial below four blocks of 64 × 64 of C.
const (
	rowPiece = 64
	colPiece = 3 * 64
	depth    = 64
)

type float interface{ float32 | float64 }

type gemmFunc[T float] func(tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int)

// A method value allocates where it is made: here, once.
var (
	sgemm gemmFunc[float32] = gonum.Implementation{}.Sgemm
	dgemm gemmFunc[float64] = gonum.Implementation{}.Dgemm
)

// Sgemm implements BLAS.
func (s *serial) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	scaleRows(c, m, n, ldc, beta)
	p := product[float32]{sgemm, s.free32.get(), tA, alpha}
	p.run(tB == blas.Trans, m, n, k, a, lda, b, ldb, c, ldc)
	s.free32.put(p.packed)
}

// Dgemm implements BLAS.
func (s *serial) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	scaleRows(c, m, n, ldc, beta)
	p := product[float64]{dgemm, s.free64.get(), tA, alpha}
	p.run(tB == blas.Trans, m, n, k, a, lda, b, ldb, c, ldc)
	s.free64.put(p.packed)
}

// Ssyrk implements BLAS for the lower triangle. It works in stripes of rows up to the
// diagonal, and so writes a little of the upper triangle too.
func (s *serial) Ssyrk(_ blas.Uplo, t blas.Transpose, n, k int, alpha float32, a []float32, lda int, beta float32, c []float32, ldc int) {
	for i := 0; i < n; i += colPiece {
		rows := min(colPiece, n-i)
		if t == blas.Trans {
			s.Sgemm(blas.Trans, blas.NoTrans, rows, i+rows, k, alpha, a[i:], lda, a, lda, beta, c[i*ldc:], ldc)
		} else {
			s.Sgemm(blas.NoTrans, blas.Trans, rows, i+rows, k, alpha, a[i*lda:], lda, a, lda, beta, c[i*ldc:], ldc)
		}
	}
}

// product is C += α·op(A)·op(B) with what stays the same over its pieces.
type product[T float] struct {
	gemm   gemmFunc[T]
	packed []T // room for one piece of op(B)
	tA     blas.Transpose
	alpha  T
}

func (p *product[T]) run(transB bool, m, n, k int, a []T, lda int, b []T, ldb int, c []T, ldc int) {
	for j := 0; j < n; j += colPiece {
		cols := min(colPiece, n-j)
		for l := 0; l < k; l += depth {
			deep := min(depth, k-l)
			piece, stride := p.packed, cols
			if transB {
				for i := range cols {
					for r, v := range b[(j+i)*ldb+l:][:deep] {
						piece[r*cols+i] = v
					}
				}
			} else {
				piece, stride = b[l*ldb+j:], ldb
			}
			p.column(m, cols, deep, a, lda, l, piece, stride, c[j:], ldc)
		}
	}
}

// column multiplies one piece of op(B), deep × cols, by all of op(A) that meets it:
// columns l to l+deep.
func (p *product[T]) column(m, cols, deep int, a []T, lda, l int, b []T, ldb int, c []T, ldc int) {
	multiply := p.gemm
	if !finite(b, deep, cols, ldb) {
		multiply = plainGemm[T]
	}
	for i := 0; i < m; i += rowPiece {
		start := i*lda + l
		if p.tA == blas.Trans {
			start = l*lda + i
		}
		multiply(p.tA, blas.NoTrans, min(rowPiece, m-i), cols, deep, p.alpha, a[start:], lda, b, ldb, 1, c[i*ldc:], ldc)
	}
}

// plainGemm is C += α·op(A)·B in the same order of additions as gonum's, without
// skipping zeros of A: 0·NaN and 0·∞ must reach C.
func plainGemm[T float](tA, _ blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, _ T, c []T, ldc int) {
	stepI, stepL := lda, 1
	if tA == blas.Trans {
		stepI, stepL = 1, lda
	}
	for i := range m {
		ci := c[i*ldc : i*ldc+n]
		for l := range k {
			v := T(alpha * a[i*stepI+l*stepL])
			for j, w := range b[l*ldb : l*ldb+n] {
				ci[j] += T(v * w)
			}
		}
	}
}

// finite reports whether a rows × cols matrix holds neither NaN nor infinity. It costs
// one pass over B where the product costs m.
func finite[T float](b []T, rows, cols, stride int) bool {
	for i := range rows {
		var sum T
		for _, v := range b[i*stride : i*stride+cols] {
			sum += v * 0 // 0, or NaN from then on
		}
		if math.IsNaN(float64(sum)) {
			return false
		}
	}
	return true
}

// scaleRows is C ← β·C; β = 0 doesn't read C.
func scaleRows[T float](c []T, m, n, ldc int, beta T) {
	for i := range m {
		scale(c[i*ldc:i*ldc+n], beta)
	}
}

func scale[T float](c []T, beta T) {
	switch beta {
	case 1:
	case 0:
		clear(c)
	default:
		for j := range c {
			c[j] *= beta
		}
	}
}

// freeList keeps the pieces between calls: as many as there ever were calls at once.
// A sync.Pool would lose them to the garbage collector and allocate again.
type freeList[T float] struct {
	mu   sync.Mutex
	free [][]T
}

func (f *freeList[T]) get() []T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.free); n > 0 {
		p := f.free[n-1]
		f.free = f.free[:n-1]
		return p
	}
	return make([]T, depth*colPiece)
}

func (f *freeList[T]) put(p []T) {
	f.mu.Lock()
	f.free = append(f.free, p)
	f.mu.Unlock()
}
