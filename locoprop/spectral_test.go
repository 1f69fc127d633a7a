package locoprop_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// iteratedSteps is what T steps of gradient descent reach from Δ = 0.
func iteratedSteps(p oracle.Problem, rates []float64) oracle.Mat {
	delta := oracle.New(p.D.Cols, p.X.Cols)
	for _, eta := range rates {
		delta = oracle.Plus(delta, -eta, p.Gradient(delta))
	}
	return delta
}

// T steps of plain SGD in the direct form, in float64, for every schedule of the local
// rate, with a proximal term and without: slow rates, rates that overshoot (ηc above 1)
// and some that diverge (above 2).
func TestSpectralIsManySteps(t *testing.T) {
	for _, c := range closedCases() {
		for _, steps := range []int{1, 2, 9} {
			for _, eta := range []float64{0.01, 0.05, 0.2} {
				for _, floor := range []float64{0, 0.25, 1} {
					for _, prox := range []float64{locoprop.ProxOff, 0.8, locoprop.ProxAuto} {
						o := locoprop.Options{
							Form: locoprop.FormSpectral, Eta: eta, Steps: steps, Prox: prox, Floor: floor, NoFloor: floor == 0,
						}
						rates := (oracle.LocoProp{Eta: eta, T: steps, Floor: floor}).Rates(0.5)
						inverse := 0.0
						if prox == locoprop.ProxAuto {
							for _, r := range rates {
								inverse += r
							}
							inverse = 1 / inverse
						} else if prox > 0 {
							inverse = 1 / prox
						}
						c.checkUpdates(t, o, 1, 0.5, inverse, 1e-4, func(_ int, p oracle.Problem) oracle.Mat {
							return iteratedSteps(p, rates)
						})
					}
				}
			}
		}
	}
}

// Where ηₜc is tiny, 1 − Πₜ(1 − ηₜc) as it stands has no digits: at 1e-17 it would be 0.
func TestSpectralAtTinyRates(t *testing.T) {
	for _, batch := range []int{4, 9} {
		c := linear(batch)
		n := c.network(t, 1)
		clear(n.Weights()[0].Data)
		x, y := c.data(n, 1)
		const eta = 1e-19
		p := c.problems(t, n, x, y, closedGamma, 0)[0]
		step(t, c.stepper(t, n, locoprop.Options{Form: locoprop.FormSpectral, Eta: eta, Steps: 3, Gamma: closedGamma}), 1, x, y, 1)
		want := iteratedSteps(p, (oracle.LocoProp{Eta: eta, T: 3, Floor: 0.25}).Rates(1))
		got := oracle.From32(n.Weights()[0])
		require.Positive(t, oracle.MaxAbs(want))
		require.LessOrEqual(t, oracle.MaxDiff(got, want), 1e-5*oracle.MaxAbs(want))
	}
}

// The direct form of the program itself makes the same steps.
func TestSpectralIsDirect(t *testing.T) {
	for _, c := range closedCases() {
		for _, prox := range []float64{locoprop.ProxOff, locoprop.ProxAuto} {
			direct, spectral := c.network(t, 2), c.network(t, 2)
			before := snapshot(direct)
			x, y := c.data(direct, 1)
			o := locoprop.Options{Form: locoprop.FormDirect, Gamma: closedGamma, Prox: prox}
			step(t, c.stepper(t, direct, o), 1, x, y, 1)
			o.Form = locoprop.FormSpectral
			step(t, c.stepper(t, spectral, o), 1, x, y, 1)
			for ℓ := range before {
				a, b := oracle.From32(direct.Weights()[ℓ]), oracle.From32(spectral.Weights()[ℓ])
				limit := 2*0x1p-24*oracle.MaxAbs(a) + 1e-4*oracle.MaxDiff(a, before[ℓ])
				require.LessOrEqual(t, oracle.MaxDiff(a, b), limit, "%s, layer %d", c.name, ℓ)
			}
		}
	}
}

// Steps that overflow are an error, and so is an input whose squares do; no weight
// becomes NaN.
func TestSpectralDiverges(t *testing.T) {
	pool := plan.NewPool(1)
	defer pool.Close()
	for _, batch := range []int{4, 9} {
		c := linear(batch)
		n := c.network(t, 1)
		x, y := c.data(n, 1)
		s := c.stepper(t, n, locoprop.Options{Form: locoprop.FormSpectral, Eta: 1e9, Steps: 9})
		_, err := s.Step(pool, x, y, 1)
		require.ErrorIs(t, err, precond.ErrNotFinite)
		assert.ErrorContains(t, err, "local solution of layer 0: 9 local steps at once, rates from 1e+09")

		clear(n.Weights()[0].Data)
		for i := range x.Data {
			x.Data[i] *= 1e25
		}
		_, err = s.Step(pool, x, y, 1)
		assert.ErrorContains(t, err, "eigenvectors of the second moment of layer 0: it holds numbers that aren't finite")
		ℓ, _ := plan.FirstNonFinite(n.Weights())
		assert.Negative(t, ℓ)
	}
}
