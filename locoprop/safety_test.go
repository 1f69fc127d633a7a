package locoprop_test

import (
	"math"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func planned(t *testing.T, p problem, o locoprop.Options) (*nn.Network, plan.Stepper) {
	t.Helper()
	m, err := locoprop.New(o)
	require.NoError(t, err)
	n := p.network(t, 3)
	s, err := m.Plan(n, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	return n, s
}

// problemsOf are the layers' problems of a batch in float64, as the network stands.
func problemsOf(p problem, n *nn.Network, o locoprop.Options, x, y backend.Mat) []oracle.Problem {
	net := oracleOf(p, n)
	var all []oracle.Problem
	for ℓ, pass := range net.Backward(oracle.From32(x), oracle.From32(y)) {
		q := oracle.Problem{X: pass.X, Ahat: pass.A, D: pass.D, Gamma: o.Gamma}
		if o.Loss == locoprop.Matching {
			q.F = net.Layers[ℓ].F
		}
		all = append(all, q)
	}
	return all
}

// unit is the problem of one unit of a problem.
func unit(p oracle.Problem, u int) oracle.Problem {
	p.Ahat, p.D = p.Ahat.Columns(u, u+1), p.D.Columns(u, u+1)
	return p
}

func rowOf(m oracle.Mat, u int) oracle.Mat { return oracle.Mat{Rows: 1, Cols: m.Cols, Data: m.Row(u)} }

func frobenius(m oracle.Mat) float64 { return math.Sqrt(oracle.Dot(m, m)) }

func velocities(s plan.Stepper) map[string][]float32 {
	all := map[string][]float32{}
	for _, x := range s.State() {
		if strings.HasSuffix(x.Name, ".v") {
			all[x.Name] = x.F32
		}
	}
	return all
}

// The cap bounds ‖Δ‖/‖w̃‖ of each unit in every form, and only where it is reached.
func TestCap(t *testing.T) {
	const kappa = 0.01
	p := problems()[0]
	for _, form := range sameIterates {
		o := locoprop.Options{Loss: locoprop.Squared, Eta: 0.1, Gamma: 5, Steps: 4, Block: 4, Form: form}
		x, y := p.data(1)
		free, s := planned(t, p, o)
		before := snapshot(free)
		step(t, s, 1, x, y, 1)
		o.Safety.Cap = kappa
		capped, s := planned(t, p, o)
		step(t, s, 2, x, y, 1)
		reached := 0
		for ℓ, w := range capped.Weights() {
			now, freely := oracle.From32(w), oracle.From32(free.Weights()[ℓ])
			for u := range w.Rows {
				was := rowOf(before[ℓ], u)
				ratio := frobenius(oracle.Plus(rowOf(now, u), -1, was)) / frobenius(was)
				require.LessOrEqual(t, ratio, kappa*(1+1e-4), "form %v, layer %d, unit %d", form, ℓ, u)
				if frobenius(oracle.Plus(rowOf(freely, u), -1, was)) < 0.99*kappa*frobenius(was) {
					require.Equal(t, rowOf(freely, u), rowOf(now, u))
				} else {
					reached++
				}
			}
		}
		assert.Positive(t, reached)
	}
}

// At a rate that raises the local losses, Armijo's rule lowers every unit's, and the
// more the more iterations.
func TestArmijo(t *testing.T) {
	for _, p := range problems()[:3] {
		for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			for _, rule := range []optimizer.Rule{{}, optimizer.New(optimizer.AdaGrad)} {
				last := make([]float64, len(p.arch.Transfer))
				for _, steps := range []int{1, 2, 3, 5, 9} {
					o := locoprop.Options{Loss: l, Eta: 30, NoFloor: true, Gamma: 2, Steps: steps, Block: 4, Optimizer: rule, Safety: locoprop.Safety{Armijo: true}}
					n, s := planned(t, p, o)
					x, y := p.data(1)
					locals, before := problemsOf(p, n, o, x, y), snapshot(n)
					step(t, s, 2, x, y, 1)
					for ℓ, w := range n.Weights() {
						value := locals[ℓ].Value(oracle.Plus(oracle.From32(w), -1, before[ℓ]))
						require.Negative(t, value, "%s, %d steps, layer %d", p.name, steps, ℓ)
						last[ℓ] = value
					}
				}
			}
		}
	}
	p := problems()[0]
	o := locoprop.Options{Eta: 30, Gamma: 2, Steps: 5}
	n, s := planned(t, p, o)
	x, y := p.data(1)
	locals, before := problemsOf(p, n, o, x, y), snapshot(n)
	step(t, s, 1, x, y, 1)
	raised := 0
	for ℓ, w := range n.Weights() {
		if locals[ℓ].Value(oracle.Plus(oracle.From32(w), -1, before[ℓ])) > 0 {
			raised++
		}
	}
	assert.Positive(t, raised, "the rate was to be too large")
}

// With constant rates, the iterates of T iterations begin those of T + 1, so the local
// loss after each iteration can be seen: it never rises.
func TestArmijoIsMonotone(t *testing.T) {
	p := problems()[0]
	for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
		previous := make([]float64, len(p.arch.Transfer))
		for steps := 1; steps <= 12; steps++ {
			o := locoprop.Options{Loss: l, Eta: 5, Floor: 1, Gamma: 2, Steps: steps, Safety: locoprop.Safety{Armijo: true}}
			n, s := planned(t, p, o)
			x, y := p.data(1)
			locals, before := problemsOf(p, n, o, x, y), snapshot(n)
			step(t, s, 1, x, y, 1)
			for ℓ, w := range n.Weights() {
				value := locals[ℓ].Value(oracle.Plus(oracle.From32(w), -1, before[ℓ]))
				// The rule itself allows for float32: 1e-6 of the terms, which are about the loss.
				require.LessOrEqual(t, value, previous[ℓ]+2e-6*math.Abs(previous[ℓ])+1e-12, "%d steps, layer %d", steps, ℓ)
				previous[ℓ] = value
			}
		}
	}
}

