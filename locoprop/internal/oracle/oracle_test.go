package oracle_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// h is the step of central differences; their error is about h² = 1e-10 of a third
// derivative plus 1e-16/h, so 1e-8 is a fair bound for values of unit size.
const (
	h         = 1e-5
	tolerance = 1e-8
)

// checkGradient compares g with central differences of f in every element of x.
func checkGradient(t *testing.T, what string, x, g oracle.Mat, f func() float64) {
	t.Helper()
	for i, v := range x.Data {
		x.Data[i] = v + h
		up := f()
		x.Data[i] = v - h
		down := f()
		x.Data[i] = v
		want := (up - down) / (2 * h)
		assert.InDelta(t, want, g.Data[i], tolerance*(1+math.Abs(want)), "%s, element %d", what, i)
	}
}

func random(seed uint64, rows, cols int, scale float64) oracle.Mat {
	rng := rand.New(rand.NewPCG(seed, seed))
	return oracle.New(rows, cols).Map(func(float64) float64 { return scale * rng.NormFloat64() })
}

var transfers = []transfer.Func{
	transfer.Identity, transfer.Tanh, transfer.LeakyReLU(0.1), transfer.Sigmoid, transfer.Softmax,
}

// convex are all that have a convex F.
var convex = append([]transfer.Func{
	transfer.ReLU2, transfer.Arctan, transfer.Softplus, transfer.Softsign, transfer.ELU(0.7), transfer.HardTanh, transfer.Exp,
	transfer.TemperedSoftmax(1.3),
}, transfers...)

func TestMatrices(t *testing.T) {
	a := oracle.Mat{Rows: 2, Cols: 3, Data: []float64{1, 2, 3, 4, 5, 6}}
	b := oracle.Mat{Rows: 3, Cols: 1, Data: []float64{1, 0, -1}}
	assert.Equal(t, []float64{-2, -2}, oracle.Mul(a, b).Data)
	assert.Equal(t, []float64{1, 4, 2, 5, 3, 6}, a.T().Data)
	assert.Equal(t, []float64{2, 3, 5, 6}, a.Columns(1, 3).Data)
	assert.Equal(t, []float64{1, 2, 3, 1, 4, 5, 6, 1}, oracle.WithOnes(a).Data)
	assert.Equal(t, []float64{3, 6, 9, 12, 15, 18}, oracle.Plus(a, 2, a).Data)
	assert.Equal(t, 91.0, oracle.Dot(a, a))
	assert.Equal(t, 6.0, oracle.MaxAbs(a))
	assert.Equal(t, a, oracle.From32(a.To32()))
	assert.True(t, math.IsInf(oracle.MaxDiff(a, oracle.Plus(a, math.NaN(), a)), 1))
}

func TestDerivatives(t *testing.T) {
	a := random(1, 3, 4, 1.5)
	for _, f := range convex {
		sum := func() (s float64) {
			for i := range a.Rows {
				s += oracle.Integral(f, a.Row(i))
			}
			return s
		}
		checkGradient(t, fmt.Sprintf("F of %v", f), a, oracle.Apply(f, a), sum)
		d := random(2, 3, 4, 1)
		checkGradient(t, fmt.Sprintf("f′ of %v", f), a, oracle.Chain(f, d, a), func() float64 { return oracle.Dot(d, oracle.Apply(f, a)) })
	}
}

func TestLossGradients(t *testing.T) {
	a := random(3, 3, 4, 1)
	target := oracle.Apply(transfer.Softmax, random(4, 3, 4, 1))
	for _, c := range []struct {
		l loss.Loss
		f transfer.Func
	}{
		{loss.SigmoidCE, transfer.Sigmoid},
		{loss.SoftmaxCE, transfer.Softmax},
		{loss.Squared, transfer.Identity},
		{loss.Squared, transfer.Tanh},
		{loss.Squared, transfer.Softmax},
	} {
		d := oracle.LossGradient(c.l, c.f, a, target, 0.5)
		checkGradient(t, fmt.Sprint(c.l, c.f), a, d, func() float64 { return 0.5 * oracle.Loss(c.l, c.f, a, target) })
	}
}

// network is 5-4-3-k with mixed transfer functions.
func network(l loss.Loss) *oracle.Network {
	return &oracle.Network{Loss: l, Layers: []oracle.Layer{
		{W: random(10, 4, 6, 0.7), F: transfer.Tanh},
		{W: random(11, 3, 5, 0.7), F: transfer.LeakyReLU(0.2)},
		{W: random(12, 6, 4, 0.7), F: l.Transfer()},
	}}
}

func batch() (x, target oracle.Mat) {
	return random(13, 8, 5, 1), oracle.Apply(transfer.Softmax, random(14, 8, 6, 1))
}

