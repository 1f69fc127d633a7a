package locoprop

import (
	"fmt"
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
					direct, gram, kernel := predict(FormDirect, w).flops, predict(FormGram, w).flops, predict(FormKernel, w).flops
					w.carried = true
					carried := predict(FormKernel, w).flops
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
		direct += predict(FormDirect, w).flops
		best += min(predict(FormGram, w).flops, predict(FormKernel, w).flops)
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

// Seconds and bytes by hand, once per form: 300 units in blocks of 128, X̃ of 2 MB and
// C of 1 MB, which count once per block, K of 40 kB, which counts once.
func TestPredictionByHand(t *testing.T) {
	w := workload{batch: 100, cols: 5001, units: 300, steps: 3, block: 128, optimizer: optimizer.Momentum, prox: true, carried: true}
	const b, n, m, blocks = 100.0, 5001.0, 300.0, 3.0
	direct := predict(FormDirect, w)
	assert.Equal(t, 4*(5*(blocks*b*n+n*m)+4*3*b*m+3*5*n*m), direct.bytes)
	assert.InEpsilon(t, max(10*b*n*m/(0.85*90e9), direct.bytes/15e9)+blocks*12*3e-7, direct.seconds, 1e-12)
	gram := predict(FormGram, w)
	assert.Equal(t, 4*(2*b*n+2*n*n+blocks*b*n+b*m+2*(blocks*n*n+2*n*m)+3*4*n*m), gram.bytes)
	assert.Equal(t, b*n*n+2*b*n*m+4*n*n*m, gram.flops)
	kernel := predict(FormKernel, w)
	assert.Equal(t, 4*(2*b*n+2*b*b+blocks*b*n+2*n*m+2*(blocks*b*n+2*n*m)+2*b*b+4*3*b*m), kernel.bytes)
	w.matching, w.coupled = true, true
	coupled := predict(FormKernel, w)
	assert.Equal(t, kernel.bytes-4*3*2*b*n, coupled.bytes)
	time := max((6*b*n*m+4*b*b*m)/(0.85*90e9)+b*b*n/(0.6*90e9), coupled.bytes/15e9) + 3*b*m*1e-9
	assert.InEpsilon(t, time+(2+15)*3e-7, coupled.seconds, 1e-12)
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
		require.NoError(t, w.do(nil))
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
