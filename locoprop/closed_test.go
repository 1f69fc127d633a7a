package locoprop_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// closedCase is a network and batch for the forms in closed form: with more rows of X̃
// than columns (primal), fewer (dual), and with a design that isn't the input.
type closedCase struct {
	name   string
	layers func() []nn.Layer
	loss   loss.Loss
	batch  int
}

func closedCases() []closedCase {
	return []closedCase{
		{"primal", func() []nn.Layer {
			return []nn.Layer{nn.NewDense(4, 9, leaky), nn.NewDense(9, 8, transfer.Sigmoid), nn.NewDense(8, 2, transfer.Identity)}
		}, loss.Squared, 13},
		{"dual", func() []nn.Layer {
			return []nn.Layer{nn.NewDense(7, 11, transfer.Tanh), nn.NewDense(11, 6, transfer.Sigmoid)}
		}, loss.SigmoidCE, 5},
		{"as many rows as columns, softmax", func() []nn.Layer {
			return []nn.Layer{nn.NewDense(6, 4, transfer.ReLU), nn.NewDense(4, 5, transfer.Softmax)}
		}, loss.SoftmaxCE, 7},
		{"windows", func() []nn.Layer { // 4·6 rows of 4 columns, then 4 of 13
			return []nn.Layer{windows{nn.NewDense(3, 2, transfer.Tanh), 8}, nn.NewDense(12, 3, transfer.Sigmoid)}
		}, loss.SigmoidCE, 4},
		{"one of everything", func() []nn.Layer { return []nn.Layer{nn.NewDense(1, 1, transfer.Sigmoid)} }, loss.SigmoidCE, 1},
	}
}

func (c closedCase) network(t *testing.T, seed uint32) *nn.Network {
	t.Helper()
	n, err := nn.FromLayers(c.layers()...)
	require.NoError(t, err)
	n.Init(nn.Glorot, seed)
	return n
}

func (c closedCase) data(n *nn.Network, seed uint32) (x, y backend.Mat) {
	u := philox.New(seed, philox.Local, 0)
	x, y = backend.NewMat(c.batch, n.Inputs()), backend.NewMat(c.batch, n.Outputs())
	for i := range x.Data {
		x.Data[i] = float32(u.Uniform(uint64(i)))
	}
	for i := range y.Data {
		y.Data[i] = float32(u.Uniform(uint64(1_000_000 + i)))
	}
	if c.loss == loss.SoftmaxCE {
		clear(y.Data)
		for i := range c.batch {
			y.Data[i*y.Cols+i%y.Cols] = 1
		}
	}
	return x, y
}

// problems are the layers' local problems of LocoProp-S on a batch, in float64.
func (c closedCase) problems(t *testing.T, n *nn.Network, x, y backend.Mat, gamma, prox float64) []oracle.Problem {
	t.Helper()
	tape, err := plan.NewTape(n, c.loss, c.batch, gonum.New())
	require.NoError(t, err)
	pool := plan.NewPool(1)
	defer pool.Close()
	_, err = tape.Run(pool, x, y)
	require.NoError(t, err)
	var all []oracle.Problem
	for ℓ := range n.Layers {
		all = append(all, oracle.Problem{
			F: transfer.Identity, X: oracle.From32(tape.Design[ℓ]), Ahat: oracle.From32(tape.A[ℓ]), D: oracle.From32(tape.D[ℓ]),
			Gamma: gamma, Prox: prox,
		})
	}
	return all
}

// stepper plans the case with options; Loss, Eta and Block have values that suit it.
func (c closedCase) stepper(t *testing.T, n *nn.Network, o locoprop.Options) plan.Stepper {
	t.Helper()
	o.Loss, o.Block = locoprop.Squared, 3
	if o.Eta == 0 {
		o.Eta = closedEta
	}
	m, err := locoprop.New(o)
	require.NoError(t, err)
	s, err := m.Plan(n, c.loss, c.batch, gonum.New())
	require.NoError(t, err)
	return s
}

const (
	closedEta   = 0.01
	closedGamma = 2.5
)

