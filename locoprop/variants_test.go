package locoprop_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// solveMatching takes T steps of plain SGD on LocoProp-M in float64 with E for γD.
func solveMatching(f transfer.Func, x, ahat, e, w oracle.Mat, rates []float64) oracle.Mat {
	now := w.Clone()
	yhat := oracle.Apply(f, ahat)
	for _, eta := range rates {
		a := oracle.Plus(ahat, 1, oracle.Mul(x, oracle.Plus(now, -1, w).T()))
		r := oracle.Plus(oracle.Plus(oracle.Apply(f, a), -1, yhat), 1, e)
		now = oracle.Plus(now, -eta, oracle.Mul(r.T(), x))
	}
	return now
}

func rates(o locoprop.Options) []float64 {
	return oracle.LocoProp{Eta: o.Eta, T: o.Steps, Floor: 0.25}.Rates(1)
}

// Targets far outside the range of f are clipped into it: the step is the float64 one
// with Y* in the range, and not that without clipping.
func TestClipping(t *testing.T) {
	for _, p := range problems()[:2] {
		o := locoprop.Options{Eta: 1e-3, Gamma: 400, Steps: 4, Block: 3, Clip: true}
		n, s := planned(t, p, o)
		o64, start := oracleOf(p, n), snapshot(n)
		x, y := p.data(1)
		step(t, s, 2, x, y, 1)
		o.Clip = false
		free, s := planned(t, p, o)
		step(t, s, 2, x, y, 1)
		clipped := 0
		for ℓ, pass := range o64.Backward(oracle.From32(x), oracle.From32(y)) {
			f := n.Layers[ℓ].Transfer()
			lo, hi, ok := f.Clip()
			target, e := oracle.Plus(pass.Y, -o.Gamma, pass.D), oracle.New(pass.D.Rows, pass.D.Cols)
			for i := range target.Rows {
				row, sum, changed := target.Row(i), 0.0, false
				for j, v := range row {
					if ok {
						yhat := pass.Y.At(i, j)
						row[j] = math.Min(math.Max(v, math.Min(lo, yhat)), math.Max(hi, yhat))
					}
					changed = changed || row[j] != v
					sum += row[j]
				}
				divisor := 1.0
				if changed && f.RowCoupled() {
					divisor = sum
				}
				for j := range row {
					row[j] /= divisor
					e.Set(i, j, pass.Y.At(i, j)-row[j])
					if ok {
						require.GreaterOrEqual(t, row[j], math.Min(lo, pass.Y.At(i, j))/divisor)
						require.LessOrEqual(t, row[j], math.Max(hi, pass.Y.At(i, j)))
					}
				}
				if changed {
					clipped++
				}
			}
			o64.Layers[ℓ].W = solveMatching(f, pass.X, pass.A, e, o64.Layers[ℓ].W, rates(o))
		}
		require.Positive(t, clipped)
		requireAgrees(t, n, start, o64, 1e-3)
		last := len(start) - 1
		assert.NotEqual(t, snapshot(n)[last], snapshot(free)[last])
	}
}

// Saturated units, whose outputs lie beyond the bounds, stay where they are if D = 0.
func TestClippingKeepsSaturatedUnits(t *testing.T) {
	p := problem{"saturated", nn.Arch{Widths: []int{3, 2, 2}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}}, loss.SigmoidCE, 4}
	n := p.network(t, 1)
	for _, w := range n.Weights() {
		for u := range w.Rows {
			w.Data[(u+1)*w.Cols-1] = 40 // tanh and σ are 1 in float32
		}
	}
	m, err := locoprop.New(locoprop.Options{Eta: 1, Clip: true})
	require.NoError(t, err)
	s, err := m.Plan(n, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	x, y := p.data(1)
	for i := range y.Data {
		y.Data[i] = 1
	}
	before := snapshot(n)
	step(t, s, 1, x, y, 1)
	assert.Equal(t, before, snapshot(n))
}

