package locoprop_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The fixed point iteration at α = 1 is SGD with the proximal term at the constant rate
// η = λ, on M and on several layers at once.
func TestFixedPointIsProximalSGDAtLambda(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, monotone)
		steps := rapid.IntRange(1, 6).Draw(t, "steps")
		o := locoprop.Options{Gamma: rapid.Float64Range(0.1, 5).Draw(t, "gamma"), Eta: 1, Block: 3}
		fixed := p.layered(t, o, func(o *locoprop.Options, lambda, _ float64) {
			o.Form, o.Prox = locoprop.FormImplicit, lambda/20 // λ‖C‖₂ ≤ ½: it converges
			o.Implicit = locoprop.Implicit{Solver: locoprop.SolverFixed, Relax: 1, Iterations: steps, Tolerance: 1e-9}
		})
		descent := p.layered(t, o, func(o *locoprop.Options, lambda, _ float64) {
			o.Form, o.Prox, o.Eta, o.Floor, o.Steps = locoprop.FormDirect, lambda/20, lambda/20, 1, steps
		})
		want, start := p.trained(t, k, newMethod(t, descent), 1)
		got, _ := p.trained(t, k, newMethod(t, fixed), 1)
		requireSame(t, "fixed point", want, got, start, 1e-4)
	})
}

// C and G of two parts of a batch add up to the whole's, and the Gram form, which looks at
// nothing else, makes of the sums what it makes of the batch.
func TestPartsOfABatchAddUp(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, monotone)
		p.batch++ // two parts
		cut := rapid.IntRange(1, p.batch-1).Draw(t, "cut")
		const steps, eta, gamma = 3, 1e-3, 2.5
		m := newMethod(t, locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormGram, Eta: eta, Gamma: gamma, Steps: steps, Floor: 1})
		n, start := p.trained(t, k, m, 1)
		tape, err := plan.NewTape(p.network(t, 3), p.loss, p.batch, k)
		require.NoError(t, err)
		pool := plan.NewPool(1)
		defer pool.Close()
		x, y := p.data(0)
		_, err = tape.Run(pool, x, y)
		require.NoError(t, err)
		for ℓ, design := range tape.Design {
			units, cols := tape.D[ℓ].Cols, design.Cols
			second, gradient := oracle.New(cols, cols), oracle.New(units, cols)
			for _, part := range [][2]int{{0, cut}, {cut, p.batch}} {
				c, g := backend.NewMat(cols, cols), backend.NewMat(units, cols)
				rows := backend.Rows(design, part[0], part[1])
				k.Syrk(true, 1, rows, 0, c)
				k.Grad(g, backend.Rows(tape.D[ℓ], part[0], part[1]), rows)
				second, gradient = oracle.Plus(second, 1, oracle.From32(c)), oracle.Plus(gradient, 1, oracle.From32(g))
			}
			delta := oracle.New(units, cols)
			for range steps {
				delta = oracle.Plus(delta, -eta, oracle.Plus(oracle.Mul(delta, second), gamma, gradient))
			}
			got := oracle.From32(n.Weights()[ℓ])
			limit := 2*0x1p-24*oracle.MaxAbs(got) + 1e-5*oracle.MaxAbs(delta)
			require.LessOrEqual(t, oracle.MaxDiff(got, oracle.Plus(start[ℓ], 1, delta)), limit, "layer %d", ℓ)
		}
	})
}
