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
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var leaky = transfer.LeakyReLU(0.1)

// problem is a network, a batch and what trains on them.
type problem struct {
	name  string
	arch  nn.Arch
	loss  loss.Loss
	batch int
}

func problems() []problem {
	arch := func(widths []int, f ...transfer.Func) nn.Arch { return nn.Arch{Widths: widths, Transfer: f} }
	return []problem{
		{"autoencoder", arch([]int{7, 5, 3, 6, 7}, transfer.Tanh, transfer.Identity, transfer.Tanh, transfer.Sigmoid), loss.SigmoidCE, 9},
		{"classifier", arch([]int{6, 11, 5}, transfer.ReLU, transfer.Softmax), loss.SoftmaxCE, 8},
		{"regression", arch([]int{4, 9, 8, 2}, leaky, transfer.Sigmoid, transfer.Identity), loss.Squared, 13},
		{"squared tanh", arch([]int{3, 4, 1}, transfer.Tanh, transfer.Tanh), loss.Squared, 5},
		{"one of everything", arch([]int{1, 1}, transfer.Sigmoid), loss.SigmoidCE, 1},
	}
}

// testingT is what helpers need of a test: *testing.T or *rapid.T.
type testingT interface {
	require.TestingT
	Helper()
}

func (p problem) network(t testingT, seed uint32) *nn.Network {
	t.Helper()
	n, err := nn.New(p.arch)
	require.NoError(t, err)
	n.Init(nn.Glorot, seed)
	return n
}

// data returns inputs and targets in (0, 1); targets of a classifier are one-hot.
func (p problem) data(seed uint32) (x, t backend.Mat) {
	u := philox.New(seed, philox.Local, 0)
	last := p.arch.Widths[len(p.arch.Widths)-1]
	x, t = backend.NewMat(p.batch, p.arch.Widths[0]), backend.NewMat(p.batch, last)
	for i := range x.Data {
		x.Data[i] = float32(u.Uniform(uint64(i)))
	}
	for i := range t.Data {
		t.Data[i] = float32(u.Uniform(uint64(1_000_000 + i)))
	}
	if p.loss.Kind() == loss.KindSoftmaxCE || p.loss.Kind() == loss.KindBiTempered {
		clear(t.Data)
		for i := range p.batch {
			t.Data[i*last+i%last] = 1
		}
	}
	return x, t
}

func rules() []optimizer.Rule {
	var all []optimizer.Rule
	for k := optimizer.SGD; k < optimizer.NumKinds; k++ {
		if !k.Averages() { // not a local optimiser
			all = append(all, optimizer.New(k))
		}
	}
	return all
}

func ruleName(r optimizer.Rule) string { return r.Name() + r.Variant() }

// agreement is the factor c of how far float32 and float64 may lie apart relative to
// the change of the weights: rules that divide by the root of a small second moment
// magnify rounding.
func agreement(k optimizer.Kind) float64 {
	switch k {
	case optimizer.SGD, optimizer.Momentum, optimizer.Nesterov, optimizer.RMSPropTF1, optimizer.MomentumBuffer:
		return 1e-4
	}
	return 1e-2
}

func oracleOf(p problem, n *nn.Network) *oracle.Network {
	o := &oracle.Network{Loss: p.loss}
	for _, l := range n.Layers {
		o.Layers = append(o.Layers, oracle.Layer{W: oracle.From32(l.Weights()), F: l.Transfer()})
	}
	return o
}

func requireAgrees(t testingT, n *nn.Network, start []oracle.Mat, o *oracle.Network, c float64) {
	t.Helper()
	requireNear(t, n, start, o, c)
	for ℓ, l := range o.Layers {
		require.Positive(t, oracle.MaxDiff(l.W, start[ℓ]), "layer %d didn't move", ℓ)
	}
}

// requireNear is requireAgrees for layers that may stand still.
func requireNear(t testingT, n *nn.Network, start []oracle.Mat, o *oracle.Network, c float64) {
	t.Helper()
	for ℓ, w := range n.Weights() {
		want := o.Layers[ℓ].W
		limit := 2*0x1p-24*oracle.MaxAbs(want) + c*oracle.MaxDiff(want, start[ℓ])
		require.LessOrEqual(t, oracle.MaxDiff(oracle.From32(w), want), limit, "layer %d", ℓ)
	}
}

func snapshot(n *nn.Network) []oracle.Mat {
	var all []oracle.Mat
	for _, w := range n.Weights() {
		all = append(all, oracle.From32(w))
	}
	return all
}