// The forward correction against float64, layer after layer, with a bound that some
// examples reach and one that none does.
func TestCorrection(t *testing.T) {
	p := problem{"three layers", nn.Arch{Widths: []int{5, 6, 4, 3}, Transfer: []transfer.Func{transfer.Tanh, transfer.Tanh, transfer.Sigmoid}}, loss.SigmoidCE, 9}
	for _, c := range []float64{0.004, 10} {
		for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			o := locoprop.Options{Loss: l, Eta: 0.05, Gamma: 5, Steps: 3, Block: 2, Correction: c}
			n, s := planned(t, p, o)
			o64, start := oracleOf(p, n), snapshot(n)
			x, y := p.data(1)
			step(t, s, 2, x, y, 1)
			passes := o64.Backward(oracle.From32(x), oracle.From32(y))
			for ℓ := range passes {
				pass, f := &passes[ℓ], o64.Layers[ℓ].F
				pass.A = oracle.Mul(pass.X, o64.Layers[ℓ].W.T()) // of the corrected input
				local := f
				if l == locoprop.Squared {
					local = transfer.Identity
				}
				e := pass.D.Map(func(d float64) float64 { return o.Gamma * d })
				o64.Layers[ℓ].W = solveMatching(local, pass.X, pass.A, e, o64.Layers[ℓ].W, rates(o))
				if ℓ+1 == len(passes) {
					break
				}
				next := passes[ℓ+1].X
				output := oracle.Apply(f, oracle.Mul(pass.X, o64.Layers[ℓ].W.T()))
				for i := range output.Rows {
					delta := oracle.Plus(rowOf(output, i), -1, rowOf(oracle.Mat{Rows: next.Rows, Cols: output.Cols, Data: next.Columns(0, output.Cols).Data}, i))
					share := math.Min(1, c*math.Sqrt(float64(output.Cols))/frobenius(delta))
					for j, d := range delta.Data {
						next.Set(i, j, next.At(i, j)+share*d)
					}
				}
			}
			requireAgrees(t, n, start, o64, 1e-4)
			o.Correction = 0
			free, s := planned(t, p, o)
			step(t, s, 2, x, y, 1)
			assert.Equal(t, snapshot(free)[0], snapshot(n)[0], "the first layer has nothing to correct")
			assert.NotEqual(t, snapshot(free)[2], snapshot(n)[2])
		}
	}
}

// Momentum on D follows the examples through shuffled batches, against float64.
func TestMomentumOnD(t *testing.T) {
	const examples, mu = 27, 0.7
	p := problems()[0]
	o := locoprop.Options{Eta: 3e-3, Gamma: 2.5, Steps: 3, Block: 4, Momentum: locoprop.Momentum{Factor: mu, Examples: examples}}
	n, s := planned(t, p, o)
	o64, start := oracleOf(p, n), snapshot(n)
	all := p
	all.batch = examples
	data, targets := all.data(5)
	means := make([]map[int][]float64, len(start))
	for batch := range 9 {
		ids := make([]int, p.batch)
		x, y := backend.NewMat(p.batch, data.Cols), backend.NewMat(p.batch, targets.Cols)
		for i := range ids {
			ids[i] = (7*(batch*p.batch+i) + batch/3) % examples // every epoch in another order
			copy(x.Data[i*x.Cols:(i+1)*x.Cols], data.Data[ids[i]*x.Cols:])
			copy(y.Data[i*y.Cols:(i+1)*y.Cols], targets.Data[ids[i]*y.Cols:])
		}
		require.NoError(t, s.(plan.ExampleStepper).SetExamples(ids))
		step(t, s, 2, x, y, 1)
		for ℓ, pass := range o64.Backward(oracle.From32(x), oracle.From32(y)) {
			if means[ℓ] == nil {
				means[ℓ] = map[int][]float64{}
			}
			e := oracle.New(pass.D.Rows, pass.D.Cols)
			for i, id := range ids {
				mean, visited := means[ℓ][id]
				if !visited {
					mean = append(mean, pass.D.Row(i)...)
				} else {
					for j := range mean {
						mean[j] = mu*mean[j] + (1-mu)*pass.D.At(i, j)
					}
				}
				means[ℓ][id] = mean
				for j, v := range mean {
					e.Set(i, j, o.Gamma*v)
				}
			}
			o64.Layers[ℓ].W = solveMatching(n.Layers[ℓ].Transfer(), pass.X, pass.A, e, o64.Layers[ℓ].W, rates(o))
		}
	}
	requireAgrees(t, n, start, o64, 1e-4)
	units := 5 + 3 + 6 + 7
	var bytes float64
	for _, l := range s.Explain() {
		bytes += l.StateBytes
	}
	assert.Equal(t, float64(4*examples*units), bytes)
}

