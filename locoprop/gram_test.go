package locoprop_test

import (
	"fmt"
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

// formBackends run the forms; native joins where this build has it.
var formBackends = []backend.Kernels{gonum.New()}

// allBackends are those and netlib.
var allBackends = formBackends

// sameIterates are the forms that compute the same thing in exact arithmetic.
var sameIterates = []locoprop.Form{locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel}

// largeProblems have more inputs, or more examples, than a stripe of C or K has rows.
func largeProblems() []problem {
	return []problem{
		{"many inputs", nn.Arch{Widths: []int{300, 9, 6}, Transfer: []transfer.Func{transfer.Tanh, transfer.Softmax}}, loss.SoftmaxCE, 11},
		{"many examples", nn.Arch{Widths: []int{6, 7, 5}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}}, loss.SigmoidCE, 270},
	}
}

// accepts reports whether a form solves all local problems of p; otherwise Plan must
// have refused it.
func accepts(p problem, o locoprop.Options) bool {
	squared := o.Loss == locoprop.Squared
	if !squared && o.Form == locoprop.FormGram {
		for _, f := range p.arch.Transfer {
			if f != transfer.Identity {
				return false
			}
		}
	}
	return o.Form != locoprop.FormKernel || o.Optimizer.Kind <= optimizer.Nesterov
}

// formTrajectory trains a few batches by one form and returns the network.
func formTrajectory(t *testing.T, k backend.Kernels, p problem, o locoprop.Options, batches, workers int) *nn.Network {
	t.Helper()
	n := p.network(t, 3)
	m, err := locoprop.New(o)
	require.NoError(t, err)
	s, err := m.Plan(n, p.loss, p.batch, k)
	require.NoError(t, err)
	for _, l := range s.Explain() {
		require.Equal(t, o.Form.String(), l.Form)
	}
	for batch := range batches {
		x, y := p.data(uint32(batch))
		step(t, s, workers, x, y, 1/float64(1+batch))
	}
	return n
}

// oracleTrajectory is the same in float64.
func oracleTrajectory(t *testing.T, p problem, o locoprop.Options, batches int) (end *oracle.Network, start []oracle.Mat) {
	t.Helper()
	n := p.network(t, 3)
	end, start = oracleOf(p, n), snapshot(n)
	c := oracle.LocoProp{
		Matching: o.Loss == locoprop.Matching, Gamma: o.Gamma, Eta: o.Eta, T: o.Steps, Floor: 0.25,
		Prox: o.Prox != locoprop.ProxOff, Lambda: max(o.Prox, 0), // 0: the sum of the rates
	}
	opts := end.Optimizers(o.Optimizer)
	for batch := range batches {
		if o.Reset {
			opts = end.Optimizers(o.Optimizer)
		}
		x, y := p.data(uint32(batch))
		end.StepLocoProp(c, opts, oracle.From32(x), oracle.From32(y), 1/float64(1+batch))
	}
	return end, start
}

// Three batches by each form, so that what an optimiser carries over counts: against
// float64, and against each other.
func TestFormsAgreeWithOracleAndEachOther(t *testing.T) {
	settings := []locoprop.Options{{}, {Prox: locoprop.ProxAuto}, {Reset: true}, {Prox: 0.02, Reset: true}}
	for _, p := range append(problems(), largeProblems()...) {
		for _, r := range rules() {
			for _, o := range settings {
				// From an empty second moment the first update is the sign of g, and of
				// thousands of weights some have a g that is 0 but for rounding.
				if o.Reset && r.Kind >= optimizer.RMSPropTorch && p.arch.Params() > 1000 {
					continue
				}
				o.Eta, o.Gamma, o.Optimizer, o.Block = 3e-3, 2.5, r, 4
				for _, o.Loss = range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
					name := fmt.Sprintf("%s/%s/%v/prox %v/reset %v", p.name, ruleName(r), o.Loss == locoprop.Matching, o.Prox, o.Reset)
					t.Run(name, func(t *testing.T) { checkForms(t, p, o) })
				}
			}
		}
	}
}

