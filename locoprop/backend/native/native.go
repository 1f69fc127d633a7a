//go:build cgo && !purego

package native

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Available tells whether this build has the backend.
const Available = true

// maxCallers is how many threads may be inside OpenBLAS at once: beyond its pool of
// buffers, which holds somewhat more, it complains on stderr and in the end gives up.
const maxCallers = 128

// Backend implements backend.Kernels and all of its optional solvers of blocks. It is safe for concurrent
// use, except for Close.
type Backend struct {
	info  backend.Info
	shape panelShape
	close sync.Once
}

var (
	_ backend.Kernels     = (*Backend)(nil)
	_ backend.BlockSolver = (*Backend)(nil)

	_ backend.KernelSolver = (*Backend)(nil)
	_ backend.GramSolver   = (*Backend)(nil)
	_ backend.MetricSolver = (*Backend)(nil)
)

// New returns the backend, with OpenBLAS set to one thread until Close. It panics where
// the Go and the C++ side were compiled from different versions of the interface.
func New() *Backend {
	if err := bindings.Check(); err != nil {
		panic("native: " + err.Error())
	}
	bindings.AcquireSingleThread()
	return &Backend{info: describe(bindings.GetInfo()), shape: shapeOfPanels()}
}

// Close gives OpenBLAS's thread setting back. The backend mustn't be used afterwards.
func (k *Backend) Close() { k.close.Do(bindings.ReleaseSingleThread) }

// describe makes a backend's Info from what the kernels are built on.
func describe(i bindings.Info) backend.Info {
	version := "OpenBLAS"
	if words := strings.Fields(i.OpenBLAS); len(words) > 1 {
		version += " " + words[1]
	}
	info := backend.Info{
		Name:     "native",
		Detail:   fmt.Sprintf("%s, %s; Highway %s", version, i.Core, i.SIMD),
		Compiler: i.Compiler,
		Arithmetic: fmt.Sprintf("OpenBLAS = %s, CPU kernel = %s, vectors = %s, compiler = %s",
			strings.TrimPrefix(version, "OpenBLAS "), i.Core, i.SIMD, strings.ReplaceAll(i.Compiler, ", ", " ")),
		MaxWorkers: maxCallers,
		LimitedBy:  fmt.Sprintf("more than %d threads in OpenBLAS at once run out of its buffers", maxCallers),
	}
	if 0 < i.MaxThreads && i.MaxThreads < maxCallers {
		info.MaxWorkers = i.MaxThreads
		info.LimitedBy = fmt.Sprintf("this OpenBLAS was built for at most %d threads", i.MaxThreads)
	}
	return info
}

// Info implements backend.Kernels.
func (k *Backend) Info() backend.Info { return k.info }

// data is the address of a matrix's first element.
func data(m backend.Mat) *float32 { return unsafe.SliceData(m.Data) }

// must panics for what the shape rules of package backend let through and C refuses:
// sizes and strides that don't fit OpenBLAS's 32-bit integers.
func must(err error) {
	if err != nil {
		panic("native: " + err.Error())
	}
}

// Affine implements backend.Kernels.
func (k *Backend) Affine(a, x, w backend.Mat) {
	backend.CheckAffine(a, x, w)
	must(bindings.Affine(x.Rows, x.Cols, w.Rows, data(a), a.Stride, data(x), x.Stride, data(w), w.Stride))
}

// Backprop implements backend.Kernels.
func (k *Backend) Backprop(dx, d, w backend.Mat) {
	backend.CheckBackprop(dx, d, w)
	must(bindings.Backprop(d.Rows, w.Cols, w.Rows, data(dx), dx.Stride, data(d), d.Stride, data(w), w.Stride))
}

// Grad implements backend.Kernels.
func (k *Backend) Grad(g, r, x backend.Mat) {
	backend.CheckGrad(g, r, x)
	must(bindings.Grad(x.Rows, x.Cols, r.Cols, data(g), g.Stride, data(r), r.Stride, data(x), x.Stride))
}

// Gemm implements backend.Kernels.
func (k *Backend) Gemm(transA, transB bool, alpha float32, a, b backend.Mat, beta float32, c backend.Mat) {
	backend.CheckGemm(transA, transB, a, b, c)
	inner := a.Cols
	if transA {
		inner = a.Rows
	}
	must(bindings.Gemm(transA, transB, c.Rows, c.Cols, inner, alpha, data(a), a.Stride, data(b), b.Stride, beta, data(c), c.Stride))
}

