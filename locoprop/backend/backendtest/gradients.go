package backendtest

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// step is the h of central differences in float64: their error is about h²/6 of a third
// derivative plus 1e-16/h of the value, here both near 1e-10.
const step = 1e-5

// slope is the central difference of f at 0.
func slope(f func(h float64) float64) float64 { return (f(step) - f(-step)) / (2 * step) }

// testGradients checks the kernels' derivatives against central differences of the
// float64 functions that they are derivatives of.
func testGradients(t *testing.T, k backend.Kernels) {
	for _, f := range Transfers() {
		t.Run(fmt.Sprintf("Chain/%v", f), func(t *testing.T) { chainGradient(t, k, f) })
		if f.Monotone() { // else there is no F
			t.Run(fmt.Sprintf("Local/%v", f), func(t *testing.T) { localGradient(t, k, f) })
		}
		t.Run(fmt.Sprintf("Loss/squared,%v", f), func(t *testing.T) { lossGradient(t, k, loss.Squared, f) })
	}
	for _, l := range append([]loss.Loss{loss.SigmoidCE, loss.SoftmaxCE}, biTempered...) {
		t.Run(fmt.Sprintf("Loss/%v", l), func(t *testing.T) { lossGradient(t, k, l, l.Transfer()) })
	}
}

// smooth keeps pre-activations off the kinks of (leaky) ReLU and hard tanh, where there is
// no derivative to compare with.
func smooth(m backend.Mat) {
	for i, v := range m.Data {
		if math.Abs(float64(v)) < 0.01 {
			m.Data[i] = 0.5
		}
		if math.Abs(math.Abs(float64(v))-1) < 0.01 {
			m.Data[i] = 0.75
		}
	}
}

// near fails unless got agrees with a derivative of about unit size, taken by central
// differences: both are good to a few ε.
func near(t testing.TB, what string, got float32, want float64) {
	t.Helper()
	if bound := 64 * epsilon * (1 + math.Abs(want)); !(math.Abs(float64(got)-want) <= bound) {
		t.Errorf("%s: got %v, central difference %v ± %.2g", what, got, want, bound)
	}
}

// chainGradient: D ← D∘f′ is the gradient of ⟨D, f(A)⟩ in A.
func chainGradient(t testing.TB, k backend.Kernels, f transfer.Func) {
	a := newArena(20, layouts[0])
	pre, d := a.in(4, 7, preActivation), a.out(4, 7, symmetric)
	smooth(pre)
	y := newMat(4, 7)
	k.Apply(y, pre, f)
	x, d0 := oracle.From32(pre), oracle.From32(d)
	k.Chain(d, pre, y, f)
	for i, got := range d.Data {
		at := x.Data[i]
		want := slope(func(h float64) float64 {
			x.Data[i] = at + h
			return oracle.Dot(d0, oracle.Apply(f, x))
		})
		x.Data[i] = at
		near(t, fmt.Sprintf("element %d", i), got, want)
	}
}

// lossGradient: D is the gradient of scale·Σℓ in A.
func lossGradient(t testing.TB, k backend.Kernels, l loss.Loss, f transfer.Func) {
	a := newArena(21, layouts[0])
	pre, target := a.in(4, 7, preActivation), a.out(4, 7, unit)
	smooth(pre)
	if l == loss.SoftmaxCE || l.Kind() == loss.KindBiTempered {
		normalise(target)
	}
	y, d := newMat(4, 7), newMat(4, 7)
	k.Apply(y, pre, f)
	const scale = 0.25
	k.Loss(d, pre, y, target, f, l, scale)
	x, tt := oracle.From32(pre), oracle.From32(target)
	for i, got := range d.Data {
		at := x.Data[i]
		want := slope(func(h float64) float64 {
			x.Data[i] = at + h
			return scale * oracle.Loss(l, f, x, tt)
		})
		x.Data[i] = at
		near(t, fmt.Sprintf("element %d", i), got, want)
	}
}

// localGradient: Residual and Grad make the gradient in Δ of a local problem's loss
// Σ D_F(A, Â) + γ⟨D, A − Â⟩, A = Â + X̃Δᵀ.
func localGradient(t testing.TB, k backend.Kernels, f transfer.Func) {
	const batch, units, cols, gamma = 3, 5, 4, 2
	a := newArena(22, layouts[0])
	x, w := a.in(batch, cols, symmetric), a.in(units, cols, symmetric)
	d, delta := a.in(batch, units, symmetric), a.in(units, cols, symmetric)
	ahat, yhat, e, r, g := newMat(batch, units), newMat(batch, units), newMat(batch, units), newMat(batch, units), newMat(units, cols)
	k.Affine(ahat, x, w)
	k.Apply(yhat, ahat, f)
	k.Scale(e, d, gamma)
	k.Affine(r, x, delta)
	k.Residual(r, r, ahat, yhat, e, f)
	k.Grad(g, r, x)

	p := oracle.Problem{F: f, X: oracle.From32(x), Ahat: oracle.From32(ahat), D: oracle.From32(d), Gamma: gamma}
	at := oracle.From32(delta)
	for i, got := range g.Data {
		v := at.Data[i]
		want := slope(func(h float64) float64 {
			at.Data[i] = v + h
			return p.Value(at)
		})
		at.Data[i] = v
		near(t, fmt.Sprintf("element %d", i), got, want)
	}
}
