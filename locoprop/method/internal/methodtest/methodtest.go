// Package methodtest holds what the tests of training methods share: small problems, their
// float64 counterparts, and the promises that every method keeps.
package methodtest

import (
	"math"
	"sync/atomic"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Problem is a network and a batch.
type Problem struct {
	Name  string
	Arch  nn.Arch
	Loss  loss.Loss
	Batch int
	Short int // examples of every second batch; 0: as many as the others have
}

// Problems are small ones with every built-in loss but bi-tempered, layers of one unit and
// one input, odd sizes, and layers larger than a block of 4.
func Problems() []Problem {
	arch := func(widths []int, f ...transfer.Func) nn.Arch { return nn.Arch{Widths: widths, Transfer: f} }
	return []Problem{
		{"autoencoder", arch([]int{7, 5, 3, 6, 7}, transfer.Tanh, transfer.Identity, transfer.Tanh, transfer.Sigmoid), loss.SigmoidCE, 9, 0},
		{"classifier", arch([]int{6, 11, 5}, transfer.Tanh, transfer.Softmax), loss.SoftmaxCE, 70, 0},
		{"regression", arch([]int{4, 9, 8, 2}, transfer.LeakyReLU(0.1), transfer.Sigmoid, transfer.Identity), loss.Squared, 13, 0},
		{"squared tanh", arch([]int{3, 4, 1, 2}, transfer.Tanh, transfer.Tanh, transfer.Tanh), loss.Squared, 5, 0},
		{"one of everything", arch([]int{1, 1}, transfer.Sigmoid), loss.SigmoidCE, 1, 0},
	}
}

// WithShort are problems and, of those with more than one example in a batch, the same with
// every second batch short.
func WithShort(all []Problem) []Problem {
	for i, p := range all {
		if p.Short = 1 + 2*(i%2); p.Short < p.Batch {
			p.Name += ", short batches"
			all = append(all, p)
		}
	}
	return all
}

// Network returns the problem's network with weights of a seed.
func (p Problem) Network(t testing.TB, seed uint32) *nn.Network {
	t.Helper()
	n, err := nn.New(p.Arch)
	require.NoError(t, err)
	n.Init(nn.Glorot, seed)
	return n
}

// Data returns inputs and targets in (0, 1); those of a classifier are one-hot. Of a problem
// with short batches, those of odd seeds are.
func (p Problem) Data(seed uint32) (x, t backend.Mat) {
	if p.Short > 0 && seed%2 == 1 {
		p.Batch = p.Short
	}
	u := philox.New(seed, philox.Local, 0)
	last := p.Arch.Widths[len(p.Arch.Widths)-1]
	x, t = backend.NewMat(p.Batch, p.Arch.Widths[0]), backend.NewMat(p.Batch, last)
	for i := range x.Data {
		x.Data[i] = float32(u.Uniform(uint64(i)))
	}
	for i := range t.Data {
		t.Data[i] = float32(u.Uniform(uint64(1_000_000 + i)))
	}
	if p.Loss == loss.SoftmaxCE {
		clear(t.Data)
		for i := range p.Batch {
			t.Data[i*last+(i*i+int(seed))%last] = 1
		}
	}
	return x, t
}

// Oracle is the network in float64.
func (p Problem) Oracle(n *nn.Network) *oracle.Network {
	o := &oracle.Network{Loss: p.Loss}
	for _, l := range n.Layers {
		o.Layers = append(o.Layers, oracle.Layer{W: oracle.From32(l.Weights()), F: l.Transfer()})
	}
	return o
}

// Stepper plans a method for a problem's network of seed 3.
func (p Problem) Stepper(t testing.TB, m plan.Method) (plan.Stepper, *nn.Network) {
	t.Helper()
	n := p.Network(t, 3)
	s, err := m.Plan(n, p.Loss, p.Batch, gonum.New())
	if p.Short > 0 {
		s, err = plan.WithShort(m, n, p.Loss, p.Batch, p.Short, gonum.New())
	}
	require.NoError(t, err)
	return s, n
}

// Run makes steps first ≤ k < last of a method, on batch k of the problem, at falling
// factors of the rate.
func (p Problem) Run(t testing.TB, s plan.Stepper, workers, first, last int) {
	t.Helper()
	pool := plan.NewPool(workers)
	defer pool.Close()
	for k := first; k < last; k++ {
		x, y := p.Data(uint32(k))
		_, err := s.Step(pool, x, y, 1-float64(k)/100)
		require.NoError(t, err, "step %d", k)
	}
}

// Agrees requires weights to be what float64 says, but for rounding: two units in the last
// place of the weights, and a share c of what changed since start.
func Agrees(t testing.TB, n *nn.Network, o *oracle.Network, start []oracle.Mat, c float64) {
	t.Helper()
	for ℓ, w := range n.Weights() {
		want := o.Layers[ℓ].W
		limit := 2*0x1p-24*oracle.MaxAbs(want) + c*oracle.MaxDiff(want, start[ℓ])
		require.LessOrEqual(t, oracle.MaxDiff(oracle.From32(w), want), limit, "layer %d", ℓ)
		require.Positive(t, oracle.MaxDiff(want, start[ℓ]), "layer %d didn't move", ℓ)
	}
}

// Weights copies a network's weights.
func Weights(n *nn.Network) (all []oracle.Mat) {
	for _, w := range n.Weights() {
		all = append(all, oracle.From32(w))
	}
	return all
}

// Against steps a method and its float64 formulas side by side, and requires that they
// agree within a share c of the change. start makes the formulas' step for a network.
func Against(t *testing.T, m plan.Method, steps int, c float64, start func(o *oracle.Network) func(x, y oracle.Mat, scale float64)) {
	t.Helper()
	for _, p := range WithShort(Problems()) {
		t.Run(p.Name, func(t *testing.T) {
			s, n := p.Stepper(t, m)
			o := p.Oracle(n)
			before := Weights(n)
			step := start(o)
			for k := range steps {
				p.Run(t, s, 2, k, k+1)
				x, y := p.Data(uint32(k))
				step(oracle.From32(x), oracle.From32(y), 1-float64(k)/100)
			}
			Agrees(t, n, o, before, c)
		})
	}
}

// snapshot copies a state.
func snapshot(state []plan.Tensor) []plan.Tensor {
	saved := append([]plan.Tensor(nil), state...)
	for i, s := range saved {
		saved[i].F32 = append([]float32(nil), s.F32...)
		saved[i].F64 = append([]float64(nil), s.F64...)
		saved[i].I64 = append([]int64(nil), s.I64...)
	}
	return saved
}

// Promises checks what every method promises, on every problem: the same bits for any
// number of workers; a run that is interrupted, saved and resumed goes on bit for bit;
// steps don't allocate; tasks of a phase and names of tensors are distinct; a batch that
// isn't finite leaves everything as it was. steps is how many it takes until all the
// method does has happened; the run is interrupted after a third of them.
func Promises(t *testing.T, m plan.Method, steps int) {
	t.Helper()
	for _, p := range WithShort(Problems()) {
		t.Run("promises/"+p.Name, func(t *testing.T) {
			straight, _ := p.Stepper(t, m)
			p.Run(t, straight, 1, 0, steps)
			want := snapshot(straight.State())
			for _, workers := range []int{2, 3} {
				s, _ := p.Stepper(t, m)
				p.Run(t, s, workers, 0, steps)
				require.Equal(t, want, s.State(), "%d workers", workers)
			}
			broken, _ := p.Stepper(t, m)
			p.Run(t, broken, 2, 0, steps/3)
			resumed, n := p.Stepper(t, m)
			require.NoError(t, plan.Restore(resumed.State(), snapshot(broken.State())))
			p.Run(t, resumed, 2, steps/3, steps)
			require.Equal(t, want, resumed.State(), "resumed")

			names := map[string]bool{}
			for _, tensor := range want {
				assert.False(t, names[tensor.Name], "%s twice", tensor.Name)
				names[tensor.Name] = true
			}
			layers := resumed.Explain()
			require.Len(t, layers, len(n.Layers))
			for _, l := range layers {
				assert.Positive(t, l.LocalFlops)
				assert.Positive(t, l.Tasks)
			}
			p.checkAllocations(t, resumed)
			p.checkDiverged(t, resumed)
		})
	}
}

func (p Problem) checkAllocations(t *testing.T, s plan.Stepper) {
	t.Helper()
	pool := plan.NewPool(1)
	defer pool.Close()
	x, y := p.Data(7)
	step := func() {
		if _, err := s.Step(pool, x, y, 0.1); err != nil {
			t.Error(err)
		}
	}
	step()
	assert.Zero(t, testing.AllocsPerRun(24, step), "allocations")
}

// checkDiverged needs a loss that shows a NaN, whatever the layers before it do.
func (p Problem) checkDiverged(t *testing.T, s plan.Stepper) {
	t.Helper()
	pool := plan.NewPool(1)
	defer pool.Close()
	before := snapshot(s.State())
	x, y := p.Data(7)
	x.Data[len(x.Data)-1] = float32(math.NaN()) // infinity would come out of tanh finite
	_, err := s.Step(pool, x, y, 1)
	var diverged *plan.DivergedError
	require.ErrorAs(t, err, &diverged)
	assert.Equal(t, -1, diverged.Layer)
	require.Equal(t, before, snapshot(s.State()))
}

// Fails checks that where a layer's matrices can't be factored, as from some call of the
// backend on none is, a step says which layer diverged, and leaves the weights as they were.
func Fails(t *testing.T, m plan.Method, what string) {
	t.Helper()
	pool := plan.NewPool(2)
	defer pool.Close()
	for _, p := range Problems() {
		n := p.Network(t, 3)
		k := &unfactored{Kernels: gonum.New()}
		s, err := m.Plan(n, p.Loss, p.Batch, k)
		require.NoError(t, err)
		for after := range 3 { // of the layers' jobs
			k.left.Store(int64(after))
			before := Weights(n)
			x, y := p.Data(uint32(after))
			_, err := s.Step(pool, x, y, 1)
			if err == nil && after >= len(n.Layers) {
				continue
			}
			var diverged *plan.DivergedError
			require.ErrorAs(t, err, &diverged, "%s, after %d", p.Name, after)
			require.GreaterOrEqual(t, diverged.Layer, 0)
			require.Contains(t, diverged.What, what)
			require.Equal(t, before, Weights(n), "%s, after %d", p.Name, after)
		}
	}
}

// unfactored is a backend that soon can factor no matrix.
type unfactored struct {
	backend.Kernels
	left atomic.Int64 // calls that succeed
}

func (k *unfactored) Cholesky(a []float64, n int) error {
	if k.left.Add(-1) < 0 {
		return &backend.NotPositiveDefinite{Minor: 1}
	}
	return k.Kernels.Cholesky(a, n)
}

func (k *unfactored) SymEig([]float64, int, []float64, []float64) error {
	return backend.ErrNoConvergence
}

// Refuses checks that an error names every one of the given texts.
func Refuses(t *testing.T, err error, texts ...string) {
	t.Helper()
	require.Error(t, err)
	for _, text := range texts {
		assert.ErrorContains(t, err, text)
	}
}

// Power is Aᵉ of a symmetric positive definite matrix by its eigendecomposition.
func Power(t testing.TB, a oracle.Mat, e float64) oracle.Mat {
	t.Helper()
	k, n := gonum.New(), a.Rows
	v, w := a.Clone(), make([]float64, n)
	require.NoError(t, k.SymEig(v.Data, n, w, make([]float64, k.SymEigWork(n))))
	scaled := v.Clone()
	for i := range n {
		for j := range n {
			scaled.Set(i, j, v.At(i, j)*math.Pow(w[j], e))
		}
	}
	return oracle.Mul(scaled, v.T())
}

// SPD is a random symmetric positive definite matrix, dense, whose eigenvalues fall
// geometrically from top to top/condition.
func SPD(n int, top, condition float64, seed uint32) oracle.Mat {
	u := philox.New(seed, philox.Local, 99)
	q := oracle.New(n, n)
	for i := range q.Data {
		q.Data[i] = 2*u.Uniform(uint64(i)) - 1
	}
	for i := range n { // Gram and Schmidt, twice for good measure
		for range 2 {
			for j := range i {
				var dot float64
				for c := range n {
					dot += q.At(i, c) * q.At(j, c)
				}
				for c := range n {
					q.Set(i, c, q.At(i, c)-dot*q.At(j, c))
				}
			}
		}
		var norm float64
		for _, v := range q.Row(i) {
			norm += v * v
		}
		for c := range n {
			q.Set(i, c, q.At(i, c)/math.Sqrt(norm))
		}
	}
	scaled := q.Clone()
	for i := range n {
		λ := top * math.Pow(condition, -float64(i)/math.Max(1, float64(n-1)))
		for c := range n {
			scaled.Set(i, c, λ*q.At(i, c))
		}
	}
	return oracle.Mul(q.T(), scaled)
}

// Step makes one step.
func Step(t testing.TB, s plan.Stepper, x, y backend.Mat, scale float64) plan.Report {
	t.Helper()
	pool := plan.NewPool(2)
	defer pool.Close()
	r, err := s.Step(pool, x, y, scale)
	require.NoError(t, err)
	return r
}
