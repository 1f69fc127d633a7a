package locoprop_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The identities of docs/method.md as properties: on networks, batches and blocks of
// random sizes, on every backend.

// onBackends checks a property with each backend.
func onBackends(t *testing.T, property func(t *rapid.T, k backend.Kernels)) {
	t.Helper()
	for _, k := range allBackends {
		t.Run(k.Info().Name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { property(t, k) }) })
	}
}

// drawProblem is a network of one to three layers with a batch. hidden are the transfer
// functions that its layers may have, the last one too under the squared loss.
func drawProblem(t *rapid.T, hidden []transfer.Func) problem {
	f := rapid.SampledFrom(hidden)
	p := problem{name: "random", batch: rapid.IntRange(1, 12).Draw(t, "batch")}
	p.arch.Widths = []int{rapid.IntRange(1, 10).Draw(t, "inputs")}
	for range rapid.IntRange(1, 3).Draw(t, "layers") {
		p.arch.Widths = append(p.arch.Widths, rapid.IntRange(1, 9).Draw(t, "units"))
		p.arch.Transfer = append(p.arch.Transfer, f.Draw(t, "f"))
	}
	p.loss = rapid.SampledFrom([]loss.Loss{loss.Squared, loss.SigmoidCE, loss.SoftmaxCE}).Draw(t, "loss")
	if last := len(p.arch.Transfer) - 1; p.loss != loss.Squared {
		p.arch.Transfer[last] = p.loss.Transfer()
	}
	return p
}

var monotone = []transfer.Func{transfer.Tanh, transfer.Identity, transfer.ReLU, leaky, transfer.Sigmoid, transfer.Softplus, transfer.Arctan}

// trained is the network after some batches, and W̃ before them.
func (p problem) trained(t testingT, k backend.Kernels, m plan.Method, batches int) (n *nn.Network, start []oracle.Mat) {
	n = p.network(t, 3)
	start = snapshot(n)
	s, err := m.Plan(n, p.loss, p.batch, k)
	require.NoError(t, err)
	for batch := range batches {
		x, y := p.data(uint32(batch))
		step(t, s, 1, x, y, 1)
	}
	return n, start
}

func newMethod(t testingT, o locoprop.Options) *locoprop.Method {
	m, err := locoprop.New(o)
	require.NoError(t, err)
	return m
}

// requireSame compares the changes of two networks' weights: c relative to the largest of a
// layer, and the weights' own rounding.
func requireSame(t testingT, what string, a, b *nn.Network, start []oracle.Mat, c float64) {
	t.Helper()
	for ℓ := range start {
		x, y := oracle.From32(a.Weights()[ℓ]), oracle.From32(b.Weights()[ℓ])
		limit := 2*0x1p-24*oracle.MaxAbs(x) + c*oracle.MaxDiff(x, start[ℓ])
		require.LessOrEqual(t, oracle.MaxDiff(x, y), limit, "%s, layer %d", what, ℓ)
	}
}

// iteratedForms give the T iterations of plain SGD; all but the first two need the squared
// loss.
func iteratedForms() map[string]locoprop.Options {
	return map[string]locoprop.Options{
		"direct": {Form: locoprop.FormDirect}, "kernel": {Form: locoprop.FormKernel}, "auto": {},
		"gram": {Form: locoprop.FormGram}, "spectral": {Form: locoprop.FormSpectral},
		"statistics": {Form: locoprop.FormStatistics, Statistics: locoprop.Statistics{Iterate: true, NoAverage: true}},
	}
}

