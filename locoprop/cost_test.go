package locoprop

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Equating the flops of two forms gives the sizes at which one becomes the cheaper:
// Gram beats direct where n < 4(T−1)Bm/(B + 2(T−1)m), kernel where
// B < 4(T−1)nm/(n + 2(T−1)m), with T−2 for the first T−1 where a velocity is carried.
func TestFlopsBreakEven(t *testing.T) {
	sizes := []int{1, 7, 31, 64, 100, 251, 785, 1001, 4001}
	for _, b := range sizes {
		for _, n := range sizes {
			for _, m := range sizes {
				for _, steps := range []int{1, 2, 3, 10, 40} {
					w := workload{batch: b, cols: n, units: m, steps: steps, block: 128}
					B, N, M, again := float64(b), float64(n), float64(m), float64(steps-1)
					direct, gram, kernel := predict(FormDirect, w).flops(), predict(FormGram, w).flops(), predict(FormKernel, w).flops()
					w.carried = true
					carried := predict(FormKernel, w).flops()
					assert.Equal(t, (4*float64(steps)-2)*B*N*M, direct)
					assert.Equal(t, N < 4*again*B*M/(B+2*again*M), gram < direct, "gram, %+v", w)
					assert.Equal(t, B < 4*again*N*M/(N+2*again*M), kernel < direct, "kernel, %+v", w)
					assert.Equal(t, B < 4*(again-1)*N*M/(N+2*again*M), carried < direct, "carried, %+v", w)
				}
			}
		}
	}
}

// The autoencoder of the LocoProp paper, S, T = 10, B = 1000: 107.8 GF by the direct
// form, 49.4 by the better of Gram and kernel.
func TestFlopsOfReferenceNetwork(t *testing.T) {
	var direct, best float64
	for _, w := range referenceLayers(1000) {
		direct += predict(FormDirect, w).flops()
		best += min(predict(FormGram, w).flops(), predict(FormKernel, w).flops())
	}
	assert.InDelta(t, 107.8e9, direct, 0.05e9)
	assert.InDelta(t, 49.4e9, best, 0.05e9)
}

var referenceWidths = []int{784, 1000, 500, 250, 30, 250, 500, 1000, 784}

func referenceLayers(batch int) []workload {
	var all []workload
	for i, n := range referenceWidths[:len(referenceWidths)-1] {
		all = append(all, workload{batch: batch, cols: n + 1, units: referenceWidths[i+1], steps: 10, block: 128})
	}
	return all
}

// counting counts what its kernels are asked to do.
type counting struct {
	backend.Kernels
	Work
}

func (c *counting) product(flops int, operands ...backend.Mat) {
	c.Product += float64(flops)
	c.operands(operands...)
}

func (c *counting) operands(operands ...backend.Mat) {
	for _, o := range operands {
		c.Operand += float64(o.Rows * o.Cols)
	}
	c.Call++
}

func (c *counting) element(m backend.Mat, times int) {
	c.Element += float64(times * m.Rows * m.Cols)
	c.Call++
}

func (c *counting) Affine(a, x, w backend.Mat) {
	c.product(2*x.Rows*x.Cols*w.Rows, a, x, w)
	c.Kernels.Affine(a, x, w)
}

func (c *counting) Grad(g, r, x backend.Mat) {
	c.product(2*x.Rows*x.Cols*r.Cols, g, r, x)
	c.Kernels.Grad(g, r, x)
}

func (c *counting) Gemm(transA, transB bool, alpha float32, a, b backend.Mat, beta float32, out backend.Mat) {
	inner := a.Cols
	if transA {
		inner = a.Rows
	}
	c.product(2*inner*out.Rows*out.Cols, a, b, out)
	c.Kernels.Gemm(transA, transB, alpha, a, b, beta, out)
}

func (c *counting) Syrk(trans bool, alpha float32, x backend.Mat, beta float32, out backend.Mat) {
	c.Square += float64(x.Rows * x.Cols * out.Rows)
	c.operands(x, out)
	c.Kernels.Syrk(trans, alpha, x, beta, out)
}

