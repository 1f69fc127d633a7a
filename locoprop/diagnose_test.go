package locoprop_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
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
			assert.Equal(t, form == locoprop.FormExact, r.Condition >= 1, "%v", form)
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