// Syrk implements backend.Kernels.
func (k *Backend) Syrk(trans bool, alpha float32, x backend.Mat, beta float32, c backend.Mat) {
	backend.CheckSyrk(trans, x, c)
	must(bindings.Syrk(trans, x.Rows, x.Cols, alpha, data(x), x.Stride, beta, data(c), c.Stride))
}

// loops serve the functions and losses that the program registered from Go.
var loops = gonum.New()

// inGo tells whether f runs in Go: no registered function is called back from C.
func inGo(f transfer.Func) bool { return f.Kind() == transfer.KindCustom }

// SolvesBlock implements backend.BlockSolver.
func (k *Backend) SolvesBlock(f transfer.Func) bool { return !inGo(f) }

// Apply implements backend.Kernels.
func (k *Backend) Apply(y, a backend.Mat, f transfer.Func) {
	if inGo(f) {
		loops.Apply(y, a, f)
		return
	}
	backend.CheckSame(y, a)
	must(bindings.Apply(a.Rows, a.Cols, data(y), y.Stride, data(a), a.Stride, int(f.Kind()), f.Param()))
}

// Chain implements backend.Kernels.
func (k *Backend) Chain(d, a, y backend.Mat, f transfer.Func) {
	if inGo(f) {
		loops.Chain(d, a, y, f)
		return
	}
	backend.CheckSame(d, a, y)
	must(bindings.Chain(d.Rows, d.Cols, data(d), d.Stride, data(a), a.Stride, data(y), y.Stride, int(f.Kind()), f.Param()))
}

// Loss implements backend.Kernels.
func (k *Backend) Loss(d, a, y, t backend.Mat, f transfer.Func, l loss.Loss, scale float32) float64 {
	if inGo(f) || l.Kind() == loss.KindCustom {
		return loops.Loss(d, a, y, t, f, l, scale)
	}
	backend.CheckSame(a, y, t)
	if d.Data != nil {
		backend.CheckSame(a, d)
	}
	t1, _ := l.Temperatures() // t2 is f's parameter
	sum, err := bindings.Loss(a.Rows, a.Cols, data(d), d.Stride, data(a), a.Stride, data(y), y.Stride, data(t), t.Stride,
		int(f.Kind()), f.Param(), int(l.Kind()), float32(t1), scale)
	must(err)
	return sum
}

// Residual implements backend.Kernels.
func (k *Backend) Residual(r, da, ahat, yhat, e backend.Mat, f transfer.Func) {
	if inGo(f) {
		loops.Residual(r, da, ahat, yhat, e, f)
		return
	}
	backend.CheckSame(r, da, e)
	if f != transfer.Identity {
		backend.CheckSame(r, ahat, yhat)
	}
	must(bindings.Residual(r.Rows, r.Cols, data(r), r.Stride, data(da), da.Stride, data(ahat), ahat.Stride,
		data(yhat), yhat.Stride, data(e), e.Stride, int(f.Kind()), f.Param()))
}

// Scale implements backend.Kernels.
func (k *Backend) Scale(e, d backend.Mat, gamma float32) {
	backend.CheckSame(e, d)
	must(bindings.Scale(e.Rows, e.Cols, data(e), e.Stride, data(d), d.Stride, gamma))
}

// The compiler refuses these where bindings.Rule isn't laid out as optimizer.Update is:
// updates go to C without a copy.
var (
	_ [unsafe.Sizeof(optimizer.Update{})]byte        = [unsafe.Sizeof(bindings.Rule{})]byte{}
	_ [unsafe.Offsetof(optimizer.Update{}.Prox)]byte = [unsafe.Offsetof(bindings.Rule{}.Prox)]byte{}
	_ [unsafe.Offsetof(optimizer.Update{}.C)]byte    = [unsafe.Offsetof(bindings.Rule{}.C)]byte{}
)

func rule(u *optimizer.Update) *bindings.Rule { return (*bindings.Rule)(unsafe.Pointer(u)) }

