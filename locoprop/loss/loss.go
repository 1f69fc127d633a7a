// Package loss holds the losses of a network's last layer.
//
// A loss gives, for one example, ℓ(a, t) from the pre-activations a of the last
// layer and the target t, and the derivative ∂ℓ/∂a. The network's loss L is the
// mean of ℓ over the batch; ℓ itself is a sum over outputs.
//
//	sigmoid-ce   Σ max(a, 0) − a·t + log1p(e^(−|a|))     ∂ℓ/∂a = y − t          y = sigmoid(a)
//	softmax-ce   logsumexp(a)·Σt − ⟨t, a⟩               ∂ℓ/∂a = y − t          y = softmax(a), Σt = 1
//	squared      ½ Σ (y − t)²                            ∂ℓ/∂a = (y − t)∘f′(a)   y = f(a), any f
//	bi-tempered  see [BiTempered]
//
// Cross-entropies are computed from pre-activations, never from the logarithm of
// a rounded probability. Formulas in docs/method.md.
package loss

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Kind numbers the built-in losses. The values are part of the C interface and
// of model files: they never change.
type Kind uint8

// The built-in losses.
const (
	KindSigmoidCE Kind = 0
	KindSoftmaxCE Kind = 1
	KindSquared   Kind = 2

	KindBiTempered Kind = 3

	KindCustom Kind = 255 // registered by the program, see [Register]
)

// Loss is a loss of the last layer: a small comparable value.
type Loss struct {
	kind   Kind
	t1, t2 float32 // temperatures of KindBiTempered
	custom *custom // of KindCustom
}

// The losses.
var (
	SigmoidCE = Loss{kind: KindSigmoidCE} // sigmoid cross-entropy, summed over outputs
	SoftmaxCE = Loss{kind: KindSoftmaxCE} // softmax cross-entropy; targets of an example sum to 1
	Squared   = Loss{kind: KindSquared}   // half squared error, summed over outputs
)

// SumTolerance is how far the targets of one example may be from summing to 1
// under softmax cross-entropy.
const SumTolerance = 1e-4

// Kind tells which built-in loss l is.
func (l Loss) Kind() Kind { return l.kind }

// String gives the name that the command line uses: sigmoid-ce, softmax-ce,
// squared, bi-tempered(0.8,1.2).
func (l Loss) String() string {
	switch l.kind {
	case KindSigmoidCE:
		return "sigmoid-ce"
	case KindSoftmaxCE:
		return "softmax-ce"
	case KindSquared:
		return "squared"
	case KindBiTempered:
		return fmt.Sprintf("bi-tempered(%v,%v)", l.t1, l.t2)
	case KindCustom:
		return l.custom.name
	}
	return fmt.Sprintf("loss.Kind(%d)", l.kind)
}

// Transfer is the transfer function that the last layer takes under this loss
// unless another is named.
func (l Loss) Transfer() transfer.Func {
	switch l.kind {
	case KindSigmoidCE:
		return transfer.Sigmoid
	case KindSoftmaxCE:
		return transfer.Softmax
	case KindBiTempered:
		return transfer.TemperedSoftmax(float64(l.t2))
	case KindCustom:
		return l.custom.Transfer
	}
	return transfer.Identity
}

// CheckTransfer returns an error where f can't be the last transfer function
// under this loss: the cross-entropies and bi-tempered need their own.
func (l Loss) CheckTransfer(f transfer.Func) error {
	if l.kind == KindCustom && l.custom.AnyTransfer {
		return nil
	}
	if l.kind != KindSquared && f != l.Transfer() {
		return fmt.Errorf("loss %v needs %v as the last transfer function, not %v", l, l.Transfer(), f)
	}
	return nil
}

