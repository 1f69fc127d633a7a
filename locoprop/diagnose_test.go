package locoprop_test

import (
	"math"
	"slices"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is reported agrees with the local problem in float64, with and without a
// proximal term.
func TestDiagnosticsAgreeWithOracle(t *testing.T) {
	for _, p := range problems() {
		for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			for _, prox := range []float64{locoprop.ProxOff, 0.7} {
				var called []plan.LayerReport
				o := locoprop.Options{
					Loss: l, Eta: 0.05, Gamma: 3, Steps: 4, Block: 3, Prox: prox, Diagnose: 1,
					OnLayer: func(r plan.LayerReport) { called = append(called, r) },
				}
				n, s := planned(t, p, o)
				x, y := p.data(1)
				locals, before := problemsOf(p, n, o, x, y), snapshot(n)
				reports := step(t, s, 2, x, y, 1).Layers
				require.Len(t, reports, len(before))
				require.Equal(t, reports, called)
				for ℓ, r := range reports {
					q := locals[ℓ]
					if prox != 0 {
						q.Prox = 1 / prox
					}
					delta := oracle.Plus(oracle.From32(n.Weights()[ℓ]), -1, before[ℓ])
					gradient := q.Gradient(oracle.New(delta.Rows, delta.Cols))
					require.InDelta(t, q.Value(delta), r.LossEnd, 1e-4*math.Abs(q.Value(delta)), "%s, layer %d", p.name, ℓ)
					require.InEpsilon(t, frobenius(gradient), r.GradientNorm, 1e-4)
					require.InEpsilon(t, frobenius(delta), r.UpdateNorm, 1e-4)
					require.InEpsilon(t, -oracle.Dot(delta, gradient)/frobenius(delta)/frobenius(gradient), r.Cosine, 1e-4)
					require.Zero(t, r.LossStart)
					require.Equal(t, 4, r.Iterations)
					require.Equal(t, ℓ, r.Layer)
					require.Equal(t, s.Explain()[ℓ].Form, r.Form)
				}
			}
		}
	}
}

// Where momentum on D or clipping changes the targets, the local loss is that of what was
// solved, gradient and cosine those of BackProp's D.
func TestDiagnosticsOfVariants(t *testing.T) {
	const mu = 0.7
	p := problems()[0]
	ids := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
	for _, clip := range []bool{false, true} {
		for _, momentum := range []float64{0, mu} {
			o := locoprop.Options{Eta: 0.02, Gamma: 40, Steps: 3, Block: 3, Diagnose: 1, Clip: clip}
			if momentum > 0 {
				o.Momentum = locoprop.Momentum{Factor: momentum, Examples: len(ids)}
			}
			n, s := planned(t, p, o)
			pool := plan.NewPool(2)
			var mean []oracle.Mat
			differs := 0
			for batch := range 2 {
				x, y := p.data(uint32(batch + 1))
				locals, before := problemsOf(p, n, o, x, y), snapshot(n)
				if e, ok := s.(plan.ExampleStepper); ok {
					require.NoError(t, e.SetExamples(ids))
				}
				r, err := s.Step(pool, x, y, 1)
				require.NoError(t, err)
				for ℓ, q := range locals {
					delta := oracle.Plus(oracle.From32(n.Weights()[ℓ]), -1, before[ℓ])
					gradient := q.Gradient(oracle.New(delta.Rows, delta.Cols))
					if batch == 0 {
						mean = append(mean, q.D)
					}
					if batch > 0 && momentum > 0 {
						q.D = oracle.Plus(q.D.Map(func(v float64) float64 { return (1 - mu) * v }), mu, mean[ℓ])
					}
					if clip {
						q = clipped(q)
					}
					solved := q.Gradient(oracle.New(delta.Rows, delta.Cols))
					if oracle.MaxDiff(solved, gradient) > 0.01*oracle.MaxAbs(gradient) {
						differs++
					}
					got := r.Layers[ℓ]
					require.InDelta(t, q.Value(delta), got.LossEnd, 1e-4*math.Abs(q.Value(delta)), "batch %d, layer %d", batch, ℓ)
					require.InEpsilon(t, frobenius(gradient), got.GradientNorm, 1e-4)
					require.InEpsilon(t, -oracle.Dot(delta, gradient)/frobenius(delta)/frobenius(gradient), got.Cosine, 1e-3)
				}
			}
			pool.Close()
			assert.Equal(t, clip || momentum > 0, differs > 0, "the variant was to change a target")
		}
	}
}

