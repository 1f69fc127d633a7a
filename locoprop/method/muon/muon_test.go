package muon

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func method(t *testing.T, o Options) *Method {
	t.Helper()
	m, err := New(o)
	require.NoError(t, err)
	return m
}

func scaled(m oracle.Mat, s float64) oracle.Mat {
	return m.Map(func(v float64) float64 { return s * v })
}

// orthogonalised is the iteration in float64, on the transpose where that is wide.
func orthogonalised(u oracle.Mat) oracle.Mat {
	if u.Rows > u.Cols {
		return orthogonalised(u.T()).T()
	}
	x := scaled(u, 1/(math.Sqrt(oracle.Dot(u, u))+1e-7))
	for range 5 {
		a := oracle.Mul(x, x.T())
		b := oracle.Plus(scaled(a, -4.7750), 2.0315, oracle.Mul(a, a))
		x = oracle.Plus(scaled(x, 3.4445), 1, oracle.Mul(b, x))
	}
	return x
}

func TestStepsAgreeWithFormulas(t *testing.T) {
	for name, o := range map[string]Options{
		"default": {},
		"decay":   {Eta: 0.1, AdamEta: 0.02, Momentum: 0.5, WeightDecay: 0.3, Block: 3},
		"plain":   {NoMomentum: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := method(t, o)
			o := m.Options()
			methodtest.Against(t, m, 6, 2e-3, func(n *oracle.Network) func(x, y oracle.Mat, scale float64) {
				rule := optimizer.Rule{Kind: optimizer.AdamW, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-10, WeightDecay: o.WeightDecay}
				adam := n.Optimizers(rule)
				var momentum []oracle.Mat
				for _, l := range n.Layers {
					momentum = append(momentum, oracle.New(l.W.Rows, l.W.Cols-1))
				}
				return func(x, y oracle.Mat, scale float64) {
					for ℓ, p := range n.Backward(x, y) {
						w := n.Layers[ℓ].W
						before := w.Clone()
						adam[ℓ].Step(w, p.G, o.AdamEta*scale)
						if ℓ == 0 || ℓ == len(n.Layers)-1 {
							continue
						}
						rows, cols := w.Rows, w.Cols-1
						g := p.G.Columns(0, cols)
						momentum[ℓ] = oracle.Plus(scaled(momentum[ℓ], o.Momentum), 1-o.Momentum, g)
						u := orthogonalised(oracle.Plus(scaled(g, 1-o.Momentum), o.Momentum, momentum[ℓ]))
						for i := range rows {
							for j := range cols {
								step := o.Eta * scale * math.Sqrt(math.Max(1, float64(rows)/float64(cols))) * u.At(i, j)
								w.Set(i, j, (1-o.Eta*scale*o.WeightDecay)*before.At(i, j)-step)
							}
						}
					}
				}
			})
		})
	}
}

// On input whose singular values are at least a hundredth of its norm, the result's lie
// between 0.68 and 1.14; sizes beyond one stripe, tall and wide.
func TestSingularValues(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 9}, {7, 3}, {20, 20}, {12, 150}, {150, 12}, {140, 133}} {
		m, n := size[0], size[1]
		// Singular values between 1 and 2: a random matrix of orthogonal rows, distorted.
		q := methodtest.SPD(max(m, n), 2, 2, 5)
		g := oracle.New(m, n)
		for i := range m {
			copy(g.Row(i), q.Row(i)[:n])
		}
		if f := math.Sqrt(oracle.Dot(g, g)); f > 90 {
			t.Fatal("the input is no test: its norm is", f)
		}
		x := backend.NewMat(n, n+1) // X̃ = [I 1], D = Gᵀ: DᵀX̃ = [G …]
		for i := range n {
			x.Data[i*(n+1)+i], x.Data[i*(n+1)+n] = 1, 1
		}
		w := backend.NewMat(m, n+1)
		r := newOrthogonal(&layerwise.Layer{
			Index: 1, Block: 64, Kernels: gonum.New(), X: x, D: g.T().To32(), W: w,
		}, method(t, Options{}).Options())
		pool := plan.NewPool(2)
		r.Begin(1)
		for _, stage := range r.Stages() {
			require.NoError(t, pool.Run(plan.NewJobPhase("", stage)))
		}
		pool.Close()
		o := scaled(oracle.From32(w).Columns(0, n), -1/math.Sqrt(math.Max(1, float64(m)/float64(n))))
		if m > n {
			o = o.T()
		}
		square := oracle.Mul(o, o.T())
		values := make([]float64, square.Rows)
		k := gonum.New()
		require.NoError(t, k.SymEig(square.Data, len(values), values, make([]float64, k.SymEigWork(len(values)))))
		for _, v := range values {
			σ := math.Sqrt(v)
			assert.True(t, 0.68 <= σ && σ <= 1.14, "%v: singular value %v", size, σ)
		}
	}
}

func TestPromises(t *testing.T) {
	methodtest.Promises(t, method(t, Options{Block: 4}), 6)
	// Products in stripes: layers beyond 128.
	wide := methodtest.Problems()[0]
	wide.Arch.Widths, wide.Batch = []int{3, 140, 131, 150, 3}, 4
	var want []plan.Tensor
	for _, workers := range []int{1, 3} {
		s, _ := wide.Stepper(t, method(t, Options{}))
		wide.Run(t, s, workers, 0, 2)
		if want == nil {
			want = s.State()
		}
		require.Equal(t, want, s.State(), fmt.Sprint(workers))
	}
}

func TestRefuses(t *testing.T) {
	_, err := New(Options{Eta: -1, AdamEta: math.Inf(1), Momentum: 2, WeightDecay: -1, Block: -1, NoMomentum: true})
	methodtest.Refuses(t, err, "rate is -1", "AdamW is +Inf", "momentum is 2", "weight decay is -1", "block is -1", "give one of both")
}
