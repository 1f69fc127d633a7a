package locoprop_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// metricOracle is the metric form in float64, written from its formulas.
type metricOracle struct {
	o       locoprop.Options
	second  []oracle.Mat // C̄
	inverse []oracle.Mat // P
	outer   []oracle.Mat // V
	scale   []float64    // e
	batch   int
	updates int
	stale   bool
}

func (s *metricOracle) step(n *oracle.Network, x, t oracle.Mat, alpha float64) {
	passes := n.Backward(x, t)
	c := s.o.Metric
	b := float64(x.Rows)
	if s.second == nil {
		for _, p := range passes {
			s.second = append(s.second, oracle.New(p.X.Cols, p.X.Cols))
			s.inverse = append(s.inverse, oracle.New(p.X.Cols, p.X.Cols))
			s.outer = append(s.outer, oracle.New(p.A.Cols, p.X.Cols))
			s.scale = append(s.scale, 0)
		}
	}
	average := s.batch%c.Every == 0
	if average {
		s.updates++
		s.stale = true
	}
	i := s.batch
	refresh := s.stale && (i < 20 || i < 100 && i%3 == 0 || i%c.Refresh == 0)
	s.stale = s.stale && !refresh
	for ℓ, p := range passes {
		d := p.D.Map(func(v float64) float64 { return v * b })
		mean := oracle.Dot(d, d) / float64(len(d.Data))
		if i == 0 {
			s.scale[ℓ] = mean
		} else {
			s.scale[ℓ] = 0.99*s.scale[ℓ] + 0.01*mean
		}
		gamma := s.o.Gamma / (1.001 * math.Max(s.scale[ℓ], mean))
		if s.o.GammaRule == locoprop.GammaFixed {
			gamma = s.o.Gamma / b // e is γ_ℓ·d = γD
		}
		if average {
			beta := math.Min(c.Average, 1-1/float64(s.updates))
			old := s.second[ℓ].Map(func(v float64) float64 { return beta * v })
			s.second[ℓ] = oracle.Plus(old, (1-beta)/b, oracle.Mul(p.X.T(), p.X))
		}
		if refresh {
			s.inverse[ℓ] = damped(s.second[ℓ], c.Damping)
		}
		xp := oracle.Mul(p.X, s.inverse[ℓ])
		k := oracle.Mul(xp, p.X.T())
		eta := c.Step / power(k)
		e := d.Map(func(v float64) float64 { return gamma * v })
		f := transfer.Identity
		if s.o.Loss == locoprop.Matching {
			f = n.Layers[ℓ].F
		}
		problem := oracle.Problem{F: f, X: p.X, Ahat: p.A, D: d, Gamma: gamma}
		z := e.Map(func(v float64) float64 { return -eta * v })
		for range s.o.Steps - 1 {
			a := oracle.Plus(p.A, 1, oracle.Mul(k, z))
			r := oracle.Plus(oracle.Apply(problem.F, a), -1, oracle.Apply(problem.F, p.A))
			z = oracle.Plus(z, -eta, oracle.Plus(r, 1, e))
		}
		delta := oracle.Mul(z.T(), xp).Map(func(v float64) float64 { return alpha * v })
		mu := c.OuterMomentum
		s.outer[ℓ] = oracle.Plus(delta, mu, s.outer[ℓ])
		n.Layers[ℓ].W = oracle.Plus(oracle.Plus(n.Layers[ℓ].W, mu, s.outer[ℓ]), 1, delta)
	}
	s.batch++
}

// damped is (C + ρI)⁻¹, ρ = damping·tr(C)/n, by Gauss-Jordan elimination.
func damped(c oracle.Mat, damping float64) oracle.Mat {
	n := c.Rows
	a, inv := c.Clone(), oracle.New(n, n)
	var trace float64
	for i := range n {
		trace += c.At(i, i)
	}
	for i := range n {
		a.Set(i, i, a.At(i, i)+damping*trace/float64(n))
		inv.Set(i, i, 1)
	}
	for i := range n {
		pivot := a.At(i, i)
		for r := range n {
			if r == i {
				continue
			}
			factor := a.At(r, i) / pivot
			for j := range n {
				a.Set(r, j, a.At(r, j)-factor*a.At(i, j))
				inv.Set(r, j, inv.At(r, j)-factor*inv.At(i, j))
			}
		}
	}
	for i := range n {
		for j := range n {
			inv.Set(i, j, inv.At(i, j)/a.At(i, i))
		}
	}
	return inv
}

func power(k oracle.Mat) float64 {
	u := oracle.New(k.Rows, 1).Map(func(float64) float64 { return 1 })
	for range 6 {
		norm := math.Sqrt(oracle.Dot(u, u))
		u = oracle.Mul(k, u.Map(func(v float64) float64 { return v / norm }))
	}
	return math.Sqrt(oracle.Dot(u, u))
}

func metricOptions(l locoprop.LocalLoss, steps int) locoprop.Options {
	return locoprop.Options{
		Loss: l, Form: locoprop.FormMetric, Gamma: 0.01, Steps: steps, Block: 4,
		Metric: locoprop.Metric{Every: 2, Refresh: 3},
	}
}