func (c *counting) Residual(r, da, ahat, yhat, e backend.Mat, f transfer.Func) {
	c.element(r, 3)
	if f != transfer.Identity {
		c.Element += float64(2 * r.Rows * r.Cols)
		c.Transfer += float64(r.Rows * r.Cols)
	}
	c.Kernels.Residual(r, da, ahat, yhat, e, f)
}

func (c *counting) Apply(y, a backend.Mat, f transfer.Func) {
	c.element(y, 2)
	c.Transfer += float64(y.Rows * y.Cols)
	c.Kernels.Apply(y, a, f)
}

func (c *counting) Scale(e, d backend.Mat, gamma float32) {
	c.element(e, 2)
	c.Kernels.Scale(e, d, gamma)
}

func (c *counting) Update(u optimizer.Update, delta, w0, g backend.Mat, slots []backend.Mat) {
	c.element(delta, 3+2*len(slots))
	c.Kernels.Update(u, delta, w0, g, slots)
}

func (c *counting) AddInto(w, delta backend.Mat) {
	c.element(w, 3)
	c.Kernels.AddInto(w, delta)
}

// Its panels have two units, and no padding.

const panelUnits = 2

func (c *counting) PanelsLen(rows, units int) int { return rows * units }
func (c *counting) PanelUnits() int               { return panelUnits }

func whole(rows, cols int, data []float32) backend.Mat {
	return backend.Mat{Rows: rows, Cols: cols, Stride: cols, Data: data[:rows*cols]}
}

// eachPanel views those of two matrices with the same units.
func eachPanel(rowsA, rowsB, units int, a, b []float32, f func(a, b backend.Mat)) {
	for u := 0; u < units; u += panelUnits {
		width := min(panelUnits, units-u)
		f(whole(rowsA, width, a[u*rowsA:]), whole(rowsB, width, b[u*rowsB:]))
	}
}

func (c *counting) PanelsProduct(out []float32, m backend.Mat, trans bool, b []float32, units int) {
	rows, terms := m.Rows, m.Cols
	if trans {
		rows, terms = terms, rows
	}
	c.product(2*rows*terms*units, whole(rows, units, out), whole(terms, units, b))
	eachPanel(rows, terms, units, out, b, func(out, b backend.Mat) { c.Kernels.Gemm(trans, false, 1, m, b, 0, out) })
}

// inPanels is where element (i, j) of rows × units lies.
func inPanels(rows, units, i, j int) int {
	first := j - j%panelUnits
	return first*rows + i*min(panelUnits, units-first) + j - first
}

func (c *counting) PanelsFrom(p []float32, m backend.Mat, trans bool, alpha float32) {
	c.operands(m, m)
	for i := range m.Rows {
		for j := range m.Cols {
			to := inPanels(m.Rows, m.Cols, i, j)
			if trans {
				to = inPanels(m.Cols, m.Rows, j, i)
			}
			p[to] = alpha * m.Data[i*m.Stride+j]
		}
	}
}

func (c *counting) PanelsTo(m backend.Mat, p []float32, trans, add bool) {
	c.operands(m, m)
	for i := range m.Rows {
		for j := range m.Cols {
			from, to := inPanels(m.Rows, m.Cols, i, j), &m.Data[i*m.Stride+j]
			if trans {
				from = inPanels(m.Cols, m.Rows, j, i)
			}
			if !add {
				*to = 0
			}
			*to += p[from]
		}
	}
}

func (c *counting) PanelsTurn(to []float32, rows, first int, alpha float32, from []float32, units, count int) {
	panic("passes of a network of one layer keep nothing")
}