// With T = 1 and plain SGD every form is BackProp's step at rate ηγ, for S and for M.
func TestOneIterationIsBackpropInEveryForm(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		const eta = 1e-2
		p := drawProblem(t, hiddenTransfers()[:12])
		gamma := rapid.Float64Range(0.1, 100).Draw(t, "gamma")
		b, err := backprop.New(backprop.Options{Eta: eta * gamma, Block: 3})
		require.NoError(t, err)
		want, start := p.trained(t, k, b, 1)
		for name, o := range iteratedForms() {
			for _, o.Loss = range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
				if o.Loss == locoprop.Matching && o.Form >= locoprop.FormGram && o.Form != locoprop.FormKernel {
					continue
				}
				o.Eta, o.Gamma, o.Steps, o.Block = eta, gamma, 1, 2
				got, _ := p.trained(t, k, newMethod(t, o), 1)
				requireSame(t, name, want, got, start, 1e-5)
			}
		}
	})
}

// T iterations are the same in every form that makes them, over two batches.
func TestIteratedFormsAgree(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, monotone)
		o := locoprop.Options{
			Eta: 0.01, Gamma: rapid.Float64Range(0.1, 10).Draw(t, "gamma"),
			Steps: rapid.IntRange(2, 7).Draw(t, "steps"), Block: rapid.IntRange(1, 4).Draw(t, "block"),
			Prox: rapid.SampledFrom([]float64{locoprop.ProxOff, locoprop.ProxAuto, 0.4}).Draw(t, "prox"),
		}
		for _, o.Loss = range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			direct := o
			direct.Form = locoprop.FormDirect
			want, start := p.trained(t, k, newMethod(t, direct), 2)
			for name, form := range iteratedForms() {
				if o.Loss == locoprop.Matching && form.Form != locoprop.FormKernel && form.Form != locoprop.FormAuto {
					continue
				}
				form.Loss, form.Eta, form.Gamma, form.Steps, form.Block, form.Prox = o.Loss, o.Eta, o.Gamma, o.Steps, o.Block, o.Prox
				got, _ := p.trained(t, k, newMethod(t, form), 2)
				requireSame(t, name, want, got, start, 1e-4)
			}
		}
	})
}

// Forms with a velocity that goes from batch to batch.
func TestIteratedFormsAgreeWithMomentum(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, monotone)
		kind := rapid.SampledFrom([]optimizer.Kind{optimizer.Momentum, optimizer.Nesterov, optimizer.MomentumBuffer}).Draw(t, "kind")
		o := locoprop.Options{
			Loss: locoprop.Squared, Eta: 0.005, Gamma: 2, Steps: rapid.IntRange(1, 5).Draw(t, "steps"), Optimizer: optimizer.New(kind),
			Reset: rapid.Bool().Draw(t, "reset"), Prox: rapid.SampledFrom([]float64{locoprop.ProxOff, 0.4}).Draw(t, "prox"), Form: locoprop.FormDirect,
		}
		want, start := p.trained(t, k, newMethod(t, o), 3)
		for _, o.Form = range []locoprop.Form{locoprop.FormGram, locoprop.FormKernel} {
			got, _ := p.trained(t, k, newMethod(t, o), 3)
			requireSame(t, o.Form.String(), want, got, start, 1e-4)
		}
	})
}

// norms are ‖X̃‖_F² of the layers: bounds of ‖C‖₂.
func (p problem) norms(t testingT) []float64 {
	var all []float64
	x, y := p.data(0)
	for _, pass := range oracleOf(p, p.network(t, 3)).Backward(oracle.From32(x), oracle.From32(y)) {
		all = append(all, oracle.Dot(pass.X, pass.X))
	}
	return all
}

// layered gives each layer its own λ, so that 1 + λ‖C‖₂ is at most that of a kind problem.
func (p problem) layered(t testingT, o locoprop.Options, set func(o *locoprop.Options, lambda, norm float64)) locoprop.Options {
	layers := map[int]locoprop.Options{}
	for ℓ, norm := range p.norms(t) {
		l := o
		set(&l, 10/norm, norm)
		layers[ℓ] = l
	}
	set(&o, 1, 1)
	o.Layers = layers
	return o
}

