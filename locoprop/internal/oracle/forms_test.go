package oracle_test

import (
	"fmt"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// localProblem is one with n inputs and m units, its starting weights with it.
func localProblem(f transfer.Func, rows, n, m int, seed uint64, prox float64) (p oracle.Problem, w oracle.Mat) {
	x := random(seed, rows, n+1, 0.6)
	for i := range rows {
		x.Set(i, n, 1)
	}
	w = random(seed+10, m, n+1, 0.6)
	return oracle.Problem{F: f, X: x, Ahat: oracle.Mul(x, w.T()), D: random(seed+20, rows, m, 0.6), Gamma: 0.7, Prox: prox}, w
}

// requireSame requires that two changes agree to 1e-12 of their size.
func requireSame(t *testing.T, want, got oracle.Mat, name string) {
	t.Helper()
	require.LessOrEqual(t, oracle.MaxDiff(want, got), 1e-12*oracle.MaxAbs(want), name)
}

// sizes have more rows than columns, fewer, and as many.
var sizes = [][3]int{{9, 4, 3}, {4, 7, 2}, {5, 4, 1}}

var falling = []float64{0.05, 0.04, 0.03, 0.02, 0.0125, 0.0125}

// Direct, Gram and kernel make the same iterates over three batches, with the velocity
// carried from batch to batch or not.
func TestFormsAgree(t *testing.T) {
	for _, kind := range []optimizer.Kind{optimizer.SGD, optimizer.Momentum, optimizer.Nesterov, optimizer.MomentumBuffer, optimizer.AdamTorch, optimizer.RMSPropTF1} {
		rule := optimizer.New(kind)
		for _, f := range []transfer.Func{transfer.Identity, transfer.Tanh, transfer.Softmax, transfer.ReLU} {
			for _, size := range sizes {
				for _, prox := range []float64{0, 0.4} {
					for _, reset := range []bool{false, true} {
						name := fmt.Sprintf("%s, %v, %v, prox %v, reset %v", rule.Name()+rule.Variant(), f, size, prox, reset)
						requireFormsAgree(t, name, rule, f, size, prox, reset)
					}
				}
			}
		}
	}
}

func requireFormsAgree(t *testing.T, name string, rule optimizer.Rule, f transfer.Func, size [3]int, prox float64, reset bool) {
	t.Helper()
	forms := map[string]func(oracle.Problem, oracle.Mat, *oracle.Optimizer, []float64) oracle.Mat{}
	if f == transfer.Identity {
		forms["gram"] = oracle.Problem.Gram
	}
	if len(rule.Slots()) < 2 {
		forms["kernel"] = oracle.Problem.Kernel
	}
	fresh := func() *oracle.Optimizer { return oracle.NewOptimizer(rule, size[2], size[1]+1) }
	direct := fresh()
	states := map[string]*oracle.Optimizer{}
	for form := range forms {
		states[form] = fresh()
	}
	for batch := range uint64(3) {
		p, w := localProblem(f, size[0], size[1], size[2], batch+1, prox)
		if reset {
			direct = fresh()
		}
		want := oracle.Plus(p.Solve(w, direct, falling), -1, w)
		for form, solve := range forms {
			if reset {
				states[form] = fresh()
			}
			requireSame(t, want, oracle.Plus(solve(p, w, states[form], falling), -1, w), form+", "+name)
			for i, slot := range direct.Slots {
				requireSame(t, slot, states[form].Slots[i], form+"'s state, "+name)
			}
		}
	}
}

// The spectral form is T steps of SGD.
func TestSpectralAgrees(t *testing.T) {
	for _, size := range sizes {
		for _, prox := range []float64{0, 0.4} {
			p, w := localProblem(transfer.Identity, size[0], size[1], size[2], 1, prox)
			want := oracle.Plus(p.Solve(w, oracle.NewOptimizer(optimizer.Rule{}, w.Rows, w.Cols), falling), -1, w)
			requireSame(t, want, p.Spectral(falling), fmt.Sprint(size, prox))
		}
	}
}

// Primal and dual are the minimum, which many steps of SGD reach.
func TestExactFormsAgree(t *testing.T) {
	for _, size := range sizes {
		p, w := localProblem(transfer.Identity, size[0], size[1], size[2], 2, 0.4)
		want := p.Primal()
		name := fmt.Sprint(size)
		requireSame(t, want, p.Dual(), name)
		requireSame(t, want, p.Minimum(), name)
		rates := make([]float64, 2000)
		for i := range rates {
			rates[i] = 0.05
		}
		end := oracle.Plus(p.Solve(w, oracle.NewOptimizer(optimizer.Rule{}, w.Rows, w.Cols), rates), -1, w)
		assert.LessOrEqual(t, oracle.MaxDiff(want, end), 1e-12*oracle.MaxAbs(want)*10, name)
	}
}

// Newton's method arrives at the minimum to 1e-13 within six iterations, eight where f′ varies
// most, and one on the identity.
func TestNewtonIterations(t *testing.T) {
	for _, f := range convex {
		for _, size := range sizes {
			for seed := range uint64(5) {
				p, _ := localProblem(f, size[0], size[1], size[2], seed, 0.4)
				want, iterations := p.Minimum(), 6
				switch f {
				case transfer.ReLU2, transfer.Softsign, transfer.Tanh:
					iterations = 8
				case transfer.Identity:
					iterations = 1
				}
				name := fmt.Sprintf("%v, %v, seed %d", f, size, seed)
				require.LessOrEqual(t, oracle.MaxDiff(want, p.Newton(iterations)), 1e-13*oracle.MaxAbs(want)+1e-14, name)
			}
		}
	}
}