// A shortened step shortens a buffer of displacements alike.
func TestArmijoShortensBuffer(t *testing.T) {
	p := problems()[4] // one weight: v is the step
	for _, kind := range []optimizer.Kind{optimizer.RMSPropTF1, optimizer.MomentumBuffer} {
		o := locoprop.Options{Eta: 50, Gamma: 2, Steps: 1, Optimizer: optimizer.New(kind), Safety: locoprop.Safety{Armijo: true}}
		n, s := planned(t, p, o)
		x, y := p.data(1)
		before := snapshot(n)
		step(t, s, 1, x, y, 1)
		delta := oracle.Plus(oracle.From32(n.Weights()[0]), -1, before[0])
		v := velocities(s)["layers.0."+o.Optimizer.Name()+".v"]
		require.Len(t, v, len(delta.Data))
		for i := range v {
			assert.InDelta(t, -delta.Data[i], v[i], 1e-6)
			assert.NotZero(t, v[i])
		}
	}
}

// p and q of egu-gd are those of the weights where a guard has changed them, and only
// there.
func TestSafetyKeepsSlotsWithWeights(t *testing.T) {
	p := problems()[0]
	x, y := p.data(1)
	for name, safety := range map[string]locoprop.Safety{"armijo": {Armijo: true}, "cap": {Cap: 1e-3}, "reject": {Reject: true}} {
		o := locoprop.Options{Eta: 10, Gamma: 5, Steps: 3, Floor: 1, Block: 4, Optimizer: optimizer.New(optimizer.EGUGD), Safety: safety}
		slots := func(o locoprop.Options) (n *nn.Network, state map[string][]float32) {
			n, s := planned(t, p, o)
			step(t, s, 1, x, y, 1)
			state = map[string][]float32{}
			for _, tensor := range s.State() {
				state[tensor.Name] = tensor.F32
			}
			return n, state
		}
		n, state := slots(o)
		o.Safety = locoprop.Safety{}
		free, _ := slots(o)
		changed := 0
		for ℓ, w := range n.Weights() {
			for i, v := range w.Data {
				a, b := float64(state[plan.MatTensor(ℓ, "egu-gd.p", w).Name][i]), float64(state[plan.MatTensor(ℓ, "egu-gd.q", w).Name][i])
				require.InDelta(t, float64(v), (a*a-b*b)/4, 2e-6*(1+a*a+b*b), "%s: layer %d, weight %d", name, ℓ, i)
				if v != free.Weights()[ℓ].Data[i] {
					changed++
				}
			}
		}
		assert.Positive(t, changed, "%s", name)
	}
}

// A tolerance ends the iterations: near it nothing changes any more, and below all
// gradients it does nothing.
func TestTolerance(t *testing.T) {
	p := problems()[0]
	o := locoprop.Options{Form: locoprop.FormDirect, Loss: locoprop.Squared, Eta: 0.03, Floor: 1, Gamma: 2, Steps: 500, Block: 4, Diagnose: 1}
	x, y := p.data(1)
	run := func(tol float64) (*nn.Network, []plan.LayerReport) {
		o.Safety.Tolerance = tol
		n, s := planned(t, p, o)
		return n, step(t, s, 2, x, y, 1).Layers
	}
	n, full := run(0)
	m, least := run(1e-300)
	assert.Equal(t, snapshot(n), snapshot(m), "a tolerance that isn't reached changes no bit")
	m, some := run(0.5)
	assert.NotEqual(t, snapshot(n), snapshot(m))
	early := 0
	for ℓ := range full {
		assert.Equal(t, 500, full[ℓ].Iterations)
		assert.Equal(t, 500, least[ℓ].Iterations)
		assert.Negative(t, some[ℓ].LossEnd)
		assert.Greater(t, some[ℓ].LossEnd, full[ℓ].LossEnd)
		if some[ℓ].Iterations < 500 {
			early++
		}
	}
	assert.Positive(t, early)
}

