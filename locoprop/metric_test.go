package locoprop_test

import (
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
	start := snapshot(n)
	m, err := locoprop.New(options)
	require.NoError(t, err)
	s, err := m.Plan(n, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	ref := trainerOf(p, n, m)
	for batch := range 7 {
		x, y := p.data(uint32(batch))
		step(t, s, 2, x, y, 0.5)
		ref.Step(oracle.From32(x), oracle.From32(y), nil, 0.5)
	}
	requireAgrees(t, n, start, ref.Net, 2e-3)
}

// Under the fixed rule E = γD, whatever the gradient's scale.
func TestMetricFixedGamma(t *testing.T) {
	for _, p := range problems() {
		o := metricOptions(locoprop.Matching, 4)
		o.GammaRule, o.Gamma = locoprop.GammaFixed, 0.5
		requireMetricAgrees(t, p, o)
	}
}

// With repeated examples and next to no damping, float32 leaves C̄ + ρI with negative
// eigenvalues; more damping is found instead of an error.
func TestMetricFindsItsDamping(t *testing.T) {
	p := problem{"wide", nn.Arch{Widths: []int{60, 7}, Transfer: []transfer.Func{transfer.Sigmoid}}, loss.SigmoidCE, 20}
	for _, k := range formBackends {
		for _, damping := range []float64{1e-8, 1e-12, 1e-300} {
			o := metricOptions(locoprop.Matching, 4)
			o.Metric = locoprop.Metric{Damping: damping}
			for seed := range uint32(5) {
				n := p.network(t, seed)
				m, err := locoprop.New(o)
				require.NoError(t, err)
				s, err := m.Plan(n, p.loss, p.batch, k)
				require.NoError(t, err)
				x, y := p.data(seed)
				for i := range 10 { // each example twice
					copy(x.Data[(10+i)*x.Stride:][:x.Cols], x.Data[i*x.Stride:][:x.Cols])
				}
				for range 8 {
					step(t, s, 2, x, y, 1)
				}
				ℓ, v := plan.FirstNonFinite(n.Weights())
				require.Negative(t, ℓ, "%s, damping %v: found %v", k.Info().Name, damping, v)
				require.Less(t, oracle.MaxAbs(snapshot(n)[0]), 100.0)
			}
		}
	}
}

// Without averages P is that of the last batch taken in, and without outer momentum Δ itself
// moves the weights.
func TestMetricWithoutAverages(t *testing.T) {
	for _, p := range problems() {
		for _, m := range []locoprop.Metric{{Every: 1, NoAverage: true}, {NoMomentum: true}, {Every: 2, NoAverage: true, NoMomentum: true}} {
			o := metricOptions(locoprop.Matching, 4)
			o.Metric = m
			requireMetricAgrees(t, p, o)
		}
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
