package optimizer_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/stretchr/testify/assert"
)

// objective is a function to be made small from a starting point.
type objective struct {
	name  string
	start []float32
	value func(w []float32) float64
	grad  func(g, w []float32)
	// below is what every rule must reach within steps.
	below float64
	steps int
	rates map[optimizer.Kind]float64
}

// quadratic is ½Σ cᵢwᵢ², curvatures from 0.1 to 10.
func quadratic() objective {
	curvature := []float64{0.1, 0.5, 1, 3, 10}
	return objective{
		name:  "quadratic",
		start: []float32{1, -1, 1, -1, 1},
		value: func(w []float32) (sum float64) {
			for i, c := range curvature {
				sum += c * float64(w[i]) * float64(w[i]) / 2
			}
			return sum
		},
		grad: func(g, w []float32) {
			for i, c := range curvature {
				g[i] = float32(c * float64(w[i]))
			}
		},
		below: 1e-3, steps: 3000,
		rates: map[optimizer.Kind]float64{
			optimizer.SGD: 0.1, optimizer.Momentum: 0.02, optimizer.Nesterov: 0.02, optimizer.AdaGrad: 0.5,
			optimizer.RMSPropTF1: 2e-5, optimizer.RMSPropTorch: 0.005,
			optimizer.AdamTF1: 0.02, optimizer.AdamTorch: 0.02, optimizer.AdamW: 0.02,
			optimizer.MomentumBuffer: 0.02, optimizer.AMSGrad: 0.02, optimizer.NadamW: 0.02, optimizer.ScheduleFree: 0.1, optimizer.EGU: 0.1, optimizer.EGUGD: 0.1, optimizer.PNorm: 0.1,
		},
	}
}

// rosenbrock is (1 − x)² + 100(y − x²)², from the usual (−1.2, 1).
func rosenbrock() objective {
	return objective{
		name:  "rosenbrock",
		start: []float32{-1.2, 1},
		value: func(w []float32) float64 {
			x, y := float64(w[0]), float64(w[1])
			return (1-x)*(1-x) + 100*(y-x*x)*(y-x*x)
		},
		grad: func(g, w []float32) {
			x, y := float64(w[0]), float64(w[1])
			g[0] = float32(-2*(1-x) - 400*x*(y-x*x))
			g[1] = float32(200 * (y - x*x))
		},
		below: 0.01, steps: 8000,
		rates: map[optimizer.Kind]float64{
			optimizer.SGD: 1e-3, optimizer.Momentum: 2e-4, optimizer.Nesterov: 2e-4, optimizer.AdaGrad: 0.5,
			optimizer.RMSPropTF1: 1e-5, optimizer.RMSPropTorch: 2e-3,
			optimizer.AdamTF1: 0.01, optimizer.AdamTorch: 0.01, optimizer.AdamW: 0.01,
			optimizer.MomentumBuffer: 2e-4, optimizer.AMSGrad: 0.01, optimizer.NadamW: 0.01, optimizer.ScheduleFree: 0.05, optimizer.EGU: 4e-4, optimizer.EGUGD: 4e-4, optimizer.PNorm: 1e-3,
		},
	}
}

// logistic is the mean cross-entropy of logistic regression on 200 points of two
// overlapping classes; the last weight is the bias.
func logistic() objective {
	const points, dim = 200, 4
	rng := rand.New(rand.NewPCG(4, 4))
	var x [points][dim + 1]float64
	var label [points]float64
	for i := range x {
		label[i] = float64(i % 2)
		for j := range dim {
			x[i][j] = rng.NormFloat64() + 1.5*(label[i]-0.5)
		}
		x[i][dim] = 1
	}
	margin := func(w []float32, i int) (a float64) {
		for j, v := range x[i] {
			a += v * float64(w[j])
		}
		return a
	}
	return objective{
		name:  "logistic",
		start: make([]float32, dim+1),
		value: func(w []float32) (sum float64) {
			for i := range x {
				a := margin(w, i)
				sum += math.Log1p(math.Exp(a)) - label[i]*a
			}
			return sum / points
		},
		grad: func(g, w []float32) {
			clear(g)
			for i := range x {
				d := (1/(1+math.Exp(-margin(w, i))) - label[i]) / points
				for j, v := range x[i] {
					g[j] += float32(d * v)
				}
			}
		},
		below: 0.21, steps: 500,
		rates: map[optimizer.Kind]float64{
			optimizer.SGD: 0.5, optimizer.Momentum: 0.1, optimizer.Nesterov: 0.1, optimizer.AdaGrad: 0.3,
			optimizer.RMSPropTF1: 1e-4, optimizer.RMSPropTorch: 0.01,
			optimizer.AdamTF1: 0.05, optimizer.AdamTorch: 0.05, optimizer.AdamW: 0.05,
			optimizer.MomentumBuffer: 0.1, optimizer.AMSGrad: 0.05, optimizer.NadamW: 0.05, optimizer.ScheduleFree: 0.1, optimizer.EGU: 0.5, optimizer.EGUGD: 0.5, optimizer.PNorm: 0.3,
		},
	}
}

// TestObjectives: every rule lowers every objective to a stated value.
func TestObjectives(t *testing.T) {
	for _, o := range []objective{quadratic(), rosenbrock(), logistic()} {
		for k := optimizer.SGD; k <= lastKind; k++ {
			r := optimizer.New(k)
			t.Run(fmt.Sprintf("%s/%s%s", o.name, r.Name(), r.Variant()), func(t *testing.T) {
				w, g := append([]float32(nil), o.start...), make([]float32, len(o.start))
				s := newState(r, len(w))
				for range o.steps {
					o.grad(g, w)
					s.step(w, nil, g, o.rates[k], 0)
				}
				assert.Less(t, o.value(w), o.below, "started at %.3g", o.value(o.start))
			})
		}
	}
}