func TestMomentumOnDRefuses(t *testing.T) {
	p := problems()[0]
	o := locoprop.Options{Eta: 1e-3, Momentum: locoprop.Momentum{Factor: 0.5, Examples: 10}}
	_, s := planned(t, p, o)
	x, y := p.data(1)
	pool := plan.NewPool(1)
	defer pool.Close()
	_, err := s.Step(pool, x, y, 1)
	assert.ErrorContains(t, err, "weren't set")
	e := s.(plan.ExampleStepper)
	assert.ErrorContains(t, e.SetExamples([]int{1}), "1 example numbers for a batch of 9")
	assert.ErrorContains(t, e.SetExamples([]int{1, 2, 3, 4, 5, 6, 7, 8, 10}), "example 10; momentum on D was planned for 0 to 9")
	assert.ErrorContains(t, e.SetExamples([]int{1, 2, 3, 4, 5, 6, 7, 8, 1}), "example 1 twice")
	o.Momentum.Limit = 839
	m, err := locoprop.New(o)
	require.NoError(t, err)
	_, err = m.Plan(p.network(t, 1), p.loss, p.batch, gonum.New())
	assert.ErrorContains(t, err, "would take 840 bytes for 10 examples; its limit is 839")
	_, plain := planned(t, p, locoprop.Options{Eta: 1})
	_, ok := plain.(plan.ExampleStepper)
	assert.False(t, ok)
}

// everything are the options of this file and of safety, alone and together.
func everything() map[string]locoprop.Options {
	rule := optimizer.New(optimizer.RMSPropTF1)
	momentum := locoprop.Momentum{Factor: 0.6, Examples: 40}
	safe := locoprop.Safety{Armijo: true, Tolerance: 0.2, Cap: 0.01, Reject: true}
	return map[string]locoprop.Options{
		"safety":     {Safety: safe},
		"clip":       {Clip: true},
		"correction": {Correction: 0.1},
		"momentum":   {Momentum: momentum},
		"all":        {Optimizer: rule, Safety: safe, Clip: true, Correction: 0.1, Momentum: momentum, Diagnose: 2},
	}
}

// runEverything trains some batches, restored into a fresh plan after the first few.
func runEverything(t *testing.T, p problem, o locoprop.Options, batches, workers, restoreAt int) []oracle.Mat {
	t.Helper()
	n, s := planned(t, p, o)
	for batch := range batches {
		if batch == restoreAt {
			m, fresh := planned(t, p, o)
			require.NoError(t, plan.Restore(fresh.State(), s.State()))
			n, s = m, fresh
		}
		if e, ok := s.(plan.ExampleStepper); ok {
			ids := make([]int, p.batch)
			for i := range ids {
				ids[i] = (batch/2*3 + i) % 40
			}
			require.NoError(t, e.SetExamples(ids))
		}
		x, y := p.data(uint32(batch))
		step(t, s, workers, x, y, 1)
	}
	return snapshot(n)
}

// The same bits for any number of workers, and after a restored state.
func TestVariantsAreReproducible(t *testing.T) {
	for name, o := range everything() {
		for _, p := range problems()[:2] {
			t.Run(fmt.Sprintf("%s/%s", name, p.name), func(t *testing.T) {
				o.Eta, o.Gamma, o.Steps, o.Block = 1e-2, 30, 4, 3
				want := runEverything(t, p, o, 5, 1, -1)
				require.Equal(t, want, runEverything(t, p, o, 5, 3, -1))
				require.Equal(t, want, runEverything(t, p, o, 5, 2, 3))
			})
		}
	}
}

// Variants that are on without an effect leave the bits of a plain run.
func TestIdleVariantsChangeNothing(t *testing.T) {
	for _, p := range problems() {
		o := locoprop.Options{Eta: 1e-3, Gamma: 0.1, Steps: 4, Block: 3, Form: locoprop.FormDirect}
		plain := runEverything(t, p, o, 3, 2, -1)
		o.Diagnose = 1
		require.Equal(t, plain, runEverything(t, p, o, 3, 2, -1), "diagnostics")
		o.Safety = locoprop.Safety{Tolerance: 1e-300, Cap: 1e9}
		require.Equal(t, plain, runEverything(t, p, o, 3, 2, -1), "safety that isn't reached")
		if p.loss == loss.SigmoidCE {
			o.Clip = true // γ is small: no target leaves its range
			require.Equal(t, plain, runEverything(t, p, o, 3, 2, -1), "clipping that isn't reached")
		}
	}
}