// checkUpdates makes steps and compares each with what the formula of a form gives for
// the layers' problems. c is the tolerance relative to the update.
func (c closedCase) checkUpdates(t *testing.T, o locoprop.Options, steps int, scale, prox, tolerance float64, formula func(ℓ int, p oracle.Problem) oracle.Mat) {
	t.Helper()
	n := c.network(t, 3)
	o.Gamma = closedGamma
	s := c.stepper(t, n, o)
	for batch := range steps {
		x, y := c.data(n, uint32(batch))
		problems, before := c.problems(t, n, x, y, closedGamma, prox), snapshot(n)
		step(t, s, 2, x, y, scale)
		for ℓ, w := range n.Weights() {
			want := formula(ℓ, problems[ℓ])
			got := oracle.Plus(oracle.From32(w), -1, before[ℓ])
			limit := 2*0x1p-24*oracle.MaxAbs(before[ℓ]) + tolerance*oracle.MaxAbs(want)
			require.LessOrEqual(t, oracle.MaxDiff(got, want), limit, "%s, batch %d, layer %d", c.name, batch, ℓ)
			require.Positive(t, oracle.MaxAbs(got), "%s, batch %d, layer %d", c.name, batch, ℓ)
		}
	}
}

// C and K of more rows than a task takes, in float32 and in float64; the statistics form
// does the same in its first batch.
func TestClosedFormsOfManyColumns(t *testing.T) {
	for _, batch := range []int{265, 290} {
		c := closedCase{"many columns", func() []nn.Layer { return []nn.Layer{nn.NewDense(270, 5, transfer.Identity)} }, loss.Squared, batch}
		// At λ = 0.1 the condition is 3e3, and so much float32's rounding of C is magnified.
		for lambda, tolerance := range map[float64]float64{0.1: 2e-4, 1e6: 2e-5} {
			var want oracle.Mat
			for _, o := range []locoprop.Options{{Form: locoprop.FormExact}, {Form: locoprop.FormStatistics}} {
				if o.Form == locoprop.FormStatistics && lambda > 1 {
					continue // it has C̄ in float32 only
				}
				var bits []oracle.Mat
				for _, workers := range []int{1, 4} {
					n := c.network(t, 1)
					x, y := c.data(n, 1)
					if want.Data == nil {
						want = ridge(c.problems(t, n, x, y, closedGamma, 1/lambda)[0])
					}
					before := snapshot(n)[0]
					o.Prox, o.Gamma = lambda, closedGamma
					step(t, c.stepper(t, n, o), workers, x, y, 1)
					got := oracle.Plus(snapshot(n)[0], -1, before)
					limit := 2*0x1p-24*oracle.MaxAbs(before) + tolerance*oracle.MaxAbs(want)
					require.LessOrEqual(t, oracle.MaxDiff(got, want), limit, "%d, %v, λ = %v", batch, o.Form, lambda)
					bits = append(bits, got)
				}
				require.Equal(t, bits[0], bits[1])
			}
		}
	}
}

// Inputs that make C and K singular or badly scaled: no form gives a weight that isn't
// finite, nor an error.
func TestIllConditionedInputsStayFinite(t *testing.T) {
	damage := map[string]func(i, j int, v float32) float32{
		"constant columns": func(_, _ int, _ float32) float32 { return 0.5 },
		"duplicated rows":  func(_, j int, _ float32) float32 { return float32(j) },
		"scale 1e6":        func(_, j int, v float32) float32 { return v * float32(math.Pow(1e6, float64(j%2))) },
		"zero columns":     func(_, j int, v float32) float32 { return v * float32(j%2) },
		"all zero":         func(_, _ int, _ float32) float32 { return 0 },
	}
	forms := []locoprop.Options{{Form: locoprop.FormExact}, {Form: locoprop.FormStatistics}, {
		Form: locoprop.FormStatistics, Statistics: locoprop.Statistics{Structure: precond.BlockDiagonal, Columns: 3},
	}}
	for name, f := range damage {
		for _, batch := range []int{4, 9} {
			for _, lambda := range []float64{1e-9, 1, 1e9, 1e25} {
				for _, o := range forms {
					c := linear(batch)
					n := c.network(t, 1)
					x, y := c.data(n, 1)
					for i := range x.Data {
						x.Data[i] = f(i/x.Cols, i%x.Cols, x.Data[i])
					}
					o.Prox, o.Gamma = lambda, closedGamma
					s := c.stepper(t, n, o)
					for range 2 {
						step(t, s, 1, x, y, 1)
					}
					ℓ, v := plan.FirstNonFinite(n.Weights())
					require.Negative(t, ℓ, "%s, batch %d, λ = %v, %v: found %v", name, batch, lambda, o.Form, v)
				}
			}
		}
	}
}

