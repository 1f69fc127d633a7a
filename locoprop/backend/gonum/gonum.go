// Package gonum is the backend that needs nothing but Go: the element-wise kernels
// are loops over packages transfer, loss and optimizer, the products come from a BLAS
// that it is given.
//
// [New] takes gonum's own BLAS, driven so that a kernel stays on the calling
// goroutine, doesn't allocate and sees every NaN (see the type serial). [NewWith]
// takes any other, which is how backend/netlib reaches OpenBLAS. The process-wide
// implementations behind blas32 and blas64 are never changed.
//
// The arithmetic of this backend is what the others are compared with.
package gonum

import (
	"runtime/debug"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"gonum.org/v1/gonum/blas"
)

// BLAS is what the backend needs of a BLAS implementation: three row-major products,
// with the arguments of blas.Float32 and blas.Float64. They must be safe for
// concurrent use and must not read c where beta is 0.
type BLAS interface {
	// Sgemm computes C ← α·op(A)·op(B) + β·C in float32.
	Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int)
	// Ssyrk computes one triangle of C ← α·A·Aᵀ + β·C, or of α·Aᵀ·A + β·C.
	Ssyrk(ul blas.Uplo, t blas.Transpose, n, k int, alpha float32, a []float32, lda int, beta float32, c []float32, ldc int)
	// Dgemm is Sgemm in float64.
	Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int)
}

// Backend implements backend.Kernels in Go. Make one with [New] or [NewWith].
type Backend struct {
	blas BLAS
	info backend.Info
}

var _ backend.Kernels = (*Backend)(nil)

// New returns the pure-Go backend.
func New() *Backend {
	return NewWith(new(serial), backend.Info{Name: "gonum", Detail: "pure Go, gonum " + version()})
}

// NewWith returns a backend whose products come from impl and which describes itself
// as info says.
func NewWith(impl BLAS, info backend.Info) *Backend {
	return &Backend{blas: impl, info: info}
}

// version is that of the gonum module in this program, "" where the program doesn't
// record it (test binaries may not).
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, m := range b.Deps {
			if m.Path == "gonum.org/v1/gonum" {
				return m.Version
			}
		}
	}
	return "(version unknown)"
}

// Info implements backend.Kernels.
func (k *Backend) Info() backend.Info { return k.info }

// Affine implements backend.Kernels.
func (k *Backend) Affine(a, x, w backend.Mat) {
	backend.CheckAffine(a, x, w)
	k.gemm(blas.NoTrans, blas.Trans, x.Cols, 1, x, w, 0, a)
}

// Backprop implements backend.Kernels.
func (k *Backend) Backprop(dx, d, w backend.Mat) {
	backend.CheckBackprop(dx, d, w)
	k.gemm(blas.NoTrans, blas.NoTrans, d.Cols, 1, d, w, 0, dx)
}

// Grad implements backend.Kernels.
func (k *Backend) Grad(g, r, x backend.Mat) {
	backend.CheckGrad(g, r, x)
	k.gemm(blas.Trans, blas.NoTrans, r.Rows, 1, r, x, 0, g)
}

// Gemm implements backend.Kernels.
func (k *Backend) Gemm(transA, transB bool, alpha float32, a, b backend.Mat, beta float32, c backend.Mat) {
	backend.CheckGemm(transA, transB, a, b, c)
	inner := a.Cols
	if transA {
		inner = a.Rows
	}
	k.gemm(trans(transA), trans(transB), inner, alpha, a, b, beta, c)
}

// gemm hands a product to the BLAS, but for the empty ones: a stride of 0, right for
// a matrix without columns, is an error there.
func (k *Backend) gemm(tA, tB blas.Transpose, inner int, alpha float32, a, b backend.Mat, beta float32, c backend.Mat) {
	switch {
	case c.Rows == 0 || c.Cols == 0:
	case inner == 0:
		for i := range c.Rows {
			scale(row(c, i), beta)
		}
	default:
		k.blas.Sgemm(tA, tB, c.Rows, c.Cols, inner, alpha, a.Data, a.Stride, b.Data, b.Stride, beta, c.Data, c.Stride)
	}
}