func TestBackwardIsGradientOfMeanLoss(t *testing.T) {
	x, target := batch()
	for _, l := range []loss.Loss{loss.SigmoidCE, loss.SoftmaxCE, loss.Squared} {
		n := network(l)
		for i, p := range n.Backward(x, target) {
			checkGradient(t, fmt.Sprintf("%v, layer %d", l, i), n.Layers[i].W, p.G, func() float64 { return n.MeanLoss(x, target) })
		}
	}
}

// problems are local problems of one layer, with a proximal term and without, by transfer
// function.
func problems(fs []transfer.Func) []oracle.Problem {
	x, d := oracle.WithOnes(random(20, 6, 3, 1)), random(21, 6, 4, 0.1)
	w := random(22, 4, 4, 1)
	var ps []oracle.Problem
	for _, f := range fs {
		for _, prox := range []float64{0, 0.7} {
			ps = append(ps, oracle.Problem{F: f, X: x, Ahat: oracle.Mul(x, w.T()), D: d, Gamma: 3, Prox: prox})
		}
	}
	return ps
}

func TestLocalGradient(t *testing.T) {
	delta := random(23, 4, 4, 0.5)
	for _, p := range problems(convex) {
		checkGradient(t, fmt.Sprintf("%v, prox %v", p.F, p.Prox), delta, p.Gradient(delta), func() float64 { return p.Value(delta) })
		assert.Zero(t, p.Value(oracle.New(4, 4)), "%v: the local loss is 0 at the start", p.F)
	}
}

// TestLocalLossIsConvex along any line, which is what LocoProp-M rests on.
func TestLocalLossIsConvex(t *testing.T) {
	for _, p := range problems(convex) {
		for seed := range uint64(20) {
			a, b := random(30+seed, 4, 4, 2), random(60+seed, 4, 4, 2)
			mid := oracle.Plus(a, 0.5, oracle.Plus(b, -1, a))
			assert.LessOrEqual(t, p.Value(mid), (p.Value(a)+p.Value(b))/2+1e-9, "%v", p.F)
		}
	}
}

// TestLocalGradientIsMonotone: ⟨∇ℓ(Δ) − ∇ℓ(Δ′), Δ − Δ′⟩ ≥ 0, convexity without the values,
// so that it can be seen to fail for the functions that aren't monotone, which is why
// LocoProp-M refuses them.
func TestLocalGradientIsMonotone(t *testing.T) {
	product := func(p oracle.Problem, a, b oracle.Mat) float64 {
		return oracle.Dot(oracle.Plus(p.Gradient(a), -1, p.Gradient(b)), oracle.Plus(a, -1, b))
	}
	for _, p := range problems(convex) {
		for seed := range uint64(20) {
			a, b := random(30+seed, 4, 4, 2), random(60+seed, 4, 4, 2)
			assert.GreaterOrEqual(t, product(p, a, b), -1e-10, "%v", p.F)
		}
	}
	for _, f := range []transfer.Func{transfer.GELU, transfer.SiLU} {
		// One unit with a bias alone, A = Δ: f falls from −3 to −1.5, and so does the gradient.
		one := func(v float64) oracle.Mat { return oracle.Mat{Rows: 1, Cols: 1, Data: []float64{v}} }
		p := oracle.Problem{F: f, X: one(1), Ahat: one(0), D: one(0.1), Gamma: 1}
		left, right := -3.0, -1.5
		if f == transfer.GELU {
			right = -0.9
		}
		assert.Negative(t, product(p, one(left), one(right)), "%v", f)
		assert.False(t, f.Monotone())
	}
}

func TestDivergence(t *testing.T) {
	a, b := random(40, 5, 4, 2), random(41, 5, 4, 2)
	for _, f := range convex {
		assert.Positive(t, oracle.Divergence(f, a, b), "%v", f)
		assert.InDelta(t, 0, oracle.Divergence(f, a, a), 1e-14, "%v", f)
	}
	assert.InDelta(t, oracle.Dot(oracle.Plus(a, -1, b), oracle.Plus(a, -1, b))/2, oracle.Divergence(transfer.Identity, a, b), 1e-12)
}

func rates(eta float64, n int) []float64 {
	r := make([]float64, n)
	for i := range r {
		r[i] = eta
	}
	return r
}

// TestSolveReachesTheMinimum: with a proximal term every local problem has one minimum,
// and SGD with a small enough step arrives there.
func TestSolveReachesTheMinimum(t *testing.T) {
	for _, p := range problems(transfers) {
		if p.Prox == 0 {
			continue
		}
		w := random(22, 4, 4, 1)
		delta := oracle.Plus(p.Solve(w, oracle.NewOptimizer(optimizer.New(optimizer.SGD), 4, 4), rates(0.02, 5000)), -1, w)
		assert.Less(t, oracle.MaxAbs(p.Gradient(delta)), 1e-8, "%v", p.F)
		assert.Negative(t, p.Value(delta), "%v", p.F)
	}
}