// clipped is a problem, of a function that doesn't couple a row, with Y* in f's bounds.
func clipped(q oracle.Problem) oracle.Problem {
	lo, hi, bounded := q.F.Clip()
	y, e := oracle.Apply(q.F, q.Ahat), q.D.Clone()
	for i, d := range e.Data {
		e.Data[i] = q.Gamma * d
		if bounded {
			e.Data[i] = y.Data[i] - math.Min(math.Max(y.Data[i]-e.Data[i], math.Min(lo, y.Data[i])), math.Max(hi, y.Data[i]))
		}
	}
	q.D, q.Gamma = e, 1
	return q
}

// factored is the condition number of C + ρI by eigenvalues, or of K + ρI where X̃ has
// fewer rows than columns and the form is dual there.
func factored(x oracle.Mat, scale, rho float64, dual bool) float64 {
	m := oracle.Mul(x.T(), x)
	if dual && x.Rows < x.Cols {
		m = oracle.Mul(x, x.T())
	}
	k, n := gonum.New(), m.Rows
	a, w := make([]float64, n*n), make([]float64, n)
	for i := range n {
		for j := range n {
			a[i*n+j] = scale * m.At(i, j)
		}
		a[i*n+i] += rho
	}
	if err := k.SymEig(a, n, w, make([]float64, k.SymEigWork(n))); err != nil {
		panic(err)
	}
	return w[n-1] / w[0]
}

// The condition that is told is a lower bound of the true one, and no trivial one.
func TestDiagnosticsTellTheCondition(t *testing.T) {
	const lambda = 0.8
	p := problems()[0]
	for name, o := range map[string]locoprop.Options{
		"exact":      {Loss: locoprop.Squared, Form: locoprop.FormExact, Prox: lambda},
		"spectral":   {Loss: locoprop.Squared, Form: locoprop.FormSpectral, Prox: lambda},
		"mm":         {Form: locoprop.FormMajorised, Prox: lambda},
		"newton":     {Form: locoprop.FormImplicit, Prox: lambda, Implicit: locoprop.Implicit{Solver: locoprop.SolverNewton}},
		"statistics": {Loss: locoprop.Squared, Form: locoprop.FormStatistics, Prox: lambda},
		"diagonal":   {Loss: locoprop.Squared, Form: locoprop.FormStatistics, Statistics: locoprop.Statistics{Relative: 0.1, Structure: precond.Diagonal}},
		"metric":     {Form: locoprop.FormMetric},
	} {
		for _, batch := range []int{p.batch, 3} {
			q := p
			q.batch = batch
			o.Eta, o.Diagnose = 1, 1
			n, s := planned(t, q, o)
			x, y := q.data(1)
			locals := problemsOf(q, n, o, x, y)
			for ℓ, r := range step(t, s, 2, x, y, 1).Layers {
				in, b := locals[ℓ].X, float64(batch)
				var limit float64
				switch name {
				case "exact", "spectral", "mm", "newton": // a bound where sup f′ is below 1
					limit = factored(in, 1, 1/lambda, true)
				case "metric":
					rho := 0.3 * oracle.Dot(in, in) / b / float64(in.Cols)
					limit = factored(in, 1/b, rho, false)
				case "statistics":
					limit = factored(in, 1/b, 1/(lambda*b), false)
				default:
					limit = 1 + 10*float64(in.Cols) // (tr + 0.1·tr/n)/(0.1·tr/n)
				}
				require.Greater(t, r.Condition, 1.0, "%s, layer %d", name, ℓ)
				require.LessOrEqual(t, r.Condition, limit*(1+1e-4), "%s, layer %d", name, ℓ)
			}
		}
	}
}

