// Package backend is the seam between LocoProp's methods and its arithmetic.
//
// A backend is one implementation of [Kernels]: float32 matrix kernels that run on
// the calling goroutine, in the caller's memory, without state. Parallelism belongs
// to the caller (package plan), which is why the same bits come out for any number of
// workers. Implementations: backend/native (C++ kernels over OpenBLAS),
// backend/gonum (pure Go) and backend/netlib (the Go loops over OpenBLAS). All pass
// the conformance suite in backend/backendtest.
//
// # Notation
//
// B examples in a batch, a layer with n inputs and m units:
//
//	X̃ = [X 1]    B × (n+1)   the layer's input with a column of ones (the bias column)
//	W̃ = [W b]    m × (n+1)   weights, a row per unit, the bias last
//	A = X̃ W̃ᵀ     B × m       pre-activations
//	Y = f(A)     B × m       outputs, f the transfer function
//	D = ∂L/∂A    B × m       L the mean loss over the batch
//	Δ = W̃ − W̃ₖ   m × (n+1)   change of the weights since the batch's start
//
// # Contract
//
// Matrices are row-major and may be views with any stride ≥ their width. Matrices
// of one call must not overlap unless the kernel says they may. A wrong shape is a
// programmer's error and panics with constant text before any memory is touched.
// Kernels never allocate. NaN and infinity propagate; nothing is flushed to zero.
// Safe for concurrent use.
package backend

import (
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
)

// Mat is a row-major float32 matrix.
type Mat = blas32.General

// Mat64 is a row-major float64 matrix.
type Mat64 = blas64.General

// Info describes a backend, for `locoprop info`, configuration digests and reports.
type Info struct {
	Name       string // native, gonum, netlib
	Detail     string // library and version, CPU kernel: "OpenBLAS 0.3.21, Haswell; Highway AVX2"
	Arithmetic string // what the last bits depend on: "NAME = VALUE" with ", " between; see train.Arithmetic
	Compiler   string // what compiled the kernels, where it isn't Go: "g++ 12.2.0"
	MaxWorkers int    // most workers that may call at once; 0: no limit
	LimitedBy  string // what sets MaxWorkers, for the error message
}

// Kernels is what a backend implements. Shapes in terms of B, n, m as above; a kernel
// that works on a block of units takes the block's rows of W̃ and columns of A as
// views.
type Kernels interface {
	Info() Info

	// Affine computes A = X̃ W̃ᵀ. a: B × m, x: B × (n+1), w: m × (n+1). With Δ for W̃
	// it is a local problem's dA.
	Affine(a, x, w Mat)

	// Apply computes Y = f(A), y and a B × m. y may be a. A row-coupled f needs whole
	// rows.
	Apply(y, a Mat, f transfer.Func)

	// Chain multiplies by the derivative, row by row: D ← D ∘ f′(A), or the Jacobian
	// of a row-coupled f. d, a, y: B × m, y = f(a) as Apply computed it.
	Chain(d, a, y Mat, f transfer.Func)

	// Backprop computes ∂L/∂X = D W. dx: B × n, d: B × m, w: m × n (W̃ without its
	// bias column).
	Backprop(dx, d, w Mat)

	// Grad computes G = Rᵀ X̃, summed over the batch. g: m × (n+1), r: B × m,
	// x: B × (n+1).
	Grad(g, r, x Mat)

	// Loss returns Σ ℓ over the rows, in float64, added in a fixed order; where d isn't
	// empty (Data nil) it writes D = scale·∂ℓ/∂A. a, y, t, d: B × m, y = f(a).
	Loss(d, a, y, t Mat, f transfer.Func, l loss.Loss, scale float32) float64

	// Residual is the gradient in A of a local problem, from da = A − Â:
	//
	//	r = (f(Â + dA) − Ŷ) + E      (LocoProp-M)
	//	r = dA + E                   (f identity: LocoProp-S; ahat and yhat unused)
	//
	// all B × m; e = γD. r may be da. A row-coupled f needs whole rows.
	Residual(r, da, ahat, yhat, e Mat, f transfer.Func)

	// Scale computes E = γD. e, d: B × m. e may be d.
	Scale(e, d Mat, gamma float32)

	// Update performs one step of an element-wise optimiser; see optimizer.Update.
	// delta, g and each slot: m × (n+1); w0 is W̃ₖ, or empty where delta is W̃ itself
	// (then u.Prox must be 0). The last column is the bias.
	Update(u optimizer.Update, delta, w0, g Mat, slots []Mat)

	// AddInto computes W̃ ← W̃ + Δ. Both m × (n+1).
	AddInto(w, delta Mat)

	// Gemm computes C ← α·op(A)·op(B) + β·C, op transposing where told to. With
	// β = 0, C isn't read.
	Gemm(transA, transB bool, alpha float32, a, b Mat, beta float32, c Mat)

	// Syrk computes C ← α·XᵀX + β·C (trans) or α·XXᵀ + β·C, and fills both triangles
	// of the square matrix C, which must come in symmetric unless β = 0.
	Syrk(trans bool, alpha float32, x Mat, beta float32, c Mat)

	// Cholesky factors the symmetric positive definite n × n matrix A = L Lᵀ in place:
	// on return the lower triangle of a (row-major, stride n) holds L, the strict upper
	// triangle is unspecified. It returns *NotPositiveDefinite where a pivot isn't
	// positive; a is then spoilt. Only the lower triangle is read.
	Cholesky(a []float64, n int) error

	// Solve solves A X = B for a matrix factored by Cholesky: b (n × k, row-major,
	// stride k) is overwritten by X.
	Solve(l []float64, n int, b []float64, k int)

	// Invert overwrites l, as Cholesky left it, by A⁻¹ = (L Lᵀ)⁻¹: both triangles, with
	// the same bits.
	Invert(l []float64, n int)

	// Gemm64 is Gemm in float64, for what float32 sums are too coarse for.
	Gemm64(transA, transB bool, alpha float64, a, b Mat64, beta float64, c Mat64)

	// SymEig computes the eigendecomposition A = V diag(w) Vᵀ of the symmetric n × n
	// matrix a (row-major; lower triangle read): w ascending (length n), and a is
	// overwritten by V, an eigenvector per column. work has at least SymEigWork(n)
	// elements. It returns ErrNoConvergence where the iteration fails.
	SymEig(a []float64, n int, w, work []float64) error

	// SymEigWork is the length of work that SymEig needs.
	SymEigWork(n int) int
}

