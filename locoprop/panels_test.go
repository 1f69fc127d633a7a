package locoprop_test

import (
	"fmt"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withPanels visits the backends that have panels; others say that there are none.
func withPanels(t *testing.T, visit func(t *testing.T, k backend.Kernels)) {
	t.Helper()
	found := false
	for _, k := range allBackends {
		if _, ok := k.(backend.Panels); ok {
			found = true
			t.Run(k.Info().Name, func(t *testing.T) { visit(t, k) })
		}
	}
	if !found {
		t.Skip("no backend of this build has panels; with cgo, native does")
	}
}

// largeBatch is a problem whose designs have rows enough for panels, more than a tile.
func largeBatch(p problem) problem {
	p.batch = 301
	return p
}

// Three batches in panels against the float64 oracle.
func TestStepsInPanelsAgreeWithOracle(t *testing.T) {
	withPanels(t, func(t *testing.T, k backend.Kernels) {
		for _, p := range []problem{problems()[0], problems()[2], problems()[3]} {
			for _, r := range rules() {
				if r.Kind >= optimizer.RMSPropTorch && r.Kind <= optimizer.AMSGrad {
					continue // from an empty second moment, the sign of a gradient that is 0 but for rounding
				}
				for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
					t.Run(fmt.Sprintf("%s/%s/%v", p.name, ruleName(r), l == locoprop.Matching), func(t *testing.T) {
						checkTrajectory(t, k, largeBatch(p), r, l, 5)
					})
				}
			}
		}
	})
}

// The Gram form in panels gives the iterates of the direct one.
func TestGramInPanelsAgreesWithOracle(t *testing.T) {
	withPanels(t, func(t *testing.T, k backend.Kernels) {
		p := problem{"wide", nn.Arch{Widths: []int{260, 7, 5}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}}, loss.SigmoidCE, 30}
		for _, r := range rules()[:optimizer.RMSPropTF1+1] {
			o := locoprop.Options{Loss: locoprop.Squared, Eta: 1e-4, Gamma: 2.5, Steps: 5, Optimizer: r, Block: 4, Form: locoprop.FormGram}
			n := p.network(t, 3)
			reference, start := oracleOf(p, n), snapshot(n)
			m, err := locoprop.New(o)
			require.NoError(t, err)
			s, err := m.Plan(n, p.loss, p.batch, k)
			require.NoError(t, err)
			x, y := p.data(1)
			opts := reference.Optimizers(r)
			for range 3 {
				step(t, s, 2, x, y, 1)
				c := oracle.LocoProp{Gamma: o.Gamma, Eta: o.Eta, T: o.Steps, Floor: 0.25}
				reference.StepLocoProp(c, opts, oracle.From32(x), oracle.From32(y), 1)
			}
			requireAgrees(t, n, start, reference, agreement(r.Kind))
			scratch := backend.PanelGramScratchLen(k.(backend.Panels), p.batch, 261, o.Block, r.Kind.NumSlots(), false)
			assert.InDelta(t, 4*scratch, s.Explain()[0].ScratchBytes, 0, "in panels")
		}
	})
}

// Which layers are solved in panels follows from what their problems are; state begins anew where it
// is reset; the number of workers changes no bit, and a step allocates nothing.
func TestLayersInPanels(t *testing.T) {
	withPanels(t, func(t *testing.T, k backend.Kernels) {
		p := largeBatch(problems()[0])
		small, classifier := problems()[0], largeBatch(problems()[1])
		o := locoprop.Options{Eta: 3e-3, Gamma: 2.5, Steps: 3, Optimizer: optimizer.New(optimizer.RMSPropTF1), Block: 4, Form: locoprop.FormDirect}
		for name, c := range map[string]struct {
			p      problem
			change func(o *locoprop.Options)
			panels []bool
		}{
			"as it is":      {p, func(*locoprop.Options) {}, []bool{true, true, true, true}},
			"small batch":   {small, func(*locoprop.Options) {}, []bool{false, false, false, false}},
			"one iteration": {p, func(o *locoprop.Options) { o.Steps = 1 }, []bool{false, false, false, false}},
			"decay":         {p, func(o *locoprop.Options) { o.Optimizer = optimizer.New(optimizer.AdamW) }, []bool{false, false, false, false}},
			"guarded":       {p, func(o *locoprop.Options) { o.Safety.Armijo, o.Optimizer = true, optimizer.Rule{} }, []bool{false, false, false, false}},
			"softmax":       {classifier, func(*locoprop.Options) {}, []bool{true, false}},
		} {
			o := o
			c.change(&o)
			m, err := locoprop.New(o)
			require.NoError(t, err, name)
			s, err := m.Plan(c.p.network(t, 3), c.p.loss, c.p.batch, k)
			require.NoError(t, err, name)
			for ℓ, l := range s.Explain() {
				// A layer that is one block begins where a panel does: passes keep its activations.
				kept := l.Units <= o.Block && ℓ < len(c.panels)-1
				scratch := backend.PanelScratchLen(k.(backend.Panels), c.p.batch, l.Inputs+1, min(o.Block, l.Units), o.Optimizer.Kind.NumSlots(), kept)
				assert.Equal(t, c.panels[ℓ], l.ScratchBytes == float64(4*scratch), "%s: layer %d", name, ℓ)
			}
		}
		o.Reset = true
		m, err := locoprop.New(o)
		require.NoError(t, err)
		var want []oracle.Mat
		for _, workers := range []int{1, 2, 3} {
			n := p.network(t, 3)
			s, err := m.Plan(n, p.loss, p.batch, k)
			require.NoError(t, err)
			x, y := p.data(1)
			for range 2 { // from the same weights; the second finds the state that the first left
				for ℓ, w := range p.network(t, 3).Weights() {
					backend.Copy(n.Weights()[ℓ], w)
				}
				step(t, s, workers, x, y, 1)
				if want == nil {
					want = snapshot(n)
				}
				require.Equal(t, want, snapshot(n), "%d workers", workers)
			}
			pool := plan.NewPool(workers)
			assert.Zero(t, testing.AllocsPerRun(3, func() {
				_, err := s.Step(pool, x, y, 1)
				assert.NoError(t, err)
			}))
			pool.Close()
		}
	})
}

