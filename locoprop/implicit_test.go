package locoprop_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// convex is one layer with a batch: a local problem with a proximal term.
type convex struct {
	inputs, units, batch int
	f                    transfer.Func
	gamma, lambda        float64
	eta                  float64 // 0 means 1
	size                 float64 // of the inputs
	seed                 uint64
	repeated             bool // inputs and examples: C and K are singular
}

func (c convex) String() string {
	return fmt.Sprintf("%v %d-%d B=%d γ=%.3g λ=%.3g size=%.3g seed=%d", c.f, c.inputs, c.units, c.batch, c.gamma, c.lambda, c.size, c.seed)
}

func (c convex) loss() loss.Loss {
	switch c.f {
	case transfer.Sigmoid:
		return loss.SigmoidCE
	case transfer.Softmax:
		return loss.SoftmaxCE
	}
	return loss.Squared
}

// layer returns the network, inputs and targets.
func (c convex) layer(t *testing.T) (n *nn.Network, x, y backend.Mat) {
	t.Helper()
	n, err := nn.New(nn.Arch{Widths: []int{c.inputs, c.units}, Transfer: []transfer.Func{c.f}})
	require.NoError(t, err)
	n.Init(nn.Glorot, uint32(c.seed))
	rng := rand.New(rand.NewPCG(c.seed, 17))
	x, y = backend.NewMat(c.batch, c.inputs), backend.NewMat(c.batch, c.units)
	for i := range x.Data {
		x.Data[i] = float32(c.size * rng.NormFloat64())
	}
	for i := range y.Data {
		y.Data[i] = rng.Float32()
	}
	if c.repeated {
		for i := range x.Data {
			x.Data[i] = x.Data[i/c.inputs%3*c.inputs+i%c.inputs%2]
		}
	}
	if c.f == transfer.Softmax {
		clear(y.Data)
		for i := range c.batch {
			y.Data[i*c.units+rng.IntN(c.units)] = 1
		}
	}
	return n, x, y
}

// localProblems are those of a network's layers, from the float32 numbers that a form
// sees.
func localProblems(t *testing.T, n *nn.Network, l loss.Loss, x, y backend.Mat, gamma, lambda float64) []oracle.Problem {
	t.Helper()
	tape, err := plan.NewTape(n, l, x.Rows, gonum.New())
	require.NoError(t, err)
	pool := plan.NewPool(1)
	defer pool.Close()
	_, err = tape.Run(pool, x, y)
	require.NoError(t, err)
	var all []oracle.Problem
	for ℓ, layer := range n.Layers {
		all = append(all, oracle.Problem{
			F: layer.Transfer(), X: oracle.From32(tape.Design[ℓ]), Ahat: oracle.From32(tape.A[ℓ]), D: oracle.From32(tape.D[ℓ]),
			Gamma: float64(float32(gamma)), Prox: 1 / lambda,
		})
	}
	return all
}

// solved is Δ after one step with the settings, and the problem that it solves.
func (c convex) solved(t *testing.T, o locoprop.Options) (oracle.Mat, oracle.Problem) {
	t.Helper()
	delta, problem, _ := c.planned(t, o)
	return delta, problem
}

// planned is solved with the stepper that did it.
func (c convex) planned(t *testing.T, o locoprop.Options) (oracle.Mat, oracle.Problem, plan.Stepper) {
	t.Helper()
	n, x, y := c.layer(t)
	problem := localProblems(t, n, c.loss(), x, y, c.gamma, c.lambda)[0]
	o.Eta, o.Gamma, o.Prox = c.eta, c.gamma, c.lambda
	if c.eta == 0 {
		o.Eta = 1
	}
	if o.Block == 0 {
		o.Block = 2
	}
	m, err := locoprop.New(o)
	require.NoError(t, err)
	s, err := m.Plan(n, c.loss(), c.batch, gonum.New())
	require.NoError(t, err)
	start := snapshot(n)[0]
	step(t, s, 2, x, y, 1)
	return oracle.Plus(snapshot(n)[0], -1, start), problem, s
}

// cases have more examples than inputs and fewer, and gentle and stiff problems: λ·‖C‖₂
// from about 1 to 1000.
func convexCases(fs ...transfer.Func) []convex {
	var all []convex
	for _, f := range fs {
		for _, shape := range [][3]int{{4, 3, 12}, {11, 5, 6}, {1, 2, 1}} {
			for _, lambda := range []float64{0.03, 3} {
				for _, gamma := range []float64{0.1, 5} {
					all = append(all, convex{shape[0], shape[1], shape[2], f, gamma, lambda, 0, 1, uint64(len(all)), false})
				}
			}
		}
	}
	return all
}

