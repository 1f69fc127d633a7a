package locoprop_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/stretchr/testify/require"
)

// statisticsOracle is the form in float64: FOOF as Benzing 2022 has it,
// ΔW̃ = −αG(C̄ + ρI)⁻¹ with C̄ a running average of X̃ᵀX̃/B.
type statisticsOracle struct {
	s      locoprop.Statistics // defaults filled in
	second []oracle.Mat        // C̄ per layer
	damped []oracle.Mat        // C̄ + ρI when it was last factored
	seen   []int               // batches
}

func (s *statisticsOracle) observe(ℓ int, p oracle.Problem) {
	for len(s.second) <= ℓ {
		s.second, s.damped, s.seen = append(s.second, oracle.Mat{}), append(s.damped, oracle.Mat{}), append(s.seen, 0)
	}
	s.seen[ℓ]++
	k := s.seen[ℓ]
	beta := math.Min(s.s.Average, 1-1/float64(k))
	n := p.X.Cols
	if k == 1 {
		s.second[ℓ] = oracle.New(n, n)
	}
	now := oracle.Mul(p.X.T(), p.X)
	rho := s.s.Damping
	for i := range n {
		for j := range n {
			apart := s.s.Structure == precond.Diagonal && i != j ||
				s.s.Structure == precond.BlockDiagonal && i/s.s.Columns != j/s.s.Columns
			v := now.At(i, j) / float64(p.X.Rows)
			if apart {
				v = 0
			}
			s.second[ℓ].Set(i, j, beta*s.second[ℓ].At(i, j)+(1-beta)*v)
		}
		rho += s.s.Relative * s.second[ℓ].At(i, i) / float64(n)
	}
	if rho == 0 {
		rho = p.Prox / float64(p.X.Rows) // 1/(λB)
	}
	if (k-1)%s.s.Refresh == 0 {
		s.damped[ℓ] = s.second[ℓ].Clone()
		for i := range n {
			s.damped[ℓ].Set(i, i, s.damped[ℓ].At(i, i)+rho)
		}
	}
}

// converged is −αG(C̄ + ρI)⁻¹ with α = γ/B.
func (s *statisticsOracle) converged(ℓ int, p oracle.Problem) oracle.Mat {
	alpha := p.Gamma / float64(p.X.Rows)
	g := oracle.Mul(p.D.T(), p.X).Map(func(v float64) float64 { return -alpha * v })
	return oracle.Mul(g, damped(s.damped[ℓ], 0))
}

// steps is Δ ← Δ − η̄ₜ(ΔC̄ + ρΔ + αG) with η̄ₜ = Bηₜ.
func (s *statisticsOracle) steps(ℓ int, p oracle.Problem, rates []float64) oracle.Mat {
	b := float64(p.X.Rows)
	g := oracle.Mul(p.D.T(), p.X)
	delta := oracle.New(g.Rows, g.Cols)
	for _, eta := range rates {
		sum := oracle.Plus(oracle.Mul(delta, s.second[ℓ]), p.Prox/b, delta)
		delta = oracle.Plus(delta, -b*eta, oracle.Plus(sum, p.Gamma/b, g))
	}
	return delta
}

// Several batches of every setting against the published formula.
func TestStatisticsAgreeWithFormula(t *testing.T) {
	for name, o := range closedForms() {
		if o.Form != locoprop.FormStatistics {
			continue
		}
		for _, none := range []bool{false, true} {
			o.Statistics.NoAverage = none
			probe, err := locoprop.New(locoprop.Options{Form: o.Form, Loss: locoprop.Squared, Eta: 1, Prox: o.Prox, Statistics: o.Statistics})
			require.NoError(t, err)
			prox := 0.0
			switch {
			case o.Prox == locoprop.ProxAuto:
				prox = 1 / rateSum(o.Steps, 0.5)
			case o.Prox > 0:
				prox = 1 / o.Prox
			}
			rates := (oracle.LocoProp{Eta: closedEta, T: o.Steps, Floor: 0.25}).Rates(0.5)
			for _, c := range closedCases() {
				ref := &statisticsOracle{s: probe.Options().Statistics}
				t.Run(fmt.Sprintf("%s/%s/%v", name, c.name, none), func(t *testing.T) {
					c.checkUpdates(t, o, 5, 0.5, prox, 1e-4, func(ℓ int, p oracle.Problem) oracle.Mat {
						ref.observe(ℓ, p)
						if o.Statistics.Iterate {
							return ref.steps(ℓ, p, rates)
						}
						return ref.converged(ℓ, p)
					})
				})
			}
		}
	}
}

// Without averages the statistics form is the exact form, FOOF at β = 0 with α = γ/B and
// ρ = 1/(λB); T steps of it are the spectral form. In the first batch, averages make no
// difference.
func TestStatisticsOfOneBatch(t *testing.T) {
	for _, c := range closedCases() {
		for _, iterate := range []bool{false, true} {
			for _, none := range []bool{false, true} {
				a, b := c.network(t, 2), c.network(t, 2)
				o := locoprop.Options{Form: locoprop.FormExact, Gamma: closedGamma, Prox: 0.6, Steps: 3}
				if iterate {
					o.Form = locoprop.FormSpectral
				}
				closed := c.stepper(t, a, o)
				o.Form, o.Statistics = locoprop.FormStatistics, locoprop.Statistics{NoAverage: none, Iterate: iterate}
				statistics := c.stepper(t, b, o)
				batches := 1
				if none {
					batches = 3
				}
				start := snapshot(a)
				for batch := range batches {
					x, y := c.data(a, uint32(batch))
					step(t, closed, 1, x, y, 1)
					step(t, statistics, 1, x, y, 1)
				}
				for ℓ := range start {
					want, got := oracle.From32(a.Weights()[ℓ]), oracle.From32(b.Weights()[ℓ])
					limit := 4*0x1p-24*oracle.MaxAbs(want) + 1e-4*oracle.MaxDiff(want, start[ℓ])
					require.LessOrEqual(t, oracle.MaxDiff(want, got), limit, "%s, layer %d", c.name, ℓ)
				}
			}
		}
	}
}
