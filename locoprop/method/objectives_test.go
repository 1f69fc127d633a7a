// Package method_test tests all methods together.
package method_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/adafactor"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/method/foof"
	"github.com/locoprop/locoprop-go/locoprop/method/kbfgs"
	"github.com/locoprop/locoprop-go/locoprop/method/kfac"
	"github.com/locoprop/locoprop-go/locoprop/method/muon"
	"github.com/locoprop/locoprop-go/locoprop/method/proxprop"
	"github.com/locoprop/locoprop-go/locoprop/method/shampoo"
	"github.com/locoprop/locoprop-go/locoprop/method/sm3"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// objective is a loss to be made small, on one batch.
type objective struct {
	name  string
	arch  nn.Arch
	loss  loss.Loss
	x, t  backend.Mat
	start func(n *nn.Network)
	below float64 // what every method must reach within steps
	steps int
}

func random(rng *rand.Rand, rows, cols int, scale func(j int) float64) backend.Mat {
	m := backend.NewMat(rows, cols)
	for i := range rows {
		for j := range cols {
			m.Data[i*cols+j] = float32(scale(j) * rng.NormFloat64())
		}
	}
	return m
}

func glorot(n *nn.Network) { n.Init(nn.Glorot, 1) }

// quadratic is linear regression on inputs of unlike sizes, with targets that a linear map
// gives: curvatures from 0.04 to 4, least value 0.
func quadratic() objective {
	rng := rand.New(rand.NewPCG(1, 1))
	x := random(rng, 60, 5, func(j int) float64 { return 2 / math.Pow(10, float64(j)/4) })
	w := random(rng, 3, 5, func(int) float64 { return 1 })
	t := backend.NewMat(60, 3)
	gonum.New().Gemm(false, true, 1, x, w, 0, t)
	return objective{
		name: "quadratic", arch: nn.Arch{Widths: []int{5, 3}, Transfer: []transfer.Func{transfer.Identity}}, loss: loss.Squared,
		x: x, t: t, start: glorot, below: 0.02, steps: 300,
	}
}

var valley = sync.OnceValues(func() (loss.Loss, error) {
	return loss.Register("rosenbrock", loss.Custom{
		Transfer: transfer.Identity,
		Eval: func(d, a, _, _ []float32, _ transfer.Func, scale float32) float64 {
			x, y := float64(a[0]), float64(a[1])
			if d != nil {
				d[0] = scale * float32(-2*(1-x)-400*x*(y-x*x))
				d[1] = scale * float32(200*(y-x*x))
			}
			return (1-x)*(1-x) + 100*(y-x*x)*(y-x*x)
		},
	})
})

// rosenbrock is (1 − x)² + 100(y − x²)² from (−1.2, 1), x and y the two outputs of a layer
// that sees nothing but its bias.
func rosenbrock(t *testing.T) objective {
	t.Helper()
	l, err := valley()
	require.NoError(t, err)
	return objective{
		name: "rosenbrock", arch: nn.Arch{Widths: []int{1, 2}, Transfer: []transfer.Func{transfer.Identity}}, loss: l,
		x: backend.NewMat(1, 1), t: backend.NewMat(1, 2),
		start: func(n *nn.Network) { copy(n.Weights()[0].Data, []float32{0, -1.2, 0, 1}) },
		below: 0.1, steps: 6000,
	}
}

// logistic is logistic regression on two overlapping classes; its least value is 0.190.
func logistic() objective {
	rng := rand.New(rand.NewPCG(4, 4))
	x, t := random(rng, 200, 4, func(int) float64 { return 1 }), backend.NewMat(200, 1)
	for i := range 200 {
		t.Data[i] = float32(i % 2)
		for j := range 4 {
			x.Data[4*i+j] += 1.5 * (t.Data[i] - 0.5)
		}
	}
	return objective{
		name: "logistic", arch: nn.Arch{Widths: []int{4, 1}, Transfer: []transfer.Func{transfer.Sigmoid}}, loss: loss.SigmoidCE,
		x: x, t: t, start: glorot, below: 0.23, steps: 300,
	}
}