// Rejection puts back the units whose local loss rose, with their velocity, and only
// them.
func TestRejection(t *testing.T) {
	p := problems()[0]
	for _, form := range sameIterates {
		o := locoprop.Options{Loss: locoprop.Squared, Eta: 0.22, Gamma: 5, Steps: 5, Block: 4, Form: form, Optimizer: optimizer.New(optimizer.Momentum)}
		x, y := p.data(1)
		free, s := planned(t, p, o)
		locals, before := problemsOf(p, free, o, x, y), snapshot(free)
		step(t, s, 1, x, y, 1)
		moved := velocities(s)
		o.Safety.Reject = true
		n, s := planned(t, p, o)
		step(t, s, 2, x, y, 1)
		rejected := 0
		for ℓ, w := range n.Weights() {
			now, freely := oracle.From32(w), oracle.From32(free.Weights()[ℓ])
			name := plan.MatTensor(ℓ, "momentum.v", w).Name
			for u := range w.Rows {
				value := unit(locals[ℓ], u).Value(oracle.Plus(rowOf(freely, u), -1, rowOf(before[ℓ], u)))
				v := velocities(s)[name][u*w.Cols : (u+1)*w.Cols]
				if value > 0 {
					rejected++
					require.Equal(t, rowOf(before[ℓ], u), rowOf(now, u), "layer %d, unit %d", ℓ, u)
					require.Equal(t, make([]float32, w.Cols), v)
				} else {
					require.Equal(t, rowOf(freely, u), rowOf(now, u), "layer %d, unit %d", ℓ, u)
					require.Equal(t, moved[name][u*w.Cols:(u+1)*w.Cols], v)
				}
			}
		}
		assert.Positive(t, rejected)
	}
}

// Under softmax the layer is one unit.
func TestSafetyOfSoftmax(t *testing.T) {
	p := problems()[1]
	x, y := p.data(1)
	o := locoprop.Options{Eta: 100, Gamma: 8, Steps: 6, Block: 2, Safety: locoprop.Safety{Reject: true}}
	n, s := planned(t, p, o)
	before := snapshot(n)
	step(t, s, 1, x, y, 1)
	assert.Equal(t, before[1], snapshot(n)[1], "rejected as a whole")
	o.Safety = locoprop.Safety{Armijo: true, Tolerance: 1e-3, Cap: 0.05, Reject: true}
	n, s = planned(t, p, o)
	locals := problemsOf(p, n, o, x, y)
	step(t, s, 2, x, y, 1)
	delta := oracle.Plus(snapshot(n)[1], -1, before[1])
	assert.Negative(t, locals[1].Value(delta))
	assert.LessOrEqual(t, frobenius(delta), 0.05*frobenius(before[1])*(1+1e-5))
}

func TestSafetyRefuses(t *testing.T) {
	p := problems()[0]
	for _, c := range []struct {
		o    locoprop.Options
		want string
	}{
		{locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormGram, Safety: locoprop.Safety{Armijo: true}}, "form gram needs Armijo backtracking off, or form direct"},
		{locoprop.Options{Form: locoprop.FormKernel, Safety: locoprop.Safety{Tolerance: 0.1}}, "form kernel needs tolerance off, or form direct"},
		{locoprop.Options{Form: locoprop.FormMetric, Safety: locoprop.Safety{Cap: 1}}, "form metric needs cap of the update off, or form direct, or gram, or kernel"},
		{locoprop.Options{Form: locoprop.FormMetric, Optimizer: optimizer.New(optimizer.AdamTorch)}, "form metric needs optimizer sgd, not adam"},
		{locoprop.Options{Form: locoprop.FormMetric, Reset: true}, "form metric needs reset off"},
		{locoprop.Options{Form: locoprop.FormMetric, Clip: true}, "form metric needs target clipping off"},
		{locoprop.Options{Loss: locoprop.Squared, Clip: true}, "the matching local loss (locoprop-m) where targets are clipped"},
	} {
		c.o.Eta = 1
		m, err := locoprop.New(c.o)
		require.NoError(t, err)
		_, err = m.Plan(p.network(t, 1), p.loss, p.batch, gonum.New())
		assert.ErrorContains(t, err, c.want)
	}
	_, err := locoprop.New(locoprop.Options{Eta: 1, Correction: -1, Diagnose: -2, Safety: locoprop.Safety{Cap: math.Inf(1), Tolerance: 1}, Momentum: locoprop.Momentum{Factor: 0.5, Limit: -1}})
	for _, part := range []string{"cap of the update is +Inf", "tolerance is 1", "correction is -1", "every -2 batches", "number of training examples", "-1 bytes"} {
		assert.ErrorContains(t, err, part)
	}
	// The forms that can't are no choice of auto.
	_, s := planned(t, problems()[4], locoprop.Options{Eta: 1, Loss: locoprop.Squared, Safety: locoprop.Safety{Armijo: true}})
	assert.Equal(t, "direct", s.Explain()[0].Form)
}