func step(t testingT, s plan.Stepper, workers int, x, y backend.Mat, scale float64) plan.Report {
	t.Helper()
	pool := plan.NewPool(workers)
	defer pool.Close()
	r, err := s.Step(pool, x, y, scale)
	require.NoError(t, err)
	return r
}

// Three batches with every optimiser, both local losses, T = 1, 2 and 5, against the
// float64 oracle.
func TestStepsAgreeWithOracle(t *testing.T) {
	for _, p := range problems() {
		for _, r := range rules() {
			for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
				for _, steps := range []int{1, 2, 5} {
					name := fmt.Sprintf("%s/%s/%v/T=%d", p.name, ruleName(r), l == locoprop.Matching, steps)
					t.Run(name, func(t *testing.T) { checkTrajectory(t, gonum.New(), p, r, l, steps) })
				}
			}
		}
	}
}

func checkTrajectory(t *testing.T, k backend.Kernels, p problem, r optimizer.Rule, l locoprop.LocalLoss, steps int) {
	const gamma, eta = 2.5, 3e-3
	n := p.network(t, 3)
	o, start := oracleOf(p, n), snapshot(n)
	m, err := locoprop.New(locoprop.Options{Loss: l, Eta: eta, Gamma: gamma, Steps: steps, Optimizer: r, Block: 4})
	require.NoError(t, err)
	s, err := m.Plan(n, p.loss, p.batch, k)
	require.NoError(t, err)
	opts := o.Optimizers(r)
	for batch := range 3 {
		x, y := p.data(uint32(batch))
		scale := 1 - 0.25*float64(batch)
		want := o.MeanLoss(oracle.From32(x), oracle.From32(y))
		report := step(t, s, 2, x, y, scale)
		require.InEpsilon(t, want, report.Loss, 1e-5, "loss of batch %d", batch)
		c := oracle.LocoProp{Matching: l == locoprop.Matching, Gamma: gamma, Eta: eta, T: steps, Floor: 0.25}
		o.StepLocoProp(c, opts, oracle.From32(x), oracle.From32(y), scale)
	}
	requireAgrees(t, n, start, o, agreement(r.Kind))
}

func TestBackpropAgreesWithOracle(t *testing.T) {
	for _, p := range problems() {
		for _, r := range rules() {
			t.Run(p.name+"/"+ruleName(r), func(t *testing.T) {
				n := p.network(t, 3)
				o, start := oracleOf(p, n), snapshot(n)
				m, err := backprop.New(backprop.Options{Eta: 0.02, Optimizer: r, Block: 4})
				require.NoError(t, err)
				s, err := m.Plan(n, p.loss, p.batch, gonum.New())
				require.NoError(t, err)
				opts := o.Optimizers(r)
				for batch := range 3 {
					x, y := p.data(uint32(batch))
					step(t, s, 2, x, y, 0.5)
					o.StepBackprop(opts, oracle.From32(x), oracle.From32(y), 0.01)
				}
				requireAgrees(t, n, start, o, agreement(r.Kind))
			})
		}
	}
}

// With T = 1 and plain SGD, LocoProp is BackProp's step times γ, for S and M alike.
func TestOneIterationIsBackprop(t *testing.T) {
	const gamma, eta = 10, 1e-3
	for _, p := range problems() {
		for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			x, y := p.data(1)
			ours, theirs := p.network(t, 5), p.network(t, 5)
			start := snapshot(ours)
			m, err := locoprop.New(locoprop.Options{Loss: l, Eta: eta, Gamma: gamma, Steps: 1, Block: 3})
			require.NoError(t, err)
			b, err := backprop.New(backprop.Options{Eta: eta * gamma, Block: 3})
			require.NoError(t, err)
			s, err := m.Plan(ours, p.loss, p.batch, gonum.New())
			require.NoError(t, err)
			step(t, s, 1, x, y, 1)
			s, err = b.Plan(theirs, p.loss, p.batch, gonum.New())
			require.NoError(t, err)
			step(t, s, 1, x, y, 1)
			for ℓ := range start {
				a, b := oracle.From32(ours.Weights()[ℓ]), oracle.From32(theirs.Weights()[ℓ])
				// Each side rounds its own products of the same numbers: 1e-5 of the step, and the
				// weights' own last bit.
				limit := 2*0x1p-24*oracle.MaxAbs(b) + 1e-5*oracle.MaxDiff(b, start[ℓ])
				require.LessOrEqual(t, oracle.MaxDiff(a, b), limit, "%s layer %d", p.name, ℓ)
				require.Positive(t, oracle.MaxDiff(b, start[ℓ]))
			}
		}
	}
}

