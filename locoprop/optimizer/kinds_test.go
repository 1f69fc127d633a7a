package optimizer_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// draws gives rows of n standard normal numbers.
func draws(seed uint64, n int) func() []float32 {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func() []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
}

// egu, w⁺ − w⁻ with w± ← w±e^∓u, and the step −u of arsinh(w/2β) are one rule.
func TestEGUForms(t *testing.T) {
	const n, eta = 40, 0.3
	for _, beta := range []float64{0.01, 0.3, 4} {
		next := draws(5, n)
		w := next()
		products, link := make([][2]float64, n), make([]float64, n)
		for i, v := range w {
			root := math.Sqrt(float64(v)*float64(v) + 4*beta*beta)
			products[i] = [2]float64{(root + float64(v)) / 2, (root - float64(v)) / 2}
			link[i] = float64(v)
		}
		s := newState(optimizer.Rule{Kind: optimizer.EGU, Beta: beta}, n)
		for range 6 {
			g := next()
			g[0] = 1000 // beyond the bound of u
			s.step(w, nil, g, eta, 0)
			for i := range w {
				u := math.Max(-4, math.Min(4, eta*float64(g[i])))
				products[i][0] *= math.Exp(-u)
				products[i][1] *= math.Exp(u)
				link[i] = 2 * beta * math.Sinh(math.Asinh(link[i]/(2*beta))-u)
			}
		}
		for i := 1; i < n; i++ {
			plus, minus := products[i][0], products[i][1]
			assert.InDelta(t, plus-minus, link[i], 1e-9*(plus+minus))
			assert.InDelta(t, link[i], float64(w[i]), 2e-5*(plus+minus), "β = %v", beta)
		}
		assert.Less(t, w[0], float32(-beta), "a huge gradient moves its weight by a bounded factor")
		assert.False(t, math.IsInf(float64(w[0]), 0))
	}
}

// For large β with 2βη fixed, egu and its reparameterised form are SGD at that rate.
func TestEGULimit(t *testing.T) {
	const n, rate, beta = 20, 0.1, 1e4
	for _, kind := range []optimizer.Kind{optimizer.EGU, optimizer.EGUGD} {
		next := draws(6, n)
		w := next()
		plain := append([]float32(nil), w...)
		s, sgd := newState(optimizer.Rule{Kind: kind, Beta: beta}, n), newState(optimizer.Rule{}, n)
		for range 5 {
			g := next()
			s.step(w, nil, g, rate/(2*beta), 0)
			sgd.step(plain, nil, g, rate, 0)
		}
		for i := range w {
			assert.InDelta(t, plain[i], w[i], 1e-3, "%s", s.rule.Name())
		}
	}
}

// p and q start at the weights, and egu-gd is egu up to u².
func TestEGUGD(t *testing.T) {
	const n = 30
	r := optimizer.Rule{Kind: optimizer.EGUGD, Beta: 0.2}
	next := draws(7, n)
	w, g := next(), next()
	p, q := make([]float32, n), make([]float32, n)
	r.Start(w, [][]float32{p, q})
	for i, v := range w {
		assert.InDelta(t, float64(v), (float64(p[i])*float64(p[i])-float64(q[i])*float64(q[i]))/4, 1e-6)
		assert.InEpsilon(t, 4*0.2, float64(p[i])*float64(q[i]), 1e-5, "w⁺w⁻ = β²")
	}
	for _, eta := range []float64{1e-2, 1e-3} {
		a, b := append([]float32(nil), w...), append([]float32(nil), w...)
		newState(r, n).step(a, nil, g, eta, 0)
		newState(optimizer.Rule{Kind: optimizer.EGU, Beta: 0.2}, n).step(b, nil, g, eta, 0)
		for i := range w {
			u := eta * float64(g[i])
			assert.InDelta(t, b[i], a[i], u*u*(math.Abs(float64(w[i]))+1)+1e-6)
		}
	}
}