// slotMats gives the slots that a rule has and empty matrices for the rest.
func slotMats(slots []backend.Mat) (s [optimizer.MaxSlots]backend.Mat) {
	copy(s[:], slots)
	return s
}

// Update implements backend.Kernels.
func (k *Backend) Update(u optimizer.Update, delta, w0, g backend.Mat, slots []backend.Mat) {
	backend.CheckUpdate(u, delta, w0, g, slots)
	s := slotMats(slots)
	must(bindings.Update(rule(&u), delta.Rows, delta.Cols, data(delta), delta.Stride, data(w0), w0.Stride, data(g), g.Stride,
		data(s[0]), s[0].Stride, data(s[1]), s[1].Stride, data(s[2]), s[2].Stride))
}

// AddInto implements backend.Kernels.
func (k *Backend) AddInto(w, delta backend.Mat) {
	backend.CheckSame(w, delta)
	must(bindings.AddInto(w.Rows, w.Cols, data(w), w.Stride, data(delta), delta.Stride))
}

// SolveBlock implements backend.BlockSolver. It returns an error only for sizes above
// OpenBLAS's 32-bit integers.
func (k *Backend) SolveBlock(b *backend.Block, updates []optimizer.Update, scratch []float32) error {
	backend.CheckBlock(b, updates, scratch)
	s := slotMats(b.Slots)
	return bindings.SolveDirect(b.X.Rows, b.X.Cols, b.W.Rows, data(b.X), b.X.Stride, data(b.Ahat), b.Ahat.Stride,
		data(b.Yhat), b.Yhat.Stride, data(b.D), b.D.Stride, data(b.W), b.W.Stride,
		data(s[0]), s[0].Stride, data(s[1]), s[1].Stride, data(s[2]), s[2].Stride, int(b.F.Kind()), b.F.Param(), b.Gamma, firstRule(updates), len(updates), unsafe.SliceData(scratch), len(scratch))
}

// because tells whether a call failed with a status.
func because(err error, s bindings.Status) (*bindings.Error, bool) {
	if err == nil { // the usual case allocates nothing
		return nil, false
	}
	var e *bindings.Error
	return e, errors.As(err, &e) && e.Status == s
}

// Cholesky implements backend.Kernels.
func (k *Backend) Cholesky(a []float64, n int) error {
	backend.CheckSquare(a, n, nil, 0)
	err := bindings.Cholesky(n, unsafe.SliceData(a))
	if e, ok := because(err, bindings.NotPositive); ok {
		return &backend.NotPositiveDefinite{Minor: int(e.Got)}
	}
	must(err)
	return nil
}

// Solve implements backend.Kernels.
func (k *Backend) Solve(l []float64, n int, b []float64, cols int) {
	backend.CheckSquare(l, n, b, cols)
	must(bindings.Solve(n, cols, unsafe.SliceData(l), unsafe.SliceData(b)))
}

// Invert implements backend.Kernels.
func (k *Backend) Invert(l []float64, n int) {
	backend.CheckSquare(l, n, nil, 0)
	must(bindings.Invert(n, unsafe.SliceData(l)))
}

// Gemm64 implements backend.Kernels.
func (k *Backend) Gemm64(transA, transB bool, alpha float64, a, b backend.Mat64, beta float64, c backend.Mat64) {
	backend.CheckGemm64(transA, transB, a, b, c)
	inner := a.Cols
	if transA {
		inner = a.Rows
	}
	must(bindings.Gemm64(transA, transB, c.Rows, c.Cols, inner, alpha, unsafe.SliceData(a.Data), a.Stride,
		unsafe.SliceData(b.Data), b.Stride, beta, unsafe.SliceData(c.Data), c.Stride))
}

// SymEig implements backend.Kernels.
func (k *Backend) SymEig(a []float64, n int, w, work []float64) error {
	backend.CheckSquare(a, n, w, 1)
	err := bindings.SymEig(n, unsafe.SliceData(a), unsafe.SliceData(w), unsafe.SliceData(work), len(work))
	if _, ok := because(err, bindings.NoConvergence); ok {
		return backend.ErrNoConvergence
	}
	must(err)
	return nil
}

// SymEigWork implements backend.Kernels.
func (k *Backend) SymEigWork(n int) int { return bindings.SymEigWork(n) }
