package locoprop_test

import (
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

// Softmax under M couples a row's units: the layer is one task of the kernel form,
// wider than a block or not, and agrees with float64 over batches with velocity.
func TestKernelFormOfWideSoftmax(t *testing.T) {
	p := problem{"wide", nn.Arch{Widths: []int{5, 6, 19}, Transfer: []transfer.Func{transfer.Tanh, transfer.Softmax}}, loss.SoftmaxCE, 21}
	o := locoprop.Options{Eta: 1e-2, Gamma: 21, Steps: 6, Block: 4, Form: locoprop.FormKernel, Optimizer: optimizer.New(optimizer.Momentum)}
	m, err := locoprop.New(o)
	require.NoError(t, err)
	s, err := m.Plan(p.network(t, 3), p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	assert.Equal(t, 1, s.Explain()[1].Tasks)
	assert.Equal(t, 2, s.Explain()[0].Tasks)
	want, start := oracleTrajectory(t, p, o, 4)
	requireAgrees(t, formTrajectory(t, gonum.New(), p, o, 4, 3), start, want, 1e-4)
}

// The velocity is the direct form's, so a run may change between the two: its state
// has the same tensors, and a few batches later they still agree.
func TestKernelFormCarriesDirectVelocity(t *testing.T) {
	p := problems()[0]
	planned := func(form locoprop.Form) (*nn.Network, plan.Stepper) {
		m, err := locoprop.New(locoprop.Options{Eta: 3e-3, Block: 4, Form: form, Optimizer: optimizer.New(optimizer.Nesterov)})
		require.NoError(t, err)
		n := p.network(t, 3)
		s, err := m.Plan(n, p.loss, p.batch, gonum.New())
		require.NoError(t, err)
		return n, s
	}
	straight, direct := planned(locoprop.FormDirect)
	changed, kernel := planned(locoprop.FormKernel)
	start := snapshot(straight)
	for batch := range 5 {
		x, y := p.data(uint32(batch))
		if batch == 3 {
			n, s := planned(locoprop.FormDirect)
			require.NoError(t, plan.Restore(s.State(), kernel.State()))
			changed, kernel = n, s
		}
		step(t, direct, 1, x, y, 1)
		step(t, kernel, 1, x, y, 1)
	}
	requireAgrees(t, changed, start, oracleOf(p, straight), 1e-4)
}

// A velocity that starts at 0 in every batch isn't kept, and its products aren't made.
func TestKernelFormWithoutVelocity(t *testing.T) {
	p := problems()[0]
	explain := func(o locoprop.Options) plan.LayerPlan {
		o.Eta, o.Form = 1, locoprop.FormKernel
		m, err := locoprop.New(o)
		require.NoError(t, err)
		s, err := m.Plan(p.network(t, 3), p.loss, p.batch, gonum.New())
		require.NoError(t, err)
		return s.Explain()[0]
	}
	r := optimizer.New(optimizer.Momentum)
	carried, reset, sgd := explain(locoprop.Options{Optimizer: r}), explain(locoprop.Options{Optimizer: r, Reset: true}), explain(locoprop.Options{})
	b, n, m := 9.0, 8.0, 5.0
	assert.Equal(t, 4*n*m, carried.StateBytes)
	assert.Zero(t, reset.StateBytes)
	assert.Equal(t, 4*b*n*m, carried.LocalFlops-reset.LocalFlops)
	assert.Equal(t, sgd.LocalFlops, reset.LocalFlops)
}

// What a form can't do is refused when planned, and the error says what would do.
func TestFormsRefuse(t *testing.T) {
	p := problems()[0]
	for _, c := range []struct {
		o    locoprop.Options
		want string
	}{
		{locoprop.Options{Form: locoprop.FormGram}, "layer 0: form gram needs the squared local loss (locoprop-s)"},
		{
			locoprop.Options{Form: locoprop.FormKernel, Optimizer: optimizer.New(optimizer.AdamTF1)},
			"layer 0: form kernel needs optimizer sgd, or momentum, or nesterov, not adam",
		},
		{
			locoprop.Options{Form: locoprop.FormKernel, Loss: locoprop.Squared, Optimizer: optimizer.New(optimizer.RMSPropTorch)},
			"form kernel needs optimizer sgd, or momentum, or nesterov, not rmsprop",
		},
		{locoprop.Options{Form: locoprop.FormKernel, Loss: locoprop.Squared, Optimizer: optimizer.New(optimizer.AdaGrad)}, "not adagrad"},
	} {
		c.o.Eta = 1
		m, err := locoprop.New(c.o)
		require.NoError(t, err)
		_, err = m.Plan(p.network(t, 1), p.loss, p.batch, gonum.New())
		assert.ErrorContains(t, err, c.want)
	}
	// M on the identity is S.
	m, err := locoprop.New(locoprop.Options{Eta: 1, Form: locoprop.FormGram})
	require.NoError(t, err)
	linear := problem{"linear", nn.Arch{Widths: []int{5, 3}, Transfer: []transfer.Func{transfer.Identity}}, loss.Squared, 7}
	_, err = m.Plan(linear.network(t, 1), linear.loss, linear.batch, gonum.New())
	assert.NoError(t, err)
}