// The cost model counts exactly what a form asks of its kernels, over blocks that don't
// divide, several stripes of C and K, and every option that it knows. Two things lie
// outside kernels: what Gram copies and what selfProduct mirrors.
func TestWorkIsWhatKernelsDo(t *testing.T) {
	for _, shape := range [][3]int{{1, 1, 1}, {3, 300, 5}, {270, 4, 7}, {20, 31, 33}, {260, 3, 70}, {2, 260, 70}} {
		for _, steps := range []int{1, 3} {
			for _, rule := range []optimizer.Kind{optimizer.SGD, optimizer.Momentum, optimizer.RMSPropTF1} {
				for _, o := range []Options{
					{}, {Loss: Squared}, {Loss: Squared, Prox: 2}, {Prox: 2}, {Reset: true}, {Block: 1000},
				} {
					o.Optimizer, o.Steps, o.Eta = optimizer.New(rule), steps, 1e-3
					setDefault(&o.Block, 4)
					for _, o.Form = range []Form{FormDirect, FormGram, FormKernel} {
						if o.valid(o.Form, o.Loss.transfer(transfer.Tanh)) == nil {
							checkWork(t, shape[0], shape[1], shape[2], o)
						}
					}
				}
			}
		}
	}
}

// mirrored is how many elements of C or K, of a number of rows, are read and written once
// more to fill the upper triangle: all left of a stripe's diagonal block.
func mirrored(rows int) float64 {
	sum, stripe := 0, stripeSize(rows)
	for i := range rows {
		sum += i / stripe * stripe
	}
	return float64(2 * sum)
}

// counted plans steps of a layer of tanh units, on kernels that count what they are asked for
// and a pool of one worker.
func counted(t *testing.T, batch, inputs, units int, o Options) (*Method, *counting, plan.Stepper, *plan.Pool) {
	t.Helper()
	n, err := nn.New(nn.Arch{Widths: []int{inputs, units}, Transfer: []transfer.Func{transfer.Tanh}})
	require.NoError(t, err)
	m, err := New(o)
	require.NoError(t, err)
	k := &counting{Kernels: gonum.New()}
	s, err := m.Plan(n, loss.Squared, batch, k)
	require.NoError(t, err)
	pool := plan.NewPool(1)
	t.Cleanup(pool.Close)
	return m, k, s, pool
}

func checkWork(t *testing.T, batch, inputs, units int, o Options) {
	t.Helper()
	m, k, s, pool := counted(t, batch, inputs, units, o)
	var pass Work
	pool.Observe(func(x plan.Timing) {
		if x.Phase == plan.PassPhase {
			pass = k.Work
		}
	})
	_, err := s.Step(pool, random(1, batch, inputs), random(2, batch, units), 1)
	require.NoError(t, err)
	got, want := k.Work, predict(o.Form, m.o.workload(o.Loss.transfer(transfer.Tanh), batch, inputs+1, units))
	got.Product -= pass.Product
	got.Operand -= pass.Operand
	got.Element -= pass.Element
	got.Call -= pass.Call
	got.Transfer -= pass.Transfer
	cols := inputs + 1
	switch o.Form {
	case FormGram:
		got.Element += mirrored(cols)
		if !m.o.inPanels(transfer.Identity, cols) {
			got.Element += float64(2 * (o.Steps - 1) * cols * units)
		}
		assert.Equal(t, float64(batch*cols*cols), want.Square)
	case FormKernel:
		got.Element += mirrored(batch)
		assert.Equal(t, float64(batch*batch*cols), want.Square)
	}
	// What selfProduct leaves to Gemm counts as Square.
	got.Product, got.Square = got.Product+got.Square-want.Square, want.Square
	assert.Equal(t, want, got, "%d × %d × %d %+v", batch, inputs, units, o)
}