func implicitOptions(s locoprop.ImplicitSolver) locoprop.Options {
	return locoprop.Options{Form: locoprop.FormImplicit, Implicit: locoprop.Implicit{Solver: s, Iterations: 2000}}
}

// requireStationary: ‖Δ_u − Δ*_u‖ ≤ ‖r_u‖, because the curvature is at least 1/λ, and r_u
// has fallen to the tolerance 1e-4 of λγ‖G_u‖, up to what float32 can tell: the rounding of
// f, λ·2⁻²⁴‖Ŷᵀ|X̃|‖, and that of the weights, which the curvature magnifies.
func requireStationary(t *testing.T, c convex, delta oracle.Mat, p oracle.Problem, tolerance float64) {
	t.Helper()
	want := p.Minimum()
	first := p.Gradient(oracle.New(delta.Rows, delta.Cols))
	rounding := 0x1p-23 * c.lambda * math.Sqrt(oracle.Dot(p.X, p.X))
	for u := range delta.Rows {
		distance := norm(oracle.Plus(delta, -1, want).Row(u))
		limit := tolerance*c.lambda*norm(first.Row(u)) + rounding*math.Sqrt(float64(c.batch)) + 2e-7
		if p.F.RowCoupled() {
			limit = tolerance*c.lambda*norm(first.Data) + rounding*math.Sqrt(float64(c.batch*c.units)) + 2e-7
		}
		require.LessOrEqual(t, distance, limit, "%v unit %d", c, u)
	}
}

func norm(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum)
}

var convexTransfers = []transfer.Func{transfer.Tanh, transfer.Sigmoid, leaky, transfer.ReLU, transfer.Identity}

// All solvers end at the minimum, which is computed in float64.
func TestImplicitReachesTheMinimum(t *testing.T) {
	for _, s := range []locoprop.ImplicitSolver{locoprop.SolverAnderson, locoprop.SolverFixed} {
		for _, c := range convexCases(append(convexTransfers, transfer.Softmax)...) {
			delta, p := c.solved(t, implicitOptions(s))
			requireStationary(t, c, delta, p, 2e-4)
		}
	}
}

func TestNewtonReachesTheMinimum(t *testing.T) {
	for _, c := range convexCases(convexTransfers...) {
		o := implicitOptions(locoprop.SolverNewton)
		o.Implicit.Tolerance, o.Implicit.Iterations = 1e-10, 6
		delta, p := c.solved(t, o)
		requireNewton(t, c, delta, p)
	}
}

// requireNewton: inner arithmetic is float64, so Δ is off by the rounding of the weights
// alone.
func requireNewton(t *testing.T, c convex, delta oracle.Mat, p oracle.Problem) {
	t.Helper()
	want := p.Minimum()
	limit := 1e-6*oracle.MaxAbs(want) + 2*0x1p-24*(oracle.MaxAbs(want)+2)
	require.LessOrEqual(t, oracle.MaxDiff(delta, want), limit, "%v", c)
}

// The fixed point iteration at α is SGD with the proximal term at constant rate αλ: to
// rounding, as direct adds Δ/λ to the gradient and the other one λ times the gradient to Δ.
func TestFixedPointIsProximalSGD(t *testing.T) {
	const relax, steps = 0.005, 7
	for _, c := range convexCases(append(convexTransfers, transfer.Softmax)...) {
		fixed, _ := c.solved(t, locoprop.Options{Form: locoprop.FormImplicit, Implicit: locoprop.Implicit{
			Solver: locoprop.SolverFixed, Relax: relax, Iterations: steps, Tolerance: 1e-9,
		}})
		c.eta = relax * c.lambda
		direct, _ := c.solved(t, locoprop.Options{Form: locoprop.FormDirect, Steps: steps, Floor: 1})
		limit := 1e-5*oracle.MaxAbs(direct) + 4*0x1p-24
		require.LessOrEqual(t, oracle.MaxDiff(fixed, direct), limit, "%v", c)
	}
}

