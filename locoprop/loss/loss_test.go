package loss_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type pair struct {
	l loss.Loss
	f transfer.Func
}

var pairs = []pair{
	{loss.SigmoidCE, transfer.Sigmoid},
	{loss.SoftmaxCE, transfer.Softmax},
	{loss.Squared, transfer.Identity},
	{loss.Squared, transfer.Tanh},
	{loss.Squared, transfer.Sigmoid},
	{loss.Squared, transfer.LeakyReLU(0.2)},
	{loss.Squared, transfer.Softmax},
	{loss.Squared, transfer.Softplus},
	{loss.Squared, transfer.GELU},
	{loss.Squared, transfer.TemperedSoftmax(1.5)},
	{loss.BiTempered(0.8, 1.2), transfer.TemperedSoftmax(1.2)},
	{loss.BiTempered(0, 2), transfer.TemperedSoftmax(2)},
	{loss.BiTempered(1, 1.5), transfer.TemperedSoftmax(1.5)},
	{loss.BiTempered(0.5, 1), transfer.Softmax},
	{loss.BiTempered(1, 1), transfer.Softmax},
}

var losses = []loss.Loss{loss.SigmoidCE, loss.SoftmaxCE, loss.Squared, loss.BiTempered(0.8, 1.2)}

// example draws pre-activations and targets that sum to 1.
func example(n int) (a, t []float32) {
	rng := rand.New(rand.NewPCG(1, 1))
	a, t = make([]float32, n), make([]float32, n)
	var sum float32
	for j := range a {
		a[j], t[j] = float32(2*rng.NormFloat64()), rng.Float32()
		sum += t[j]
	}
	for j := range t {
		t[j] /= sum
	}
	return a, t
}

// eval computes the loss from pre-activations, as a network does.
func eval(p pair, d, a, t []float32, scale float32) float64 {
	y := make([]float32, len(a))
	p.f.Eval(y, a)
	return p.l.Eval(d, a, y, t, p.f, scale)
}

func wide(x []float32) oracle.Mat {
	m := oracle.New(1, len(x))
	for i, v := range x {
		m.Data[i] = float64(v)
	}
	return m
}

func TestEvalAgainstFormula(t *testing.T) {
	a, target := example(50)
	for _, p := range pairs {
		want := oracle.Loss(p.l, p.f, wide(a), wide(target))
		// Squared takes y rounded to float32; the others see no rounding at all.
		assert.InEpsilon(t, want, eval(p, nil, a, target, 1), 1e-6, "%v, %v", p.l, p.f)
		if p.l != loss.Squared {
			assert.InEpsilon(t, want, eval(p, nil, a, target, 1), 1e-12, "%v, %v", p.l, p.f)
		}
	}
}

// TestGradient compares D with central differences of the float64 loss; D is float32.
func TestGradient(t *testing.T) {
	const h, scale = 1e-5, 0.25
	a, target := example(9)
	for _, p := range pairs {
		d := make([]float32, len(a))
		eval(p, d, a, target, scale)
		x := wide(a)
		for j := range a {
			at := x.Data[j]
			x.Data[j] = at + h
			up := oracle.Loss(p.l, p.f, x, wide(target))
			x.Data[j] = at - h
			down := oracle.Loss(p.l, p.f, x, wide(target))
			x.Data[j] = at
			assert.InDelta(t, scale*(up-down)/(2*h), float64(d[j]), 1e-6, "%v, %v, output %d", p.l, p.f, j)
		}
	}
}

func TestWithoutGradient(t *testing.T) {
	a, target := example(9)
	for _, p := range pairs {
		d := make([]float32, len(a))
		assert.Equal(t, eval(p, d, a, target, 1), eval(p, nil, a, target, 7), "%v, %v: the sum depends on d or scale", p.l, p.f)
	}
}

func TestExtremes(t *testing.T) {
	const most = math.MaxFloat32
	two := func(l loss.Loss, a0, a1, t0, t1 float32) float64 {
		return eval(pair{l, l.Transfer()}, nil, []float32{a0, a1}, []float32{t0, t1}, 1)
	}
	assert.InDelta(t, 2*math.Ln2, two(loss.SigmoidCE, 0, 0, 0, 1), 1e-15, "log 2 at a = 0, whatever the target")
	assert.Zero(t, two(loss.SigmoidCE, most, -most, 1, 0), "certain and right")
	assert.EqualValues(t, 2*most, two(loss.SigmoidCE, most, -most, 0, 1), "certain and wrong: finite")
	assert.Zero(t, two(loss.SoftmaxCE, most, -most, 1, 0))
	assert.EqualValues(t, 2*most, two(loss.SoftmaxCE, most, -most, 0, 1))
	assert.InEpsilon(t, most*most, two(loss.Squared, most, -most, 0, 0), 1e-15, "squares don't overflow")
	assert.InEpsilon(t, math.Exp(-50), two(loss.SigmoidCE, -50, -50, 0, 0)/2, 1e-12, "small losses keep their digits")
}

