package bench

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// kind groups kernels by what they do.
type kind int

const (
	products kind = iota
	packing
	transfers
	updates
	factors
	kinds
)

// timed is a backend that adds up the time its kernels take. It has none of the solvers of
// blocks, so that methods run their loops over single kernels, which is what can be timed
// from outside. A method that isn't measured never sees it.
type timed struct {
	backend.Kernels
	spent [kinds]atomic.Int64 // nanoseconds
	calls atomic.Int64

	recording bool // collects operations
	mutex     sync.Mutex
	counts    map[operation]int
}

// reset forgets what was timed.
func (k *timed) reset() {
	for i := range k.spent {
		k.spent[i].Store(0)
	}
	k.calls.Store(0)
}

func (k *timed) add(kind kind, start time.Time) {
	k.spent[kind].Add(int64(time.Since(start)))
	k.calls.Add(1)
}

func (k *timed) record(o operation) {
	if !k.recording {
		return
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.counts[o]++
}

func (k *timed) Affine(a, x, w backend.Mat) {
	k.record(gemm(false, true, x, w, a))
	defer k.add(products, time.Now())
	k.Kernels.Affine(a, x, w)
}

func (k *timed) Backprop(dx, d, w backend.Mat) {
	k.record(gemm(false, false, d, w, dx))
	defer k.add(products, time.Now())
	k.Kernels.Backprop(dx, d, w)
}

func (k *timed) Grad(g, r, x backend.Mat) {
	k.record(gemm(true, false, r, x, g))
	defer k.add(products, time.Now())
	k.Kernels.Grad(g, r, x)
}

func (k *timed) Gemm(transA, transB bool, alpha float32, a, b backend.Mat, beta float32, c backend.Mat) {
	k.record(gemm(transA, transB, a, b, c))
	defer k.add(products, time.Now())
	k.Kernels.Gemm(transA, transB, alpha, a, b, beta, c)
}

func (k *timed) Syrk(trans bool, alpha float32, x backend.Mat, beta float32, c backend.Mat) {
	k.record(operation{op: opSyrk, transA: trans, a: sizeOf(x), c: sizeOf(c)})
	defer k.add(products, time.Now())
	k.Kernels.Syrk(trans, alpha, x, beta, c)
}

func (k *timed) Apply(y, a backend.Mat, f transfer.Func) {
	defer k.add(transfers, time.Now())
	k.Kernels.Apply(y, a, f)
}

func (k *timed) Chain(d, a, y backend.Mat, f transfer.Func) {
	defer k.add(transfers, time.Now())
	k.Kernels.Chain(d, a, y, f)
}

func (k *timed) Loss(d, a, y, t backend.Mat, f transfer.Func, l loss.Loss, scale float32) float64 {
	defer k.add(transfers, time.Now())
	return k.Kernels.Loss(d, a, y, t, f, l, scale)
}

func (k *timed) Residual(r, da, ahat, yhat, e backend.Mat, f transfer.Func) {
	defer k.add(transfers, time.Now())
	k.Kernels.Residual(r, da, ahat, yhat, e, f)
}

func (k *timed) Scale(e, d backend.Mat, gamma float32) {
	defer k.add(updates, time.Now())
	k.Kernels.Scale(e, d, gamma)
}

func (k *timed) Update(u optimizer.Update, delta, w0, g backend.Mat, slots []backend.Mat) {
	defer k.add(updates, time.Now())
	k.Kernels.Update(u, delta, w0, g, slots)
}

func (k *timed) AddInto(w, delta backend.Mat) {
	defer k.add(updates, time.Now())
	k.Kernels.AddInto(w, delta)
}

func (k *timed) StepSM3(s *backend.SM3) {
	defer k.add(updates, time.Now())
	backend.FactoredOf(k.Kernels).StepSM3(s)
}

func (k *timed) SquareSums(g backend.Mat, rows, cols []float64) {
	defer k.add(updates, time.Now())
	backend.FactoredOf(k.Kernels).SquareSums(g, rows, cols)
}

func (k *timed) ScaledSquares(g backend.Mat, rows, cols []float32) float64 {
	defer k.add(updates, time.Now())
	return backend.FactoredOf(k.Kernels).ScaledSquares(g, rows, cols)
}

func (k *timed) ScaledStep(w, g backend.Mat, rows, cols []float32) {
	defer k.add(updates, time.Now())
	backend.FactoredOf(k.Kernels).ScaledStep(w, g, rows, cols)
}

func (k *timed) ColumnSums(x backend.Mat, sums []float64) {
	defer k.add(updates, time.Now())
	backend.SecantOf(k.Kernels).ColumnSums(x, sums)
}

func (k *timed) Times(y []float64, h backend.Mat, x []float64) {
	defer k.add(updates, time.Now())
	backend.SecantOf(k.Kernels).Times(y, h, x)
}

func (k *timed) RankTwo(h backend.Mat, first int, a, b float64, s, t []float64) {
	defer k.add(updates, time.Now())
	backend.SecantOf(k.Kernels).RankTwo(h, first, a, b, s, t)
}

func (k *timed) Cholesky(a []float64, n int) error {
	k.record(operation{op: opCholesky, a: square(n)})
	defer k.add(factors, time.Now())
	return k.Kernels.Cholesky(a, n)
}

func (k *timed) Solve(l []float64, n int, b []float64, cols int) {
	k.record(operation{op: opSolve, a: square(n), b: size{n, cols, cols}})
	defer k.add(factors, time.Now())
	k.Kernels.Solve(l, n, b, cols)
}

func (k *timed) Invert(l []float64, n int) {
	k.record(operation{op: opInvert, a: square(n)})
	defer k.add(factors, time.Now())
	k.Kernels.Invert(l, n)
}

func (k *timed) Gemm64(transA, transB bool, alpha float64, a, b backend.Mat64, beta float64, c backend.Mat64) {
	k.record(operation{op: opGemm64, transA: transA, transB: transB, a: sizeOf64(a), b: sizeOf64(b), c: sizeOf64(c)})
	defer k.add(products, time.Now())
	k.Kernels.Gemm64(transA, transB, alpha, a, b, beta, c)
}

func (k *timed) SymEig(a []float64, n int, w, work []float64) error {
	k.record(operation{op: opSymEig, a: square(n)})
	defer k.add(factors, time.Now())
	return k.Kernels.SymEig(a, n, w, work)
}

// timedPanels is timed for a backend with panels. Its products are recorded as those of the same
// sizes on matrices: what any library would take for them.
type timedPanels struct {
	*timed
	backend.Panels
}

func (k timedPanels) PanelsFrom(panels []float32, m backend.Mat, trans bool, alpha float32) {
	defer k.add(packing, time.Now())
	k.Panels.PanelsFrom(panels, m, trans, alpha)
}

func (k timedPanels) PanelsTo(m backend.Mat, panels []float32, trans, add bool) {
	defer k.add(packing, time.Now())
	k.Panels.PanelsTo(m, panels, trans, add)
}

func (k timedPanels) PanelsTurn(to []float32, rows, first int, alpha float32, from []float32, units, count int) {
	defer k.add(packing, time.Now())
	k.Panels.PanelsTurn(to, rows, first, alpha, from, units, count)
}

func (k timedPanels) PanelsProduct(c []float32, m backend.Mat, trans bool, b []float32, units int) {
	rows, terms := m.Rows, m.Cols
	if trans {
		rows, terms = terms, rows
	}
	k.record(operation{opGemm, trans, false, sizeOf(m), size{terms, units, units}, size{rows, units, units}})
	defer k.add(products, time.Now())
	k.Panels.PanelsProduct(c, m, trans, b, units)
}