// The exact form is what iterations with a proximal term end at; FOOF with γ̄ = γ/B and
// ρ = 1/(λB) is the exact form; the first step of mm on S's own loss is too.
func TestExactIsTheLimitAndFOOF(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, monotone)
		squared := locoprop.Options{Loss: locoprop.Squared, Gamma: rapid.Float64Range(0.1, 10).Draw(t, "gamma"), Eta: 1, Block: 3}
		exact := p.layered(t, squared, func(o *locoprop.Options, lambda, _ float64) { o.Form, o.Prox = locoprop.FormExact, lambda })
		want, start := p.trained(t, k, newMethod(t, exact), 1)
		many := p.layered(t, squared, func(o *locoprop.Options, lambda, norm float64) {
			o.Form, o.Prox, o.Steps, o.Floor, o.Eta = locoprop.FormDirect, lambda, 250, 1, 1/(norm+1/lambda)
		})
		got, _ := p.trained(t, k, newMethod(t, many), 1)
		requireSame(t, "250 iterations", want, got, start, 1e-4)
		foof := p.layered(t, squared, func(o *locoprop.Options, lambda, _ float64) {
			o.Form, o.Prox, o.Statistics.NoAverage = locoprop.FormStatistics, lambda, true
		})
		got, _ = p.trained(t, k, newMethod(t, foof), 1)
		requireSame(t, "FOOF", want, got, start, 1e-4)
	})
}

// Newton's method, Anderson's, the fixed point iteration and mm, given enough iterations,
// end at one point, and there the gradient vanishes. (λ‖C‖₂ ≤ 10, so that each of mm takes
// away a tenth of what is left, or more.)
func TestStationaryFormsAgree(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, monotone)
		o := locoprop.Options{Gamma: rapid.Float64Range(0.1, 3).Draw(t, "gamma"), Eta: 1, Block: 3}
		solved := func(change func(*locoprop.Options)) (*nn.Network, []oracle.Mat) {
			return p.trained(t, k, newMethod(t, p.layered(t, o, func(o *locoprop.Options, lambda, _ float64) {
				o.Prox = lambda
				change(o)
			})), 1)
		}
		implicit := func(s locoprop.ImplicitSolver) func(*locoprop.Options) {
			return func(o *locoprop.Options) {
				o.Form = locoprop.FormImplicit
				o.Implicit = locoprop.Implicit{Solver: s, Tolerance: 1e-6, Iterations: 500}
			}
		}
		want, start := solved(implicit(locoprop.SolverAnderson))
		x, y := p.data(0)
		for ℓ, pass := range oracleOf(p, p.network(t, 3)).Backward(oracle.From32(x), oracle.From32(y)) {
			local := oracle.Problem{F: p.arch.Transfer[ℓ], X: pass.X, Ahat: pass.A, D: pass.D, Gamma: o.Gamma, Prox: p.norms(t)[ℓ] / 10}
			delta := oracle.Plus(oracle.From32(want.Weights()[ℓ]), -1, start[ℓ])
			// The gradient's change over an error of Δ is up to (sup f′·‖C‖ + 1/λ) times that, and of
			// the whole Δ it is at least 1/λ times Δ.
			first := oracle.MaxAbs(local.Gradient(oracle.New(delta.Rows, delta.Cols)))
			rounding := 4 * 0x1p-24 * (p.norms(t)[ℓ] * 2) * (oracle.MaxAbs(start[ℓ]) + 1) * math.Sqrt(float64(delta.Cols))
			require.LessOrEqual(t, oracle.MaxAbs(local.Gradient(delta)), 1e-3*first+rounding, "layer %d", ℓ)
		}
		got, _ := solved(implicit(locoprop.SolverFixed))
		requireSame(t, "fixed point", want, got, start, 1e-3)
		got, _ = solved(func(o *locoprop.Options) { o.Form, o.Steps = locoprop.FormMajorised, 200 })
		requireSame(t, "mm", want, got, start, 1e-3)
		if p.loss != loss.SoftmaxCE {
			got, _ = solved(implicit(locoprop.SolverNewton))
			requireSame(t, "newton", want, got, start, 1e-3)
		}
	})
}

