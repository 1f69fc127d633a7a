package locoprop_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plannedShort plans a method for the problem's batch and a short one.
func plannedShort(t *testing.T, p problem, m plan.Method, short int) (*nn.Network, plan.Stepper) {
	t.Helper()
	n := p.network(t, 3)
	s, err := plan.WithShort(m, n, p.loss, p.batch, short, gonum.New())
	require.NoError(t, err)
	return n, s
}

// sizes are the batches of two epochs.
func (p problem) sizes(short int) []int { return []int{p.batch, short, p.batch, short} }

// rowsOf is the first rows of a batch.
func (p problem) rowsOf(seed uint32, rows int) (x, y backend.Mat) {
	x, y = p.data(seed)
	return backend.Rows(x, 0, rows), backend.Rows(y, 0, rows)
}

// shortProblems visits the problems with more than one example, some with a short batch of one.
func shortProblems(visit func(p problem, short int)) {
	for i, p := range problems() {
		if p.batch > 1 {
			visit(p, 1+2*(i%2))
		}
	}
}

// Full and short batches in turn, with every rule and both local losses, in each form
// that makes the optimiser's steps: D of a short batch carries 1/b, γ is γ·b/B, and the
// optimiser's state goes through both.
func TestShortBatchesAgreeWithOracle(t *testing.T) {
	const gamma, eta = 2.5, 3e-3
	shortProblems(func(p problem, short int) {
		for _, r := range rules() {
			for _, form := range []locoprop.Form{locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel} {
				for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
					m, err := locoprop.New(locoprop.Options{Loss: l, Form: form, Eta: eta, Gamma: gamma, Steps: 3, Optimizer: r, Block: 4})
					require.NoError(t, err)
					n := p.network(t, 3)
					s, err := plan.WithShort(m, n, p.loss, p.batch, short, gonum.New())
					if err != nil {
						require.ErrorContains(t, err, "form "+form.String()+" needs")
						continue
					}
					o, start := oracleOf(p, n), snapshot(n)
					opts := o.Optimizers(r)
					for batch, size := range p.sizes(short) {
						x, y := p.rowsOf(uint32(batch), size)
						want := o.MeanLoss(oracle.From32(x), oracle.From32(y))
						require.InEpsilon(t, want, step(t, s, 2, x, y, 1).Loss, 1e-5)
						c := oracle.LocoProp{Matching: l == locoprop.Matching, Gamma: gamma * float64(size) / float64(p.batch), Eta: eta, T: 3, Floor: 0.25}
						o.StepLocoProp(c, opts, oracle.From32(x), oracle.From32(y), 1)
					}
					requireAgrees(t, n, start, o, agreement(r.Kind))
				}
			}
		}
	})
}

func TestShortBatchesOfBackprop(t *testing.T) {
	shortProblems(func(p problem, short int) {
		for _, r := range rules() {
			m, err := backprop.New(backprop.Options{Eta: 0.01, Optimizer: r, Block: 4})
			require.NoError(t, err)
			n, s := plannedShort(t, p, m, short)
			o, start := oracleOf(p, n), snapshot(n)
			opts := o.Optimizers(r)
			for batch, size := range p.sizes(short) {
				x, y := p.rowsOf(uint32(batch), size)
				step(t, s, 2, x, y, 1)
				o.StepBackprop(opts, oracle.From32(x), oracle.From32(y), 0.01)
			}
			requireAgrees(t, n, start, o, agreement(r.Kind))
		}
	})
}

