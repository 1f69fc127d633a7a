package locoprop_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A small network learns a batch by heart, a little, with each transfer function of the
// library in its hidden layers or, if it couples a row, in its last, by M where that is
// allowed and by S, on every backend.
func TestEveryTransferFunctionTrains(t *testing.T) {
	seen := map[transfer.Kind]bool{}
	for _, p := range transferProblems() {
		f := p.arch.Transfer[0]
		if p.loss != loss.Squared {
			f = p.arch.Transfer[1]
		}
		seen[f.Kind()] = true
		for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			if l == locoprop.Matching && !f.Monotone() {
				_, err := newMethod(t, locoprop.Options{Eta: 1}).Plan(p.network(t, 3), p.loss, p.batch, gonum.New())
				require.EqualError(t, err, fmt.Sprintf("layer 0: LocoProp-M needs a non-decreasing transfer function, which %v isn't; use locoprop-s", f))
				continue
			}
			for _, k := range allBackends {
				name := fmt.Sprintf("%v/%v/%s", f, l == locoprop.Matching, k.Info().Name)
				n := p.network(t, 3)
				o := locoprop.Options{Loss: l, Eta: 2e-3, Gamma: 2, Steps: 5, Block: 4, Optimizer: optimizer.New(optimizer.Momentum)}
				s, err := newMethod(t, o).Plan(n, p.loss, p.batch, k)
				require.NoError(t, err, name)
				x, y := p.data(1)
				first, last := 0.0, 0.0
				for i := range 40 {
					last = step(t, s, 1, x, y, 1).Loss
					if i == 0 {
						first = last
					}
				}
				assert.Less(t, last, 0.9*first, name)
				ℓ, v := plan.FirstNonFinite(n.Weights())
				assert.Negative(t, ℓ, "%s: found %v", name, v)
			}
		}
	}
	for kind := transfer.KindIdentity; kind <= transfer.KindTemperedSoftmax; kind++ {
		assert.True(t, seen[kind], "kind %d", kind)
	}
}

// transferProblems have a transfer function each, that of the last layer where it couples
// a row.
func transferProblems() []problem {
	arch := func(f, last transfer.Func) nn.Arch {
		return nn.Arch{Widths: []int{4, 7, 3}, Transfer: []transfer.Func{f, last}}
	}
	all := []problem{
		{"softmax", arch(transfer.Tanh, transfer.Softmax), loss.SoftmaxCE, 9},
		{"tempered softmax", arch(transfer.Tanh, transfer.TemperedSoftmax(1.2)), loss.BiTempered(0.8, 1.2), 9},
	}
	for _, f := range hiddenTransfers() {
		all = append(all, problem{f.String(), arch(f, transfer.Identity), loss.Squared, 9})
	}
	return all
}

// A program's own tanh trains like the built-in one: to the bit on the Go backend, where
// both are the same code, and else to what separates two float32 tanh; in the forms that
// ask a transfer function for more (its integral, its slope), too.
func TestOwnTransferFunctionTrainsAlike(t *testing.T) {
	for name, o := range map[string]locoprop.Options{
		"direct":    {},
		"kernel":    {Form: locoprop.FormKernel},
		"armijo":    {Safety: locoprop.Safety{Armijo: true}},
		"reject":    {Safety: locoprop.Safety{Reject: true}},
		"mm":        {Form: locoprop.FormMajorised, Prox: 0.1},
		"anderson":  {Form: locoprop.FormImplicit, Prox: 0.1},
		"newton":    {Form: locoprop.FormImplicit, Prox: 0.1, Implicit: locoprop.Implicit{Solver: locoprop.SolverNewton}},
		"metric":    {Form: locoprop.FormMetric},
		"squared":   {Loss: locoprop.Squared},
		"exact":     {Loss: locoprop.Squared, Form: locoprop.FormExact, Prox: 0.1},
		"corrected": {Correction: 0.01},
	} {
		if o.Form != locoprop.FormMetric {
			o.Eta, o.Gamma = 0.01, 2
		}
		o.Block = 3
		builtIn := problem{"", nn.Arch{Widths: []int{4, 7, 3}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}}, loss.SigmoidCE, 9}
		own := builtIn
		own.arch.Transfer = []transfer.Func{ownTanh(), transfer.Sigmoid}
		for _, k := range allBackends {
			want, start := builtIn.trained(t, k, newMethod(t, o), 5)
			got, _ := own.trained(t, k, newMethod(t, o), 5)
			if k.Info().Name == "gonum" && name != "newton" { // float64 f′ of a built-in function
				require.Equal(t, snapshot(want), snapshot(got), name)
			} else {
				requireSame(t, name+", "+k.Info().Name, want, got, start, 1e-4)
			}
		}
	}
}