// No iteration of mm raises a layer's local loss with its proximal term, whatever the
// targets.
func TestMajorisedIsMonotone(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, monotone)
		o := locoprop.Options{
			Form: locoprop.FormMajorised, Eta: 1, Gamma: rapid.Float64Range(0.1, 100).Draw(t, "gamma"),
			Prox: rapid.Float64Range(0.01, 10).Draw(t, "lambda"), Diagnose: 1,
		}
		last := make([]float64, len(p.arch.Transfer))
		for o.Steps = 1; o.Steps <= 4; o.Steps++ {
			s, err := newMethod(t, o).Plan(p.network(t, 3), p.loss, p.batch, k)
			require.NoError(t, err)
			x, y := p.data(0)
			for ℓ, r := range step(t, s, 1, x, y, 1).Layers {
				require.LessOrEqual(t, r.LossEnd, last[ℓ]+1e-5*math.Abs(last[ℓ])+1e-9, "layer %d after %d iterations", ℓ, o.Steps)
				last[ℓ] = r.LossEnd
			}
		}
	})
}

// On identities M is S, bit for bit, in every form that has both.
func TestMatchingIsSquaredOnIdentitiesInEveryForm(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, []transfer.Func{transfer.Identity})
		p.loss = loss.Squared
		p.arch.Transfer[len(p.arch.Transfer)-1] = transfer.Identity
		o := locoprop.Options{
			Eta: 0.01, Gamma: 2, Steps: rapid.IntRange(1, 5).Draw(t, "steps"),
			Prox: 0.3, Form: rapid.SampledFrom([]locoprop.Form{
				locoprop.FormAuto, locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel,
				locoprop.FormExact, locoprop.FormSpectral, locoprop.FormStatistics, locoprop.FormMetric,
			}).Draw(t, "form"),
		}
		if o.Form == locoprop.FormMetric {
			o.Prox, o.Gamma = locoprop.ProxOff, 0
		}
		m, _ := p.trained(t, k, newMethod(t, o), 3)
		o.Loss = locoprop.Squared
		s, _ := p.trained(t, k, newMethod(t, o), 3)
		require.Equal(t, snapshot(s), snapshot(m))
	})
}

// Where outputs are targets D is 0, and no form moves a weight by a bit.
func TestZeroGradientMovesNothingInAnyFormOrRule(t *testing.T) {
	all := factors()
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		pick := make([]int, len(all))
		for i, f := range all {
			switch f.name {
			case "method", "form", "optimizer", "prox", "transfer", "reset", "clip", "cap", "reject", "correction":
				pick[i] = rapid.IntRange(0, len(f.choices)-1).Draw(t, f.name)
			case "loss":
				pick[i] = 2
			}
		}
		s := newSetup(all, pick)
		if !s.valid() || s.o.Optimizer.WeightDecay > 0 {
			t.Skip("not valid, or with a decay that needs no gradient")
		}
		n := s.network(t, 4)
		x, _ := s.data(1)
		act := nn.NewActivations(n, s.batch)
		backend.Copy(backend.WithoutBias(act.Input[0]), x)
		act.Forward(k, n.Weights(), 0, s.batch)
		_, y := act.Output(0, s.batch)
		before := snapshot(n)
		stepper, err := newMethod(t, s.o).Plan(n, s.loss, s.batch, k)
		require.NoError(t, err)
		step(t, stepper, 1, x, y, 1)
		for ℓ, w := range n.Weights() {
			require.Zero(t, oracle.MaxDiff(oracle.From32(w), before[ℓ]), "%s, layer %d", caseName(all, pick), ℓ)
		}
	})
}