func checkForms(t *testing.T, p problem, o locoprop.Options) {
	t.Helper()
	const batches = 3
	for _, o.Steps = range []int{1, 5} {
		want, start := oracleTrajectory(t, p, o, batches)
		for _, k := range formBackends {
			var others []*nn.Network
			for _, o.Form = range sameIterates {
				if !accepts(p, o) {
					continue
				}
				n := formTrajectory(t, k, p, o, batches, 2)
				requireAgrees(t, n, start, want, agreement(o.Optimizer.Kind))
				for _, other := range others {
					requireAgrees(t, n, start, oracleOf(p, other), agreement(o.Optimizer.Kind))
				}
				others = append(others, n)
			}
		}
	}
}

// A single iteration needs neither C nor K: Gram's and direct's are the same sum, and
// so is the kernel form's without a carried velocity.
func TestFormsAgreeOnFirstIteration(t *testing.T) {
	p := problems()[2]
	for _, form := range sameIterates[1:] {
		o := locoprop.Options{Loss: locoprop.Squared, Eta: 1e-2, Steps: 1, Block: 3, Form: locoprop.FormDirect}
		direct := formTrajectory(t, gonum.New(), p, o, 1, 1)
		start := snapshot(p.network(t, 3))
		o.Form = form
		requireAgrees(t, formTrajectory(t, gonum.New(), p, o, 1, 1), start, oracleOf(p, direct), 1e-6)
	}
}

// The same bits for any number of workers, with several stripes of C and K.
func TestWorkersDontChangeBitsOfForms(t *testing.T) {
	p := problem{"odd", nn.Arch{Widths: []int{290, 23, 5, 17}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity, transfer.Sigmoid}}, loss.SigmoidCE, 277}
	for _, form := range sameIterates {
		o := locoprop.Options{Loss: locoprop.Squared, Eta: 1e-3, Form: form, Optimizer: optimizer.New(optimizer.Nesterov), Block: 5}
		for _, k := range formBackends {
			want := snapshot(formTrajectory(t, k, p, o, 2, 1))
			for _, workers := range []int{2, 3, 8} {
				require.Equal(t, want, snapshot(formTrajectory(t, k, p, o, 2, workers)), "%v, %s: %d workers", form, k.Info().Name, workers)
			}
		}
	}
}

func TestFormsDontAllocate(t *testing.T) {
	p := problems()[0]
	x, y := p.data(1)
	pool := plan.NewPool(2)
	defer pool.Close()
	for _, form := range sameIterates {
		for _, reset := range []bool{false, true} {
			m, err := locoprop.New(locoprop.Options{
				Loss: locoprop.Squared, Eta: 1e-3, Form: form, Prox: locoprop.ProxAuto,
				Reset: reset, Optimizer: optimizer.New(optimizer.Momentum), Block: 2,
			})
			require.NoError(t, err)
			s, err := m.Plan(p.network(t, 1), p.loss, p.batch, gonum.New())
			require.NoError(t, err)
			assert.Zero(t, testing.AllocsPerRun(20, func() {
				if _, err := s.Step(pool, x, y, 1); err != nil {
					t.Error(err)
				}
			}), "%v", form)
		}
	}
}