// An α far too large is halved until it isn't.
func TestFixedPointRecovers(t *testing.T) {
	for _, c := range convexCases(transfer.Tanh, leaky, transfer.Softmax) {
		o := implicitOptions(locoprop.SolverFixed)
		o.Implicit.Relax = 1.9
		delta, p := c.solved(t, o)
		requireStationary(t, c, delta, p, 2e-4)
	}
}

// With one iterate in memory Anderson's method is the fixed point iteration, bit for bit.
func TestAndersonOfOneIsFixedPoint(t *testing.T) {
	for _, c := range convexCases(transfer.Sigmoid, transfer.Softmax) {
		o := implicitOptions(locoprop.SolverFixed)
		fixed, _ := c.solved(t, o)
		o.Implicit.Solver, o.Implicit.Memory = locoprop.SolverAnderson, 1
		anderson, _ := c.solved(t, o)
		require.Equal(t, fixed, anderson, "%v", c)
	}
}

// Anderson's method needs a fraction of the iterations: at 25 it is as near to the minimum
// as the fixed point iteration is not at 100.
func TestAndersonIsFaster(t *testing.T) {
	for _, f := range []transfer.Func{transfer.Tanh, transfer.Sigmoid, transfer.Softmax} {
		c := convex{inputs: 10, units: 3, batch: 40, f: f, gamma: 40, lambda: 10, size: 1, seed: 5}
		o := implicitOptions(locoprop.SolverAnderson)
		o.Implicit.Iterations = 25
		fast, p := c.solved(t, o)
		o.Implicit.Solver, o.Implicit.Iterations = locoprop.SolverFixed, 100
		slow, _ := c.solved(t, o)
		least := p.Value(p.Minimum())
		assert.Less(t, p.Value(fast)-least, 0.1*(p.Value(slow)-least)-1e-6*least, "%v", c)
	}
}

// Settings at which no solver can be at ease: stiff problems, targets far outside the
// range of f, gradients next to nothing. No solver may raise the loss or leave the numbers.
func TestImplicitSurvives(t *testing.T) {
	for _, shape := range [][3]int{{9, 2, 20}, {20, 2, 9}} {
		for _, lambda := range []float64{1e-8, 1, 1e4, 1e8} {
			for _, gamma := range []float64{1e-6, 1, 1000} {
				for _, f := range append(convexTransfers, transfer.Softmax) {
					for s := range locoprop.ImplicitSolvers {
						solver := locoprop.ImplicitSolver(s)
						if solver == locoprop.SolverNewton && f == transfer.Softmax {
							continue
						}
						c := convex{shape[0], shape[1], shape[2], f, gamma, lambda, 0, 1, 3, s%2 == 0}
						o := implicitOptions(solver)
						o.Implicit.Iterations = 30
						delta, p := c.solved(t, o)
						// The rounding of the weights moves the loss by up to ½‖H‖·‖ε‖².
						require.LessOrEqual(t, p.Value(delta), 1e-10, "%v %v", solver, c)
					}
				}
			}
		}
	}
}

func TestNewtonSolvesIdentityAtOnce(t *testing.T) {
	for _, c := range convexCases(transfer.Identity) {
		o := implicitOptions(locoprop.SolverNewton)
		o.Implicit.Iterations, o.Implicit.Tolerance = 1, 1e-5
		delta, p := c.solved(t, o)
		limit := 1e-5*oracle.MaxAbs(p.Minimum()) + 4*0x1p-24 // the Hessian is a float32 product
		require.LessOrEqual(t, oracle.MaxDiff(delta, p.Minimum()), limit, "%v", c)
	}
}

// Singular inputs with hardly any regulariser: where float32 leaves the Hessian without a
// Cholesky factor, Newton's method still finds the minimum.
func TestNewtonOfIllConditionedInput(t *testing.T) {
	for _, f := range convexTransfers {
		for _, shape := range [][2]int{{9, 30}, {30, 9}} {
			for _, lambda := range []float64{1e4, 1e6, 1e8} {
				c := convex{inputs: shape[0], units: 3, batch: shape[1], f: f, gamma: 1, lambda: lambda, size: 20, seed: 7, repeated: true}
				delta, p := c.solved(t, locoprop.Options{Form: locoprop.FormImplicit, Implicit: locoprop.Implicit{Solver: locoprop.SolverNewton}})
				least := p.Value(p.Minimum())
				require.InDelta(t, least, p.Value(delta), -1e-4*least, "%v", c)
			}
		}
	}
}
