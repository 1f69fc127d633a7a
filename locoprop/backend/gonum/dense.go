package gonum

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/gonum"
)

// The factorisations are ours, over the BLAS's Dgemm, because gonum's LAPACK calls
// whatever implementation blas64 holds, on several goroutines.

// panel is the size below which a triangle is worked on element by element.
const panel = 32

// Cholesky implements backend.Kernels, by halves:
//
//	A = [A₁₁    ]    L₁₁ from A₁₁,  L₂₁ = A₂₁ L₁₁⁻ᵀ,  L₂₂ from A₂₂ − L₂₁L₂₁ᵀ
//	    [A₂₁ A₂₂]
func (k *Backend) Cholesky(a []float64, n int) error {
	backend.CheckSquare(a, n, nil, 0)
	if minor := k.factor(a, n, n); minor > 0 {
		return &backend.NotPositiveDefinite{Minor: minor}
	}
	return nil
}

// factor works on the n × n triangle at the front of a, stride ld. It returns 0, or the
// order of the first minor that isn't positive.
func (k *Backend) factor(a []float64, n, ld int) int {
	if n <= panel {
		return factorPanel(a, n, ld)
	}
	h := half(n)
	below, corner := a[h*ld:], a[h*ld+h:]
	if minor := k.factor(a, h, ld); minor > 0 {
		return minor
	}
	k.solveRight(a, h, below, n-h, ld)
	for i := 0; i < n-h; i += colPiece { // stripes up to the diagonal, and a little over it
		rows := min(colPiece, n-h-i)
		k.blas.Dgemm(blas.NoTrans, blas.Trans, rows, i+rows, h, -1, below[i*ld:], ld, below, ld, 1, corner[i*ld:], ld)
	}
	if minor := k.factor(corner, n-h, ld); minor > 0 {
		return h + minor
	}
	return 0
}

// half cuts n > panel into a multiple of panel and the rest.
func half(n int) int { return (n/2 + panel - 1) / panel * panel }

func factorPanel(a []float64, n, ld int) int {
	for i := range n {
		x := a[i*ld : i*ld+i+1]
		substitute(x[:i], a, ld)
		v := x[i] - dot(x[:i], x)
		if !(v > 0) { // NaN isn't positive either
			return i + 1
		}
		x[i] = math.Sqrt(v)
	}
	return 0
}

// solveRight overwrites the rows of b by X with X Lᵀ = B, L the n × n triangle at the
// front of l; both have stride ld.
func (k *Backend) solveRight(l []float64, n int, b []float64, rows, ld int) {
	if n <= panel {
		for i := range rows {
			substitute(b[i*ld:i*ld+n], l, ld)
		}
		return
	}
	h := half(n)
	k.solveRight(l, h, b, rows, ld)
	k.blas.Dgemm(blas.NoTrans, blas.Trans, rows, n-h, h, -1, b, ld, l[h*ld:], ld, 1, b[h:], ld)
	k.solveRight(l[h*ld+h:], n-h, b[h:], rows, ld)
}

// substitute overwrites x by z with L z = x.
func substitute(x, l []float64, ld int) {
	for c := range x {
		row := l[c*ld : c*ld+c+1]
		x[c] = (x[c] - dot(row[:c], x)) / row[c]
	}
}

// dot is Σ xᵢyᵢ over x; y may be longer.
func dot(x, y []float64) (sum float64) {
	y = y[:len(x)]
	for i, v := range x {
		sum += float64(v * y[i])
	}
	return sum
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

// Invert implements backend.Kernels: T = L⁻¹ in place, by blocks of rows, then TᵀT. What
// is above the diagonal is free to hold, for a while, what a block of rows would lose.
func (k *Backend) Invert(l []float64, n int) {
	backend.CheckSquare(l, n, nil, 0)
	for i := 0; i < n; i += panel {
		k.invertRows(l, n, i, min(i+panel, n))
	}
	for i := 0; i < n; i += panel {
		k.squareRows(l, n, i, min(i+panel, n))
	}
}

// invertRows makes rows lo ≤ i < hi of T, given those above, from those of L:
//
//	T₂₁ = −L₂₂⁻¹L₂₁T₁₁,  T₂₂ = L₂₂⁻¹
//
// A block of T on the diagonal has zeros above it.
func (k *Backend) invertRows(l []float64, n, lo, hi int) {
	rows := hi - lo
	for i := lo; i < hi; i++ { // L₂₁ᵀ, above the diagonal
		for j := range lo {
			l[j*n+i] = l[i*n+j]
		}
	}
	for j := 0; j < lo; j += panel {
		width := min(panel, lo-j)
		k.blas.Dgemm(blas.Trans, blas.NoTrans, rows, width, lo-j, -1, l[j*n+lo:], n, l[j*n+j:], n, 0, l[lo*n+j:], n)
	}
	for i := lo; i < hi; i++ {
		own := l[i*n+lo : i*n+hi] // the row of L₂₂, then that of T₂₂
		var row [panel]float64
		copy(row[:], own[:i-lo+1])
		clear(own)
		own[i-lo] = 1
		xi := l[i*n : i*n+hi]
		for q := lo; q < i; q++ {
			subtract(xi, row[q-lo], l[q*n:])
		}
		divide(xi, row[i-lo])
	}
}

// squareRows makes rows lo ≤ i < hi of TᵀT, up to the diagonal, and their mirror image
// above it. They depend on T from row lo on, and no later row depends on them.
func (k *Backend) squareRows(t []float64, n, lo, hi int) {
	rows := hi - lo
	if lo > 0 {
		k.blas.Dgemm(blas.Trans, blas.NoTrans, lo, rows, n-lo, 1, t[lo*n:], n, t[lo*n+lo:], n, 0, t[lo:], n)
	}
	for i := lo; i < hi; i++ { // row i needs T's own rows from i on
		for j := range lo {
			t[i*n+j] = t[j*n+i]
		}
		for j := lo; j <= i; j++ {
			var sum float64
			for q := i; q < hi; q++ {
				sum += float64(t[q*n+i] * t[q*n+j])
			}
			t[i*n+j] = sum
		}
	}
	if hi < n {
		below := t[hi*n+lo:]
		k.blas.Dgemm(blas.Trans, blas.NoTrans, rows, rows, n-hi, 1, below, n, below, n, 1, t[lo*n+lo:], n)
	}
	for i := lo; i < hi; i++ {
		for j := lo; j < i; j++ {
			t[j*n+i] = t[i*n+j]
		}
	}
}

// Gemm64 implements backend.Kernels.
func (k *Backend) Gemm64(transA, transB bool, alpha float64, a, b backend.Mat64, beta float64, c backend.Mat64) {
	backend.CheckGemm64(transA, transB, a, b, c)
	inner := a.Cols
	if transA {
		inner = a.Rows
	}
	switch {
	case c.Rows == 0 || c.Cols == 0:
	case inner == 0:
		for i := range c.Rows {
			scale(c.Data[i*c.Stride:i*c.Stride+c.Cols], beta)
		}
	default:
		k.blas.Dgemm(trans(transA), trans(transB), c.Rows, c.Cols, inner, alpha, a.Data, a.Stride, b.Data, b.Stride, beta, c.Data, c.Stride)
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