// Metric and statistics take every batch, short ones too, into their averages.
func TestShortBatchesOfMetric(t *testing.T) {
	shortProblems(func(p problem, short int) {
		for _, rule := range []locoprop.GammaRule{locoprop.GammaFisher, locoprop.GammaFixed} {
			o := metricOptions(locoprop.Matching, 4)
			o.GammaRule = rule
			if rule == locoprop.GammaFixed {
				o.Gamma = 2
			}
			m, err := locoprop.New(o)
			require.NoError(t, err)
			n, s := plannedShort(t, p, m, short)
			ref, start := trainerOf(p, n, m), snapshot(n)
			for batch, size := range p.sizes(short) {
				for ℓ := range ref.Layers {
					if rule == locoprop.GammaFixed {
						ref.Layers[ℓ].Gamma = o.Gamma * float64(size) / float64(p.batch)
					}
				}
				x, y := p.rowsOf(uint32(batch), size)
				step(t, s, 2, x, y, 0.5)
				ref.Step(oracle.From32(x), oracle.From32(y), nil, 0.5)
			}
			requireAgrees(t, n, start, ref.Net, 2e-3)
		}
	})
}

func TestShortBatchesOfStatistics(t *testing.T) {
	const gamma, prox = 3.0, 0.5
	shortProblems(func(p problem, short int) {
		for _, c := range []locoprop.Statistics{{Refresh: 2}, {Relative: 0.2}} {
			o := locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormStatistics, Eta: 1, Gamma: gamma, Statistics: c, Block: 3}
			if c.Relative == 0 {
				o.Prox = prox
			}
			m, err := locoprop.New(o)
			require.NoError(t, err)
			n, s := plannedShort(t, p, m, short)
			net, start := oracleOf(p, n), snapshot(n)
			ref := &statisticsOracle{s: m.Options().Statistics}
			for batch, size := range p.sizes(short) {
				x, y := p.rowsOf(uint32(batch), size)
				step(t, s, 2, x, y, 1)
				for ℓ, pass := range net.Backward(oracle.From32(x), oracle.From32(y)) {
					q := oracle.Problem{X: pass.X, Ahat: pass.A, D: pass.D, Gamma: gamma * float64(size) / float64(p.batch), Prox: 1 / prox}
					ref.observe(ℓ, q)
					net.Layers[ℓ].W = oracle.Plus(net.Layers[ℓ].W, 1, ref.converged(ℓ, q))
				}
			}
			requireAgrees(t, n, start, net, 1e-3)
		}
	})
}

// alone are options of forms that carry nothing from batch to batch.
func alone() map[string]locoprop.Options {
	all := map[string]locoprop.Options{
		"exact":    {Loss: locoprop.Squared, Form: locoprop.FormExact, Prox: locoprop.ProxAuto},
		"spectral": {Loss: locoprop.Squared, Form: locoprop.FormSpectral},
		"mm":       {Form: locoprop.FormMajorised, Prox: 0.5},
		"clipped":  {Clip: true, Form: locoprop.FormKernel},
		"safe":     {Safety: locoprop.Safety{Armijo: true, Tolerance: 0.2, Cap: 0.01, Reject: true}},
		"moved":    {Form: locoprop.FormDirect, Correction: 0.1},
	}
	for i, solver := range locoprop.ImplicitSolvers {
		all[solver] = locoprop.Options{Form: locoprop.FormImplicit, Prox: 0.5, Implicit: locoprop.Implicit{Solver: locoprop.ImplicitSolver(i)}}
	}
	return all
}

// In the other forms a short batch is a batch of its own with γ·b/B: the same bits, as
// B and γ are powers of 2.
func TestShortBatchesOfOtherForms(t *testing.T) {
	for name, o := range alone() {
		o.Eta, o.Gamma, o.Block = 0.01, 4, 3
		for _, p := range problems()[:2] {
			p.batch = 8
			if name == "newton" && p.arch.Transfer[1] == transfer.Softmax {
				continue
			}
			for _, short := range []int{1, 3} {
				m, err := locoprop.New(o)
				require.NoError(t, err)
				ours, s := plannedShort(t, p, m, short)
				x, y := p.rowsOf(7, short)
				step(t, s, 2, x, y, 1)

				less := o
				less.Gamma = o.Gamma * float64(short) / float64(p.batch)
				q := p
				q.batch = short
				theirs, s := planned(t, q, less)
				step(t, s, 2, x, y, 1)
				require.Equal(t, snapshot(theirs), snapshot(ours), "%s, %s, %d of %d", name, p.name, short, p.batch)
			}
		}
	}
}

