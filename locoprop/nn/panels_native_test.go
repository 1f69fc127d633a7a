//go:build cgo && !purego

package nn_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/backend/native"
	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A forward pass by panels is that by matrices, for any number of examples up to that of the
// activations, one after the other, and allocates nothing.
func TestPanelActivations(t *testing.T) {
	k := native.New()
	defer k.Close()
	for name, arch := range map[string]nn.Arch{
		"hidden":     {Widths: []int{7, 24, 36, 5, 13}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid, transfer.Identity, transfer.ReLU}},
		"classifier": {Widths: []int{40, 33, 10}, Transfer: []transfer.Func{transfer.Softplus, transfer.Softmax}},
		"one layer":  {Widths: []int{1, 1}, Transfer: []transfer.Func{transfer.Tanh}},
		"wide":       {Widths: []int{600, 12, 600}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := nn.New(arch)
			require.NoError(t, err)
			n.Init(nn.Glorot, 3)
			panels := nn.NewPanelPass(n, k, false)
			require.NotNil(t, panels)
			const most = 170
			act, want := nn.NewPanelActivations(panels, most), nn.NewActivations(n, most)
			for round, examples := range []int{1, 31, 32, 33, most, 2, 64} {
				u := philox.New(uint32(round), philox.Local, 0)
				for i := range examples {
					for j := range n.Inputs() {
						v := float32(u.Uniform(uint64(i*n.Inputs()+j))) - 0.5
						act.Input.Data[i*act.Input.Stride+j], want.Input[0].Data[i*want.Input[0].Stride+j] = v, v
					}
				}
				act.Forward(n.Weights(), examples)
				want.Forward(gonum.New(), n.Weights(), 0, examples)
				a, y := want.Output(0, examples)
				for i := range examples {
					for j := range n.Outputs() {
						assert.InDelta(t, a.Data[i*a.Stride+j], act.A.Data[i*act.A.Stride+j], 2e-5, "A of %d, %d of %d", i, j, examples)
						assert.InDelta(t, y.Data[i*y.Stride+j], act.Y.Data[i*act.Y.Stride+j], 2e-5, "Y of %d, %d of %d", i, j, examples)
					}
				}
				n.Weights()[0].Data[0]++ // the next round has other weights
			}
			assert.Zero(t, testing.AllocsPerRun(3, func() { act.Forward(n.Weights(), most) }))
		})
	}
}

// own is a layer with a design of its own, and positions.
type own struct {
	*nn.Dense
	positions int
}

func (l own) DesignIsInput() bool { return l.positions == 1 }
func (l own) Positions() int      { return l.positions }
func (l own) Inputs() int         { return l.positions * l.Dense.Inputs() }

func TestPanelsOrNone(t *testing.T) {
	k := native.New()
	defer k.Close()
	plain, err := nn.New(nn.Arch{Widths: []int{3, 2}, Transfer: []transfer.Func{transfer.Tanh}})
	require.NoError(t, err)
	assert.NotNil(t, nn.NewPanelPass(plain, k, true))
	assert.Nil(t, nn.NewPanelPass(plain, gonum.New(), true), "the backend has none")
	windows, err := nn.FromLayers(own{nn.NewDense(2, 2, transfer.Tanh), 3})
	require.NoError(t, err)
	assert.Nil(t, nn.NewPanelPass(windows, k, true), "positions")
	f, err := transfer.Register("no-panels", transfer.Custom{
		F: func(a float32) float32 { return a }, Deriv: func(_, _ float32) float32 { return 1 },
	})
	require.NoError(t, err)
	custom, err := nn.New(nn.Arch{Widths: []int{3, 2, 2}, Transfer: []transfer.Func{f, transfer.Tanh}})
	require.NoError(t, err)
	assert.Nil(t, nn.NewPanelPass(custom, k, true), "a function from Go")
	custom, err = nn.New(nn.Arch{Widths: []int{3, 2, 2}, Transfer: []transfer.Func{transfer.Tanh, f}})
	require.NoError(t, err)
	assert.NotNil(t, nn.NewPanelPass(custom, k, true), "one of the last layer, which isn't asked for padding")
}

// Sizes of passes make up any number of examples, and passes take them, but no others.
func TestPanelsSize(t *testing.T) {
	k := native.New()
	defer k.Close()
	n, err := nn.New(nn.Arch{Widths: []int{3, 2}, Transfer: []transfer.Func{transfer.Tanh}})
	require.NoError(t, err)
	unit := k.PanelUnits()
	for _, shared := range []bool{false, true} {
		p := nn.NewPanelPass(n, k, shared)
		scratch := make([]float32, p.ScratchLen())
		for examples := range 10 * unit {
			for rest := examples; rest > 0; {
				size := p.Size(rest)
				require.True(t, size >= 1 && size <= rest, "%d of %d", size, rest)
				require.NotPanics(t, func() { p.Begin(scratch, backend.NewMat(size, n.Inputs()+1)) })
				rest -= size
			}
		}
	}
	p := nn.NewPanelPass(n, k, true)
	for _, wrong := range []int{unit + 1, 2*unit - 1, 3 * unit} {
		assert.Panics(t, func() { p.Begin(make([]float32, p.ScratchLen()), backend.NewMat(wrong, n.Inputs()+1)) })
	}
}