// Block is one block of units of one layer: a local problem in direct form, for a
// [BlockSolver] or the generic loop over Kernels.
type Block struct {
	X          Mat // X̃, B × (n+1)
	Ahat, Yhat Mat // Â and Ŷ at the batch's start, columns of the block, B × m
	D          Mat // ∂L/∂A, columns of the block, B × m
	W          Mat // W̃ₖ, rows of the block, m × (n+1); overwritten by W̃ₖ + Δ
	Slots      []Mat
	F          transfer.Func // the transfer function (M), or identity (S)
	Gamma      float32       // γ
}

// ScratchLen is the number of float32 that [BlockSolver.SolveBlock] and the generic
// loop need for a block: E and dA (B × m each), Δ and G (m × (n+1) each).
func ScratchLen(batch, cols, units int) int {
	return 2*round16(batch*units) + 2*round16(units*cols)
}

// CarveScratch cuts scratch into the four matrices of a block, each starting on a
// multiple of 16 floats.
func CarveScratch(scratch []float32, batch, cols, units int) (e, da, delta, g Mat) {
	c := carver(scratch)
	e, da = c.next(batch, units), c.next(batch, units)
	delta, g = c.next(units, cols), c.next(units, cols)
	return e, da, delta, g
}

func round16(n int) int { return (n + 15) &^ 15 }

// BlockSolver is an optional fast path: all T iterations of one block's local problem
// in direct form, in one call.
//
//	Δ = 0, E = γD
//	for t = 0 … T−1:
//	    R = E                                    (t = 0)
//	    R = Residual(dA = X̃Δᵀ, Â, Ŷ, E, f)       (t ≥ 1)
//	    G = RᵀX̃
//	    Δ, slots ← Update(updates[t], Δ, W̃ₖ, G, slots)
//	W̃ ← W̃ₖ + Δ
//
// The result is bit for bit that of the same loop over the backend's Kernels, which
// is [Loop]. It doesn't allocate.
type BlockSolver interface {
	// SolvesBlock tells whether SolveBlock takes blocks with transfer function f; it
	// always takes the identity. The caller's own loop serves the others.
	SolvesBlock(f transfer.Func) bool

	SolveBlock(b *Block, updates []optimizer.Update, scratch []float32) error
}
