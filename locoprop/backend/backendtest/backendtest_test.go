package backendtest

import (
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// The types below are correct but for one planted bug each; the suite must see it.

type readsOldC struct{ *gonum.Backend } // β = 0 multiplies instead of overwriting

func (k readsOldC) Gemm(transA, transB bool, alpha float32, a, b backend.Mat, beta float32, c backend.Mat) {
	for i := range c.Rows {
		for j := range c.Cols {
			c.Data[i*c.Stride+j] *= beta
		}
	}
	k.Backend.Gemm(transA, transB, alpha, a, b, 1, c)
}

type oneTriangle struct{ *gonum.Backend } // Syrk leaves the upper triangle

func (k oneTriangle) Syrk(trans bool, alpha float32, x backend.Mat, beta float32, c backend.Mat) {
	full := newMat(c.Rows, c.Cols)
	backend.Copy(full, c)
	k.Backend.Syrk(trans, alpha, x, beta, full)
	for i := range c.Rows {
		copy(c.Data[i*c.Stride:i*c.Stride+i+1], full.Data[i*full.Stride:])
	}
}

type writesPadding struct{ *gonum.Backend } // a vector loop that rounds the length up

func (k writesPadding) Apply(y, a backend.Mat, f transfer.Func) {
	k.Backend.Apply(y, a, f)
	for i := range y.Rows - 1 {
		if end := i*y.Stride + y.Cols; y.Stride > y.Cols {
			y.Data[end] = 0
		}
	}
}

type writesInput struct{ *gonum.Backend } // computes in its input

func (k writesInput) Residual(r, da, ahat, yhat, e backend.Mat, f transfer.Func) {
	k.Backend.Residual(da, da, ahat, yhat, e, f)
	backend.Copy(r, da)
}

type ignoresStride struct{ *gonum.Backend }

func (k ignoresStride) AddInto(w, delta backend.Mat) {
	w.Stride, delta.Stride = w.Cols, delta.Cols
	k.Backend.AddInto(w, delta)
}

type coarse struct{ *gonum.Backend } // a cheaper tanh, good to 2e-6

func (k coarse) Apply(y, a backend.Mat, f transfer.Func) {
	k.Backend.Apply(y, a, f)
	if f == transfer.Tanh {
		for i := range y.Rows {
			for j := range y.Cols {
				y.Data[i*y.Stride+j] *= 1 - 2e-6
			}
		}
	}
}

type losesNaN struct{ *gonum.Backend } // skips the zeros of d

func (k losesNaN) Backprop(dx, d, w backend.Mat) {
	backend.CheckBackprop(dx, d, w)
	for i := range dx.Rows {
		row := dx.Data[i*dx.Stride : i*dx.Stride+dx.Cols]
		clear(row)
		for u, v := range d.Data[i*d.Stride : i*d.Stride+d.Cols] {
			if v == 0 {
				continue
			}
			for j := range row {
				row[j] += v * w.Data[u*w.Stride+j]
			}
		}
	}
}

type flushes struct{ *gonum.Backend } // flush-to-zero mode

func (k flushes) Scale(e, d backend.Mat, gamma float32) {
	k.Backend.Scale(e, d, gamma)
	for i, v := range e.Data {
		if math.Abs(float64(v)) < 0x1p-126 {
			e.Data[i] = 0
		}
	}
}

type decaysBias struct{ *gonum.Backend } // AdamW decays the bias too

func (k decaysBias) Update(u optimizer.Update, delta, w0, g backend.Mat, slots []backend.Mat) {
	bias := append([]float32(nil), column(delta, delta.Cols-1)...)
	if w0.Data != nil {
		for i, v := range column(w0, w0.Cols-1) {
			bias[i] += v
		}
	}
	k.Backend.Update(u, delta, w0, g, slots)
	for i, v := range bias {
		delta.Data[i*delta.Stride+delta.Cols-1] -= u.C[7] * v
	}
}

func column(m backend.Mat, j int) []float32 {
	var r []float32
	for i := range m.Rows {
		r = append(r, m.Data[i*m.Stride+j])
	}
	return r
}

type forgetsProx struct{ *gonum.Backend }

func (k forgetsProx) Update(u optimizer.Update, delta, w0, g backend.Mat, slots []backend.Mat) {
	u.Prox = 0
	k.Backend.Update(u, delta, w0, g, slots)
}

type meanLoss struct{ *gonum.Backend } // adds in float32

func (k meanLoss) Loss(d, a, y, t backend.Mat, f transfer.Func, l loss.Loss, scale float32) float64 {
	return float64(float32(k.Backend.Loss(d, a, y, t, f, l, scale)) * (1 + 1e-5))
}

type wrongDerivative struct{ *gonum.Backend } // 1 − y for 1 − y²

func (k wrongDerivative) Chain(d, a, y backend.Mat, f transfer.Func) {
	k.Backend.Chain(d, a, y, f)
	if f == transfer.Tanh {
		for i := range d.Rows {
			for j := range d.Cols {
				d.Data[i*d.Stride+j] /= 1 + y.Data[i*y.Stride+j]
			}
		}
	}
}

type allocates struct{ *gonum.Backend }

func (k allocates) Affine(a, x, w backend.Mat) {
	c := newMat(a.Rows, a.Cols)
	k.Backend.Affine(c, x, w)
	backend.Copy(a, c)
}

type hasState struct { // a scratch buffer shared by all callers
	*gonum.Backend
	scratch []float32
}

func (k hasState) Affine(a, x, w backend.Mat) {
	backend.CheckAffine(a, x, w)
	c := backend.Mat{Rows: a.Rows, Cols: a.Cols, Stride: a.Cols, Data: k.scratch[:a.Rows*a.Cols]}
	clear(c.Data)
	runtime.Gosched()
	k.Gemm(false, true, 1, x, w, 1, c)
	runtime.Gosched()
	backend.Copy(a, c)
}

type counts struct { // every other call rounds differently
	*gonum.Backend
	n *atomic.Int64
}

func (k counts) Grad(g, r, x backend.Mat) {
	k.Backend.Grad(g, r, x)
	if k.n.Add(1)%2 == 0 && len(g.Data) > 0 {
		g.Data[0] = math.Nextafter32(g.Data[0], 9)
	}
}

type unchecked struct{ *gonum.Backend } // no shape check

func (k unchecked) AddInto(w, delta backend.Mat) {
	for i := range w.Data {
		w.Data[i] += delta.Data[i]
	}
}

type acceptsNaN struct{ *gonum.Backend } // a pivot test that NaN passes

func (k acceptsNaN) Cholesky(a []float64, n int) error {
	for i := range n {
		if math.IsNaN(a[i*n+i]) {
			return nil
		}
	}
	return k.Backend.Cholesky(a, n)
}

type upperTriangle struct{ *gonum.Backend } // reads the wrong triangle

func (k upperTriangle) SymEig(a []float64, n int, w, work []float64) error {
	for i := range n {
		for j := range i {
			a[i*n+j] = a[j*n+i]
		}
	}
	return k.Backend.SymEig(a, n, w, work)
}

type tails struct{ *gonum.Backend } // the loop's tail rounds differently from its body

func (k tails) Residual(r, da, ahat, yhat, e backend.Mat, f transfer.Func) {
	k.Backend.Residual(r, da, ahat, yhat, e, f)
	for i := range r.Rows {
		for j := r.Cols &^ 7; j < r.Cols; j++ {
			p := &r.Data[i*r.Stride+j]
			*p = math.Nextafter32(*p, 9)
		}
	}
}

// wrongBlock is a fast path that differs from the loop in the last bit.
type wrongBlock struct{ *gonum.Backend }

func (k wrongBlock) SolvesBlock(transfer.Func) bool { return true }

func (k wrongBlock) SolveBlock(b *backend.Block, updates []optimizer.Update, scratch []float32) error {
	backend.CheckBlock(b, updates, scratch)
	backend.Loop(k, b, updates, scratch)
	b.W.Data[0] = math.Nextafter32(b.W.Data[0], 9)
	return nil
}

// rightBlock is the loop itself.
type rightBlock struct{ *gonum.Backend }

func (k rightBlock) SolvesBlock(transfer.Func) bool { return true }

func (k rightBlock) SolveBlock(b *backend.Block, updates []optimizer.Update, scratch []float32) error {
	backend.CheckBlock(b, updates, scratch)
	backend.Loop(k, b, updates, scratch)
	return nil
}

// recorder notes a failure instead of failing.
type recorder struct {
	testing.TB
	failed atomic.Bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed.Store(true) }
func (r *recorder) Fatalf(string, ...any) { r.failed.Store(true); runtime.Goexit() }
func (r *recorder) Fatal(...any)          { r.failed.Store(true); runtime.Goexit() }

// caught reports whether a section of the suite fails on k.
func caught(k backend.Kernels, section func(t testing.TB, k backend.Kernels)) bool {
	r, done := new(recorder), make(chan struct{})
	go func() {
		defer close(done)
		section(r, k)
	}()
	<-done
	return r.failed.Load()
}

// formulas is testFormulas for the operations of one name.
func formulas(name string) func(t testing.TB, k backend.Kernels) {
	return func(t testing.TB, k backend.Kernels) {
		for _, op := range operations() {
			if strings.HasPrefix(op.name, name) {
				for _, s := range []Shape{{3, 5, 7}, {13, 31, 17}} {
					checkFormula(t, k, op, s, 1)
				}
			}
		}
	}
}

func special(name string) func(t testing.TB, k backend.Kernels) {
	return func(t testing.TB, k backend.Kernels) {
		for _, op := range operations() {
			if op.name == name {
				inject(t, k, op, []float32{nan32, inf32}, 0, 1)
			}
		}
	}
}

func blocks(t testing.TB, k backend.Kernels) {
	checkBlock(t, k, k.(backend.BlockSolver), Shape{5, 4, 3}, transfer.Tanh, optimizer.New(optimizer.RMSPropTF1), 0, layouts[2])
}

// TestSuiteSeesPlantedBugs plants a bug in a correct backend and expects the section of
// the suite that looks for it to fail, and to pass on the backend as it is.
func TestSuiteSeesPlantedBugs(t *testing.T) {
	right := gonum.New()
	for _, c := range []struct {
		name    string
		bug     backend.Kernels
		section func(t testing.TB, k backend.Kernels)
	}{
		{"β = 0 reads C", readsOldC{right}, formulas("Gemm")},
		{"one triangle of Syrk", oneTriangle{right}, formulas("Syrk")},
		{"write behind a row", writesPadding{right}, formulas("Apply")},
		{"write to an input", writesInput{right}, formulas("Residual")},
		{"stride ignored", ignoresStride{right}, formulas("AddInto")},
		{"coarse tanh", coarse{right}, formulas("Apply")},
		{"NaN behind a zero", losesNaN{right}, special("Backprop")},
		{"flush to zero", flushes{right}, denormals},
		{"AdamW decays the bias", decaysBias{right}, formulas("Update/adamw")},
		{"no proximal term", forgetsProx{right}, formulas("Update")},
		{"loss off by 1e-5", meanLoss{right}, formulas("Loss")},
		{"wrong derivative", wrongDerivative{right}, func(t testing.TB, k backend.Kernels) { chainGradient(t, k, transfer.Tanh) }},
		{"allocation", allocates{right}, testAllocations},
		{"shared scratch", hasState{right, make([]float32, probe.B*probe.M)}, testConcurrency},
		{"varying bits", counts{right, new(atomic.Int64)}, formulas("Grad")},
		{"no check of shapes", unchecked{right}, testPanics},
		{"NaN pivot", acceptsNaN{right}, testDense},
		{"upper triangle", upperTriangle{right}, testDense},
		{"tail of a vector loop", tails{right}, testPosition},
		{"SolveBlock off by a bit", wrongBlock{right}, blocks},
	} {
		t.Run(c.name, func(t *testing.T) {
			if raceDetector && c.name == "shared scratch" {
				t.Skip("planted data race; runs without -race")
			}
			if !caught(c.bug, c.section) {
				t.Error("the suite passes a backend with this bug")
			}
			sound := backend.Kernels(right)
			if _, ok := c.bug.(backend.BlockSolver); ok {
				sound = rightBlock{right}
			}
			if caught(sound, c.section) {
				t.Error("the suite fails a backend without this bug")
			}
		})
	}
}

func TestRunOnSolver(t *testing.T) {
	if testing.Short() {
		t.Skip("covered by the backends; run without -short")
	}
	testSolveBlock(t, rightBlock{gonum.New()})
}

// TestAgainstItself: a backend agrees with itself, and not with a wrong one.
func TestAgainstItself(t *testing.T) {
	k := gonum.New()
	Against(t, k, k)
	for _, op := range operations() {
		if op.name == "Apply/tanh" && !caught(k, func(t testing.TB, k backend.Kernels) {
			checkAgainst(t, k, scaledApply{gonum.New()}, op, probe, 1, layouts[0])
		}) {
			t.Error("Against passes two backends that differ by 1e-5")
		}
	}
}

type scaledApply struct{ *gonum.Backend } // off by a factor 1 + 1e-5

func (k scaledApply) Apply(y, a backend.Mat, f transfer.Func) {
	k.Backend.Apply(y, a, f)
	k.Scale(y, y, 1+1e-5)
}
