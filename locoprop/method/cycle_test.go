package method_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/method/foof"
	"github.com/locoprop/locoprop-go/locoprop/method/kbfgs"
	"github.com/locoprop/locoprop-go/locoprop/method/kfac"
	"github.com/locoprop/locoprop-go/locoprop/method/shampoo"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// factoring counts what is done in some steps only.
type factoring struct {
	backend.Kernels
	factors, products int
}

func (k *factoring) Cholesky(a []float64, n int) error {
	k.factors++
	return k.Kernels.Cholesky(a, n)
}

func (k *factoring) Invert(l []float64, n int) {
	k.factors++
	k.Kernels.Invert(l, n)
}

func (k *factoring) SymEig(a []float64, n int, w, work []float64) error {
	k.factors++
	return k.Kernels.SymEig(a, n, w, work)
}

func (k *factoring) Affine(a, x, w backend.Mat) {
	k.products++
	k.Kernels.Affine(a, x, w)
}

func (k *factoring) Gemm(transA, transB bool, alpha float32, a, b backend.Mat, beta float32, c backend.Mat) {
	k.products++
	k.Kernels.Gemm(transA, transB, alpha, a, b, beta, c)
}

// From a cycle's begin on, any of its lengths of steps does the same work, and for
// methods that repeat every few steps no shorter number of them does.
func TestCycle(t *testing.T) {
	must := func(m plan.Method, err error) plan.Method {
		require.NoError(t, err)
		return m
	}
	sgd := optimizer.New(optimizer.SGD)
	for name, c := range map[string]struct {
		method plan.Method
		want   plan.Cycle
	}{
		"backprop":    {must(backprop.New(backprop.Options{Eta: 0.01, Optimizer: sgd})), plan.Cycle{Length: 1}},
		"locoprop":    {must(locoprop.New(locoprop.Options{Eta: 0.001, Steps: 2})), plan.Cycle{Length: 1}},
		"kfac":        {must(kfac.New(kfac.Options{Eta: 0.01, Damping: 1, Refresh: 4})), plan.Cycle{Begin: 3, Length: 20}},
		"kfac, plain": {must(kfac.New(kfac.Options{Eta: 0.01, Damping: 1, Refresh: 4, Plain: true})), plan.Cycle{Begin: 20, Length: 4}},
		"kbfgs":       {must(kbfgs.New(kbfgs.Options{Eta: 0.01})), plan.Cycle{Begin: 1, Length: 1}},
		"shampoo":     {must(shampoo.New(shampoo.Options{Eta: 0.01, Refresh: 3})), plan.Cycle{Begin: 8, Length: 3}},
		"foof":        {must(foof.New(foof.Options{Eta: 0.01, Damping: 1, Refresh: 3, Optimizer: sgd})), plan.Cycle{Length: 3}},
		"metric":      {must(locoprop.New(locoprop.Options{Eta: 0.01, Steps: 2, Form: locoprop.FormMetric, Optimizer: sgd, Metric: locoprop.Metric{Every: 4, Refresh: 6}})), plan.Cycle{Begin: 100, Length: 12}},
		"statistics":  {must(locoprop.New(locoprop.Options{Eta: 0.01, Steps: 2, Loss: locoprop.Squared, Form: locoprop.FormStatistics, Optimizer: sgd, Statistics: locoprop.Statistics{Refresh: 5, Damping: 1}})), plan.Cycle{Length: 5}},
	} {
		k := &factoring{Kernels: gonum.New()}
		n, err := nn.New(nn.Arch{Widths: []int{6, 4, 6}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}})
		require.NoError(t, err)
		n.Init(nn.Glorot, 1)
		s, err := c.method.Plan(n, loss.SigmoidCE, 8, k)
		require.NoError(t, err, name)
		cycle := plan.CycleOf(s)
		assert.Equal(t, c.want, cycle, name)

		pool := plan.NewPool(1)
		x := values(8, 6)
		step := func() [2]int {
			k.factors, k.products = 0, 0
			_, err := s.Step(pool, x, x, 0.01)
			require.NoError(t, err, name)
			if name == "shampoo" { // its roots are iterated until they are near enough
				return [2]int{k.products / 200, 0}
			}
			return [2]int{k.factors, k.products}
		}
		for range cycle.Begin {
			step()
		}
		var first [][2]int
		for range cycle.Length {
			first = append(first, step())
		}
		for i := range 2 * cycle.Length {
			require.Equal(t, first[i%cycle.Length], step(), "%s: step %d after the first cycle", name, i)
		}
		pool.Close()
	}
}

// values is a batch of values in (0, 1).
func values(rows, cols int) backend.Mat {
	m := backend.NewMat(rows, cols)
	for i := range m.Data {
		m.Data[i] = float32(1+(7*i)%23) / 25
	}
	return m
}

func TestCycleWith(t *testing.T) {
	assert.Equal(t, plan.Cycle{Begin: 9, Length: 12}, plan.Cycle{Begin: 2, Length: 4}.With(plan.Cycle{Begin: 9, Length: 6}))
	assert.Equal(t, plan.Cycle{Begin: 2, Length: 4}, plan.Cycle{Begin: 2, Length: 4}.With(plan.Cycle{Length: 1}))
}
