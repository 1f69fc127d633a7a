package kbfgs_test

import (
	"math"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/kbfgs"
	"github.com/stretchr/testify/require"
)

func method(t *testing.T, o kbfgs.Options) *kbfgs.Method {
	t.Helper()
	m, err := kbfgs.New(o)
	require.NoError(t, err)
	return m
}

// formulas is K-BFGS in float64, as its documentation has it. All vectors are columns.
type formulas struct {
	kbfgs.Options
	net                *oracle.Network
	k                  int
	c, ha, hg, m, s, y []oracle.Mat
	pairs              [][][2]oracle.Mat
}

func newFormulas(o kbfgs.Options, net *oracle.Network) *formulas {
	f := &formulas{Options: o, net: net, pairs: make([][][2]oracle.Mat, len(net.Layers))}
	for _, l := range net.Layers {
		m, n := l.W.Rows, l.W.Cols
		f.c, f.ha, f.hg = append(f.c, oracle.New(n, n)), append(f.ha, oracle.Mat{}), append(f.hg, oracle.Eye(m, 1))
		f.m, f.s, f.y = append(f.m, oracle.New(m, n)), append(f.s, oracle.New(m, 1)), append(f.y, oracle.New(m, 1))
	}
	return f
}

func scaled(m oracle.Mat, s float64) oracle.Mat {
	return m.Map(func(v float64) float64 { return s * v })
}

func average(old oracle.Mat, β float64, now oracle.Mat) oracle.Mat {
	return oracle.Plus(scaled(old, β), 1-β, now)
}

func means(m oracle.Mat, scale float64) oracle.Mat {
	sum := oracle.New(m.Cols, 1)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			sum.Data[j] += scale * v
		}
	}
	return sum
}

// bfgs is (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ, the update in another form.
func bfgs(h, s, y oracle.Mat) oracle.Mat {
	ρ := 1 / oracle.Dot(s, y)
	v := oracle.Plus(oracle.Eye(h.Rows, 1), -ρ, oracle.Mul(s, y.T()))
	return oracle.Plus(oracle.Mul(oracle.Mul(v, h), v.T()), ρ, oracle.Mul(s, s.T()))
}

func (f *formulas) step(x, t oracle.Mat, scale float64) {
	f.k++
	b, ridge := float64(x.Rows), math.Sqrt(f.Damping)
	β := math.Min(0.9, 1-1/float64(f.k))
	before := f.net.Backward(x, t)
	for ℓ, p := range before {
		w := f.net.Layers[ℓ].W
		f.c[ℓ] = average(f.c[ℓ], β, scaled(oracle.Mul(p.X.T(), p.X), 1/b))
		f.m[ℓ] = average(f.m[ℓ], 0.9, oracle.Plus(p.G, f.L2, w))
		damped := oracle.Plus(f.c[ℓ], 1, oracle.Eye(w.Cols, ridge))
		if f.k == 1 {
			f.ha[ℓ] = oracle.Inverse(damped)
		}
		f.net.Layers[ℓ].W = oracle.Plus(w, -f.Eta*scale, oracle.Mul(oracle.Mul(f.hg[ℓ], f.m[ℓ]), f.ha[ℓ]))
		s := oracle.Mul(f.ha[ℓ], means(p.X, 1/b))
		f.ha[ℓ] = bfgs(f.ha[ℓ], s, oracle.Mul(damped, s))
	}
	for ℓ, p := range f.net.Backward(x, t) {
		old := before[ℓ]
		f.s[ℓ] = average(f.s[ℓ], 0.9, oracle.Plus(means(p.A, 1/b), -1, means(old.A, 1/b)))
		f.y[ℓ] = average(f.y[ℓ], 0.9, oracle.Plus(means(p.D, 1), -1, means(old.D, 1)))
		s, y := f.s[ℓ], f.y[ℓ]
		hy := oracle.Mul(f.hg[ℓ], y)
		if yhy, sy := oracle.Dot(y, hy), oracle.Dot(s, y); sy < 0.2*yhy {
			s = average(hy, 1-0.8*yhy/(yhy-sy), s)
		}
		if ss, sy := oracle.Dot(s, s), oracle.Dot(s, y); sy < ridge*ss {
			y = average(s, 1-(1-ridge)*ss/(ss-sy), y)
		}
		d := means(old.D, 1)
		if oracle.Dot(s, y) <= 1e-4*oracle.Dot(s, s)*math.Sqrt(oracle.Dot(d, d)) {
			continue
		}
		if !f.Limited {
			f.hg[ℓ] = bfgs(f.hg[ℓ], s, y)
			continue
		}
		f.pairs[ℓ] = append(f.pairs[ℓ], [2]oracle.Mat{s, y})
		f.hg[ℓ] = oracle.Eye(s.Rows, 1)
		for _, pair := range f.pairs[ℓ][max(0, len(f.pairs[ℓ])-f.Memory):] {
			f.hg[ℓ] = bfgs(f.hg[ℓ], pair[0], pair[1])
		}
	}
}

func TestStepsAgreeWithFormulas(t *testing.T) {
	for name, o := range map[string]kbfgs.Options{
		"default": {},
		"blocks":  {Eta: 0.1, Damping: 0.1, Block: 4, L2: 1e-2},
		"limited": {Limited: true, Memory: 3, Block: 4},
		"hundred": {Limited: true, NoL2: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := method(t, o)
			// The pairs are differences of means, which lose digits to cancellation.
			methodtest.Against(t, m, 8, 5e-3, func(n *oracle.Network) func(x, y oracle.Mat, scale float64) {
				return newFormulas(m.Options(), n).step
			})
		})
	}
}

// Both inverses stay symmetric and positive definite over 200 steps, of which many give
// pairs without curvature.
func TestPositiveDefinite(t *testing.T) {
	k := gonum.New()
	for _, p := range methodtest.Problems() {
		s, _ := p.Stepper(t, method(t, kbfgs.Options{}))
		for first := 0; first < 200; first += 10 {
			for k := first; k < first+10; k++ {
				p.Run(t, s, 1, k%100, k%100+1)
			}
			for _, tensor := range s.State() {
				if !strings.HasSuffix(tensor.Name, "kbfgs.input") && !strings.HasSuffix(tensor.Name, "kbfgs.output") {
					continue
				}
				n := tensor.Shape[0]
				a := make([]float64, n*n)
				for i := range n {
					for j := range n {
						a[i*n+j] = float64(tensor.F32[i*n+j])
						require.Equal(t, tensor.F32[i*n+j], tensor.F32[j*n+i], "symmetric")
					}
				}
				require.NoError(t, k.Cholesky(a, n), "%s after %d steps of %s", tensor.Name, first+10, p.Name)
			}
		}
	}
}

func TestPromises(t *testing.T) {
	methodtest.Promises(t, method(t, kbfgs.Options{Block: 4}), 9)
	methodtest.Promises(t, method(t, kbfgs.Options{Block: 4, Limited: true, Memory: 2}), 9)
}

func TestRefuses(t *testing.T) {
	_, err := kbfgs.New(kbfgs.Options{Eta: -1, Damping: 1, L2: 1, NoL2: true, Memory: 5, Block: -1})
	methodtest.Refuses(t, err, "learning rate is -1", "damping is 1", "give one of both", "memory of 5 pairs", "block is -1")
}

func TestFails(t *testing.T) {
	m, err := kbfgs.New(kbfgs.Options{})
	require.NoError(t, err)
	methodtest.Fails(t, m, "second moment")
}
