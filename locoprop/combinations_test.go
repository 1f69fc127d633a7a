package locoprop_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every combination of form, method, optimiser, proximal term, class of transfer function
// and safety or variant option either trains a batch to finite weights or is refused,
// with all that is wrong and what would be valid; the table that says which is refusals.
func TestEveryCombinationTrainsOrIsRefused(t *testing.T) {
	all := factors()
	byName := map[string]int{}
	for i, f := range all {
		byName[f.name] = i
	}
	kinds := append(rules(), optimizer.New(optimizer.ScheduleFree))
	if testing.Short() { // one of each kind of answer
		kinds = []optimizer.Rule{{}, optimizer.New(optimizer.Momentum), optimizer.New(optimizer.AdamTorch), optimizer.New(optimizer.ScheduleFree)}
	}
	extras := []string{"", "armijo", "tolerance", "cap", "reject", "clip", "correction", "momentum-on-d", "gamma-rule", "reset", "weight-decay"}
	pool := plan.NewPool(1)
	defer pool.Close()
	trained, refused := 0, 0
	for _, p := range classes(t) {
		x, y := p.data(1)
		weights := p.network(t, 3)
		start := snapshot(weights)
		for _, form := range all[byName["form"]].choices {
			for _, prox := range all[byName["prox"]].choices {
				for _, extra := range extras {
					for _, method := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
						for _, rule := range kinds {
							s := setup{problem: p, o: locoprop.Options{Eta: 1e-3, Gamma: 1, Steps: 2, Block: 2}}
							form.set(&s)
							prox.set(&s)
							if extra != "" {
								choices := all[byName[extra]].choices
								choices[len(choices)-1].set(&s)
							}
							s.o.Loss, s.o.Optimizer = method, rule
							name := fmt.Sprintf("%s, form %s, prox %s, %s, %v, %s", p.name, form.name, prox.name, extra, method == locoprop.Matching, ruleName(rule))
							if requireTrainsOrRefuses(t, name, s, weights, pool, x, y) {
								trained++
								for ℓ, w := range weights.Weights() {
									for i, v := range start[ℓ].Data {
										w.Data[i] = float32(v)
									}
								}
							} else {
								refused++
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d combinations train, %d are refused", trained, refused)
	assert.Greater(t, trained, 1000)
	assert.Greater(t, refused, 1000)
}

// classes are one-layer problems, one for each kind of transfer function that decides on
// what is valid.
func classes(t *testing.T) []problem {
	t.Helper()
	one := func(f transfer.Func, l loss.Loss) problem {
		return problem{f.String(), nn.Arch{Widths: []int{2, 3}, Transfer: []transfer.Func{f}}, l, 3}
	}
	return []problem{
		one(transfer.Identity, loss.Squared),
		one(transfer.Tanh, loss.Squared),
		one(transfer.Exp, loss.Squared), // its slope has no bound
		one(transfer.SiLU, loss.Squared),
		one(transfer.Softmax, loss.SoftmaxCE), // couples a row
		one(ownTanh(), loss.Squared),
	}
}

// ownTanh is tanh as a program would bring it along.
var ownTanh = sync.OnceValue(func() transfer.Func {
	f, err := transfer.Register("own-tanh", transfer.Custom{
		F:        func(a float32) float32 { return float32(math.Tanh(float64(a))) },
		Deriv:    func(_, y float32) float32 { return 1 - float32(y*y) },
		Integral: func(a float32) float64 { return transfer.Tanh.Integral([]float32{a}) },
		Monotone: true, MaxSlope: 1,
	})
	if err != nil {
		panic(err)
	}
	return f
})

// requireTrainsOrRefuses trains a batch from the weights of n, or requires every refusal;
// it reports which. n is trained on.
func requireTrainsOrRefuses(t *testing.T, name string, s setup, n *nn.Network, pool *plan.Pool, x, y backend.Mat) bool {
	t.Helper()
	atNew, atPlan := refusals(s.o, s.arch.Transfer[0])
	m, err := locoprop.New(s.o)
	requireSays(t, name, err, atNew)
	if err != nil {
		return false
	}
	stepper, err := m.Plan(n, s.loss, s.batch, gonum.New())
	requireSays(t, name, err, atPlan)
	if err != nil {
		require.Contains(t, err.Error(), "layer 0: ", name)
		return false
	}
	if e, ok := stepper.(plan.ExampleStepper); ok {
		require.NoError(t, e.SetExamples(s.ids(0)))
	}
	_, err = stepper.Step(pool, x, y, 1)
	require.NoError(t, err, name)
	ℓ, v := plan.FirstNonFinite(n.Weights())
	require.Negative(t, ℓ, "%s: found %v", name, v)
	return true
}

// requireSays requires no error where nothing is to be said, else all that is.
func requireSays(t *testing.T, name string, err error, parts []string) {
	t.Helper()
	if len(parts) == 0 {
		require.NoError(t, err, name)
		return
	}
	require.Error(t, err, "%s: should say %q", name, parts)
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			require.Failf(t, "a reason is missing", "%s: %q isn't in: %v", name, part, err)
		}
	}
}

// Every number that is out of its range is refused with the range, and where a layer has it,
// with the layer.
func TestInvalidValuesAreRefused(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		change func(o *locoprop.Options)
		says   string
	}{
		{func(o *locoprop.Options) { o.Loss = 7 }, "unknown local loss 7"},
		{func(o *locoprop.Options) { o.Form = 99 }, "unknown form 99"},
		{func(o *locoprop.Options) { o.Eta = -1 }, "learning rate is -1; must be a positive finite number"},
		{func(o *locoprop.Options) { o.Gamma = nan }, "gamma is NaN; must be a positive finite number"},
		{func(o *locoprop.Options) { o.GammaRule = 9 }, "unknown gamma rule 9"},
		{func(o *locoprop.Options) { o.Steps = 10001 }, "10001 local steps; must be 1 to 10000"},
		{func(o *locoprop.Options) { o.Floor = -0.1 }, "floor of the local rate is -0.1; must be 0 to 1"},
		{func(o *locoprop.Options) { o.Prox = -2 }, "prox is -2; must be a positive finite number, ProxAuto or ProxOff"},
		{func(o *locoprop.Options) { o.Prox = inf }, "prox is +Inf; must be"},
		{func(o *locoprop.Options) { o.Optimizer = optimizer.Rule{Kind: 200} }, "200"},
		{func(o *locoprop.Options) { o.Optimizer = optimizer.Rule{Kind: optimizer.AdamTorch, Beta1: 1} }, "beta1 is 1; must be at least 0 and below 1"},
		{func(o *locoprop.Options) { o.Safety.Tolerance = nan }, "tolerance is NaN; must be above 0 and below 1, or 0 for none"},
		{func(o *locoprop.Options) { o.Safety.Cap = -1 }, "cap of the update is -1; must be a positive finite number, or 0 for none"},
		{func(o *locoprop.Options) { o.Form, o.Metric.Damping = locoprop.FormMetric, -1 }, "metric: damping is -1; must be a positive finite number"},
		{func(o *locoprop.Options) { o.Form, o.Metric.Step = locoprop.FormMetric, inf }, "metric: step is +Inf; must be a positive finite number"},
		{func(o *locoprop.Options) { o.Form, o.Metric.Average = locoprop.FormMetric, 1 }, "metric: average is 1; must be above 0 and below 1"},
		{func(o *locoprop.Options) { o.Form, o.Metric.OuterMomentum = locoprop.FormMetric, nan }, "metric: outer momentum is NaN; must be above 0 and below 1"},
		{func(o *locoprop.Options) {
			o.Form, o.Metric = locoprop.FormMetric, locoprop.Metric{Average: 0.5, NoAverage: true}
		}, "metric: average is 0.5, but none is to be taken; give one of both"},
		{func(o *locoprop.Options) {
			o.Form, o.Metric = locoprop.FormMetric, locoprop.Metric{OuterMomentum: 0.5, NoMomentum: true}
		}, "metric: outer momentum is 0.5, but none is to be taken; give one of both"},
		{func(o *locoprop.Options) { o.Form, o.Metric.Every = locoprop.FormMetric, -1 }, "metric: statistics every -1 batches; must be 1 or more"},
		{func(o *locoprop.Options) { o.Form, o.Metric.Refresh = locoprop.FormMetric, -1 }, "metric: refresh every -1 batches; must be 1 or more"},
		{func(o *locoprop.Options) { o.Form, o.Implicit.Relax = locoprop.FormImplicit, -1 }, "implicit: relax is -1; must be above 0 and below 2, or 0 for the default"},
		{func(o *locoprop.Options) { o.Form, o.Statistics.Damping = locoprop.FormStatistics, -1 }, "statistics: damping is -1"},
	} {
		o := locoprop.Options{Eta: 1}
		c.change(&o)
		_, err := locoprop.New(o)
		require.ErrorContains(t, err, c.says)
		_, err = locoprop.New(locoprop.Options{Eta: 1, Layers: map[int]locoprop.Options{3: o}})
		require.ErrorContains(t, err, "layer 3: ")
		require.ErrorContains(t, err, c.says)
	}
	for _, c := range []struct {
		o    locoprop.Options
		says string
	}{
		{locoprop.Options{Block: -1}, "block of -1 units; must be 1 or more"},
		{locoprop.Options{Correction: inf}, "forward correction is +Inf; must be a positive finite number, or 0 for none"},
		{locoprop.Options{Momentum: locoprop.Momentum{Factor: 1}}, "momentum on D is 1; must be above 0 and below 1, or 0 for none"},
		{locoprop.Options{Diagnose: -1}, "diagnostics every -1 batches; must be 1 or more, or 0 for none"},
	} {
		c.o.Eta = 1
		_, err := locoprop.New(c.o)
		require.ErrorContains(t, err, c.says)
	}
	p := problems()[0]
	for _, ℓ := range []int{-1, 4} {
		m := newMethod(t, locoprop.Options{Eta: 1, Layers: map[int]locoprop.Options{ℓ: {Eta: 1}}})
		_, err := m.Plan(p.network(t, 1), p.loss, p.batch, gonum.New())
		require.EqualError(t, err, fmt.Sprintf("locoprop: settings for layer %d; the network has layers 0 to 3", ℓ))
	}
	_, err := newMethod(t, locoprop.Options{Eta: 1}).Plan(p.network(t, 1), p.loss, 0, gonum.New())
	require.EqualError(t, err, "batch of 0 examples; must be 1 or more")
	_, err = newMethod(t, locoprop.Options{Eta: 1}).Plan(p.network(t, 1), loss.SoftmaxCE, 3, gonum.New())
	require.EqualError(t, err, "loss softmax-ce needs softmax as the last transfer function, not sigmoid")
}

// What UsesRate says is so: without, a batch at another rate ends at the same weights, bit for
// bit, and with, it doesn't.
func TestUsesRate(t *testing.T) {
	all := factors()
	form, method, prox := 1, 0, 3
	require.Equal(t, []string{"form", "method", "prox"}, []string{all[form].name, all[method].name, all[prox].name})
	pool := plan.NewPool(1)
	defer pool.Close()
	ignored := 0
	for f := range all[form].choices {
		for m := range all[method].choices {
			for p := range all[prox].choices {
				for _, decay := range []float64{0, 0.1} {
					pick := make([]int, len(all))
					pick[form], pick[method], pick[prox] = f, m, p
					s := newSetup(all, pick)
					if s.o.WeightDecay = decay; !s.valid() {
						continue
					}
					n, _ := s.run(t, gonum.New(), pool, 1)
					s.o.Eta /= 2
					half, _ := s.run(t, gonum.New(), pool, 1)
					uses := newMethod(t, s.o).Options().UsesRate()
					require.Equal(t, uses, !newMethod(t, s.o).IgnoresRate())
					require.Equal(t, !uses, assert.ObjectsAreEqual(snapshot(n), snapshot(half)), caseName(all, pick))
					if !uses {
						ignored++
					}
				}
			}
		}
	}
	assert.Positive(t, ignored)
}