// CheckTarget returns an error where t can't be the target of an example: a NaN or
// infinity anywhere, values outside [0, 1] under the cross-entropies and bi-tempered, a
// sum that isn't 1 (±SumTolerance) under softmax cross-entropy and bi-tempered. A
// registered loss may add a check of its own.
func (l Loss) CheckTarget(t []float32) error {
	var sum float64
	for j, v := range t {
		x := float64(v)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("target %d is %v", j, v)
		}
		if l.kind <= KindBiTempered && l.kind != KindSquared && (x < 0 || x > 1) {
			return fmt.Errorf("target %d is %v, outside [0, 1], which %v needs", j, v, l)
		}
		sum += x
	}
	if l.kind == KindCustom && l.custom.CheckTarget != nil {
		return l.custom.CheckTarget(t)
	}
	if (l.kind == KindSoftmaxCE || l.kind == KindBiTempered) && !(math.Abs(sum-1) <= SumTolerance) {
		return fmt.Errorf("targets sum to %.6g, and %v needs 1 within %g", sum, l, SumTolerance)
	}
	return nil
}

// Eval adds up ℓ(a, t) of one example in float64 and, where d isn't nil, writes
// d = scale·∂ℓ/∂a. a, t, d have equal length m; y holds f(a) as already computed.
func (l Loss) Eval(d, a, y, t []float32, f transfer.Func, scale float32) float64 {
	var sum float64
	switch l.kind {
	case KindBiTempered:
		return l.biTempered(d, a, t, scale)
	case KindCustom:
		return l.custom.Eval(d, a, y, t, f, scale)
	case KindSigmoidCE:
		for j, v := range a {
			x := float64(v)
			sum += math.Max(x, 0) - x*float64(t[j]) + math.Log1p(math.Exp(-math.Abs(x)))
		}
	case KindSoftmaxCE:
		var total, dot float64
		for j, v := range t {
			total += float64(v)
			dot += float64(v) * float64(a[j])
		}
		sum = transfer.LogSumExp(a)*total - dot
	case KindSquared:
		for j, v := range y {
			e := float64(v) - float64(t[j])
			sum += e * e / 2
		}
	}
	if d == nil {
		return sum
	}
	for j, v := range y {
		d[j] = (v - t[j]) * scale
	}
	if l.kind == KindSquared {
		f.EvalDeriv(d, a, y)
	}
	return sum
}

// Floor is the least loss that any prediction reaches on one example with target
// t: the targets' own entropy under the cross-entropies, 0 under squared error and
// bi-tempered, 0 too under a registered loss that names none.
// Subtracting its mean from a measured loss gives the excess.
func (l Loss) Floor(t []float32) float64 {
	var sum float64
	switch l.kind {
	case KindSigmoidCE:
		for _, v := range t {
			p := float64(v)
			sum -= xlogx(p) + xlogx(1-p)
		}
	case KindSoftmaxCE:
		for _, v := range t {
			sum -= xlogx(float64(v))
		}
	case KindCustom:
		if l.custom.Floor != nil {
			return l.custom.Floor(t)
		}
	}
	return sum
}

// OfPrediction is the loss of predicting y (not pre-activations) for target t, in
// float64; 0·log 0 is 0, and a certain prediction that is wrong costs +Inf. It
// serves reference points such as the mean-image predictor, not training. NaN under a
// registered loss without an OfPrediction of its own.
func (l Loss) OfPrediction(y []float64, t []float32) float64 {
	if l.kind == KindCustom {
		if l.custom.OfPrediction == nil {
			return math.NaN()
		}
		return l.custom.OfPrediction(y, t)
	}
	var sum float64
	for j, v := range t {
		p := float64(v)
		switch l.kind {
		case KindBiTempered:
			sum += biTerm(p, y[j], math.Log(y[j]), float64(l.t1))
		case KindSigmoidCE:
			sum -= xlogy(p, y[j]) + xlogy(1-p, 1-y[j])
		case KindSoftmaxCE:
			sum -= xlogy(p, y[j])
		case KindSquared:
			sum += (y[j] - p) * (y[j] - p) / 2
		}
	}
	return sum
}

func xlogx(p float64) float64 { return xlogy(p, p) }

func xlogy(x, y float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log(y)
}
