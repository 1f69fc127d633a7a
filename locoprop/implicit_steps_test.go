package locoprop_test

import (
	"math"
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

// stationaryForms are settings of the forms that solve M with a proximal term otherwise
// than by an optimiser. For networks without softmax.
func stationaryForms() map[string]locoprop.Options {
	all := map[string]locoprop.Options{"mm": {Form: locoprop.FormMajorised, Steps: 5}}
	for s, name := range locoprop.ImplicitSolvers {
		all[name] = locoprop.Options{Form: locoprop.FormImplicit, Steps: 5, Implicit: locoprop.Implicit{Solver: locoprop.ImplicitSolver(s)}}
	}
	for name, o := range all {
		o.Eta, o.Gamma, o.Prox, o.Block = 0.02, 4, locoprop.ProxAuto, 3
		all[name] = o
	}
	return all
}

func stationaryPlan(t *testing.T, p problem, n *nn.Network, o locoprop.Options) plan.Stepper {
	t.Helper()
	m, err := locoprop.New(o)
	require.NoError(t, err)
	s, err := m.Plan(n, p.loss, p.batch, gonum.New())
	require.NoError(t, err)
	return s
}

// Whole networks, the identity among their layers, over three batches: every layer ends
// where float64 says, with λ = Σηₜ at the schedule's factor.
func TestStationaryStepsAgreeWithOracle(t *testing.T) {
	for name, o := range stationaryForms() {
		for _, p := range []problem{problems()[0], problems()[2], problems()[4]} {
			n := p.network(t, 3)
			s := stationaryPlan(t, p, n, o)
			for batch := range 3 {
				x, y := p.data(uint32(batch))
				scale := 1 - 0.25*float64(batch)
				lambda := 0.0
				for _, eta := range (oracle.LocoProp{Eta: o.Eta, T: o.Steps, Floor: 0.25}).Rates(scale) {
					lambda += eta
				}
				local := localProblems(t, n, p.loss, x, y, o.Gamma, lambda)
				start := snapshot(n)
				step(t, s, 2, x, y, scale)
				for ℓ, w := range snapshot(n) {
					want := local[ℓ].Minimum()
					if name == "mm" {
						slope, _ := local[ℓ].F.MaxSlope()
						want = local[ℓ].Majorised(slope, o.Steps)
					}
					limit := 1e-3*oracle.MaxAbs(want) + 4*0x1p-24
					require.LessOrEqual(t, oracle.MaxDiff(oracle.Plus(w, -1, start[ℓ]), want), limit, "%s %s layer %d", name, p.name, ℓ)
				}
			}
		}
	}
}

func TestStationaryFormsAreReproducible(t *testing.T) {
	p := problem{"odd", nn.Arch{Widths: []int{7, 13, 5, 7}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity, transfer.Sigmoid}}, loss.SigmoidCE, 11}
	for name, o := range stationaryForms() {
		var want []oracle.Mat
		for _, workers := range []int{1, 2, 5} {
			n := p.network(t, 1)
			s := stationaryPlan(t, p, n, o)
			for batch := range 3 {
				if batch == 2 { // a new stepper goes on from the saved state
					resumed := p.network(t, 9)
					next := stationaryPlan(t, p, resumed, o)
					require.NoError(t, plan.Restore(next.State(), s.State()))
					n, s = resumed, next
				}
				x, y := p.data(uint32(batch))
				step(t, s, workers, x, y, 1)
			}
			if want == nil {
				want = snapshot(n)
			}
			require.Equal(t, want, snapshot(n), "%s, %d workers", name, workers)
		}
	}
}

func TestStationaryFormsDontAllocate(t *testing.T) {
	p := problems()[0]
	x, y := p.data(1)
	pool := plan.NewPool(2)
	defer pool.Close()
	for name, o := range stationaryForms() {
		s := stationaryPlan(t, p, p.network(t, 1), o)
		assert.Zero(t, testing.AllocsPerRun(5, func() {
			if _, err := s.Step(pool, x, y, 1); err != nil {
				t.Error(err)
			}
		}), name)
	}
}

