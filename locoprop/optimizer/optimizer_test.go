package optimizer_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const lastKind = optimizer.Kind(optimizer.NumKinds - 1)

// rules lists every kind with its defaults, and settings that reach other branches.
func rules() []optimizer.Rule {
	var rules []optimizer.Rule
	for k := optimizer.SGD; k <= lastKind; k++ {
		rules = append(rules, optimizer.New(k))
	}
	rms, adam := optimizer.New(optimizer.RMSPropTorch), optimizer.New(optimizer.AdamTF1)
	rms.Momentum = 0.9
	adam.Beta1, adam.Beta2, adam.Epsilon = 0.999, 0.9, 1e-5
	return append(rules, rms, adam)
}

// state is a rule on one row of weights in float32, as a trainer keeps it.
type state struct {
	rule  optimizer.Rule
	k     int64
	slots [][]float32
}

func newState(r optimizer.Rule, n int) *state {
	s := &state{rule: r.ForLayer(n-1, 1)}
	for range r.Slots() {
		s.slots = append(s.slots, make([]float32, n))
	}
	return s
}

func (s *state) step(delta, w0, g []float32, eta, prox float64) {
	if s.k == 0 {
		w := append([]float32(nil), delta...)
		for i := range w0 {
			w[i] += w0[i]
		}
		s.rule.Start(w, s.slots)
	}
	s.k++
	u := s.rule.At(eta, s.k)
	u.Prox = float32(prox)
	u.Apply(delta, w0, g, s.slots)
}

// TestAgainstFormulas follows each rule over ten steps in float32 and in float64, on
// weights themselves and on their change since w0, with a proximal term and without.
// The bound: each step rounds fewer than 16 times and moves a weight by less than 1.
func TestAgainstFormulas(t *testing.T) {
	const n, steps, eta = 7, 10, 0.01
	for _, r := range rules() {
		for _, mode := range []struct {
			delta bool
			prox  float64
		}{{false, 0}, {true, 0}, {true, 0.5}} {
			rng := rand.New(rand.NewPCG(3, 3))
			draw := func() []float32 {
				x := make([]float32, n)
				for i := range x {
					x[i] = float32(rng.NormFloat64())
				}
				return x
			}
			base, start := wide(nil, n), draw()
			var w0, delta []float32
			if mode.delta {
				w0, delta = start, make([]float32, n)
				base = wide(w0, n)
			} else {
				delta = append([]float32(nil), start...)
			}
			w := wide(start, n)
			got, want := newState(r, n), oracle.NewOptimizer(r, 1, n)
			for step := range steps {
				g := draw()
				g[3] = 0
				got.step(delta, w0, g, eta, mode.prox)
				want.Step(w, oracle.Plus(wide(g, n), mode.prox, oracle.Plus(w, -1, base)), eta)
				diff := oracle.MaxDiff(wide(delta, n), oracle.Plus(w, -1, base))
				require.LessOrEqual(t, diff, float64(step+1)*16/(1<<24), "%s %s %+v after step %d", r.Name(), r.Variant(), mode, step+1)
				for i, s := range got.slots {
					scale := 1 + oracle.MaxAbs(want.Slots[i])
					require.LessOrEqual(t, oracle.MaxDiff(wide(s, n), want.Slots[i])/scale, float64(step+1)*16/(1<<24), "%s, slot %s", r.Name(), r.Slots()[i].Name)
				}
			}
		}
	}
}

func wide(x []float32, n int) oracle.Mat {
	m := oracle.New(1, n)
	for i, v := range x {
		m.Data[i] = float64(v)
	}
	return m
}

// TestFirstStep: closed forms of the first update from the starting state, with g = 2 and
// η = 0.1, from the rules' papers and the documentation of TensorFlow and PyTorch.
func TestFirstStep(t *testing.T) {
	const g, eta = 2.0, 0.1
	for _, c := range []struct {
		kind optimizer.Kind
		want float64
	}{
		{optimizer.SGD, -eta * g},
		{optimizer.Momentum, -eta * g},
		{optimizer.Nesterov, -eta * 1.9 * g},
		{optimizer.AdaGrad, -eta * g / math.Sqrt(g*g+1e-5)},
		{optimizer.RMSPropTF1, -eta * g / math.Sqrt(0.9+0.1*g*g+1e-5)},
		{optimizer.RMSPropTorch, -eta * g / (math.Sqrt(0.01*g*g) + 1e-8)},
		{optimizer.AdamTF1, -eta},   // m/√v after the correction of both is ±1, ε apart
		{optimizer.AdamTorch, -eta}, // likewise
		{optimizer.AdamW, -eta},     // from w = 0 nothing decays
		{optimizer.MomentumBuffer, -eta * g},
		{optimizer.AMSGrad, -eta},
		{optimizer.NadamW, -eta * (0.9*0.1/(1-0.81) + 1)},
		{optimizer.ScheduleFree, -eta},                    // c = 1: x is z
		{optimizer.EGU, -math.Sqrt(3) * math.Sinh(eta*g)}, // n = m = 1: β = √3/2
		{optimizer.EGUGD, -math.Sqrt(3) * eta * g},
		{optimizer.PNorm, -eta * g}, // n = 1: p = 2
	} {
		delta := []float32{0, 0}
		newState(optimizer.New(c.kind), 2).step(delta, nil, []float32{g, g}, eta, 0)
		assert.InEpsilon(t, c.want, float64(delta[0]), 1e-6, "%s", optimizer.New(c.kind).Name())
		assert.Equal(t, delta[0], delta[1])
	}
}