// spoiled are ways in which a layer's input makes C or K singular, or badly scaled.
var spoiled = map[string]func(i, j int, v float32) float32{
	"duplicate columns":    func(i, _ int, _ float32) float32 { return float32(i%5) - 2 },
	"constant":             func(_, _ int, _ float32) float32 { return 0.5 },
	"zero":                 func(_, _ int, _ float32) float32 { return 0 },
	"one example repeated": func(_, j int, _ float32) float32 { return float32(j) - 1.5 },
	"zero columns":         func(_, j int, v float32) float32 { return v * float32(j%2) },
	"scales far apart":     func(_, j int, v float32) float32 { return v * float32(math.Pow(1e4, float64(j%3)-1)) },
	"huge":                 func(_, _ int, v float32) float32 { return v * 1e6 },
	"beyond squares":       func(_, _ int, v float32) float32 { return v * 1e20 },
	"tiny":                 func(_, _ int, v float32) float32 { return v * 1e-20 },
}

// On inputs that spoil C and K every form in closed form, and the metric form, leaves finite weights, or says what went wrong
// and where, and leaves finite weights too.
func TestNoClosedFormMakesNaNOfIllConditionedInputs(t *testing.T) {
	pool := plan.NewPool(1)
	defer pool.Close()
	all := factors()
	failed := 0
	for what, spoil := range spoiled {
		for form := range formChoices() {
			for _, batch := range []int{3, 11} { // fewer rows than columns, and more
				for method := range 2 {
					for _, lambda := range []float64{locoprop.ProxOff, locoprop.ProxAuto, 1e-6, 1, 1e9} {
						pick := make([]int, len(all))
						pick[0], pick[1] = method, form
						s := newSetup(all, pick)
						s.batch, s.o.Prox = batch, lambda
						s.arch.Widths[0] = 6
						if !s.valid() || slices.Contains(sameIterates, s.o.Form) || s.o.Form == locoprop.FormAuto {
							continue
						}
						name := fmt.Sprintf("%s: %s, batch %d, λ = %v", what, caseName(all, pick), batch, lambda)
						if s.stumbles(t, name, pool, spoil) {
							failed++
							assert.Contains(t, []string{"huge", "beyond squares", "scales far apart"}, what, name)
						}
					}
				}
			}
		}
	}
	assert.Positive(t, failed, "some inputs were to be too much")
}

// stumbles trains three batches of spoiled inputs and reports whether one gave an error,
// which must be divergence that names a layer, with the weights as they were.
func (s setup) stumbles(t *testing.T, name string, pool *plan.Pool, spoil func(i, j int, v float32) float32) bool {
	t.Helper()
	n := s.network(t, 3)
	stepper, err := newMethod(t, s.o).Plan(n, s.loss, s.batch, gonum.New())
	require.NoError(t, err, name)
	for batch := range batchesOfSetup {
		x, y := s.data(uint32(batch))
		for i := range x.Data {
			x.Data[i] = spoil(i/x.Cols, i%x.Cols, x.Data[i])
		}
		before := snapshot(n)
		_, err := stepper.Step(pool, x, y, 1)
		ℓ, v := plan.FirstNonFinite(n.Weights())
		require.Negative(t, ℓ, "%s, batch %d: found %v (error: %v)", name, batch, v, err)
		if err != nil {
			var diverged *plan.DivergedError
			require.ErrorAs(t, err, &diverged, name)
			require.GreaterOrEqual(t, diverged.Layer, 0, name)
			require.NotEmpty(t, diverged.What, name)
			require.Equal(t, before, snapshot(n), name)
			return true
		}
	}
	return false
}
