package proxprop_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/proxprop"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/stretchr/testify/require"
)

func method(t *testing.T, o proxprop.Options) *proxprop.Method {
	t.Helper()
	m, err := proxprop.New(o)
	require.NoError(t, err)
	return m
}

// conjugate is N steps of the conjugate gradient method for row vectors: δA = g.
func conjugate(a, g oracle.Mat, steps int) oracle.Mat {
	all := oracle.New(g.Rows, g.Cols)
	for u := range g.Rows {
		r := oracle.Mat{Rows: 1, Cols: g.Cols, Data: append([]float64(nil), g.Row(u)...)}
		δ, p := oracle.New(1, g.Cols), r.Clone()
		for range steps {
			q := oracle.Mul(p, a)
			rr := oracle.Dot(r, r)
			if rr == 0 {
				break
			}
			α := rr / (oracle.Dot(p, q) + 1e-6)
			δ, r = oracle.Plus(δ, α, p), oracle.Plus(r, -α, q)
			p = oracle.Plus(r, oracle.Dot(r, r)/rr, p)
		}
		copy(all.Row(u), δ.Data)
	}
	return all
}

func TestStepsAgreeWithFormulas(t *testing.T) {
	for name, o := range map[string]proxprop.Options{
		"default":  {},
		"three":    {Steps: 3, Tau: 0.2, Block: 4},
		"momentum": {Steps: 2, Eta: 0.01, Tau: 5, Optimizer: optimizer.New(optimizer.Momentum)},
		"exact":    {Exact: true, Tau: 0.3, Block: 3},
	} {
		t.Run(name, func(t *testing.T) {
			m := method(t, o)
			o := m.Options()
			methodtest.Against(t, m, 5, 1e-3, func(n *oracle.Network) func(x, y oracle.Mat, scale float64) {
				opts := n.Optimizers(o.Optimizer)
				full := 0 // examples of the first batch
				return func(x, y oracle.Mat, scale float64) {
					full = max(full, x.Rows)
					γ := float64(x.Rows) / float64(full)
					for ℓ, p := range n.Backward(x, y) {
						a := oracle.Plus(oracle.Mul(p.X.T(), p.X), 1, oracle.Eye(p.X.Cols, 1/o.Tau))
						g := p.G.Map(func(v float64) float64 { return γ * v })
						δ := oracle.Mul(g, oracle.Inverse(a))
						if !o.Exact {
							δ = conjugate(a, g, o.Steps)
						}
						opts[ℓ].Step(n.Layers[ℓ].W, δ, o.Eta*scale)
					}
				}
			})
		})
	}
}

// The exact form is LocoProp-S, solved exactly, with γ = 1 and λ = τ; many conjugate
// gradient steps come to the same. On short batches too.
func TestIsExactS(t *testing.T) {
	const tau = 0.5
	for _, p := range methodtest.WithShort(methodtest.Problems()) {
		exact, err := locoprop.New(locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormExact, Eta: 1, Gamma: 1, Prox: tau})
		require.NoError(t, err)
		for _, o := range []proxprop.Options{{Tau: tau, Exact: true}, {Tau: tau, Steps: 12}} {
			s, n := p.Stepper(t, method(t, o))
			r, other := p.Stepper(t, exact)
			before := methodtest.Weights(n)
			x, y := p.Data(1)
			methodtest.Step(t, s, x, y, 1)
			methodtest.Step(t, r, x, y, 1)
			tolerance := 1e-4
			if !o.Exact { // the 1e-6 in α, beside curvatures along small gradients
				tolerance = 0.1
			}
			methodtest.Agrees(t, n, p.Oracle(other), before, tolerance)
		}
	}
}

func TestPromises(t *testing.T) {
	methodtest.Promises(t, method(t, proxprop.Options{Block: 4, Steps: 2, Optimizer: optimizer.New(optimizer.AdamTorch), Eta: 1e-3}), 6)
	methodtest.Promises(t, method(t, proxprop.Options{Block: 4, Exact: true}), 6)
}

func TestRefuses(t *testing.T) {
	_, err := proxprop.New(proxprop.Options{Eta: -1, Tau: -2, Block: -1, Exact: true, Steps: 3})
	methodtest.Refuses(t, err, "learning rate is -1", "tau is -2", "block is -1", "give one of both")
	_, err = proxprop.New(proxprop.Options{Steps: -1})
	methodtest.Refuses(t, err, "conjugate gradient steps is -1")
}

func TestFails(t *testing.T) {
	m, err := proxprop.New(proxprop.Options{Exact: true})
	require.NoError(t, err)
	methodtest.Fails(t, m, "preconditioner")
}
