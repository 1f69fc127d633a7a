package foof_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/method/foof"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/stretchr/testify/require"
)

func method(t *testing.T, o foof.Options) *foof.Method {
	t.Helper()
	m, err := foof.New(o)
	require.NoError(t, err)
	return m
}

func TestStepsAgreeWithFormulas(t *testing.T) {
	for name, o := range map[string]foof.Options{
		"default":  {Eta: 0.1},
		"momentum": {Eta: 0.1, Damping: 0.5, Average: 0.5, Refresh: 3, Block: 4, Optimizer: optimizer.New(optimizer.Momentum)},
	} {
		t.Run(name, func(t *testing.T) {
			m := method(t, o)
			o := m.Options()
			methodtest.Against(t, m, 7, 1e-4, func(n *oracle.Network) func(x, y oracle.Mat, scale float64) {
				opts := n.Optimizers(o.Optimizer)
				second, inverse := make([]oracle.Mat, len(opts)), make([]oracle.Mat, len(opts))
				k := 0
				return func(x, y oracle.Mat, scale float64) {
					k++
					β := math.Min(o.Average, 1-1/float64(k))
					for ℓ, p := range n.Backward(x, y) {
						c := oracle.Mul(p.X.T(), p.X)
						b := float64(x.Rows)
						if k == 1 {
							second[ℓ] = oracle.New(c.Rows, c.Cols)
						}
						second[ℓ] = oracle.Plus(second[ℓ].Map(func(v float64) float64 { return β * v }), (1-β)/b, c)
						if (k-1)%o.Refresh == 0 {
							ρ := o.Damping
							if ρ == 0 {
								ρ = o.Relative * oracle.Trace(second[ℓ]) / float64(c.Rows)
							}
							inverse[ℓ] = oracle.Inverse(oracle.Plus(second[ℓ], 1, oracle.Eye(c.Rows, ρ)))
						}
						opts[ℓ].Step(n.Layers[ℓ].W, oracle.Mul(p.G, inverse[ℓ]), o.Eta*scale)
					}
				}
			})
		})
	}
}

// Without averages it is LocoProp-S, solved exactly, with γ = ηB and λ = 1/(ρB).
func TestIsExactS(t *testing.T) {
	const eta, damping = 0.2, 0.3
	for _, p := range methodtest.Problems() {
		b := float64(p.Batch)
		exact, err := locoprop.New(locoprop.Options{
			Loss: locoprop.Squared, Form: locoprop.FormExact, Eta: 1, Gamma: eta * b, Prox: 1 / (damping * b),
		})
		require.NoError(t, err)
		s, n := p.Stepper(t, method(t, foof.Options{Eta: eta, Damping: damping, NoAverage: true}))
		r, other := p.Stepper(t, exact)
		before := methodtest.Weights(n)
		for k := range 3 {
			x, y := p.Data(uint32(k))
			methodtest.Step(t, s, x, y, 1)
			methodtest.Step(t, r, x, y, 1)
		}
		methodtest.Agrees(t, n, p.Oracle(other), before, 1e-4)
	}
}

func TestPromises(t *testing.T) {
	methodtest.Promises(t, method(t, foof.Options{Eta: 0.1, Block: 4, Refresh: 2, Optimizer: optimizer.New(optimizer.Nesterov)}), 6)
}

func TestRefuses(t *testing.T) {
	_, err := foof.New(foof.Options{Damping: 1, Relative: 1, Block: -1, Optimizer: optimizer.New(optimizer.ScheduleFree)})
	methodtest.Refuses(t, err, "learning rate is 0", "give one of both", "block is -1", "optimizer schedule-free keeps weights of its own")
}

func TestFails(t *testing.T) {
	m, err := foof.New(foof.Options{Eta: 0.1})
	require.NoError(t, err)
	methodtest.Fails(t, m, "preconditioner")
}