// With everything on, steps of both sizes allocate nothing, and a run resumed between
// any two of them goes on with the same bits.
func TestShortBatchesResumeAndDontAllocate(t *testing.T) {
	pool := plan.NewPool(2)
	defer pool.Close()
	p := problems()[0]
	const short = 4
	all := everything()
	all["metric"] = metricOptions(locoprop.Matching, 3)
	all["kernel"] = locoprop.Options{Form: locoprop.FormKernel, Optimizer: optimizer.New(optimizer.Nesterov)}
	all["reset"] = locoprop.Options{Optimizer: optimizer.New(optimizer.Momentum), Reset: true}
	for name, o := range all {
		o.Eta, o.WeightDecay = 1e-3, 0.1
		m, err := locoprop.New(o)
		require.NoError(t, err)
		one := func(s plan.Stepper, batch int) {
			size := p.sizes(short)[batch%4]
			if e, ok := s.(plan.ExampleStepper); ok {
				ids := make([]int, size)
				for i := range ids {
					ids[i] = (9*batch + i) % 40
				}
				require.NoError(t, e.SetExamples(ids))
			}
			s.(plan.CountingStepper).SetStep(batch)
			x, y := p.rowsOf(uint32(batch), size)
			_, err := s.Step(pool, x, y, 1)
			require.NoError(t, err)
		}
		straight, s := plannedShort(t, p, m, short)
		for batch := range 6 {
			one(s, batch)
		}
		for stop := range 6 {
			n, r := plannedShort(t, p, m, short)
			for batch := range 6 {
				if batch == stop {
					fresh, next := plannedShort(t, p, m, short)
					require.NoError(t, plan.Restore(next.State(), r.State()))
					n, r = fresh, next
				}
				one(r, batch)
			}
			require.Equal(t, s.State(), r.State(), "%s, resumed at %d", name, stop)
			require.Equal(t, snapshot(straight), snapshot(n))
		}
		for _, size := range []int{p.batch, short} {
			x, y := p.rowsOf(1, size)
			ids := []int{3, 1, 4, 15, 9, 2, 6, 5, 35}[:size]
			assert.Zero(t, testing.AllocsPerRun(10, func() {
				if e, ok := s.(plan.ExampleStepper); ok {
					_ = e.SetExamples(ids)
				}
				_, _ = s.Step(pool, x, y, 1)
			}), "%s, %d examples", name, size)
		}
	}
}

// A short batch has its layers in the forms of the full one, whatever auto would choose
// for its size: what they carry along is shaped alike.
func TestShortBatchKeepsForms(t *testing.T) {
	p := problem{arch: nn.Arch{Widths: []int{300, 200, 2}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity}}, loss: problems()[2].loss, batch: 2000}
	m, err := locoprop.New(locoprop.Options{Loss: locoprop.Squared, Eta: 1e-5, Optimizer: optimizer.New(optimizer.Momentum), Reset: true})
	require.NoError(t, err)
	less, err := m.Plan(p.network(t, 1), p.loss, 2, gonum.New())
	require.NoError(t, err)
	_, s := plannedShort(t, p, m, 2)
	require.NotEqual(t, less.Explain()[0].Form, s.Explain()[0].Form, "the test's sizes don't tell")
	require.NotEqual(t, len(less.State()), len(s.State()))
}

func TestShortBatchRefused(t *testing.T) {
	p := problems()[0]
	m, err := locoprop.New(locoprop.Options{Eta: 1})
	require.NoError(t, err)
	for _, short := range []int{0, p.batch} {
		_, err := plan.WithShort(m, p.network(t, 1), p.loss, p.batch, short, gonum.New())
		require.EqualError(t, err, fmt.Sprintf("short batch of %d examples; must be 1 to 8", short))
	}
	_, s := plannedShort(t, p, m, 4)
	x, y := p.rowsOf(1, 5)
	pool := plan.NewPool(1)
	defer pool.Close()
	_, err = s.Step(pool, x, y, 1)
	require.ErrorContains(t, err, "batch of another shape than planned")
}

