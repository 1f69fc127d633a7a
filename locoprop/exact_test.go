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
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ridge is −γ G (C + λ⁻¹I)⁻¹, or −γ [X̃ᵀ (K + λ⁻¹I)⁻¹ D]ᵀ where K is the smaller matrix: a
// C that is singular but for λ⁻¹ would cost a reference its digits.
func ridge(p oracle.Problem) oracle.Mat {
	k := gonum.New()
	solve := func(a, b oracle.Mat) oracle.Mat {
		for i := range a.Rows {
			a.Set(i, i, a.At(i, i)+p.Prox)
		}
		if err := k.Cholesky(a.Data, a.Rows); err != nil {
			panic(err)
		}
		k.Solve(a.Data, a.Rows, b.Data, b.Cols)
		return b
	}
	scaled := p.D.Map(func(v float64) float64 { return -p.Gamma * v })
	if p.X.Rows < p.X.Cols {
		return oracle.Mul(solve(oracle.Mul(p.X, p.X.T()), scaled).T(), p.X)
	}
	return solve(oracle.Mul(p.X.T(), p.X), oracle.Mul(p.X.T(), scaled)).T()
}

// rateSum is Σ ηₜ of T steps with the default floor, for η = closedEta.
func rateSum(steps int, scale float64) float64 {
	sum := 0.0
	for _, r := range (oracle.LocoProp{Eta: closedEta, T: steps, Floor: 0.25}).Rates(scale) {
		sum += r
	}
	return sum
}

func TestExactAgreesWithFormula(t *testing.T) {
	for _, c := range closedCases() {
		for _, lambda := range []float64{0.02, 3} {
			c.checkUpdates(t, locoprop.Options{Form: locoprop.FormExact, Prox: lambda}, 2, 0.5, 1/lambda, 1e-5,
				func(_ int, p oracle.Problem) oracle.Mat { return ridge(p) })
		}
		c.checkUpdates(t, locoprop.Options{Form: locoprop.FormExact, Prox: locoprop.ProxAuto, Steps: 7}, 2, 0.5, 1/rateSum(7, 0.5), 1e-5,
			func(_ int, p oracle.Problem) oracle.Mat { return ridge(p) })
	}
}

// The exact solution is where gradient descent with a proximal term ends, for rates
// below 2/(‖C‖₂ + 1/λ).
func TestExactIsTheLimitOfIterations(t *testing.T) {
	const lambda = 0.5
	for _, c := range closedCases() {
		c.checkUpdates(t, locoprop.Options{Form: locoprop.FormExact, Prox: lambda}, 1, 1, 1/lambda, 1e-5,
			func(_ int, p oracle.Problem) oracle.Mat {
				eta := 1 / (oracle.Dot(p.X, p.X) + p.Prox) // tr C ≥ ‖C‖₂
				delta := oracle.New(p.D.Cols, p.X.Cols)
				for range 2000 {
					delta = oracle.Plus(delta, -eta, p.Gradient(delta))
				}
				limit := oracle.MaxAbs(p.Gradient(delta))
				require.LessOrEqual(t, limit, 1e-9*oracle.MaxAbs(p.Gradient(oracle.New(p.D.Cols, p.X.Cols))), "not at the limit yet")
				return delta
			})
	}
}

// A batch each of whose examples comes k times has kC for C, and the same G: with kγ and
// λ/k its update is the same. So one network is solved by its dual and by its primal form.
func TestPrimalIsDual(t *testing.T) {
	const repeat, lambda = 4, 0.3
	c := closedCases()[1]
	for _, form := range []locoprop.Form{locoprop.FormExact, locoprop.FormSpectral} {
		dual, primal := c.network(t, 1), c.network(t, 1)
		before := snapshot(dual)
		x, y := c.data(dual, 1)
		o := locoprop.Options{Form: form, Gamma: closedGamma, Prox: lambda, Steps: 4}
		step(t, c.stepper(t, dual, o), 1, x, y, 1)

		many := c
		many.batch *= repeat
		xs, ys := backend.NewMat(many.batch, x.Cols), backend.NewMat(many.batch, y.Cols)
		for r := range repeat {
			copy(xs.Data[r*len(x.Data):], x.Data)
			copy(ys.Data[r*len(y.Data):], y.Data)
		}
		o.Gamma, o.Prox, o.Eta = repeat*closedGamma, lambda/repeat, closedEta/repeat
		step(t, many.stepper(t, primal, o), 1, xs, ys, 1)
		for ℓ := range before {
			a, b := oracle.From32(dual.Weights()[ℓ]), oracle.From32(primal.Weights()[ℓ])
			limit := 2*0x1p-24*oracle.MaxAbs(a) + 1e-5*oracle.MaxDiff(a, before[ℓ])
			require.LessOrEqual(t, oracle.MaxDiff(a, b), limit, "%v layer %d", form, ℓ)
		}
	}
}