// Syrk implements backend.Kernels. The upper triangle is a copy of the lower one, so
// C is symmetric to the bit.
func (k *Backend) Syrk(transX bool, alpha float32, x backend.Mat, beta float32, c backend.Mat) {
	backend.CheckSyrk(transX, x, c)
	inner := x.Cols
	if transX {
		inner = x.Rows
	}
	switch {
	case c.Rows == 0:
	case inner == 0:
		for i := range c.Rows {
			scale(row(c, i), beta)
		}
	default:
		k.blas.Ssyrk(blas.Lower, trans(transX), c.Rows, inner, alpha, x.Data, x.Stride, beta, c.Data, c.Stride)
		for i := range c.Rows {
			for j, v := range c.Data[i*c.Stride : i*c.Stride+i] {
				c.Data[j*c.Stride+i] = v
			}
		}
	}
}

// Apply implements backend.Kernels.
func (k *Backend) Apply(y, a backend.Mat, f transfer.Func) {
	backend.CheckSame(y, a)
	for i := range a.Rows {
		f.Eval(row(y, i), row(a, i))
	}
}

// Chain implements backend.Kernels.
func (k *Backend) Chain(d, a, y backend.Mat, f transfer.Func) {
	backend.CheckSame(d, a, y)
	for i := range d.Rows {
		f.EvalDeriv(row(d, i), row(a, i), row(y, i))
	}
}

// Loss implements backend.Kernels: the sum runs over rows in order.
func (k *Backend) Loss(d, a, y, t backend.Mat, f transfer.Func, l loss.Loss, scale float32) float64 {
	backend.CheckSame(a, y, t)
	if d.Data != nil {
		backend.CheckSame(a, d)
	}
	var sum float64
	for i := range a.Rows {
		var di []float32
		if d.Data != nil {
			di = row(d, i)
		}
		sum += l.Eval(di, row(a, i), row(y, i), row(t, i), f, scale)
	}
	return sum
}

// Residual implements backend.Kernels.
func (k *Backend) Residual(r, da, ahat, yhat, e backend.Mat, f transfer.Func) {
	backend.CheckSame(r, da, e)
	if f == transfer.Identity {
		for i := range r.Rows {
			ri, di, ei := row(r, i), row(da, i), row(e, i)
			for j := range ri {
				ri[j] = di[j] + ei[j]
			}
		}
		return
	}
	backend.CheckSame(r, ahat, yhat)
	for i := range r.Rows {
		ri, di, ai, yi, ei := row(r, i), row(da, i), row(ahat, i), row(yhat, i), row(e, i)
		for j := range ri {
			ri[j] = ai[j] + di[j]
		}
		f.Eval(ri, ri)
		for j := range ri {
			ri[j] = (ri[j] - yi[j]) + ei[j]
		}
	}
}

// Scale implements backend.Kernels.
func (k *Backend) Scale(e, d backend.Mat, gamma float32) {
	backend.CheckSame(e, d)
	for i := range e.Rows {
		ei, di := row(e, i), row(d, i)
		for j := range ei {
			ei[j] = gamma * di[j]
		}
	}
}

// Update implements backend.Kernels.
func (k *Backend) Update(u optimizer.Update, delta, w0, g backend.Mat, slots []backend.Mat) {
	backend.CheckUpdate(u, delta, w0, g, slots)
	backend.ApplyRows(u, delta, w0, g, slots)
}

// AddInto implements backend.Kernels.
func (k *Backend) AddInto(w, delta backend.Mat) {
	backend.CheckSame(w, delta)
	for i := range w.Rows {
		wi, di := row(w, i), row(delta, i)
		for j := range wi {
			wi[j] += di[j]
		}
	}
}

func row(m backend.Mat, i int) []float32 {
	return m.Data[i*m.Stride : i*m.Stride+m.Cols]
}

func trans(t bool) blas.Transpose {
	if t {
		return blas.Trans
	}
	return blas.NoTrans
}