// W ← (1 − ηs·wd)W before the forward pass, W alone; then the step as ever.
func TestWeightDecayAgreesWithOracle(t *testing.T) {
	const gamma, eta, wd, scale = 2.5, 3e-3, 20.0, 0.5
	decay := func(o *oracle.Network, factor float64) {
		for _, l := range o.Layers {
			for u := range l.W.Rows {
				for j := range l.W.Cols - 1 {
					l.W.Set(u, j, factor*l.W.At(u, j))
				}
			}
		}
	}
	for _, p := range problems() {
		for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			for _, prox := range []float64{locoprop.ProxOff, 0.5} {
				n := p.network(t, 3)
				o, start := oracleOf(p, n), snapshot(n)
				m, err := locoprop.New(locoprop.Options{
					Loss: l, Eta: eta, Gamma: gamma, Steps: 3, Optimizer: optimizer.New(optimizer.Momentum), Block: 2, Prox: prox, WeightDecay: wd,
				})
				require.NoError(t, err)
				s, err := m.Plan(n, p.loss, p.batch, gonum.New())
				require.NoError(t, err)
				opts := o.Optimizers(optimizer.New(optimizer.Momentum))
				for batch := range 3 {
					x, y := p.data(uint32(batch))
					decay(o, 1-eta*scale*wd)
					want := o.MeanLoss(oracle.From32(x), oracle.From32(y))
					require.InEpsilon(t, want, step(t, s, 2, x, y, scale).Loss, 1e-5)
					c := oracle.LocoProp{Matching: l == locoprop.Matching, Gamma: gamma, Eta: eta, T: 3, Floor: 0.25, Prox: prox != 0, Lambda: prox}
					o.StepLocoProp(c, opts, oracle.From32(x), oracle.From32(y), scale)
				}
				requireAgrees(t, n, start, o, 1e-4)
			}
		}
		n := p.network(t, 3)
		o, start := oracleOf(p, n), snapshot(n)
		m, err := backprop.New(backprop.Options{Eta: eta, Optimizer: optimizer.New(optimizer.AdamTorch), WeightDecay: wd})
		require.NoError(t, err)
		s, err := m.Plan(n, p.loss, p.batch, gonum.New())
		require.NoError(t, err)
		opts := o.Optimizers(optimizer.New(optimizer.AdamTorch))
		for batch := range 3 {
			x, y := p.data(uint32(batch))
			decay(o, 1-eta*scale*wd)
			step(t, s, 2, x, y, scale)
			o.StepBackprop(opts, oracle.From32(x), oracle.From32(y), eta*scale)
		}
		requireAgrees(t, n, start, o, 1e-2)
	}
}

// Every form decays alike: at D = 0 that is all a step does.
func TestWeightDecayOfEveryForm(t *testing.T) {
	forms := alone()
	forms["metric"] = locoprop.Options{Form: locoprop.FormMetric}
	forms["direct"], forms["gram"] = locoprop.Options{Form: locoprop.FormDirect}, locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormGram}
	forms["statistics"] = locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormStatistics, Prox: 0.5}
	p := problem{arch: nn.Arch{Widths: []int{3, 2}, Transfer: []transfer.Func{transfer.Tanh}}, loss: problems()[2].loss, batch: 4}
	for name, o := range forms {
		o.Eta, o.WeightDecay = 0.5, 0.25
		n, s := planned(t, p, o)
		start := n.Weights()[0].Data
		want := append([]float32(nil), start...)
		for i := range want {
			if i%4 != 3 { // not the bias
				want[i] *= 1 - 0.5*0.5*0.25
			}
		}
		x, y := p.data(1)
		clear(x.Data)
		// The target of each example is what the network gives: tanh of the bias.
		for i := range y.Data {
			y.Data[i] = float32(math.Tanh(float64(start[4*(i%2)+3])))
		}
		act := nn.NewActivations(n, p.batch)
		act.Forward(gonum.New(), n.Weights(), 0, p.batch)
		for i := range p.batch {
			copy(y.Data[2*i:2*i+2], act.Y[0].Data[i*act.Y[0].Stride:])
		}
		step(t, s, 1, x, y, 0.5)
		require.Equal(t, want, n.Weights()[0].Data, name)
	}
}