// closedForms are the forms of this kind with settings that a test of them all uses.
func closedForms() map[string]locoprop.Options {
	statistics := func(s locoprop.Statistics, prox float64) locoprop.Options {
		return locoprop.Options{Form: locoprop.FormStatistics, Statistics: s, Prox: prox, Steps: 4}
	}
	return map[string]locoprop.Options{
		"exact":                    {Form: locoprop.FormExact, Prox: locoprop.ProxAuto},
		"spectral":                 {Form: locoprop.FormSpectral},
		"spectral, prox":           {Form: locoprop.FormSpectral, Prox: 0.7},
		"statistics":               statistics(locoprop.Statistics{Refresh: 3}, locoprop.ProxAuto),
		"statistics, relative":     statistics(locoprop.Statistics{Relative: 0.1}, locoprop.ProxOff),
		"statistics, damping":      statistics(locoprop.Statistics{Damping: 0.1, Structure: precond.Diagonal}, locoprop.ProxOff),
		"statistics, blocks":       statistics(locoprop.Statistics{Structure: precond.BlockDiagonal, Columns: 2, Refresh: 2}, 1),
		"statistics, diagonal":     statistics(locoprop.Statistics{Structure: precond.Diagonal, Refresh: 2}, locoprop.ProxAuto),
		"statistics, steps":        statistics(locoprop.Statistics{Iterate: true}, locoprop.ProxOff),
		"statistics, steps, prox":  statistics(locoprop.Statistics{Iterate: true, Structure: precond.BlockDiagonal, Columns: 3}, locoprop.ProxAuto),
		"statistics, steps, diag.": statistics(locoprop.Statistics{Iterate: true, Structure: precond.Diagonal}, 2),
	}
}

// The same bits for any number of workers, and after a resume from saved state.
func TestClosedFormsKeepTheirBits(t *testing.T) {
	for name, o := range closedForms() {
		for _, c := range closedCases() {
			straight := c.network(t, 1)
			a := c.stepper(t, straight, o)
			stopped := c.network(t, 1)
			b := c.stepper(t, stopped, o)
			for batch := range 5 {
				x, y := c.data(straight, uint32(batch))
				step(t, a, 3, x, y, 0.5)
				if batch == 3 {
					resumed := c.network(t, 9)
					next := c.stepper(t, resumed, o)
					require.NoError(t, plan.Restore(next.State(), b.State()))
					stopped, b = resumed, next
				}
				step(t, b, 1, x, y, 0.5)
			}
			require.Equal(t, a.State(), b.State(), "%s, %s", name, c.name)
			require.Equal(t, snapshot(straight), snapshot(stopped), "%s, %s", name, c.name)
		}
	}
}

// Where the schedule's factor is 0, so is λ = Σ ηₜ: no weight moves by a bit.
func TestClosedFormsAtRateZero(t *testing.T) {
	for name, o := range closedForms() {
		if o.Prox > 0 || o.Statistics.Relative > 0 || o.Statistics.Damping > 0 {
			continue // neither λ nor γ has a schedule
		}
		c := closedCases()[0]
		n := c.network(t, 1)
		before := snapshot(n)
		s := c.stepper(t, n, o)
		x, y := c.data(n, 1)
		step(t, s, 1, x, y, 0)
		require.Equal(t, before, snapshot(n), name)
		step(t, s, 1, x, y, 1) // and then as if nothing had been
		require.NotEqual(t, before, snapshot(n), name)
	}
}