// p = 2 is SGD to the bit but for the order of rounding; a step of 0 gives the row back;
// ‖θ‖ in the dual norm is ‖w‖ₚ.
func TestPNorm(t *testing.T) {
	const n = 25
	next := draws(8, n)
	w, g := next(), next()
	a, b := append([]float32(nil), w...), append([]float32(nil), w...)
	newState(optimizer.Rule{Kind: optimizer.PNorm, P: 2}, n).step(a, nil, g, 0.1, 0)
	newState(optimizer.Rule{}, n).step(b, nil, g, 0.1, 0)
	for i := range w {
		assert.InDelta(t, b[i], a[i], 1e-6)
	}
	for _, p := range []float64{2, 2.5, 6.44, 14} {
		s := newState(optimizer.Rule{Kind: optimizer.PNorm, P: p}, n)
		back := append([]float32(nil), w...)
		back[3] = 0
		want := append([]float32(nil), back...)
		s.step(back, nil, make([]float32, n), 0.1, 0)
		assert.Equal(t, want, back, "p = %v", p)
	}
	zero := make([]float32, n)
	newState(optimizer.Rule{Kind: optimizer.PNorm, P: 3}, n).step(zero, nil, make([]float32, n), 0.1, 0)
	assert.Equal(t, make([]float32, n), zero)
	// From 0, θ = −ηg and w has ‖w‖ₚ = ‖θ‖ in the dual norm.
	p := 3.0
	newState(optimizer.Rule{Kind: optimizer.PNorm, P: p}, n).step(zero, nil, g, 0.1, 0)
	primal, dual := 0.0, 0.0
	for i := range g {
		primal += math.Pow(math.Abs(float64(zero[i])), p)
		dual += math.Pow(math.Abs(0.1*float64(g[i])), p/(p-1))
		assert.Equal(t, math.Signbit(float64(g[i])), !math.Signbit(float64(zero[i])))
	}
	assert.InEpsilon(t, math.Pow(dual, (p-1)/p), math.Pow(primal, 1/p), 1e-5)
}

// AMSGrad's denominators never fall, so that it never steps further than Adam.
func TestAMSGradAgainstAdam(t *testing.T) {
	const n = 10
	next := draws(9, n)
	a, b := make([]float32, n), make([]float32, n)
	ams, adam := newState(optimizer.New(optimizer.AMSGrad), n), newState(optimizer.New(optimizer.AdamTorch), n)
	for step := range 30 {
		g := next()
		for i := range g {
			g[i] /= float32(1 + step*step) // falling, so that v falls below its largest value
		}
		before := append([]float32(nil), ams.slots[2]...)
		ams.step(a, nil, g, 0.01, 0)
		adam.step(b, nil, g, 0.01, 0)
		require.Equal(t, adam.slots, ams.slots[:2])
		for i := range g {
			require.GreaterOrEqual(t, ams.slots[2][i], adam.slots[1][i])
			require.GreaterOrEqual(t, ams.slots[2][i], before[i])
		}
	}
	assert.NotEqual(t, a, b)
}

// x is the mean of z weighted by η², and the point of the gradients lies between them.
func TestScheduleFreeAverage(t *testing.T) {
	const n = 6
	r := optimizer.New(optimizer.ScheduleFree)
	next := draws(10, n)
	w := next()
	slots := [][]float32{make([]float32, n), make([]float32, n), make([]float32, n)}
	r.Start(w, slots)
	sum, mean := 0.0, make([]float64, n)
	for k, eta := range []float64{0.01, 0.02, 0.03, 0.02, 0.005} {
		sum += eta * eta
		r.AtShare(eta, int64(k+1), eta*eta/sum).Apply(w, nil, next(), slots)
		for i := range mean {
			mean[i] += eta * eta * float64(slots[1][i])
			assert.InDelta(t, mean[i]/sum, float64(slots[2][i]), 1e-5)
			assert.InDelta(t, 0.1*float64(slots[1][i])+0.9*float64(slots[2][i]), float64(w[i]), 1e-5)
		}
	}
	assert.Equal(t, 2, r.Result())
	assert.Equal(t, -1, optimizer.New(optimizer.AdamW).Result())
}

// Constants that follow from the layer's size, and those that are given.
func TestForLayer(t *testing.T) {
	assert.InEpsilon(t, 0.5*math.Sqrt(6.0/1784), optimizer.New(optimizer.EGU).ForLayer(784, 1000).Beta, 1e-15)
	assert.InEpsilon(t, 2*math.Log(785), optimizer.New(optimizer.PNorm).ForLayer(784, 1000).P, 1e-15)
	assert.InDelta(t, 2, optimizer.New(optimizer.PNorm).ForLayer(1, 9).P, 0)
	assert.InDelta(t, 3, optimizer.Rule{Kind: optimizer.EGUGD, Beta: 3}.ForLayer(784, 1000).Beta, 0)
	assert.Equal(t, optimizer.New(optimizer.AdamW), optimizer.New(optimizer.AdamW).ForLayer(784, 1000))
}