// TestDecay: AdamW shrinks weights, Δ + w0 where there is a w0, and not the bias.
func TestDecay(t *testing.T) {
	r := optimizer.New(optimizer.AdamW)
	r.WeightDecay = 0.5
	zero := []float32{0, 0}
	w := []float32{4, 4}
	newState(r, 2).step(w, nil, zero, 0.1, 0)
	assert.InDeltaSlice(t, []float32{4 * 0.95, 4}, w, 1e-6)
	delta := []float32{1, 1}
	newState(r, 2).step(delta, []float32{3, 3}, zero, 0.1, 0)
	assert.InDeltaSlice(t, []float32{1 - 4*0.05, 1}, delta, 1e-6)
}

// TestZeroGradient: from the starting state a zero gradient changes no weight, also with
// ε = 0, where a careless quotient is 0/0.
func TestZeroGradient(t *testing.T) {
	for _, r := range rules() {
		r.WeightDecay = 0
		for _, epsilon := range []float64{r.Epsilon, 0} {
			r.Epsilon = epsilon
			delta := []float32{0.5, -0.5, 0}
			s := newState(r, 3)
			for range 3 {
				s.step(delta, nil, make([]float32, 3), 0.1, 0)
			}
			assert.Equal(t, []float32{0.5, -0.5, 0}, delta, "%s %s, ε = %v", r.Name(), r.Variant(), epsilon)
		}
	}
}

// TestNaN: a NaN in the gradient reaches its own weight and no other.
func TestNaN(t *testing.T) {
	for _, r := range rules() {
		if r.Kind.WholeRows() {
			continue
		}
		delta := []float32{0, 0, 0}
		newState(r, 3).step(delta, nil, []float32{1, float32(math.NaN()), 1}, 0.1, 0)
		assert.True(t, delta[1] != delta[1], "%s %s", r.Name(), r.Variant())
		assert.True(t, delta[0] == delta[0] && delta[2] == delta[2], "%s %s", r.Name(), r.Variant())
	}
}

// TestCoefficients pins the constants that kernels take, k = 2.
func TestCoefficients(t *testing.T) {
	adam := optimizer.New(optimizer.AdamW)
	c1, c2 := 1-0.9*0.9, 1-0.999*0.999
	for _, c := range []struct {
		r    optimizer.Rule
		want []float64
	}{
		{optimizer.New(optimizer.SGD), []float64{0.1}},
		{optimizer.New(optimizer.AdaGrad), []float64{0.1}},
		{optimizer.New(optimizer.Momentum), []float64{0.1, 0.9}},
		{optimizer.New(optimizer.Nesterov), []float64{0.1, 0.9}},
		{optimizer.New(optimizer.RMSPropTF1), []float64{0.1, 0.999, 0.9, 0.1, 1e-5}},
		{optimizer.New(optimizer.RMSPropTorch), []float64{0.1, 0, 0.99, 0.01, 1e-8}},
		{optimizer.New(optimizer.AdamTF1), []float64{0.1 * math.Sqrt(c2) / c1, 0.9, 0.1, 0.999, 0.001, 1e-8}},
		{optimizer.New(optimizer.AdamTorch), []float64{0.1 / c1, 0.9, 0.1, 0.999, 0.001, 1e-8, 1 / c2}},
		{optimizer.New(optimizer.MomentumBuffer), []float64{0.1, 0.9}},
		{optimizer.New(optimizer.AMSGrad), []float64{0.1 / c1, 0.9, 0.1, 0.999, 0.001, 1e-8, 1 / c2}},
		{optimizer.New(optimizer.NadamW), []float64{
			0.09 * math.Sqrt(c2) / (1 - 0.9*0.9*0.9), 0.9, 0.1, 0.999, 0.001, 1e-8 * math.Sqrt(c2), 0.01 * math.Sqrt(c2) / c1, 0.1 * 0.01,
		}},
		{optimizer.New(optimizer.ScheduleFree), []float64{0.1 * math.Sqrt(c2), 0.9, 0.5, 0.999, 0.001, 1e-8 * math.Sqrt(c2), 0}},
		{optimizer.Rule{Kind: optimizer.EGU, Beta: 0.25}, []float64{0.1, 0.25}},
		{optimizer.Rule{Kind: optimizer.EGUGD, Beta: 0.25}, []float64{0.1}},
		{optimizer.Rule{Kind: optimizer.PNorm, P: 5}, []float64{0.1, 5}},
		{adam, []float64{0.1 / c1, 0.9, 0.1, 0.999, 0.001, 1e-8, 1 / c2, 0.1 * 0.01}},
	} {
		u := c.r.At(0.1, 2)
		assert.Equal(t, c.r.Kind, u.Kind)
		assert.Zero(t, u.Prox)
		for i, want := range c.want {
			assert.InDelta(t, want, float64(u.C[i]), 1e-6*want, "%s %s, C[%d]", c.r.Name(), c.r.Variant(), i)
		}
	}
}