// Neither D = 0 nor λ = 0, the default at a rate of 0, moves a weight by a bit; a λ that
// is given doesn't follow the schedule.
func TestStationaryFormsStandStill(t *testing.T) {
	p := problems()[2]
	for name, o := range stationaryForms() {
		n := p.network(t, 4)
		s := stationaryPlan(t, p, n, o)
		x, y := p.data(1)
		o.Prox = 1e4 // magnifies what should be 0
		given := stationaryPlan(t, p, n, o)
		act := nn.NewActivations(n, p.batch)
		before := snapshot(n)
		step(t, s, 1, x, y, 0)
		require.Equal(t, before, snapshot(n), "%s at rate 0", name)

		for i := range p.batch {
			copy(act.Input[0].Data[i*act.Input[0].Stride:], x.Data[i*x.Stride:i*x.Stride+x.Cols])
		}
		act.Forward(gonum.New(), n.Weights(), 0, p.batch)
		_, same := act.Output(0, p.batch)
		step(t, s, 1, x, same, 1)
		step(t, given, 1, x, same, 1)
		require.Equal(t, before, snapshot(n), "%s at D = 0", name)
		step(t, given, 1, x, y, 0)
		require.NotEqual(t, before, snapshot(n), "%s at rate 0 and a given λ", name)
	}
}

func TestStationaryFormsRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		arch   nn.Arch
		loss   loss.Loss
		batch  int
		change func(*locoprop.Options)
		want   string
	}{
		"prox off": {change: func(o *locoprop.Options) { o.Prox = locoprop.ProxOff }, want: "a proximal term (prox auto or a λ)"},
		"squared":  {change: func(o *locoprop.Options) { o.Loss = locoprop.Squared }, want: "the matching local loss (locoprop-m)"},
		"both": {
			change: func(o *locoprop.Options) { o.Loss, o.Prox = locoprop.Squared, 0 },
			want:   "(locoprop-m); and a proximal term",
		},
		"solver": {change: func(o *locoprop.Options) { o.Implicit.Solver = 7 }, want: "unknown solver 7"},
		"values": {change: func(o *locoprop.Options) {
			o.Implicit = locoprop.Implicit{Tolerance: 1, Iterations: -1, Memory: 21, Relax: 2}
		}, want: "locoprop: implicit: tolerance is 1; must be above 0 and below 1\n" +
			"locoprop: implicit: -1 iterations; must be 1 to 10000\n" +
			"locoprop: implicit: memory of 21 iterates; must be 1 to 20\n" +
			"locoprop: implicit: relax is 2; must be above 0 and below 2, or 0 for the default"},
		"newton on softmax": {
			arch: nn.Arch{Widths: []int{3, 4}, Transfer: []transfer.Func{transfer.Softmax}}, loss: loss.SoftmaxCE,
			change: func(o *locoprop.Options) { o.Implicit.Solver = locoprop.SolverNewton },
			want:   "layer 0: solver newton needs independent units, which softmax doesn't give: use solver anderson or fixed",
		},
		"newton on a wide layer": {
			arch:  nn.Arch{Widths: []int{600, 2}, Transfer: []transfer.Func{transfer.Sigmoid}},
			batch: 513, change: func(o *locoprop.Options) { o.Implicit.Solver = locoprop.SolverNewton },
			want: "layer 0: solver newton factors a matrix of order min(n+1, examples) = 513 for every unit and iteration; the limit is 512: use solver anderson or fixed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.arch.Widths == nil {
				c.arch = nn.Arch{Widths: []int{3, 4}, Transfer: []transfer.Func{transfer.Sigmoid}}
			}
			o := stationaryForms()["anderson"]
			c.change(&o)
			m, err := locoprop.New(o)
			if err == nil {
				var n *nn.Network
				n, err = nn.New(c.arch)
				require.NoError(t, err)
				_, err = m.Plan(n, c.loss, max(c.batch, 5), gonum.New())
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Inputs at which a gradient overflows are an error that names the layer, not NaN weights.
func TestStationaryFormsReportOverflow(t *testing.T) {
	p := problem{"huge", nn.Arch{Widths: []int{2, 3, 2}, Transfer: []transfer.Func{transfer.Sigmoid, transfer.Sigmoid}}, loss.SigmoidCE, 4}
	for _, name := range []string{"anderson", "fixed", "mm"} {
		o := stationaryForms()[name]
		o.Prox = 1e25
		n := p.network(t, 1)
		before := snapshot(n)
		s := stationaryPlan(t, p, n, o)
		x, y := p.data(1)
		for i := range x.Data {
			x.Data[i] *= 1e25
		}
		pool := plan.NewPool(1)
		_, err := s.Step(pool, x, y, 1)
		pool.Close()
		var diverged *plan.DivergedError
		require.ErrorAs(t, err, &diverged, name)
		assert.Zero(t, diverged.Layer, name)
		assert.ErrorContains(t, err, "of layer 0: gradient of the local problem isn't finite", name)
		assert.Equal(t, before, snapshot(n), name)
	}
}

func TestStationaryFormsExplain(t *testing.T) {
	p := problems()[0]
	for name, o := range stationaryForms() {
		layers := stationaryPlan(t, p, p.network(t, 1), o).Explain()
		want := "implicit"
		if name == "mm" {
			want = "mm"
		}
		for _, l := range layers {
			assert.Equal(t, want, l.Form)
			assert.Positive(t, l.LocalFlops)
		}
		assert.Equal(t, 2, layers[0].Tasks, "5 units in blocks of 3")
	}
	// By hand, T = 5. Layer 0: B = 9 rows, n+1 = 8, 5 units: the primal form.
	layers := stationaryPlan(t, p, p.network(t, 1), stationaryForms()["mm"]).Explain()
	assert.InDelta(t, 9*64+512.0/3+5*(2*9*8*5+2*64*5)+4*(2*9*8*5), layers[0].LocalFlops, 1e-9)
}

func TestImplicitSolverNames(t *testing.T) {
	assert.Equal(t, "newton", locoprop.SolverNewton.String())
	assert.Equal(t, "anderson", locoprop.Implicit{}.Solver.String())
	assert.Equal(t, "fixed", locoprop.SolverFixed.String())
	assert.Equal(t, "locoprop.ImplicitSolver(9)", locoprop.ImplicitSolver(9).String())
}

// An accelerated step may lead astray; then a unit goes back to its best iterate. Without
// that these end at 9 % and 1 % of their first gradient.
func TestAndersonGoesBack(t *testing.T) {
	for _, c := range []convex{
		{inputs: 6, units: 4, batch: 5, f: transfer.Tanh, gamma: 19.1, lambda: 23.7, size: 0.887, seed: 31},
		{inputs: 4, units: 5, batch: 15, f: transfer.Sigmoid, gamma: 38.5, lambda: 87.7, size: 1.79, seed: 104},
		{inputs: 6, units: 5, batch: 15, f: transfer.Softmax, gamma: 84.3, lambda: 2.32, size: 1.76, seed: 138},
	} {
		delta, p := c.solved(t, implicitOptions(locoprop.SolverAnderson))
		first := norm(p.Gradient(oracle.New(delta.Rows, delta.Cols)).Data)
		assert.Less(t, norm(p.Gradient(delta).Data), 5e-4*first, "%v", c)
	}
}

// A tolerance below what float32 can tell doesn't cost all iterations: a unit ends where
// its residual stalls. Newton's method, in float64, reaches it.
func TestImplicitEndsAtRounding(t *testing.T) {
	c := convex{inputs: 5, units: 2, batch: 9, f: transfer.Tanh, gamma: 2, lambda: 0.1, size: 1, seed: 2}
	for s, name := range locoprop.ImplicitSolvers {
		o := implicitOptions(locoprop.ImplicitSolver(s))
		o.Implicit.Tolerance = 1e-11
		_, _, stepper := c.planned(t, o)
		// Flops of an iteration: 4·B(n+1) a unit, or Newton's B(n+1)² + (n+1)³/3 more.
		each := 4.0 * 9 * 6 * 2
		if name == "newton" {
			each += (9*36 + 216.0/3) * 2
		}
		assert.Less(t, stepper.Explain()[0].LocalFlops, 200*each, name)
		assert.Greater(t, stepper.Explain()[0].LocalFlops, 3*each, name)
	}
}

// An input that is always 0 changes no problem, but makes n+1 more than the batch: the
// primal and the dual form end at the same weights.
func TestStationaryPrimalIsDual(t *testing.T) {
	const inputs, batch = 5, 6
	for _, name := range []string{"mm", "newton"} {
		o := stationaryForms()[name]
		o.Prox, o.Implicit.Tolerance = 0.5, 1e-9
		var moved []oracle.Mat
		for extra := range 2 {
			n, err := nn.New(nn.Arch{Widths: []int{inputs + extra, 3}, Transfer: []transfer.Func{transfer.Sigmoid}})
			require.NoError(t, err)
			p := problem{"", nn.Arch{Widths: []int{inputs, 3}}, loss.SigmoidCE, batch}
			small, y := p.data(1)
			x := backend.NewMat(batch, inputs+extra)
			backend.Copy(backend.Cols(x, extra, inputs+extra), small)
			for u, w := 0, n.Weights()[0]; u < w.Rows; u++ {
				for j := extra; j < w.Cols; j++ {
					w.Data[u*w.Stride+j] = float32(u-j+extra) / 8
				}
			}
			start := snapshot(n)[0]
			step(t, stationaryPlan(t, p, n, o), 1, x, y, 1)
			moved = append(moved, oracle.Plus(snapshot(n)[0], -1, start).Columns(extra, inputs+1+extra))
		}
		require.Positive(t, oracle.MaxAbs(moved[0]))
		require.LessOrEqual(t, oracle.MaxDiff(moved[0], moved[1]), 1e-5*oracle.MaxAbs(moved[0])+4*0x1p-24, name)
	}
}

// unfactored is a backend whose Cholesky fails where fails says so, call by call.
type unfactored struct {
	backend.Kernels
	calls *int
	fails func(call int) bool
}

func (k unfactored) Cholesky(a []float64, n int) error {
	call := *k.calls
	*k.calls++
	if k.fails(call) {
		for i := range a {
			a[i] = math.NaN() // spoilt
		}
		return &backend.NotPositiveDefinite{Minor: 1}
	}
	return k.Kernels.Cholesky(a, n)
}

// A matrix that can't be factored is damped, in the end replaced by its trace: the loss
// falls by less, and no weight is lost.
func TestStationaryFormsWithoutCholesky(t *testing.T) {
	for name, o := range stationaryForms() {
		part := 0.5 // of the least loss, which T = 5 steps of mm come to but in small steps
		if name == "mm" {
			part = 0.02
		}
		for what, fails := range map[string]func(int) bool{
			"first":   func(call int) bool { return call%4 == 0 },
			"three":   func(call int) bool { return call%5 < 3 },
			"all":     func(int) bool { return name != "mm" }, // mm's last one is of a diagonal matrix
			"but 4th": func(call int) bool { return call%5 != 4 },
		} {
			for _, shape := range [][2]int{{4, 9}, {9, 4}} {
				c := convex{inputs: shape[0], units: 2, batch: shape[1], f: transfer.Tanh, gamma: 2, lambda: 0.4, size: 1, seed: 5}
				n, x, y := c.layer(t)
				p := localProblems(t, n, c.loss(), x, y, c.gamma, c.lambda)[0]
				o.Gamma, o.Prox, o.Steps = c.gamma, c.lambda, 5
				m, err := locoprop.New(o)
				require.NoError(t, err)
				s, err := m.Plan(n, c.loss(), c.batch, unfactored{gonum.New(), new(int), fails})
				require.NoError(t, err)
				start := snapshot(n)[0]
				step(t, s, 1, x, y, 1)
				value := p.Value(oracle.Plus(snapshot(n)[0], -1, start))
				assert.Less(t, value, part*p.Value(p.Minimum()), "%s, %s fail, %v", name, what, c)
			}
		}
	}
}
