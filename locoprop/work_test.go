package locoprop

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (c *counting) float64s(flops, elements int) {
	c.Product += factorCost * float64(flops)
	c.Operand += float64(2 * elements)
	c.Call++
}

func (c *counting) Cholesky(a []float64, n int) error {
	c.Product += factorCost / 3 * float64(n*n*n)
	c.float64s(0, n*n)
	return c.Kernels.Cholesky(a, n)
}

func (c *counting) Solve(l []float64, n int, b []float64, k int) {
	c.float64s(2*n*n*k, n*n+n*k)
	c.Kernels.Solve(l, n, b, k)
}

func (c *counting) SymEig(a []float64, n int, w, work []float64) error {
	c.float64s(9*n*n*n, n*n+n)
	return c.Kernels.SymEig(a, n, w, work)
}

// otherForms are those that auto doesn't choose from, with what changes their work.
func otherForms() map[string]Options {
	squared := func(form Form, prox float64, s Statistics) Options {
		return Options{Loss: Squared, Form: form, Prox: prox, Statistics: s}
	}
	implicit := func(m Implicit) Options { return Options{Form: FormImplicit, Prox: 0.5, Implicit: m} }
	return map[string]Options{
		"exact":                squared(FormExact, 0.5, Statistics{}),
		"spectral":             squared(FormSpectral, ProxOff, Statistics{}),
		"mm":                   {Form: FormMajorised, Prox: 0.5},
		"statistics":           squared(FormStatistics, 0.5, Statistics{}),
		"statistics, refresh":  squared(FormStatistics, 0.5, Statistics{Refresh: 2}),
		"statistics, blocks":   squared(FormStatistics, 0.5, Statistics{Structure: precond.BlockDiagonal, Columns: 7}),
		"statistics, diagonal": squared(FormStatistics, 0.5, Statistics{Structure: precond.Diagonal}),
		"statistics, steps":    squared(FormStatistics, ProxOff, Statistics{Iterate: true}),
		"steps, blocks":        squared(FormStatistics, ProxOff, Statistics{Iterate: true, Structure: precond.BlockDiagonal, Columns: 7}),
		"fixed":                implicit(Implicit{Solver: SolverFixed, Iterations: 9}),
		"relaxed":              implicit(Implicit{Solver: SolverFixed, Iterations: 9, Relax: 0.01}),
		"anderson of one":      implicit(Implicit{Memory: 1, Iterations: 9}),
		"anderson":             implicit(Implicit{Iterations: 9}),
		"newton":               implicit(Implicit{Solver: SolverNewton}),
	}
}

// What train --plan shows of the other forms is what they ask of their kernels, over
// blocks that don't divide and several stripes of C and K. Newton's method and Anderson's
// do much of theirs without kernels, the latter's systems grow from iteration to iteration:
// there kernels take a part of what is predicted.
func TestWorkOfOtherFormsIsWhatKernelsDo(t *testing.T) {
	for _, shape := range [][3]int{{1, 1, 1}, {3, 300, 5}, {270, 4, 7}, {20, 31, 33}} {
		for _, steps := range []int{1, 3} {
			for name, o := range otherForms() {
				name := fmt.Sprintf("%s, %d × %d × %d, T = %d", name, shape[0], shape[1], shape[2], steps)
				o.Steps, o.Block, o.Eta = steps, 4, 1e-3
				got, want := workDone(t, shape[0], shape[1], shape[2], o)
				assert.InDelta(t, want.Square, got.Square, 1e-9*want.Square, name)
				switch {
				case o.Form == FormImplicit && o.Implicit.Solver == SolverNewton:
					assert.InEpsilon(t, want.Product, got.Product, 1e-9, name)
					assert.Less(t, got.Operand, want.Operand, name)
					continue
				case o.Form == FormImplicit && o.Implicit.Solver == SolverAnderson && o.Implicit.Memory != 1:
					assert.LessOrEqual(t, got.Product, want.Product, name)
					assert.LessOrEqual(t, got.Operand, want.Operand, name)
				default:
					assert.InEpsilon(t, want.Product, got.Product, 1e-9, name)
					assert.InEpsilon(t, want.Operand, got.Operand, 1e-9, name)
					assert.InEpsilon(t, want.Element, got.Element, 1e-9, name)
					assert.InEpsilon(t, want.Call, got.Call, 1e-9, name)
				}
				assert.InDelta(t, want.Transfer, got.Transfer, 1e-9*want.Transfer, name)
			}
		}
	}
}

