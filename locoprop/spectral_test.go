package locoprop_test

import (
	"math/bits"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
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

// walsh is an element of Walsh's matrix of ±1: its columns are orthogonal, the first is
// of ones.
func walsh(i, j int) float32 { return float32(1 - 2*(bits.OnesCount(uint(i&j))%2)) }

// Inputs with orthogonal columns have a second moment whose eigenvalues are known: the
// batch times the squares of the columns' sizes, the bias column's among them.
func TestSpectralTellsTheCondition(t *testing.T) {
	for _, c := range []struct {
		name          string
		batch, inputs int
		sizes         []float32 // of the columns that aren't 0
		first         int       // their first in Walsh's matrix; 0: the first adds to the bias column
		lambda, want  float64
	}{
		{"C: 32, 2, 8 and the bias's 8", 8, 3, []float32{2, 0.5, 1}, 1, locoprop.ProxOff, 16},
		{"C + 4I", 8, 3, []float32{2, 0.5, 1}, 1, 0.25, 6},
		{"C, an input that is 0", 8, 3, []float32{2, 0, 1}, 1, locoprop.ProxOff, 0x1p24},
		{"C + 4I, an input that is 0", 8, 3, []float32{2, 0, 1}, 1, 0.25, 9},
		{"K: 4 + 4, 16, 1, 4", 4, 7, []float32{1, 2, 0.5, 1}, 0, locoprop.ProxOff, 16},
		{"K + 4I", 4, 7, []float32{1, 2, 0.5, 1}, 0, 0.25, 4},
		{"K, too few inputs", 4, 7, []float32{1, 2}, 0, locoprop.ProxOff, 0x1p24},
	} {
		n, err := nn.New(nn.Arch{Widths: []int{c.inputs, 2}, Transfer: []transfer.Func{transfer.Identity}})
		require.NoError(t, err)
		m, err := locoprop.New(locoprop.Options{
			Loss: locoprop.Squared, Form: locoprop.FormSpectral, Eta: 1e-3, Prox: c.lambda, Diagnose: 1,
		})
		require.NoError(t, err)
		x, y := backend.NewMat(c.batch, c.inputs), backend.NewMat(c.batch, 2)
		for i := range c.batch {
			for j, size := range c.sizes {
				x.Data[i*c.inputs+j] = size * walsh(i, j+c.first)
			}
		}
		s, err := m.Plan(n, loss.Squared, c.batch, gonum.New())
		require.NoError(t, err)
		assert.InEpsilon(t, c.want, step(t, s, 1, x, y, 1).Layers[0].Condition, 1e-6, c.name)
		assert.Zero(t, step(t, s, 1, x, y, 0).Layers[0].Condition, "%s: all rates are 0", c.name)
	}
}
