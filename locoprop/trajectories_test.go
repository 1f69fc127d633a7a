package locoprop_test

import (
	"slices"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/require"
)

// size is the number of examples of a batch: where the last of an epoch isn't dropped, it is
// the second, between full ones.
func (s setup) size(batch int) int {
	if s.short > 0 && batch == 1 {
		return s.short
	}
	return s.batch
}

// ids are the examples of a batch for momentum on D.
func (s setup) ids(batch int) []int {
	ids := make([]int, s.size(batch))
	for i := range ids {
		ids[i] = (batch*2 + i) % examplesOfSetup
	}
	return ids
}

// run trains the setup's batches with a backend and returns their losses. seed is that of
// the weights and of the data.
func (s setup) run(t *testing.T, k backend.Kernels, pool *plan.Pool, seed uint32) (n *nn.Network, losses []float64) {
	t.Helper()
	n = s.network(t, seed)
	m, err := locoprop.New(s.o)
	require.NoError(t, err)
	stepper, err := s.plan(m, n, k)
	require.NoError(t, err)
	for batch, scale := range s.scales {
		if e, ok := stepper.(plan.ExampleStepper); ok {
			require.NoError(t, e.SetExamples(s.ids(batch)))
		}
		x, y := s.rowsOf(10*seed+uint32(batch), s.size(batch))
		r, err := stepper.Step(pool, x, y, scale)
		require.NoError(t, err)
		losses = append(losses, r.Loss)
	}
	return n, losses
}

// scaleGamma makes the oracle's γ that of a batch: γ·b/B, but under the fisher rule, whose γ
// is of each example by itself. It returns what puts the full batch's back.
func (s setup) scaleGamma(trainer *oracle.Trainer, batch int) (restore func()) {
	full := slices.Clone(trainer.Layers)
	for ℓ := range trainer.Layers {
		if l := &trainer.Layers[ℓ]; !l.Fisher {
			l.Gamma *= float64(s.size(batch)) / float64(s.batch)
		}
	}
	return func() { trainer.Layers = full }
}

// plan plans the setup's batches.
func (s setup) plan(m plan.Method, n *nn.Network, k backend.Kernels) (plan.Stepper, error) {
	if s.short > 0 {
		return plan.WithShort(m, n, s.loss, s.batch, s.short, k)
	}
	return m.Plan(n, s.loss, s.batch, k)
}

// reference is run in float64, from weights that are off by a share at random.
func (s setup) reference(t *testing.T, seed uint32, share float64) (end, start []oracle.Mat, losses []float64) {
	t.Helper()
	n := s.network(t, seed)
	m, err := locoprop.New(s.o)
	require.NoError(t, err)
	trainer := trainerOf(s.problem, n, m)
	for ℓ := range trainer.Net.Layers {
		w := trainer.Net.Layers[ℓ].W
		for i := range w.Data {
			w.Data[i] *= 1 + share*float64(i*7919%13-6)/6
		}
		start = append(start, w.Clone())
	}
	for batch, scale := range s.scales {
		x, y := s.rowsOf(10*seed+uint32(batch), s.size(batch))
		restore := s.scaleGamma(trainer, batch)
		losses = append(losses, trainer.Step(oracle.From32(x), oracle.From32(y), s.ids(batch), scale))
		restore()
	}
	for _, l := range trainer.Net.Layers {
		end = append(end, l.W)
	}
	return end, start, losses
}