// TestLongRun: the bias corrections reach 1 and stay finite for any count.
func TestLongRun(t *testing.T) {
	for _, k := range []int64{1, 1000, 1 << 40, math.MaxInt64} {
		for _, r := range rules() {
			for _, v := range r.At(1e-3, k).C {
				assert.False(t, math.IsNaN(float64(v)) || math.IsInf(float64(v), 0), "%s at k = %d", r.Name(), k)
			}
		}
	}
	assert.EqualValues(t, 1, optimizer.New(optimizer.AdamTorch).At(1, 1<<40).C[0])
}

func TestSlots(t *testing.T) {
	for _, r := range rules() {
		assert.Len(t, r.Slots(), r.Kind.NumSlots(), "%s", r.Name())
		assert.LessOrEqual(t, r.Kind.NumSlots(), optimizer.MaxSlots)
		assert.Equal(t, r.Kind == optimizer.AdamW || r.Kind >= optimizer.NadamW && r.Kind != optimizer.EGUGD, r.NeedsWeights())
	}
	assert.Equal(t, []optimizer.Slot{{Name: "s", Init: 1}, {Name: "v"}}, optimizer.New(optimizer.RMSPropTF1).Slots())
	assert.Equal(t, []optimizer.Slot{{Name: "s", Init: 1e-5}}, optimizer.New(optimizer.AdaGrad).Slots())
	assert.Equal(t, []optimizer.Slot{{Name: "s"}, {Name: "v"}}, optimizer.New(optimizer.RMSPropTorch).Slots())
	assert.Equal(t, []optimizer.Slot{{Name: "m"}, {Name: "v"}}, optimizer.New(optimizer.AdamTorch).Slots())
}

func TestNamesAndNumbers(t *testing.T) {
	want := []string{
		"sgd", "momentum", "nesterov", "adagrad", "rmsprop tf1", "rmsprop torch", "adam tf1", "adam torch", "adamw",
		"momentum lr-in-buffer", "amsgrad", "nadamw", "schedule-free", "egu", "egu-gd", "p-norm",
	}
	for k := optimizer.SGD; k <= lastKind; k++ {
		r := optimizer.New(k)
		name := r.Name()
		if r.Variant() != "" {
			name += " " + r.Variant()
		}
		assert.Equal(t, want[k], name)
		assert.NoError(t, r.Check())
	}
}

func TestCheck(t *testing.T) {
	set := func(f func(r *optimizer.Rule)) optimizer.Rule {
		r := optimizer.New(optimizer.AdamW)
		f(&r)
		return r
	}
	for _, c := range []struct {
		r    optimizer.Rule
		want string
	}{
		{set(func(r *optimizer.Rule) { r.Momentum = 1 }), "momentum is 1"},
		{set(func(r *optimizer.Rule) { r.Momentum = -0.1 }), "momentum is -0.1"},
		{set(func(r *optimizer.Rule) { r.Rho = math.NaN() }), "rho is NaN"},
		{set(func(r *optimizer.Rule) { r.Beta1 = 1.5 }), "beta1 is 1.5; must be at least 0 and below 1"},
		{set(func(r *optimizer.Rule) { r.Beta2 = math.Inf(1) }), "beta2 is +Inf"},
		{set(func(r *optimizer.Rule) { r.Epsilon = -1e-9 }), "epsilon is -1e-09; must be a finite number, 0 or more"},
		{set(func(r *optimizer.Rule) { r.Epsilon = math.Inf(1) }), "epsilon is +Inf"},
		{set(func(r *optimizer.Rule) { r.WeightDecay = math.NaN() }), "weight-decay is NaN"},
		{optimizer.Rule{Kind: optimizer.EGU, Beta: -1}, "beta is -1; must be a finite number, 0 or more"},
		{optimizer.Rule{Kind: optimizer.PNorm, P: 1.5}, "p is 1.5; must be a finite number, 2 or more"},
		{optimizer.Rule{Kind: optimizer.PNorm, P: math.Inf(1)}, "p is +Inf"},
		{optimizer.Rule{Kind: lastKind + 1}, "unknown kind 16"},
	} {
		assert.ErrorContains(t, c.r.Check(), c.want)
	}
	both := set(func(r *optimizer.Rule) { r.Beta1, r.Epsilon = 2, -1 }).Check()
	assert.ErrorContains(t, both, "beta1")
	assert.ErrorContains(t, both, "epsilon", "every wrong constant is named")
}