func TestMetricAgreesWithOracle(t *testing.T) {
	for _, p := range problems() {
		for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			for _, steps := range []int{1, 4} {
				requireMetricAgrees(t, p, metricOptions(l, steps))
			}
		}
	}
}

// requireMetricAgrees compares seven batches with the oracle's.
func requireMetricAgrees(t *testing.T, p problem, options locoprop.Options) {
	t.Helper()
	n := p.network(t, 3)
	o, start := oracleOf(p, n), snapshot(n)
	m, err := locoprop.New(options)
	require.NoError(t, err)
	s, err := m.Plan(n, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	ref := &metricOracle{o: m.Options()}
	for batch := range 7 {
		x, y := p.data(uint32(batch))
		step(t, s, 2, x, y, 0.5)
		ref.step(o, oracle.From32(x), oracle.From32(y), 0.5)
	}
	requireAgrees(t, n, start, o, 2e-3)
}

// Under the fixed rule E = γD, whatever the gradient's scale.
func TestMetricFixedGamma(t *testing.T) {
	for _, p := range problems() {
		o := metricOptions(locoprop.Matching, 4)
		o.GammaRule, o.Gamma = locoprop.GammaFixed, 0.5
		requireMetricAgrees(t, p, o)
	}
}

func TestGammaRule(t *testing.T) {
	for _, c := range []struct {
		form  locoprop.Form
		rule  locoprop.GammaRule
		is    locoprop.GammaRule
		gamma float64
	}{
		{locoprop.FormMetric, locoprop.GammaAuto, locoprop.GammaFisher, 0.005},
		{locoprop.FormMetric, locoprop.GammaFisher, locoprop.GammaFisher, 0.005},
		{locoprop.FormMetric, locoprop.GammaFixed, locoprop.GammaFixed, 10},
		{locoprop.FormDirect, locoprop.GammaAuto, locoprop.GammaAuto, 10},
		{locoprop.FormAuto, locoprop.GammaFixed, locoprop.GammaFixed, 10},
	} {
		m, err := locoprop.New(locoprop.Options{Eta: 1, Form: c.form, GammaRule: c.rule})
		require.NoError(t, err)
		assert.Equal(t, c.is, m.Options().GammaRule)
		assert.Equal(t, c.gamma, m.Options().Gamma)
	}
	_, err := locoprop.New(locoprop.Options{Eta: 1, Form: locoprop.FormKernel, GammaRule: locoprop.GammaFisher})
	assert.EqualError(t, err, "locoprop: gamma rule fisher needs form metric, not kernel; elsewhere the rule is fixed")
	_, err = locoprop.New(locoprop.Options{Eta: 1, GammaRule: 7})
	assert.EqualError(t, err, "locoprop: unknown gamma rule 7")
	for i, name := range locoprop.GammaRules {
		assert.Equal(t, name, locoprop.GammaRule(i).String())
	}
}

func TestMetricStateResumes(t *testing.T) {
	p := problems()[0]
	m, err := locoprop.New(metricOptions(locoprop.Matching, 3))
	require.NoError(t, err)
	straight, stopped := p.network(t, 1), p.network(t, 1)
	a, err := m.Plan(straight, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	b, err := m.Plan(stopped, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	for batch := range 9 {
		x, y := p.data(uint32(batch))
		step(t, a, 2, x, y, 1)
		if batch == 5 { // a new stepper takes over from the saved state
			resumed := p.network(t, 7)
			c, err := m.Plan(resumed, p.loss, p.batch, gonum.New())
			require.NoError(t, err)
			require.NoError(t, plan.Restore(c.State(), b.State()))
			stopped, b = resumed, c
		}
		step(t, b, 1, x, y, 1)
	}
	assert.Equal(t, snapshot(straight), snapshot(stopped))
}

func TestMetricStepDoesNotAllocate(t *testing.T) {
	p := problems()[0]
	x, y := p.data(1)
	pool := plan.NewPool(2)
	defer pool.Close()
	m, err := locoprop.New(metricOptions(locoprop.Matching, 3))
	require.NoError(t, err)
	s, err := m.Plan(p.network(t, 1), p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(20, func() {
		if _, err := s.Step(pool, x, y, 1); err != nil {
			t.Error(err)
		}
	}))
}

// The same bits for any number of workers, with several tasks for X̃P and K′.
func TestMetricBitsForAnyWorkers(t *testing.T) {
	p := problem{"odd", nn.Arch{Widths: []int{29, 23, 5, 17}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity, transfer.Sigmoid}}, loss.SigmoidCE, 277}
	o := metricOptions(locoprop.Matching, 3)
	o.Eta = 1
	for _, k := range formBackends {
		want := snapshot(formTrajectory(t, k, p, o, 3, 1))
		for _, workers := range []int{2, 3, 8} {
			require.Equal(t, want, snapshot(formTrajectory(t, k, p, o, 3, workers)), "%s: %d workers", k.Info().Name, workers)
		}
	}
}