// Activations that passes keep in panels give the bits that matrices do, of which diagnostics ask for
// those.
func TestKeptActivationsChangeNoBit(t *testing.T) {
	withPanels(t, func(t *testing.T, k backend.Kernels) {
		p := problem{"wide", nn.Arch{
			Widths: []int{260, 270, 33, 20}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity, transfer.Sigmoid},
		}, loss.SigmoidCE, 301}
		x, y := p.data(1)
		for _, l := range []locoprop.LocalLoss{locoprop.Matching, locoprop.Squared} {
			for _, form := range []locoprop.Form{locoprop.FormDirect, locoprop.FormGram} {
				if l == locoprop.Matching && form == locoprop.FormGram {
					continue
				}
				var want []oracle.Mat
				for _, block := range []int{4, 64, 1000} {
					scratch := make([]float64, 2) // of the layer of 270 units, in which what isn't kept takes room
					for _, diagnose := range []int{0, 1} {
						o := locoprop.Options{
							Loss: l, Form: form, Eta: 3e-4, Gamma: 2.5, Steps: 4, Block: block, Diagnose: diagnose,
							Optimizer: optimizer.New(optimizer.RMSPropTF1),
						}
						n := p.network(t, 3)
						m, err := locoprop.New(o)
						require.NoError(t, err)
						s, err := m.Plan(n, p.loss, p.batch, k)
						require.NoError(t, err)
						scratch[diagnose] = s.Explain()[0].ScratchBytes
						for range 2 {
							step(t, s, 2, x, y, 1)
						}
						if want == nil {
							want = snapshot(n)
						}
						require.Equal(t, want, snapshot(n), "%v %v, block %d, diagnose %d", l, form, block, diagnose)
					}
					assert.Equal(t, block > 4, scratch[0] < scratch[1], "%v %v, block %d: kept", l, form, block)
				}
			}
		}
	})
}

// A full batch whose activations are kept, and a short one's, in matrices or kept too, make the steps of
// those that keep nothing.
func TestShortBatchBesideKeptActivations(t *testing.T) {
	withPanels(t, func(t *testing.T, k backend.Kernels) {
		p := largeBatch(problems()[2])
		x, y := p.data(1)
		for _, short := range []int{40, 260} {
			run := func(block int) []oracle.Mat {
				n := p.network(t, 3)
				m, err := locoprop.New(locoprop.Options{Eta: 3e-4, GammaPerExample: 0.01, Steps: 4, Block: block, Optimizer: optimizer.New(optimizer.RMSPropTF1)})
				require.NoError(t, err)
				full, err := m.Plan(n, p.loss, p.batch, k)
				require.NoError(t, err)
				rest, err := m.PlanShort(full, n, p.loss, p.batch, short, k)
				require.NoError(t, err)
				for range 2 {
					step(t, full, 2, x, y, 1)
					step(t, rest, 2, backend.Rows(x, 0, short), backend.Rows(y, 0, short), 1)
				}
				return snapshot(n)
			}
			assert.Equal(t, run(3), run(64), "%d examples", short) // blocks of 3 begin within panels
		}
	})
}
