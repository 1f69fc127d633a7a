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
	kinds := rules()
	if !testing.Short() {
		kinds = append(kinds, optimizer.New(optimizer.ScheduleFree))
	}
	extras := []string{"", "armijo", "tolerance", "cap", "reject", "clip", "correction", "momentum-on-d", "gamma-rule", "reset"}
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