func TestNaN(t *testing.T) {
	nan := float32(math.NaN())
	for _, p := range pairs {
		d := []float32{0, 0}
		assert.True(t, math.IsNaN(eval(p, d, []float32{nan, 0}, []float32{1, 0}, 1)), "%v, %v", p.l, p.f)
		if p.f != transfer.LeakyReLU(0.2) {
			assert.True(t, math.IsNaN(float64(d[0])), "%v, %v: D = %v", p.l, p.f, d)
		}
	}
}

// TestFloor: no prediction is better than the targets themselves, and the floor is what
// they cost.
func TestFloor(t *testing.T) {
	_, target := example(20)
	for _, l := range losses {
		floor := l.Floor(target)
		self := make([]float64, len(target))
		for j, v := range target {
			self[j] = float64(v)
		}
		assert.InDelta(t, l.OfPrediction(self, target), floor, 1e-12, "%v", l)
		for j := range self {
			other := append([]float64(nil), self...)
			other[j] += 0.01
			other[(j+1)%len(other)] -= 0.01
			if other[(j+1)%len(other)] > 0 {
				assert.Greater(t, l.OfPrediction(other, target), floor, "%v", l)
			}
		}
	}
	assert.InDelta(t, math.Ln2, loss.SigmoidCE.Floor([]float32{0.5, 0, 1}), 1e-15)
	assert.InDelta(t, math.Ln2, loss.SoftmaxCE.Floor([]float32{0.5, 0.5, 0}), 1e-15)
	assert.Zero(t, loss.Squared.Floor([]float32{0.5, 0.5, 0}))
	assert.Zero(t, loss.BiTempered(0.5, 1.5).Floor([]float32{0.5, 0.5, 0}))
}

// TestOfPrediction agrees with the loss of the pre-activations that give the prediction.
func TestOfPrediction(t *testing.T) {
	a, target := example(12)
	for _, l := range losses {
		y := oracle.Apply(l.Transfer(), wide(a))
		assert.InEpsilon(t, oracle.Loss(l, l.Transfer(), wide(a), wide(target)), l.OfPrediction(y.Data, target), 1e-12, "%v", l)
	}
	assert.True(t, math.IsInf(loss.SigmoidCE.OfPrediction([]float64{0}, []float32{1}), 1), "certain and wrong")
	assert.Zero(t, loss.SigmoidCE.OfPrediction([]float64{1, 0}, []float32{1, 0}), "0·log 0 is 0")
	assert.EqualValues(t, 0.5, loss.Squared.OfPrediction([]float64{1, 3}, []float32{0, 3}))
}

func TestCheckTarget(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, c := range []struct {
		l      loss.Loss
		target []float32
		want   string // in the error; "" for none
	}{
		{loss.SigmoidCE, []float32{0, 1, 0.5}, ""},
		{loss.SigmoidCE, []float32{0, 1.5}, "target 1 is 1.5, outside [0, 1]"},
		{loss.SigmoidCE, []float32{-0.1}, "target 0 is -0.1, outside [0, 1]"},
		{loss.SigmoidCE, []float32{0, nan}, "target 1 is NaN"},
		{loss.Squared, []float32{-5, 7}, ""},
		{loss.Squared, []float32{inf}, "target 0 is -Inf"},
		{loss.SoftmaxCE, []float32{0.25, 0.75}, ""},
		{loss.SoftmaxCE, []float32{0.25, 0.75009}, ""},
		{loss.SoftmaxCE, []float32{0.25, 0.7502}, "targets sum to 1.0002"},
		{loss.SoftmaxCE, []float32{0, 0}, "targets sum to 0"},
	} {
		err := c.l.CheckTarget(c.target)
		if c.want == "" {
			assert.NoError(t, err, "%v, %v", c.l, c.target)
		} else {
			assert.ErrorContains(t, err, c.want, "%v, %v", c.l, c.target)
		}
	}
}

func TestCheckTransfer(t *testing.T) {
	require.NoError(t, loss.SigmoidCE.CheckTransfer(transfer.Sigmoid))
	require.NoError(t, loss.Squared.CheckTransfer(transfer.Tanh))
	assert.EqualError(t, loss.SigmoidCE.CheckTransfer(transfer.Tanh), "loss sigmoid-ce needs sigmoid as the last transfer function, not tanh")
	assert.EqualError(t, loss.SoftmaxCE.CheckTransfer(transfer.Sigmoid), "loss softmax-ce needs softmax as the last transfer function, not sigmoid")
	for l, f := range map[loss.Loss]transfer.Func{loss.SigmoidCE: transfer.Sigmoid, loss.SoftmaxCE: transfer.Softmax, loss.Squared: transfer.Identity} {
		assert.Equal(t, f, l.Transfer())
	}
}

// TestNumbers pins what files and the C interface rely on.
func TestNumbers(t *testing.T) {
	for want, l := range losses {
		assert.EqualValues(t, want, l.Kind())
	}
	assert.Equal(t, "sigmoid-ce softmax-ce squared", fmt.Sprint(losses[0], " ", losses[1], " ", losses[2]))
}