// On a network of identities LocoProp-S and LocoProp-M are the same program.
func TestMatchingIsSquaredOnIdentity(t *testing.T) {
	p := problem{"linear", nn.Arch{Widths: []int{5, 4, 3}, Transfer: []transfer.Func{transfer.Identity, transfer.Identity}}, loss.Squared, 7}
	x, y := p.data(1)
	var nets []*nn.Network
	for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
		n := p.network(t, 2)
		m, err := locoprop.New(locoprop.Options{Loss: l, Eta: 1e-2, Optimizer: optimizer.New(optimizer.RMSPropTF1)})
		require.NoError(t, err)
		s, err := m.Plan(n, p.loss, p.batch, gonum.New())
		require.NoError(t, err)
		for range 4 {
			step(t, s, 1, x, y, 1)
		}
		nets = append(nets, n)
	}
	for ℓ, w := range nets[0].Weights() {
		assert.Equal(t, w.Data, nets[1].Weights()[ℓ].Data, "layer %d", ℓ)
	}
}

// Where the network's outputs are its targets, D = 0, and no weight moves by a bit.
func TestZeroGradientMovesNothing(t *testing.T) {
	p := problems()[2] // squared error: D = (Ŷ − t)∘f′/B is exactly 0
	for _, r := range rules() {
		if r.WeightDecay > 0 {
			continue // its decay moves weights without a gradient
		}
		for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			n := p.network(t, 4)
			x, _ := p.data(1)
			act := nn.NewActivations(n, p.batch)
			backend.Copy(backend.WithoutBias(act.Input[0]), x)
			act.Forward(gonum.New(), n.Weights(), 0, p.batch)
			_, y := act.Output(0, p.batch)
			before := snapshot(n)
			m, err := locoprop.New(locoprop.Options{Loss: l, Eta: 1, Optimizer: r})
			require.NoError(t, err)
			s, err := m.Plan(n, p.loss, p.batch, gonum.New())
			require.NoError(t, err)
			step(t, s, 1, x, y, 1)
			for ℓ, w := range n.Weights() {
				require.Zero(t, oracle.MaxDiff(oracle.From32(w), before[ℓ]), "%s layer %d", ruleName(r), ℓ)
			}
		}
	}
}

// γ = B puts the target of a cross-entropy's last layer at t: Y* = Ŷ − γD = t.
func TestGammaOfBatchTargetsTheData(t *testing.T) {
	for _, p := range problems()[:2] {
		n := p.network(t, 1)
		x, y := p.data(1)
		tape, err := plan.NewTape(n, p.loss, p.batch, gonum.New())
		require.NoError(t, err)
		pool := plan.NewPool(1)
		_, err = tape.Run(pool, x, y)
		pool.Close()
		require.NoError(t, err)
		last := len(n.Layers) - 1
		for i := range p.batch {
			for j := range y.Cols {
				yhat := float64(tape.Y[last].Data[i*tape.Y[last].Stride+j])
				d := float64(tape.D[last].Data[i*tape.D[last].Stride+j])
				require.InDelta(t, float64(y.Data[i*y.Cols+j]), yhat-float64(p.batch)*d, 2*0x1p-24)
			}
		}
	}
}