func TestAutoChoice(t *testing.T) {
	momentum, rmsprop := optimizer.New(optimizer.Momentum), optimizer.New(optimizer.RMSPropTF1)
	for _, c := range []struct {
		batch, n, m int
		f           transfer.Func
		o           Options
		want        Form
	}{
		// S by an adaptive rule: direct or Gram.
		{1000, 784, 1000, transfer.Tanh, Options{Loss: Squared, Optimizer: rmsprop}, FormGram},
		{1000, 30, 250, transfer.Tanh, Options{Loss: Squared, Optimizer: rmsprop, Prox: ProxAuto}, FormGram},
		{100, 784, 1000, transfer.Tanh, Options{Loss: Squared, Optimizer: rmsprop}, FormDirect},
		{1000, 784, 1000, transfer.Tanh, Options{Loss: Squared, Optimizer: rmsprop, Steps: 1}, FormDirect},
		// M by an adaptive rule: direct alone, except on the identity.
		{1000, 30, 250, transfer.Tanh, Options{Optimizer: rmsprop}, FormDirect},
		{1000, 30, 250, transfer.Identity, Options{Optimizer: rmsprop}, FormGram},
		// Rules that are linear in g: kernel where the batch is small.
		{100, 784, 1000, transfer.Tanh, Options{}, FormKernel},
		{100, 784, 1000, transfer.Tanh, Options{Optimizer: momentum}, FormKernel},
		{100, 784, 10, transfer.Softmax, Options{Optimizer: momentum}, FormKernel},
		{1000, 30, 250, transfer.Tanh, Options{Optimizer: momentum}, FormDirect},
		{1000, 30, 250, transfer.Tanh, Options{Loss: Squared, Optimizer: momentum}, FormGram},
		{100, 500, 500, transfer.Tanh, Options{Loss: Squared, Optimizer: momentum}, FormKernel},
		// T = 2: a carried velocity's products cost what the kernel form saves.
		{500, 784, 1000, transfer.Tanh, Options{Optimizer: momentum, Steps: 2}, FormDirect},
		{500, 784, 1000, transfer.Tanh, Options{Optimizer: momentum, Steps: 2, Reset: true}, FormKernel},
		{1, 1, 1, transfer.Tanh, Options{Steps: 1}, FormDirect},
	} {
		c.o.Eta = 1
		l := planned(t, []int{c.n, c.m}, c.f, c.o, c.batch)[0]
		name := fmt.Sprintf("%d × %d × %d %v %+v", c.batch, c.n, c.m, c.f, c.o)
		assert.Equal(t, c.want.String(), l.Form, name)
		assert.Positive(t, l.Seconds, name)
		assert.Positive(t, l.Bytes, name)
	}
}

// The forms chosen on the paper's autoencoder.
func TestAutoOnReferenceNetwork(t *testing.T) {
	forms := func(o Options, batch int) (all []Form) {
		o.Eta = 1
		for _, l := range planned(t, referenceWidths, transfer.Tanh, o, batch) {
			for form, name := range Forms {
				if l.Form == name {
					all = append(all, Form(form))
				}
			}
		}
		return all
	}
	const d, g, k = FormDirect, FormGram, FormKernel
	assert.Equal(t, []Form{g, g, g, g, g, g, g, g}, forms(Options{Loss: Squared, Optimizer: optimizer.New(optimizer.RMSPropTF1)}, 1000))
	assert.Equal(t, []Form{d, d, d, d, d, d, d, d}, forms(Options{Optimizer: optimizer.New(optimizer.RMSPropTF1)}, 1000))
	assert.Equal(t, []Form{k, k, k, k, d, k, k, k}, forms(Options{Optimizer: optimizer.New(optimizer.Momentum)}, 100))
}

// planned is what a plan of dense layers of one transfer function says of its layers.
func planned(t *testing.T, widths []int, f transfer.Func, o Options, batch int) []plan.LayerPlan {
	t.Helper()
	a := nn.Arch{Widths: widths}
	for range len(widths) - 1 {
		a.Transfer = append(a.Transfer, f)
	}
	l := loss.Squared
	if f == transfer.Softmax {
		l = loss.SoftmaxCE
	}
	n, err := nn.New(a)
	require.NoError(t, err)
	m, err := New(o)
	require.NoError(t, err)
	s, err := m.Plan(n, l, batch, gonum.New())
	require.NoError(t, err)
	return s.Explain()
}

// random is a matrix of numbers in (0, 1) with gaps between its rows.
func random(seed uint32, rows, cols int) backend.Mat {
	u := philox.New(seed, philox.Local, 0)
	m := backend.NewPadded(rows, cols)
	for i := range m.Data {
		m.Data[i] = float32(u.Uniform(uint64(i)))
	}
	return m
}