// Two half batches' C and G add up: the update of the whole batch follows from them.
func TestExactFromHalfBatches(t *testing.T) {
	const lambda = 0.4
	c := closedCases()[0]
	c.batch = 14
	c.checkUpdates(t, locoprop.Options{Form: locoprop.FormExact, Prox: lambda}, 1, 1, 1/lambda, 1e-5,
		func(_ int, p oracle.Problem) oracle.Mat {
			second, g := oracle.New(p.X.Cols, p.X.Cols), oracle.New(p.D.Cols, p.X.Cols)
			for half := range 2 {
				x, d := oracle.New(7, p.X.Cols), oracle.New(7, p.D.Cols)
				copy(x.Data, p.X.Data[half*7*p.X.Cols:])
				copy(d.Data, p.D.Data[half*7*p.D.Cols:])
				second = oracle.Plus(second, 1, oracle.Mul(x.T(), x))
				g = oracle.Plus(g, -closedGamma, oracle.Mul(d.T(), x))
			}
			for i := range second.Rows {
				second.Set(i, i, second.At(i, i)+p.Prox)
			}
			return oracle.Mul(g, damped(second, 0))
		})
}

// linear is one layer that fits a target: D is (Â − t)/B whatever the scale of its inputs,
// which a test may spoil.
func linear(batch int) closedCase {
	return closedCase{"linear", func() []nn.Layer { return []nn.Layer{nn.NewDense(6, 4, transfer.Identity)} }, loss.Squared, batch}
}

// Beyond a condition of 1e5, C or K and G are formed in float64. The inputs' third column
// is nearly the sum of the first two, so that the smallest eigenvalue of C lies where sums
// of squares in float32 have no digits left.
func TestExactInFloat64(t *testing.T) {
	for _, batch := range []int{4, 9, 12} { // dual; primal, a multiple of four rows and not
		const lambda, amplitude = 1e6, 10
		c := linear(batch)
		n := c.network(t, 1)
		x, y := c.data(n, 1)
		for i := range x.Data {
			x.Data[i] *= amplitude
		}
		for i := range batch {
			row := x.Data[i*x.Cols:]
			row[2] = row[0] + row[1] + 1e-2*row[2]
		}
		p, before := c.problems(t, n, x, y, closedGamma, 1/lambda)[0], snapshot(n)[0]
		step(t, c.stepper(t, n, locoprop.Options{Form: locoprop.FormExact, Prox: lambda, Gamma: closedGamma}), 1, x, y, 1)
		got, want := oracle.Plus(oracle.From32(n.Weights()[0]), -1, before), ridge(p)
		assert.LessOrEqual(t, oracle.MaxDiff(got, want), 1e-5*oracle.MaxAbs(want), "batch %d", batch)
	}
}

// Sums of squares beyond float32 are formed in float64, where that is of use.
func TestExactBeyondFloat32(t *testing.T) {
	for _, batch := range []int{4, 9} {
		c := linear(batch)
		n := c.network(t, 1)
		for i := range n.Weights()[0].Data {
			n.Weights()[0].Data[i] = 0
		}
		x, y := c.data(n, 1)
		for i := range x.Data {
			x.Data[i] *= 1e20
		}
		p := c.problems(t, n, x, y, closedGamma, 1)[0]
		step(t, c.stepper(t, n, locoprop.Options{Form: locoprop.FormExact, Prox: 1, Gamma: closedGamma}), 1, x, y, 1)
		delta := oracle.From32(n.Weights()[0])
		assert.False(t, math.IsInf(oracle.MaxAbs(delta), 0))
		// It lowers the local loss, which the weights' huge leverage makes hard to get right.
		assert.Negative(t, p.Value(delta))
	}
}