// A block-diagonal C̄ is its blocks solved apart: each block of columns moves as if its
// inputs were all that the layer has.
func TestBlockDiagonalIsBlocksApart(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, monotone)
		columns := rapid.IntRange(1, 6).Draw(t, "columns")
		const lambda, gamma = 0.3, 2
		o := locoprop.Options{
			Loss: locoprop.Squared, Form: locoprop.FormStatistics, Prox: lambda, Gamma: gamma, Eta: 1,
			Statistics: locoprop.Statistics{Structure: precond.BlockDiagonal, Columns: columns},
		}
		n, start := p.trained(t, k, newMethod(t, o), 1)
		x, y := p.data(0)
		for ℓ, pass := range oracleOf(p, p.network(t, 3)).Backward(oracle.From32(x), oracle.From32(y)) {
			delta := oracle.Plus(oracle.From32(n.Weights()[ℓ]), -1, start[ℓ])
			for lo := 0; lo < pass.X.Cols; lo += columns {
				hi := min(lo+columns, pass.X.Cols)
				apart := oracle.Problem{X: pass.X.Columns(lo, hi), Ahat: pass.A, D: pass.D, Gamma: gamma, Prox: 1.0 / lambda}.Minimum()
				limit := 2*0x1p-24*(oracle.MaxAbs(start[ℓ])+1) + 1e-4*oracle.MaxAbs(apart)
				require.LessOrEqual(t, oracle.MaxDiff(delta.Columns(lo, hi), apart), limit, "layer %d, columns %d to %d", ℓ, lo, hi)
			}
		}
	})
}

// The statistics of two halves of a batch add up to the whole's, and so do C and G: the
// exact form of a batch given twice, at 2γ and λ/2, is that of the batch.
func TestRepeatedBatchIsTheBatch(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, monotone)
		twice := p
		twice.batch *= 2
		// D carries 1/B, so that G stays; C doubles.
		o := locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormExact, Prox: 0.4, Gamma: 2, Eta: 1}
		n, start := p.network(t, 3), snapshot(p.network(t, 3))
		x, y := p.data(0)
		s, err := newMethod(t, o).Plan(n, p.loss, p.batch, k)
		require.NoError(t, err)
		step(t, s, 1, x, y, 1)
		o.Prox, o.Gamma = o.Prox/2, o.Gamma*2
		m := p.network(t, 3)
		s, err = newMethod(t, o).Plan(m, p.loss, twice.batch, k)
		require.NoError(t, err)
		x2, y2 := backend.NewMat(twice.batch, x.Cols), backend.NewMat(twice.batch, y.Cols)
		for half := range 2 {
			backend.Copy(backend.Rows(x2, half*p.batch, (half+1)*p.batch), x)
			backend.Copy(backend.Rows(y2, half*p.batch, (half+1)*p.batch), y)
		}
		step(t, s, 1, x2, y2, 1)
		requireSame(t, "twice", n, m, start, 1e-4)
	})
}

// γ = B puts the targets of a cross-entropy's last layer at t, and the exact minimum
// without a proximal term to speak of then gives the targets where X̃ can.
func TestGammaOfBatchReachesTheTargets(t *testing.T) {
	onBackends(t, func(t *rapid.T, k backend.Kernels) {
		p := drawProblem(t, []transfer.Func{transfer.Tanh})
		p.loss = rapid.SampledFrom([]loss.Loss{loss.SigmoidCE, loss.SoftmaxCE}).Draw(t, "ce")
		last := len(p.arch.Transfer) - 1
		p.arch.Transfer[last] = p.loss.Transfer()
		tape, err := plan.NewTape(p.network(t, 3), p.loss, p.batch, k)
		require.NoError(t, err)
		x, y := p.data(1)
		pool := plan.NewPool(1)
		defer pool.Close()
		_, err = tape.Run(pool, x, y)
		require.NoError(t, err)
		target := oracle.Plus(oracle.From32(tape.Y[last]), -float64(p.batch), oracle.From32(tape.D[last]))
		require.LessOrEqual(t, oracle.MaxDiff(target, oracle.From32(y)), 2*0x1p-24)
	})
}
