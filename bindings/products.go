//go:build cgo && !purego

package bindings

// #cgo noescape lp_affine
// #cgo nocallback lp_affine
// #cgo noescape lp_backprop
// #cgo nocallback lp_backprop
// #cgo noescape lp_grad
// #cgo nocallback lp_grad
// #cgo noescape lp_gemm
// #cgo nocallback lp_gemm
// #cgo noescape lp_syrk
// #cgo nocallback lp_syrk
// #cgo noescape lp_cholesky
// #cgo nocallback lp_cholesky
// #cgo noescape lp_solve
// #cgo nocallback lp_solve
// #cgo noescape lp_invert
// #cgo nocallback lp_invert
// #cgo noescape lp_gemm64
// #cgo nocallback lp_gemm64
// #cgo noescape lp_symeig
// #cgo nocallback lp_symeig
// #include "../csrc/locoprop.h"
import "C"

import (
	"unsafe"

	_ "github.com/locoprop/locoprop-go/csrc" // the C++ and its link flags
)

func f32(p *float32) *C.float  { return (*C.float)(unsafe.Pointer(p)) }
func f64(p *float64) *C.double { return (*C.double)(unsafe.Pointer(p)) }
func i64(n int) C.int64_t      { return C.int64_t(n) }

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

// Affine calls lp_affine: A = X̃ W̃ᵀ.
func Affine(batch, cols, units int, a *float32, lda int, x *float32, ldx int, w *float32, ldw int) error {
	var e C.lp_error
	if C.lp_affine(i64(batch), i64(cols), i64(units), f32(a), i64(lda), f32(x), i64(ldx), f32(w), i64(ldw), &e) != C.LP_OK {
		return failed("lp_affine", e)
	}
	return nil
}

// Backprop calls lp_backprop: ∂L/∂X = D W.
func Backprop(batch, cols, units int, dx *float32, lddx int, d *float32, ldd int, w *float32, ldw int) error {
	var e C.lp_error
	if C.lp_backprop(i64(batch), i64(cols), i64(units), f32(dx), i64(lddx), f32(d), i64(ldd), f32(w), i64(ldw), &e) != C.LP_OK {
		return failed("lp_backprop", e)
	}
	return nil
}

// Grad calls lp_grad: G = Rᵀ X̃.
func Grad(batch, cols, units int, g *float32, ldg int, r *float32, ldr int, x *float32, ldx int) error {
	var e C.lp_error
	if C.lp_grad(i64(batch), i64(cols), i64(units), f32(g), i64(ldg), f32(r), i64(ldr), f32(x), i64(ldx), &e) != C.LP_OK {
		return failed("lp_grad", e)
	}
	return nil
}

// Gemm calls lp_gemm: C ← α op(A) op(B) + β C.
func Gemm(transA, transB bool, m, n, k int, alpha float32, a *float32, lda int, b *float32, ldb int, beta float32, c *float32, ldc int) error {
	var e C.lp_error
	if C.lp_gemm(flag(transA), flag(transB), i64(m), i64(n), i64(k), C.float(alpha), f32(a), i64(lda), f32(b), i64(ldb),
		C.float(beta), f32(c), i64(ldc), &e) != C.LP_OK {
		return failed("lp_gemm", e)
	}
	return nil
}

// Syrk calls lp_syrk: C ← α XᵀX + β C (trans) or α XXᵀ + β C.
func Syrk(trans bool, rows, cols int, alpha float32, x *float32, ldx int, beta float32, c *float32, ldc int) error {
	var e C.lp_error
	if C.lp_syrk(flag(trans), i64(rows), i64(cols), C.float(alpha), f32(x), i64(ldx), C.float(beta), f32(c), i64(ldc), &e) != C.LP_OK {
		return failed("lp_syrk", e)
	}
	return nil
}

// Cholesky calls lp_cholesky: A = L Lᵀ in place.
func Cholesky(n int, a *float64) error {
	var e C.lp_error
	if C.lp_cholesky(i64(n), f64(a), &e) != C.LP_OK {
		return failed("lp_cholesky", e)
	}
	return nil
}

// Solve calls lp_solve: L Lᵀ X = B.
func Solve(n, k int, l, b *float64) error {
	var e C.lp_error
	if C.lp_solve(i64(n), i64(k), f64(l), f64(b), &e) != C.LP_OK {
		return failed("lp_solve", e)
	}
	return nil
}

// Invert calls lp_invert: L becomes (L Lᵀ)⁻¹.
func Invert(n int, l *float64) error {
	var e C.lp_error
	if C.lp_invert(i64(n), f64(l), &e) != C.LP_OK {
		return failed("lp_invert", e)
	}
	return nil
}

// Gemm64 calls lp_gemm64: C ← α op(A) op(B) + β C.
func Gemm64(transA, transB bool, m, n, k int, alpha float64, a *float64, lda int, b *float64, ldb int, beta float64, c *float64, ldc int) error {
	var e C.lp_error
	if C.lp_gemm64(flag(transA), flag(transB), i64(m), i64(n), i64(k), C.double(alpha), f64(a), i64(lda), f64(b), i64(ldb),
		C.double(beta), f64(c), i64(ldc), &e) != C.LP_OK {
		return failed("lp_gemm64", e)
	}
	return nil
}

// SymEig calls lp_symeig: A = V diag(w) Vᵀ.
func SymEig(n int, a, w, work *float64, workLen int) error {
	var e C.lp_error
	if C.lp_symeig(i64(n), f64(a), f64(w), f64(work), i64(workLen), &e) != C.LP_OK {
		return failed("lp_symeig", e)
	}
	return nil
}

// SymEigWork calls lp_symeig_work: the float64 that SymEig needs for work.
func SymEigWork(n int) int { return int(C.lp_symeig_work(i64(n))) }