// linear is a linear network of four layers that is to learn a linear map: not convex, with
// a saddle at 0, least value 0.
func linear() objective {
	rng := rand.New(rand.NewPCG(2, 2))
	x := random(rng, 40, 6, func(int) float64 { return 1 })
	w := random(rng, 4, 6, func(int) float64 { return 0.5 })
	t := backend.NewMat(40, 4)
	gonum.New().Gemm(false, true, 1, x, w, 0, t)
	id := transfer.Identity
	return objective{
		name: "deep linear", arch: nn.Arch{Widths: []int{6, 8, 7, 8, 4}, Transfer: []transfer.Func{id, id, id, id}}, loss: loss.Squared,
		x: x, t: t, start: glorot, below: 0.02, steps: 300,
	}
}

// contender is a method with its rate for each objective; 0: it can't do it.
type contender struct {
	name  string
	make  func(rate float64) (plan.Method, error)
	rates map[string]float64
}

func made[M plan.Method](m M, err error) (plan.Method, error) { return m, err }

func contenders() []contender {
	rates := func(quadratic, rosenbrock, logistic, linear float64) map[string]float64 {
		return map[string]float64{"quadratic": quadratic, "rosenbrock": rosenbrock, "logistic": logistic, "deep linear": linear}
	}
	first := func(k optimizer.Kind, rates map[string]float64) contender {
		rule := optimizer.New(k)
		return contender{"backprop " + strings.TrimSpace(rule.Name()+" "+rule.Variant()), func(r float64) (plan.Method, error) {
			return made(backprop.New(backprop.Options{Eta: r, Optimizer: rule}))
		}, rates}
	}
	local := func(name string, o locoprop.Options, rates map[string]float64) contender {
		return contender{"locoprop " + name, func(r float64) (plan.Method, error) {
			o.Eta = r
			return made(locoprop.New(o))
		}, rates}
	}
	sgd := optimizer.New(optimizer.SGD)
	return []contender{
		local("m", locoprop.Options{Gamma: 10, Steps: 10, Optimizer: sgd}, rates(2e-3, 2e-5, 1e-2, 1e-3)),
		local("s", locoprop.Options{Gamma: 10, Steps: 10, Loss: locoprop.Squared, Optimizer: sgd}, rates(2e-3, 2e-5, 3e-3, 1e-3)),
		local("exact", locoprop.Options{Gamma: 20, Loss: locoprop.Squared, Form: locoprop.FormExact, Prox: 0.1}, rates(1, 0, 1, 1)),
		local("metric", locoprop.Options{Gamma: 0.1, GammaRule: locoprop.GammaFisher, Form: locoprop.FormMetric}, rates(1, 0, 1, 0.3)),
		first(optimizer.SGD, rates(0.1, 1e-3, 1, 0.1)),
		first(optimizer.Momentum, rates(0.03, 3e-4, 0.3, 0.03)),
		first(optimizer.Nesterov, rates(0.03, 3e-4, 0.3, 0.01)),
		first(optimizer.AdaGrad, rates(0.3, 0.3, 0.3, 0.1)),
		first(optimizer.RMSPropTorch, rates(0.03, 0.003, 0.03, 0.003)),
		first(optimizer.AdamTorch, rates(0.03, 0.01, 0.03, 0.01)),
		first(optimizer.AdamW, rates(0.03, 0.01, 0.03, 0.01)),
		first(optimizer.NadamW, rates(0.03, 0.01, 0.03, 0.01)),
		first(optimizer.ScheduleFree, rates(0.1, 0.03, 0.1, 0.03)),
		{"adafactor relative", func(r float64) (plan.Method, error) {
			return made(adafactor.New(adafactor.Options{Eta: r}))
		}, rates(5, 2, 10, 2)},
		{"kfac", func(r float64) (plan.Method, error) { return made(kfac.New(kfac.Options{Eta: r, Damping: 1})) }, rates(1, 0, 1, 1)},
		{"kfac empirical", func(r float64) (plan.Method, error) {
			return made(kfac.New(kfac.Options{Eta: r, Damping: 1, Empirical: true}))
		}, rates(1, 0, 1, 1)},
		{"kfac plain", func(r float64) (plan.Method, error) {
			return made(kfac.New(kfac.Options{Eta: r, Plain: true, Damping: 0.01}))
		}, rates(0.1, 0, 0.1, 0.1)},
		{"shampoo", func(r float64) (plan.Method, error) { return made(shampoo.New(shampoo.Options{Eta: r})) }, rates(0.03, 3e-4, 0.3, 0.03)},
		{"shampoo original", func(r float64) (plan.Method, error) {
			return made(shampoo.New(shampoo.Options{Eta: r, Original: true, Refresh: 1}))
		}, rates(0.3, 0.3, 0.3, 0.1)},
		{"muon", func(r float64) (plan.Method, error) { return made(muon.New(muon.Options{Eta: r, AdamEta: r})) }, rates(0.03, 0.01, 0.03, 0.01)},
		{"kbfgs", func(r float64) (plan.Method, error) { return made(kbfgs.New(kbfgs.Options{Eta: r})) }, rates(0.3, 3e-3, 1, 0.1)},
		{"kbfgs limited", func(r float64) (plan.Method, error) {
			return made(kbfgs.New(kbfgs.Options{Eta: r, Limited: true, Memory: 20}))
		}, rates(0.3, 3e-3, 1, 0.1)},
		{"sm3", func(r float64) (plan.Method, error) { return made(sm3.New(sm3.Options{Eta: r})) }, rates(0.3, 0.3, 0.3, 0.1)},
		{"adafactor", func(r float64) (plan.Method, error) {
			return made(adafactor.New(adafactor.Options{Eta: r, Fixed: true}))
		}, rates(0.03, 0.003, 0.03, 0.003)},
		{"foof", func(r float64) (plan.Method, error) { return made(foof.New(foof.Options{Eta: r})) }, rates(0.5, 1e-3, 1, 0.03)},
		{"proxprop", func(r float64) (plan.Method, error) { return made(proxprop.New(proxprop.Options{Eta: r, Steps: 3})) }, rates(30, 1e-3, 30, 3)},
		{"proxprop exact", func(r float64) (plan.Method, error) {
			return made(proxprop.New(proxprop.Options{Eta: r, Exact: true, Tau: 1, Optimizer: optimizer.New(optimizer.Momentum)}))
		}, rates(10, 1e-3, 30, 0.1)},
	}
}

// TestObjectives: every method lowers every objective to a stated value.
func TestObjectives(t *testing.T) {
	pool := plan.NewPool(1)
	defer pool.Close()
	for _, o := range []objective{quadratic(), rosenbrock(t), logistic(), linear()} {
		for _, c := range contenders() {
			rate := c.rates[o.name]
			if rate == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s", o.name, c.name), func(t *testing.T) {
				m, err := c.make(rate)
				require.NoError(t, err)
				n, err := nn.New(o.arch)
				require.NoError(t, err)
				o.start(n)
				s, err := m.Plan(n, o.loss, o.x.Rows, gonum.New())
				require.NoError(t, err)
				var first, last float64
				for k := range o.steps {
					r, err := s.Step(pool, o.x, o.t, 1)
					require.NoError(t, err)
					if last = r.Loss; k == 0 {
						first = last
					}
				}
				assert.Less(t, last, o.below, "started at %.3g", first)
				if testing.Verbose() {
					t.Logf("%.4g → %.4g", first, last)
				}
			})
		}
	}
}
