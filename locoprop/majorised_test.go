package locoprop_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/require"
)

var majorisedTransfers = append([]transfer.Func{transfer.Softmax}, convexTransfers...)

func majorisedOptions(steps int) locoprop.Options {
	return locoprop.Options{Form: locoprop.FormMajorised, Steps: steps}
}

// Both the primal form (more examples than inputs) and the dual one against the formula.
func TestMajorisedAgreesWithOracle(t *testing.T) {
	for _, c := range convexCases(majorisedTransfers...) {
		for _, steps := range []int{1, 2, 6} {
			delta, p := c.solved(t, majorisedOptions(steps))
			slope, _ := c.f.MaxSlope()
			want := p.Majorised(slope, steps)
			limit := 1e-4*oracle.MaxAbs(want) + 4*0x1p-24
			require.LessOrEqual(t, oracle.MaxDiff(delta, want), limit, "%v T=%d", c, steps)
		}
	}
}

// No iteration raises the local loss with its regulariser: on random problems, most of
// them with targets outside the range of f. Values are of the rounded weights, which
// shifts them by up to ε·‖∇‖·‖W‖; hence 1e-6 of the whole decrease.
func TestMajorisedNeverRaisesTheLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 240 {
		c := convex{
			inputs: 1 + rng.IntN(12), units: 1 + rng.IntN(5), batch: 1 + rng.IntN(16),
			f:     majorisedTransfers[i%len(majorisedTransfers)],
			gamma: math.Pow(10, 3*rng.Float64()-1), lambda: math.Pow(10, 5*rng.Float64()-3),
			size: math.Pow(10, rng.Float64()-0.7), seed: uint64(i),
		}
		before, fell := 0.0, 0.0
		for steps := 1; steps <= 5; steps++ {
			delta, p := c.solved(t, majorisedOptions(steps))
			value := p.Value(delta)
			fell = max(fell, -value)
			require.LessOrEqual(t, value, before+1e-6*fell+1e-9, "%v, iteration %d", c, steps)
			before = value
		}
	}
}

// The first iteration is exact LocoProp-S with c_f·C for C: −γG(c_f·C + λ⁻¹I)⁻¹ is that of
// C at γ/c_f and λ·c_f.
func TestMajorisedStartsAsExact(t *testing.T) {
	for _, c := range convexCases(majorisedTransfers...) {
		first, _ := c.solved(t, majorisedOptions(1))
		slope, _ := c.f.MaxSlope()
		c.gamma /= slope
		c.lambda *= slope
		exact, _ := c.solved(t, locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormExact})
		require.LessOrEqual(t, oracle.MaxDiff(first, exact), 1e-5*oracle.MaxAbs(exact)+4*0x1p-24, "%v", c)
	}
}

// Where 1/λ dominates, all that is left of an iteration is a step along the gradient.
func TestMajorisedIsGradientStepAtSmallLambda(t *testing.T) {
	for _, c := range convexCases(majorisedTransfers...) {
		c.lambda, c.gamma = 1e-6, 1e4
		delta, p := c.solved(t, majorisedOptions(1))
		g := p.Gradient(oracle.New(delta.Rows, delta.Cols))
		want := g.Map(func(v float64) float64 { return -c.lambda * v })
		limit := 1e-4*oracle.MaxAbs(want) + 4*0x1p-24 // λ·‖C‖₂ is below 1e-4
		require.LessOrEqual(t, oracle.MaxDiff(delta, want), limit, "%v", c)
	}
}

// On the identity the first iteration is all, up to rounding.
func TestMajorisedSolvesIdentityAtOnce(t *testing.T) {
	for _, c := range convexCases(transfer.Identity) {
		delta, p := c.solved(t, majorisedOptions(1))
		again, _ := c.solved(t, majorisedOptions(4))
		limit := 1e-5*oracle.MaxAbs(delta) + 4*0x1p-24
		require.LessOrEqual(t, oracle.MaxDiff(delta, again), limit, "%v", c)
		require.LessOrEqual(t, oracle.MaxDiff(delta, p.Minimum()), 10*limit, "%v", c)
	}
}

// Many iterations end at the minimum, which the implicit form finds in few.
func TestMajorisedReachesTheMinimum(t *testing.T) {
	for _, c := range convexCases(majorisedTransfers...) {
		if c.lambda > 1 || c.batch == 1 {
			continue
		}
		delta, p := c.solved(t, majorisedOptions(60))
		requireStationary(t, c, delta, p, 1e-4)
	}
}

// Where λ·‖C‖₂ is beyond what a float32 C can tell, the loss still never rises.
func TestMajorisedOfIllConditionedInput(t *testing.T) {
	for _, f := range majorisedTransfers {
		for _, shape := range [][2]int{{9, 30}, {30, 9}} {
			for _, lambda := range []float64{1e6, 1e9, 1e30} {
				c := convex{inputs: shape[0], units: 3, batch: shape[1], f: f, gamma: 3, lambda: lambda, size: 20, seed: 7, repeated: true}
				before := 0.0
				for steps := 1; steps <= 40; steps *= 3 {
					delta, p := c.solved(t, majorisedOptions(steps))
					value := p.Value(delta)
					require.LessOrEqual(t, value, before*(1-1e-4), "%v, T = %d", c, steps)
					before = value
				}
			}
		}
	}
}