// A row-coupled transfer function makes its layer one task, wider than a block or not.
func TestSoftmaxWiderThanABlock(t *testing.T) {
	p := problem{"wide", nn.Arch{Widths: []int{5, 6, 19}, Transfer: []transfer.Func{transfer.Tanh, transfer.Softmax}}, loss.SoftmaxCE, 21}
	n := p.network(t, 8)
	o, start := oracleOf(p, n), snapshot(n)
	m, err := locoprop.New(locoprop.Options{Eta: 1e-2, Gamma: 21, Steps: 6, Block: 4})
	require.NoError(t, err)
	s, err := m.Plan(n, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	assert.Equal(t, 1, s.Explain()[1].Tasks)
	assert.Equal(t, 2, s.Explain()[0].Tasks)
	x, y := p.data(1)
	step(t, s, 3, x, y, 1)
	c := oracle.LocoProp{Matching: true, Gamma: 21, Eta: 1e-2, T: 6, Floor: 0.25}
	o.StepLocoProp(c, o.Optimizers(optimizer.Rule{}), oracle.From32(x), oracle.From32(y), 1)
	requireAgrees(t, n, start, o, 1e-4)
}

// The same bits for any number of workers, on sizes that don't divide.
func TestWorkersDontChangeBits(t *testing.T) {
	p := problem{"odd", nn.Arch{Widths: []int{17, 23, 5, 17}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity, transfer.Sigmoid}}, loss.SigmoidCE, 149}
	var want []oracle.Mat
	for _, workers := range []int{1, 2, 3, 8} {
		n := p.network(t, 1)
		m, err := locoprop.New(locoprop.Options{Eta: 1e-3, Optimizer: optimizer.New(optimizer.AdamTF1), Block: 5})
		require.NoError(t, err)
		s, err := m.Plan(n, p.loss, p.batch, gonum.New())
		require.NoError(t, err)
		for batch := range 3 {
			x, y := p.data(uint32(batch))
			step(t, s, workers, x, y, 1)
		}
		if want == nil {
			want = snapshot(n)
		}
		require.Equal(t, want, snapshot(n), "%d workers", workers)
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	p := problems()[0]
	x, y := p.data(1)
	pool := plan.NewPool(2)
	defer pool.Close()
	lp, err := locoprop.New(locoprop.Options{Eta: 1e-3, Optimizer: optimizer.New(optimizer.AdamW), Block: 2})
	require.NoError(t, err)
	bp, err := backprop.New(backprop.Options{Eta: 1e-3, Optimizer: optimizer.New(optimizer.AdamW), Block: 2})
	require.NoError(t, err)
	for _, m := range []plan.Method{lp, bp} {
		s, err := m.Plan(p.network(t, 1), p.loss, p.batch, gonum.New())
		require.NoError(t, err)
		allocs := testing.AllocsPerRun(20, func() {
			if _, err := s.Step(pool, x, y, 1); err != nil {
				t.Error(err)
			}
		})
		assert.Zero(t, allocs, m.Name())
	}
}

// Plain SGD with a small rate lowers every layer's local loss.
func TestLocalLossFalls(t *testing.T) {
	p := problems()[0]
	n := p.network(t, 6)
	o := oracleOf(p, n)
	x, y := p.data(1)
	passes := o.Backward(oracle.From32(x), oracle.From32(y))
	start := snapshot(n)
	m, err := locoprop.New(locoprop.Options{Eta: 1e-2, Gamma: 3})
	require.NoError(t, err)
	s, err := m.Plan(n, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	step(t, s, 1, x, y, 1)
	for ℓ, w := range n.Weights() {
		local := oracle.Problem{F: n.Layers[ℓ].Transfer(), X: passes[ℓ].X, Ahat: passes[ℓ].A, D: passes[ℓ].D, Gamma: 3}
		assert.Negative(t, local.Value(oracle.Plus(oracle.From32(w), -1, start[ℓ])), "layer %d", ℓ)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := locoprop.New(locoprop.Options{
		Eta: math.NaN(), Gamma: -1, Steps: -2, Floor: 2, Block: -1, Loss: 9,
		Optimizer: optimizer.Rule{Kind: optimizer.Momentum, Momentum: 1},
	})
	for _, part := range []string{"learning rate is NaN", "gamma is -1", "-2 local steps", "floor of the local rate is 2", "block of -1", "local loss 9", "momentum is 1"} {
		assert.ErrorContains(t, err, part)
	}
	_, err = backprop.New(backprop.Options{Eta: math.Inf(1), Block: -3, Optimizer: optimizer.Rule{Kind: optimizer.AdaGrad, Epsilon: -1}})
	for _, part := range []string{"learning rate is +Inf", "block of -3", "epsilon is -1"} {
		assert.ErrorContains(t, err, part)
	}
	m, err := locoprop.New(locoprop.Options{Eta: 1})
	require.NoError(t, err)
	assert.Equal(t, "locoprop-m", m.Name())
	assert.Equal(t, locoprop.Options{Eta: 1, Gamma: 10, Steps: 10, Floor: 0.25, Block: 128, Costs: locoprop.DefaultCosts}, m.Options())
}

// A step whose loss isn't finite says where, and leaves the weights as they were.
func TestDivergedStepLeavesWeights(t *testing.T) {
	p := problems()[0]
	n := p.network(t, 1)
	m, err := locoprop.New(locoprop.Options{Eta: 1})
	require.NoError(t, err)
	s, err := m.Plan(n, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	pool := plan.NewPool(1)
	defer pool.Close()
	x, y := p.data(1)
	n.Weights()[1].Data[0] = float32(math.NaN())
	before := fmt.Sprint(snapshot(n)) // as text: NaN doesn't equal itself
	_, err = s.Step(pool, x, y, 1)
	var diverged *plan.DivergedError
	require.ErrorAs(t, err, &diverged)
	assert.Equal(t, 1, diverged.Layer)
	assert.Equal(t, before, fmt.Sprint(snapshot(n)))
	x.Data[3] = float32(math.NaN())
	_, err = s.Step(pool, x, y, 1)
	require.ErrorAs(t, err, &diverged)
	assert.Equal(t, -1, diverged.Layer)
}