// A new stepper that takes over the state goes on bit for bit.
func TestFormStateResumes(t *testing.T) {
	p := problems()[0]
	for _, o := range []locoprop.Options{
		{Form: locoprop.FormGram, Loss: locoprop.Squared, Optimizer: optimizer.New(optimizer.AdamTF1)},
		{Form: locoprop.FormGram, Loss: locoprop.Squared, Optimizer: optimizer.New(optimizer.RMSPropTF1), Reset: true},
		{Form: locoprop.FormKernel, Optimizer: optimizer.New(optimizer.Nesterov)},
		{Form: locoprop.FormKernel, Optimizer: optimizer.New(optimizer.Momentum), Reset: true},
	} {
		o.Eta, o.Block, o.Prox = 1e-2, 4, locoprop.ProxAuto
		m, err := locoprop.New(o)
		require.NoError(t, err)
		straight, stopped := p.network(t, 1), p.network(t, 1)
		a, err := m.Plan(straight, p.loss, p.batch, gonum.New())
		require.NoError(t, err)
		b, err := m.Plan(stopped, p.loss, p.batch, gonum.New())
		require.NoError(t, err)
		for batch := range 6 {
			x, y := p.data(uint32(batch))
			step(t, a, 2, x, y, 1)
			if batch == 3 {
				resumed := p.network(t, 7)
				c, err := m.Plan(resumed, p.loss, p.batch, gonum.New())
				require.NoError(t, err)
				require.NoError(t, plan.Restore(c.State(), b.State()))
				stopped, b = resumed, c
			}
			step(t, b, 1, x, y, 1)
		}
		assert.Equal(t, snapshot(straight), snapshot(stopped), "%v", o.Form)
	}
}

// Without a gradient and without a carried velocity no weight moves by a bit.
func TestZeroGradientMovesNothingInAnyForm(t *testing.T) {
	p := problems()[2] // squared error: D is exactly 0 where the outputs are the targets
	for _, r := range rules() {
		for _, form := range sameIterates[1:] {
			o := locoprop.Options{Loss: locoprop.Squared, Eta: 1, Form: form, Optimizer: r, Prox: 0.5}
			if !accepts(p, o) || r.WeightDecay > 0 { // decay needs no gradient
				continue
			}
			n := p.network(t, 4)
			x, _ := p.data(1)
			act := nn.NewActivations(n, p.batch)
			backend.Copy(backend.WithoutBias(act.Input[0]), x)
			act.Forward(gonum.New(), n.Weights(), 0, p.batch)
			_, y := act.Output(0, p.batch)
			before := snapshot(n)
			m, err := locoprop.New(o)
			require.NoError(t, err)
			s, err := m.Plan(n, p.loss, p.batch, gonum.New())
			require.NoError(t, err)
			step(t, s, 1, x, y, 1)
			require.Equal(t, before, snapshot(n), "%v %s", form, ruleName(r))
		}
	}
}

// With a proximal term, S has one minimiser, ΔW̃ = −γG(C + λ⁻¹I)⁻¹, and the rules that
// are linear in g reach it in every form.
func TestFormsConvergeToRidge(t *testing.T) {
	const lambda, gamma = 0.5, 2.0
	p := problem{"ridge", nn.Arch{Widths: []int{6, 5}, Transfer: []transfer.Func{transfer.Sigmoid}}, loss.SigmoidCE, 10}
	x, y := p.data(1)
	want := oracleOf(p, p.network(t, 3))
	pass := want.Backward(oracle.From32(x), oracle.From32(y))[0]
	c := oracle.Mul(pass.X.T(), pass.X)
	for i := range c.Rows {
		c.Set(i, i, c.At(i, i)+1/lambda)
	}
	want.Layers[0].W = oracle.Plus(want.Layers[0].W, -gamma, oracle.Mul(pass.G, damped(c, 0)))
	for _, form := range sameIterates {
		for _, kind := range []optimizer.Kind{optimizer.SGD, optimizer.Momentum, optimizer.Nesterov} {
			// The largest eigenvalue of C + I/λ is below tr C + 1/λ ≈ 35.
			o := locoprop.Options{
				Loss: locoprop.Squared, Form: form, Optimizer: optimizer.New(kind), Prox: lambda,
				Gamma: gamma, Eta: 0.01, Floor: 1, Steps: 2000,
			}
			m, err := locoprop.New(o)
			require.NoError(t, err)
			for _, k := range allBackends {
				n := p.network(t, 3)
				start := snapshot(n)
				s, err := m.Plan(n, p.loss, p.batch, k)
				require.NoError(t, err)
				step(t, s, 1, x, y, 1)
				requireAgrees(t, n, start, want, 1e-5)
			}
		}
	}
}
