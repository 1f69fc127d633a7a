package sm3_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/sm3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func method(t *testing.T, o sm3.Options) *sm3.Method {
	t.Helper()
	m, err := sm3.New(o)
	require.NoError(t, err)
	return m
}

// layer is SM3 on one layer in float64, with AdaGrad's accumulator beside it.
type layer struct {
	rows, columns, biases []float64
	m, adagrad            oracle.Mat
}

func newLayer(w oracle.Mat) *layer {
	return &layer{make([]float64, w.Rows), make([]float64, w.Cols-1), make([]float64, w.Rows), oracle.New(w.Rows, w.Cols), oracle.New(w.Rows, w.Cols)}
}

func (l *layer) step(t *testing.T, w, g oracle.Mat, rate, μ float64) {
	t.Helper()
	rows, columns := make([]float64, len(l.rows)), make([]float64, len(l.columns))
	for i := range w.Rows {
		for j := range w.Cols {
			v := g.At(i, j)
			ν := l.biases[i] + v*v
			if j < len(columns) {
				ν = math.Min(l.rows[i], l.columns[j]) + v*v
				rows[i], columns[j] = math.Max(rows[i], ν), math.Max(columns[j], ν)
			} else {
				l.biases[i] = ν
			}
			l.adagrad.Set(i, j, l.adagrad.At(i, j)+v*v)
			assert.GreaterOrEqual(t, ν, l.adagrad.At(i, j)*(1-1e-12))
			l.m.Set(i, j, μ*l.m.At(i, j)+(1-μ)*v/math.Sqrt(ν+1e-30))
			w.Set(i, j, w.At(i, j)-rate*l.m.At(i, j))
		}
	}
	l.rows, l.columns = rows, columns
}

func TestStepsAgreeWithFormulas(t *testing.T) {
	for name, o := range map[string]sm3.Options{
		"default": {Eta: 0.1}, "blocks": {Eta: 0.3, Momentum: 0.5, Block: 2}, "plain": {Eta: 0.1, NoMomentum: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := method(t, o)
			methodtest.Against(t, m, 8, 1e-3, func(n *oracle.Network) func(x, y oracle.Mat, scale float64) {
				var layers []*layer
				for _, l := range n.Layers {
					layers = append(layers, newLayer(l.W))
				}
				return func(x, y oracle.Mat, scale float64) {
					for ℓ, p := range n.Backward(x, y) {
						layers[ℓ].step(t, n.Layers[ℓ].W, p.G, m.Rate()*scale, m.Options().Momentum)
					}
				}
			})
		})
	}
}

// The accumulators that are kept dominate AdaGrad's: min(r, c) ≥ Σg², for gradients taken
// at the weights that the method itself visits.
func TestDominatesAdaGrad(t *testing.T) {
	for _, p := range methodtest.Problems() {
		s, n := p.Stepper(t, method(t, sm3.Options{Eta: 0.1, Block: 2}))
		var sums []oracle.Mat
		for k := range 20 {
			x, y := p.Data(uint32(k))
			for ℓ, pass := range p.Oracle(n).Backward(oracle.From32(x), oracle.From32(y)) {
				if k == 0 {
					sums = append(sums, oracle.New(pass.G.Rows, pass.G.Cols))
				}
				sums[ℓ] = oracle.Plus(sums[ℓ], 1, pass.G.Map(func(v float64) float64 { return v * v }))
			}
			p.Run(t, s, 1, k, k+1)
			state := s.State()
			for ℓ, sum := range sums {
				rows, columns, biases := state[5*ℓ+1].F32, state[5*ℓ+2].F32, state[5*ℓ+3].F32
				for i := range sum.Rows {
					for j := range sum.Cols {
						kept := float64(biases[i])
						if j < len(columns) {
							kept = float64(min(rows[i], columns[j]))
						}
						require.GreaterOrEqual(t, kept, sum.At(i, j)*(1-1e-4)-1e-12, "%s, step %d, layer %d, (%d, %d)", p.Name, k, ℓ, i, j)
					}
				}
			}
		}
	}
}

func TestPromises(t *testing.T) {
	methodtest.Promises(t, method(t, sm3.Options{Eta: 0.1, Block: 4}), 6)
}

func TestRefuses(t *testing.T) {
	_, err := sm3.New(sm3.Options{Momentum: 1, NoMomentum: true, Block: -1})
	methodtest.Refuses(t, err, "learning rate is 0", "momentum is 1", "block is -1", "give one of both")
}
