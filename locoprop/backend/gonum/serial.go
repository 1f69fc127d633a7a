package gonum

import (
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
//   - it skips the zeros of A, so that 0·NaN would be lost; see plainGemm;
//   - rows of up to 192 rather than 64 columns make it faster than the whole gemm;
//   - pieces of B and C are copied to where their rows are aligned and as long as
//     gonum's loop is unrolled, which would else add up what is left over one by one;
//     pieces of C stay in the innermost cache.
type serial struct {
	free32 freeList[float32]
	free64 freeList[float64]
}

// Pieces of op(A) are rowPiece × depth, of op(B) depth × colPiece at most. gonum's gemm
// stays serial below four blocks of 64 × 64 of C.
const (
	rowPiece = 32
	colPiece = 3 * 64
	depth    = 256
	unrolled = 16 // what rows of a piece are a multiple of
)

// room is where one product keeps its pieces of op(B) and C. It is so large that Go
// aligns it to pages.
type room[T float] struct {
	b [depth * colPiece]T
	c [rowPiece * colPiece]T
}

type float interface{ float32 | float64 }

type gemmFunc[T float] func(tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int)

// A method value allocates where it is made: here, once.
var (
	sgemm gemmFunc[float32] = gonum.Implementation{}.Sgemm
	dgemm gemmFunc[float64] = gonum.Implementation{}.Dgemm
)

// Sgemm implements BLAS.
func (s *serial) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	p := product[float32]{sgemm, s.free32.get(), tA, alpha, beta}
	p.run(tB == blas.Trans, m, n, k, a, lda, b, ldb, c, ldc)
	s.free32.put(p.room)
}

// Dgemm implements BLAS.
func (s *serial) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	p := product[float64]{dgemm, s.free64.get(), tA, alpha, beta}
	p.run(tB == blas.Trans, m, n, k, a, lda, b, ldb, c, ldc)
	s.free64.put(p.room)
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

// product is C ← α·op(A)·op(B) + β·C with what stays the same over its pieces.
type product[T float] struct {
	gemm        gemmFunc[T]
	room        *room[T]
	tA          blas.Transpose
	alpha, beta T
}

// run makes the product of m × k by k × n, none of them 0.
func (p *product[T]) run(transB bool, m, n, k int, a []T, lda int, b []T, ldb int, c []T, ldc int) {
	pieces := (n + colPiece - 1) / colPiece
	for piece := range pieces {
		j, end := n*piece/pieces, n*(piece+1)/pieces
		cols := end - j
		width := (cols + unrolled - 1) / unrolled * unrolled
		for l := 0; l < k; l += depth {
			deep := min(depth, k-l)
			from, packed := l*ldb+j, pack[T]
			if transB {
				from, packed = j*ldb+l, packTrans[T]
			}
			multiply := p.gemm
			if finite := packed(p.room.b[:deep*width], width, b[from:], deep, cols, ldb); !finite {
				multiply = plainGemm[T]
			}
			p.column(multiply, m, cols, deep, a, lda, l, width, c[j:], ldc)
		}
	}
}

// column multiplies the packed piece of op(B), deep × width, of which cols count, by all
// of op(A) that meets it: columns l to l+deep.
func (p *product[T]) column(multiply gemmFunc[T], m, cols, deep int, a []T, lda, l, width int, c []T, ldc int) {
	beta := T(1)
	if l == 0 {
		beta = p.beta
	}
	for i := 0; i < m; i += rowPiece {
		start := i*lda + l
		if p.tA == blas.Trans {
			start = l*lda + i
		}
		rows := min(rowPiece, m-i)
		piece := p.room.c[:rows*width]
		if beta != 0 { // else C isn't read
			for r := range rows {
				copy(piece[r*width:], c[(i+r)*ldc:][:cols])
			}
		}
		scale(piece, beta)
		multiply(p.tA, blas.NoTrans, rows, width, deep, p.alpha, a[start:], lda, p.room.b[:], width, 1, piece, width)
		for r := range rows {
			copy(c[(i+r)*ldc:][:cols], piece[r*width:])
		}
	}
}

// pack copies a rows × cols matrix to dst, rows of which are longer and end with zeros.
// It reports whether the matrix holds neither NaN nor infinity.
func pack[T float](dst []T, width int, b []T, rows, cols, ldb int) bool {
	var sum T
	for i := range rows {
		from, to := b[i*ldb:][:cols], dst[i*width:][:width]
		clear(to[copy(to, from):])
		sum += notFinite(to)
	}
	return sum == 0
}

// notFinite is NaN where x, a multiple of 4 elements, holds NaN or infinity, else 0.
func notFinite[T float](x []T) T {
	var s0, s1, s2, s3 T // a single sum would wait for itself
	for len(x) >= 4 {
		s0 += x[0] * 0
		s1 += x[1] * 0
		s2 += x[2] * 0
		s3 += x[3] * 0
		x = x[4:]
	}
	return (s0 + s1) + (s2 + s3)
}

// packTrans is pack of the transpose of a cols × rows matrix, four of its rows at a time.
func packTrans[T float](dst []T, width int, b []T, rows, cols, ldb int) bool {
	var zeros [depth]T
	column := func(j int) []T {
		if j < cols {
			return b[j*ldb:][:rows]
		}
		return zeros[:rows]
	}
	var s0, s1, s2, s3 T
	for j := 0; j < width; j += 4 {
		b0, b1, b2, b3 := column(j), column(j+1), column(j+2), column(j+3)
		for i, v0 := range b0 {
			v1, v2, v3 := b1[i], b2[i], b3[i]
			*(*[4]T)(dst[i*width+j:]) = [4]T{v0, v1, v2, v3}
			s0 += v0 * 0
			s1 += v1 * 0
			s2 += v2 * 0
			s3 += v3 * 0
		}
	}
	return (s0+s1)+(s2+s3) == 0
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

// scale is c ← β·c; β = 0 doesn't read c.
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

// freeList keeps rooms between calls: as many as there ever were calls at once.
// A sync.Pool would lose them to the garbage collector and allocate again.
type freeList[T float] struct {
	mu   sync.Mutex
	free []*room[T]
}

func (f *freeList[T]) get() *room[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.free); n > 0 {
		r := f.free[n-1]
		f.free = f.free[:n-1]
		return r
	}
	return new(room[T])
}

func (f *freeList[T]) put(r *room[T]) {
	f.mu.Lock()
	f.free = append(f.free, r)
	f.mu.Unlock()
}