// TestOneStepIsBackprop: T = 1 with SGD is BackProp's step at rate ηγ, for S and M.
func TestOneStepIsBackprop(t *testing.T) {
	x, target := batch()
	sgd := optimizer.New(optimizer.SGD)
	for _, matching := range []bool{false, true} {
		a, b := network(loss.SigmoidCE), network(loss.SigmoidCE)
		a.StepLocoProp(oracle.LocoProp{Matching: matching, Gamma: 10, Eta: 0.02, T: 1, Floor: 0.25}, a.Optimizers(sgd), x, target, 0.5)
		b.StepBackprop(b.Optimizers(sgd), x, target, 10*0.02*0.5)
		for i := range a.Layers {
			assert.LessOrEqual(t, oracle.MaxDiff(a.Layers[i].W, b.Layers[i].W), 1e-15, "layer %d, matching %v", i, matching)
		}
	}
}

func TestIdentityMakesSAndMEqual(t *testing.T) {
	x, target := batch()
	var results []*oracle.Network
	for _, matching := range []bool{false, true} {
		n := network(loss.Squared)
		for i := range n.Layers {
			n.Layers[i].F = transfer.Identity
		}
		opts := n.Optimizers(optimizer.New(optimizer.RMSPropTF1))
		n.StepLocoProp(oracle.LocoProp{Matching: matching, Gamma: 1, Eta: 0.01, T: 10, Floor: 0.25}, opts, x, target, 1)
		results = append(results, n)
	}
	for i := range results[0].Layers {
		assert.LessOrEqual(t, oracle.MaxDiff(results[0].Layers[i].W, results[1].Layers[i].W), 1e-13)
	}
}

// TestTrainingLowersTheLoss with every rule, locally and as a baseline.
func TestTrainingLowersTheLoss(t *testing.T) {
	x, target := batch()
	for k := optimizer.SGD; k < optimizer.NumKinds; k++ {
		r := optimizer.New(k)
		r.Momentum = min(r.Momentum, 0.9) // the paper's 0.999 needs hundreds of batches
		for _, method := range []string{"S", "M", "backprop"} {
			n := network(loss.SigmoidCE)
			opts := n.Optimizers(r)
			before := n.MeanLoss(x, target)
			for range 20 {
				if method == "backprop" {
					n.StepBackprop(opts, x, target, 0.01)
				} else {
					n.StepLocoProp(oracle.LocoProp{Matching: method == "M", Gamma: 1, Eta: 0.002, T: 5, Floor: 0.25}, opts, x, target, 1)
				}
			}
			assert.Less(t, n.MeanLoss(x, target), before, "%s %s", method, r.Name())
			if method != "backprop" {
				assert.EqualValues(t, 100, opts[0].K, "k counts local iterations")
			}
		}
	}
}

func TestRates(t *testing.T) {
	c := oracle.LocoProp{Eta: 2, T: 10, Floor: 0.25}
	want := []float64{1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.25}
	got := c.Rates(0.5)
	require.Len(t, got, 10)
	var sum float64
	for i := range got {
		assert.InDelta(t, want[i], got[i], 1e-15)
		sum += got[i]
	}
	assert.InDelta(t, 5.7, sum, 1e-14)
}

// TestDefaultLambda: with λ = Σ η_t and a tiny C, early-stopped SGD without the
// regulariser and the ridge solution agree to first order: Δ ≈ −λγG for both.
func TestDefaultLambda(t *testing.T) {
	x, target := batch()
	n := network(loss.SigmoidCE)
	g := n.Backward(x, target)[0].G
	w := n.Layers[0].W
	c := oracle.LocoProp{Gamma: 1, Eta: 1e-7, T: 10, Floor: 0.25, Prox: true}
	n.StepLocoProp(c, n.Optimizers(optimizer.New(optimizer.SGD)), x, target, 1)
	step := oracle.Plus(n.Layers[0].W, -1, w)
	var lambda, kept float64 // each step first shrinks Δ by 1 − η/λ
	for _, eta := range c.Rates(1) {
		lambda += eta
	}
	for _, eta := range c.Rates(1) {
		kept = kept*(1-eta/lambda) + eta
	}
	assert.LessOrEqual(t, oracle.MaxDiff(step, g.Map(func(v float64) float64 { return -kept * v })), 1e-5*oracle.MaxAbs(step))

	before := n.Layers[0].W.Clone()
	n.StepLocoProp(c, n.Optimizers(optimizer.New(optimizer.SGD)), x, target, 0)
	assert.Equal(t, before, n.Layers[0].W, "scale 0: λ = 0 allows no step, and divides nothing")
}