// workDone is what a batch asks of kernels, the mean of a cycle of factorisations, and
// what was predicted.
func workDone(t *testing.T, batch, inputs, units int, o Options) (got, want Work) {
	t.Helper()
	_, k, s, pool := counted(t, batch, inputs, units, o)
	var before Work
	pool.Observe(func(x plan.Timing) {
		if x.Phase != plan.PassPhase {
			got.add(1, k.Work)
			got.add(-1, before)
		}
		before = k.Work
	})
	cycle := max(1, o.Statistics.Refresh)
	for range cycle {
		_, err := s.Step(pool, random(1, batch, inputs), random(2, batch, units), 1)
		require.NoError(t, err)
	}
	var mean Work
	mean.add(1/float64(cycle), got)
	solver := s.(*stepper).solvers[0]
	want = solver.(interface{ predict() Work }).predict()
	p := s.Explain()[0]
	assert.InEpsilon(t, 4*(want.Operand+want.Element), p.Bytes, 1e-12)
	assert.InEpsilon(t, DefaultCosts.Seconds(want), p.Seconds, 1e-12)
	// Outside kernels: what selfProduct mirrors, and the second moment of a diagonal.
	switch {
	case o.Form == FormExact || o.Form == FormSpectral || o.Form == FormMajorised:
		mean.Element += mirrored(min(batch, inputs+1))
		// What selfProduct leaves to Gemm counts as Square.
		mean.Product, mean.Square = mean.Product+mean.Square-want.Square, want.Square
	case o.Form == FormStatistics && o.Statistics.Structure == precond.Diagonal:
		mean.Element += float64(batch * (inputs + 1))
	}
	return mean, want
}

// What a plan says of memory is what its solver allocates, to a few tasks and closures:
// state, of the size that checkpoints have, and what it keeps beside that.
func TestMemoryIsWhatSolversAllocate(t *testing.T) {
	all := otherForms()
	momentum := optimizer.New(optimizer.Momentum)
	for _, form := range []Form{FormDirect, FormGram, FormKernel} {
		all[form.String()] = Options{Loss: Squared, Form: form}
		all[form.String()+", momentum"] = Options{Loss: Squared, Form: form, Optimizer: momentum}
	}
	all["metric"] = Options{Form: FormMetric}
	for _, shape := range [][3]int{{260, 300, 200}, {400, 150, 200}} {
		for name, o := range all {
			o.Eta = 1e-3
			n, err := nn.New(nn.Arch{Widths: []int{shape[1], shape[2]}, Transfer: []transfer.Func{transfer.Tanh}})
			require.NoError(t, err)
			m, err := New(o)
			require.NoError(t, err)
			k := gonum.New()
			tape, err := plan.NewTape(n, loss.Squared, shape[0], k)
			require.NoError(t, err)
			l := newLayer(m.o, 0, tape, n, k)
			before := allocated()
			s, err := newSolver(l)
			got := allocated() - before
			require.NoError(t, err)
			var p plan.LayerPlan
			s.explain(&p)
			want := p.StateBytes + p.MemoryBytes
			assert.InDelta(t, want, got, 0.01*want+96<<10, "%s, %v", name, shape)
			var state float64
			for _, x := range s.state() {
				state += float64(4*len(x.F32) + 8*len(x.F64))
			}
			assert.Equal(t, state, p.StateBytes, name)
			runtime.KeepAlive(s)
		}
	}
}

func allocated() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.TotalAlloc)
}

// The scratch that a plan tells is that of the largest task: of direct's, E, dA, Δ and ∂W̃.
func TestScratchOfLargestTask(t *testing.T) {
	for form, want := range map[Form]int{
		FormDirect: backend.ScratchLen(30, 6, 5),
		FormGram:   backend.GramScratchLen(6, 5),
		FormKernel: backend.KernelScratchLen(30, 6, 5),
	} {
		p := planned(t, []int{5, 8}, transfer.Tanh, Options{Eta: 1, Loss: Squared, Form: form, Block: 5}, 30)[0]
		assert.Equal(t, 4*float64(want), p.ScratchBytes, "%v", form)
	}
}