// A batch that diverges leaves the weights as they were, not decayed.
func TestWeightDecayIsUndone(t *testing.T) {
	p := problems()[0]
	n, s := planned(t, p, locoprop.Options{Eta: 0.1, WeightDecay: 1})
	before := snapshot(n)
	x, y := p.data(1)
	x.Data[3] = float32(math.NaN())
	pool := plan.NewPool(1)
	defer pool.Close()
	_, err := s.Step(pool, x, y, 1)
	var d *plan.DivergedError
	require.ErrorAs(t, err, &d)
	require.Equal(t, before, snapshot(n))
}

func TestWeightDecayRefused(t *testing.T) {
	refused := func(o locoprop.Options, want string) {
		t.Helper()
		_, err := locoprop.New(o)
		require.ErrorContains(t, err, want)
	}
	refused(locoprop.Options{Eta: 0.5, WeightDecay: 2}, "weight decay 2 times learning rate 0.5 is 1; must be below 1")
	refused(locoprop.Options{Eta: 0.5, WeightDecay: -1}, "weight decay is -1; must be a positive finite number, or 0 for none")
	refused(locoprop.Options{Eta: 0.5, WeightDecay: 0.1, Optimizer: optimizer.New(optimizer.AdamW)}, "optimizer adamw decays weights by itself, by 0.01; give one of both")
	refused(locoprop.Options{Eta: 0.5, WeightDecay: 0.1, Optimizer: optimizer.New(optimizer.EGUGD)}, "forgets the decay")
	for _, o := range []backprop.Options{
		{Eta: 0.5, WeightDecay: 2},
		{Eta: 0.5, WeightDecay: math.NaN()},
		{Eta: 0.5, WeightDecay: 0.1, Optimizer: optimizer.New(optimizer.NadamW)},
		{Eta: 0.5, WeightDecay: 0.1, Optimizer: optimizer.New(optimizer.ScheduleFree)},
	} {
		_, err := backprop.New(o)
		require.ErrorContains(t, err, "weight decay")
	}
}

// γ per example is γ/B: the same steps as the γ that it makes.
func TestGammaPerExample(t *testing.T) {
	for _, p := range problems()[:3] {
		for _, o := range []locoprop.Options{
			{}, {Loss: locoprop.Squared, Form: locoprop.FormExact, Prox: 0.5}, {Form: locoprop.FormMetric, GammaRule: locoprop.GammaFixed}, {Clip: true},
		} {
			o.Eta = 0.01
			per := o
			o.Gamma, per.GammaPerExample = 0.5*float64(p.batch), 0.5
			a, s := planned(t, p, o)
			b, q := planned(t, p, per)
			x, y := p.data(1)
			step(t, s, 1, x, y, 1)
			step(t, q, 1, x, y, 1)
			require.Equal(t, snapshot(a), snapshot(b))
		}
	}
	for _, c := range []struct {
		o    locoprop.Options
		want string
	}{
		{locoprop.Options{Eta: 1, Gamma: 10, GammaPerExample: 0.1}, "gamma is 10 and gamma per example 0.1; give one of both"},
		{locoprop.Options{Eta: 1, GammaPerExample: -1}, "gamma per example is -1; must be a positive finite number"},
		{locoprop.Options{Form: locoprop.FormMetric, GammaPerExample: 1}, "gamma rule fisher takes gamma"},
	} {
		_, err := locoprop.New(c.o)
		require.ErrorContains(t, err, c.want)
	}
}