func TestClosedFormsWithoutGradient(t *testing.T) {
	for name, o := range closedForms() {
		c := closedCases()[0] // squared error: D is 0 where the outputs are the targets
		n := c.network(t, 4)
		x, _ := c.data(n, 1)
		act := nn.NewActivations(n, c.batch)
		backend.Copy(backend.WithoutBias(act.Input[0]), x)
		act.Forward(gonum.New(), n.Weights(), 0, c.batch)
		_, y := act.Output(0, c.batch)
		before := snapshot(n)
		step(t, c.stepper(t, n, o), 1, x, y, 1)
		for ℓ, w := range n.Weights() {
			require.Zero(t, oracle.MaxDiff(oracle.From32(w), before[ℓ]), "%s, layer %d", name, ℓ)
		}
	}
}

func TestClosedFormsDoNotAllocate(t *testing.T) {
	pool := plan.NewPool(2)
	defer pool.Close()
	for name, o := range closedForms() {
		for _, c := range closedCases()[:2] {
			n := c.network(t, 1)
			x, y := c.data(n, 1)
			s := c.stepper(t, n, o)
			assert.Zero(t, testing.AllocsPerRun(10, func() {
				if _, err := s.Step(pool, x, y, 0.01); err != nil {
					t.Error(err)
				}
			}), "%s, %s", name, c.name)
		}
	}
}

func TestClosedFormsExplainThemselves(t *testing.T) {
	for name, o := range closedForms() {
		for _, c := range closedCases() {
			n := c.network(t, 1)
			for ℓ, p := range c.stepper(t, n, o).Explain() {
				w := n.Weights()[ℓ]
				assert.Equal(t, o.Form.String(), p.Form, name)
				assert.Equal(t, (w.Rows+2)/3, p.Tasks, name)
				rows := float64(c.batch * n.Layers[ℓ].Positions())
				assert.Greater(t, p.LocalFlops, 2*rows*float64(w.Cols*w.Rows), name)
				assert.Equal(t, o.Form == locoprop.FormStatistics, p.StateBytes > 0, name)
				assert.Positive(t, p.Seconds, name)
			}
		}
	}
}

// What a form can't do is refused, with what would be valid.
func TestClosedFormsAreRefused(t *testing.T) {
	momentum := optimizer.New(optimizer.Momentum)
	for _, bad := range []struct {
		o    locoprop.Options
		says []string
	}{
		{locoprop.Options{Form: locoprop.FormExact}, []string{"form exact needs", "squared local loss", "proximal term (prox auto or a λ)"}},
		{locoprop.Options{Form: locoprop.FormExact, Loss: locoprop.Squared}, []string{"proximal term (prox auto or a λ)"}},
		{locoprop.Options{Form: locoprop.FormSpectral, Optimizer: momentum}, []string{"form spectral needs", "squared local loss", "optimizer sgd, not momentum"}},
		{locoprop.Options{Form: locoprop.FormStatistics, Prox: 1}, []string{"form statistics needs", "squared local loss"}},
		{locoprop.Options{Form: locoprop.FormStatistics, Loss: locoprop.Squared}, []string{"needs a proximal term (prox auto or a λ), damping or relative damping"}},
		{locoprop.Options{Form: locoprop.FormStatistics, Prox: 1, Statistics: locoprop.Statistics{Damping: 1}}, []string{"give one of both"}},
		{
			locoprop.Options{Form: locoprop.FormStatistics, Optimizer: momentum, Statistics: locoprop.Statistics{Iterate: true, Damping: 1, Refresh: 2}},
			[]string{"10 local steps need optimizer sgd, not momentum", "no damping but that of a proximal term", "local steps factor nothing"},
		},
		{
			locoprop.Options{Form: locoprop.FormStatistics, Prox: 1, Statistics: locoprop.Statistics{Structure: 7, Average: 2, Refresh: -1, Relative: -1}},
			[]string{"locoprop: statistics: ", "unknown structure 7", "average is 2", "refresh every -1", "relative damping is -1"},
		},
	} {
		bad.o.Eta = 1
		m, err := locoprop.New(bad.o)
		if err == nil {
			c := closedCases()[0]
			_, err = m.Plan(c.network(t, 1), c.loss, c.batch, gonum.New())
		}
		for _, part := range bad.says {
			assert.ErrorContains(t, err, part, fmt.Sprintf("%+v", bad.o))
		}
	}
}