// Iterations are those that were made: none where a form has none or no step, fewer
// where a solver is through before its limit.
func TestDiagnosticsCountIterations(t *testing.T) {
	p := problems()[0]
	count := func(o locoprop.Options, scale float64) (each []int) {
		o.Eta, o.Diagnose = 0.01, 1
		_, s := planned(t, p, o)
		x, y := p.data(1)
		for _, r := range step(t, s, 2, x, y, scale).Layers {
			each = append(each, r.Iterations)
		}
		return each
	}
	all := func(n int) []int { return []int{n, n, n, n} }
	mm := locoprop.Options{Form: locoprop.FormMajorised, Prox: locoprop.ProxAuto, Steps: 7}
	assert.Equal(t, all(7), count(mm, 1))
	assert.Equal(t, all(0), count(mm, 0), "λ = 0")
	statistics := locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormStatistics, Prox: 0.5, Steps: 7}
	assert.Equal(t, all(0), count(statistics, 1))
	statistics.Statistics.Iterate = true
	assert.Equal(t, all(7), count(statistics, 1))
	assert.Equal(t, all(0), count(statistics, 0))
	assert.Equal(t, all(3), count(locoprop.Options{Form: locoprop.FormMetric, Steps: 3}, 1))
	for i := range locoprop.ImplicitSolvers {
		o := locoprop.Options{Form: locoprop.FormImplicit, Prox: 1, Implicit: locoprop.Implicit{Solver: locoprop.ImplicitSolver(i), Tolerance: 0.5, Iterations: 5000}}
		loose := count(o, 1)
		o.Implicit.Tolerance = 1e-5
		tight := count(o, 1)
		for ℓ := range tight {
			assert.Positive(t, loose[ℓ])
			assert.LessOrEqual(t, loose[ℓ], tight[ℓ], "%v", o.Implicit.Solver)
			assert.Less(t, tight[ℓ], 5000)
		}
		assert.NotEqual(t, loose, tight)
		o.Implicit.Iterations = 2
		assert.Equal(t, 2, count(o, 1)[0], "%v", o.Implicit.Solver)
		o.Prox = locoprop.ProxAuto
		assert.Equal(t, all(0), count(o, 0))
	}
	// On the identity Newton's first step arrives.
	o := locoprop.Options{Form: locoprop.FormImplicit, Prox: 1, Implicit: locoprop.Implicit{Solver: locoprop.SolverNewton}}
	assert.Equal(t, 1, count(o, 1)[1])
}

// Every form is measured alike; those that factor a matrix tell its condition.
func TestDiagnosticsOfForms(t *testing.T) {
	p := problems()[0]
	for _, form := range []locoprop.Form{locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel, locoprop.FormExact, locoprop.FormSpectral, locoprop.FormStatistics, locoprop.FormMetric, locoprop.FormMajorised, locoprop.FormImplicit} {
		o := locoprop.Options{Loss: locoprop.Squared, Eta: 1e-2, Gamma: 2, Diagnose: 1, Form: form}
		switch form {
		case locoprop.FormExact, locoprop.FormStatistics:
			o.Prox = locoprop.ProxAuto
		case locoprop.FormMajorised, locoprop.FormImplicit:
			o.Loss, o.Prox = locoprop.Matching, locoprop.ProxAuto
		}
		_, s := planned(t, p, o)
		x, y := p.data(1)
		for _, r := range step(t, s, 2, x, y, 1).Layers {
			assert.Equal(t, form.String(), r.Form)
			assert.Negative(t, r.LossEnd, "%v", form)
			assert.Positive(t, r.Cosine, "%v", form)
			factors := slices.Contains([]locoprop.Form{locoprop.FormExact, locoprop.FormSpectral, locoprop.FormStatistics, locoprop.FormMetric, locoprop.FormMajorised}, form)
			assert.Equal(t, factors, r.Condition >= 1, "%v", form)
		}
	}
}

// Batches 0, N, 2N, … are sampled, counted on by a resumed run, and no step allocates.
func TestDiagnosticsAreSampled(t *testing.T) {
	p := problems()[0]
	_, s := planned(t, p, locoprop.Options{Eta: 1e-3, Diagnose: 3})
	x, y := p.data(1)
	sampled := func() bool { return step(t, s, 1, x, y, 1).Layers != nil }
	for i := range 7 {
		assert.Equal(t, i%3 == 0, sampled(), "batch %d", i)
	}
	s.(plan.CountingStepper).SetStep(8)
	assert.False(t, sampled())
	assert.True(t, sampled())
}

func TestVariantsDontAllocate(t *testing.T) {
	p := problems()[0]
	pool := plan.NewPool(2)
	defer pool.Close()
	for name, o := range everything() {
		o.Eta, o.Diagnose = 1e-3, 1
		_, s := planned(t, p, o)
		x, y := p.data(1)
		ids := []int{3, 1, 4, 15, 9, 2, 6, 5, 35}
		allocs := testing.AllocsPerRun(20, func() {
			if e, ok := s.(plan.ExampleStepper); ok {
				assert.NoError(t, e.SetExamples(ids))
			}
			if _, err := s.Step(pool, x, y, 1); err != nil {
				t.Error(err)
			}
		})
		assert.Zero(t, allocs, name)
	}
}

// Off, nothing is planned for it: the same tasks, state and memory as without.
func TestOffIsFree(t *testing.T) {
	p := problems()[0]
	m, err := locoprop.New(locoprop.Options{Eta: 1, Optimizer: optimizer.New(optimizer.RMSPropTF1)})
	require.NoError(t, err)
	s, err := m.Plan(p.network(t, 1), p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	assert.Len(t, s.State(), 4*4) // w, s, v and the count of each layer
	x, y := p.data(1)
	assert.Nil(t, step(t, s, 1, x, y, 1).Layers)
}