func selfProductOf(t *testing.T, x backend.Mat, trans bool) backend.Mat {
	t.Helper()
	size := x.Rows
	if trans {
		size = x.Cols
	}
	p := backend.NewPadded(size, size)
	var covered int
	for _, w := range selfProduct(&layer{x: x, kernels: gonum.New()}, trans, p) {
		require.Equal(t, covered, w.Lo)
		covered = w.Hi
		require.NoError(t, w.Do(nil))
	}
	require.Equal(t, size, covered)
	return p
}

// C and K, of one stripe, of several, and of stripes that don't divide.
func TestSelfProduct(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {3, 40}, {5, 256}, {4, 257}, {7, 530}} {
		x := random(1, size[0], size[1])
		want := oracle.Mul(oracle.From32(x).T(), oracle.From32(x))
		c := oracle.From32(selfProductOf(t, x, true))
		require.LessOrEqual(t, oracle.MaxDiff(c, want), 1e-6*oracle.MaxAbs(want))
		require.Equal(t, c, c.T())
		k := oracle.From32(selfProductOf(t, backend.Mat{Rows: x.Cols, Cols: x.Rows, Stride: x.Rows, Data: oracle.From32(x).T().To32().Data}, false))
		require.LessOrEqual(t, oracle.MaxDiff(k, want), 1e-6*oracle.MaxAbs(want))
		require.Equal(t, k, k.T())
	}
}

// C and G are sums over examples: those of two halves of a batch add up to the whole's.
func TestHalfBatchesAddUp(t *testing.T) {
	x, d := random(1, 18, 270), random(2, 18, 5)
	sum := func(part func(lo, hi int) backend.Mat) oracle.Mat {
		return oracle.Plus(oracle.From32(part(0, 7)), 1, oracle.From32(part(7, 18)))
	}
	second := func(lo, hi int) backend.Mat { return selfProductOf(t, backend.Rows(x, lo, hi), true) }
	gradient := func(lo, hi int) backend.Mat {
		g := backend.NewMat(d.Cols, x.Cols)
		gonum.New().Gemm(true, false, 1, backend.Rows(d, lo, hi), backend.Rows(x, lo, hi), 0, g)
		return g
	}
	for _, part := range []func(lo, hi int) backend.Mat{second, gradient} {
		whole := oracle.From32(part(0, 18))
		assert.LessOrEqual(t, oracle.MaxDiff(whole, sum(part)), 1e-6*oracle.MaxAbs(whole))
	}
}

func TestWorkRefuses(t *testing.T) {
	work := func(o Options, batch, inputs, units int) error {
		o.Eta = 1
		m, err := New(o)
		require.NoError(t, err)
		_, err = m.Work(transfer.Tanh, batch, inputs, units)
		return err
	}
	assert.NoError(t, work(Options{Form: FormDirect}, 1, 1, 1))
	assert.ErrorContains(t, work(Options{Form: FormDirect}, 0, 1, 1), "must be 1 or more")
	assert.ErrorContains(t, work(Options{}, 1, 1, 1), "not auto")
	assert.ErrorContains(t, work(Options{Form: FormGram}, 1, 1, 1), "locoprop-s")
}

// What auto picks follows the costs that it is given, and seconds are their sum.
func TestCosts(t *testing.T) {
	c := Costs{1, 10, 100, 1000, 1e4, 1e5}
	assert.InDelta(t, 654321, c.Seconds(Work{1, 2, 3, 4, 5, 6}), 0)
	o := Options{Eta: 1, Loss: Squared}
	assert.Equal(t, "gram", planned(t, []int{30, 250}, transfer.Tanh, o, 1000)[0].Form)
	o.Costs = Costs{Product: 1e-20, Square: 1}
	assert.Equal(t, "direct", planned(t, []int{30, 250}, transfer.Tanh, o, 1000)[0].Form)
	for _, bad := range []Costs{{Square: 1}, {Product: 1, Call: -1}, {Product: math.NaN()}, {Product: math.Inf(1)}} {
		_, err := New(Options{Eta: 1, Costs: bad})
		assert.ErrorContains(t, err, "costs")
	}
}
