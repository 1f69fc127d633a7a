package nn

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// PackedWeights are a network's weights arranged once for many forward passes (see
// backend.Packed), in which a product Aᵀ = W̃X̃ᵀ has the weights for its design. Only
// [PackedActivations] use them.
type PackedWeights struct {
	net     *Network
	kernels backend.Kernels
	packed  backend.Packed
	layers  []backend.Design // W̃, m × (n+1)
}

// PacksWeights tells whether a network's weights can be packed: the backend packs, and no layer
// has positions or a design of its own, or calls a function registered from Go, which would be
// asked for values of padding.
func PacksWeights(n *Network, k backend.Kernels) bool {
	_, ok := k.(backend.Packed)
	for ℓ, l := range n.Layers {
		custom := l.Transfer().Kind() == transfer.KindCustom && ℓ+1 < len(n.Layers)
		ok = ok && l.Positions() == 1 && l.DesignIsInput() && !custom
	}
	return ok
}

// NewPackedWeights allocates them for a network and a backend that [PacksWeights] says yes to.
func NewPackedWeights(n *Network, k backend.Kernels) *PackedWeights {
	p := &PackedWeights{net: n, kernels: k, packed: k.(backend.Packed)}
	for _, l := range n.Layers {
		w := l.Weights()
		p.layers = append(p.layers, backend.NewDesign(p.packed, w.Rows, w.Cols, false))
	}
	return p
}

// Pack arranges part 0 ≤ part < parts of weights, [Network.Weights] or matrices of the same
// shapes. Parts can be packed at once; a forward pass needs all of them.
func (p *PackedWeights) Pack(weights []backend.Mat, part, parts int) {
	for ℓ, w := range weights {
		p.packed.PackDesign(p.layers[ℓ], w, part, parts)
	}
}

// PackedActivations holds a forward pass with packed weights. Between layers outputs stay in
// panels of X̃ᵀ, (n+1) × B, which the next product reads.
type PackedActivations struct {
	weights  *PackedWeights
	Input    backend.Mat // X̃ of the first layer, B × (n+1); the ones are kept
	A, Y     backend.Mat // of the last layer, B × m
	perPanel int         // examples side by side
	x        [][]float32 // panels of X̃ᵀ of each layer, with their ones
	a        []float32   // panels of Aᵀ of any layer
}

// NewPackedActivations allocates activations for a number of examples, rounded up to what
// panels hold.
func NewPackedActivations(p *PackedWeights, examples int) *PackedActivations {
	act := &PackedActivations{weights: p, perPanel: p.packed.PanelUnits()}
	examples = act.rounded(examples)
	act.Input = backend.NewPadded(examples, p.net.Inputs()+1)
	for i := range examples {
		act.Input.Data[i*act.Input.Stride+p.net.Inputs()] = 1
	}
	longest := 0
	for ℓ, d := range p.layers {
		x := backend.Alloc(p.packed.PanelsLen(d.Cols, examples))
		if ℓ > 0 {
			ones := act.view(x, d.Cols, d.Cols-1, d.Cols, examples)
			for i := range ones.Rows {
				for j := range ones.Cols {
					ones.Data[i*ones.Stride+j] = 1
				}
			}
		}
		act.x = append(act.x, x)
		longest = max(longest, p.packed.PanelsLen(d.Batch, examples))
	}
	act.a = backend.Alloc(longest)
	act.A, act.Y = backend.NewPadded(examples, p.net.Outputs()), backend.NewPadded(examples, p.net.Outputs())
	return act
}

func (act *PackedActivations) rounded(examples int) int {
	return (examples + act.perPanel - 1) / act.perPanel * act.perPanel
}

// view is rows lo ≤ i < hi of panels of rows × examples, a panel per row of the view.
func (act *PackedActivations) view(panels []float32, rows, lo, hi, examples int) backend.Mat {
	count := examples / act.perPanel
	stride := act.weights.packed.PanelsLen(rows, act.perPanel)
	m := backend.Mat{Rows: count, Cols: (hi - lo) * act.perPanel, Stride: stride}
	if m.Rows > 0 && m.Cols > 0 {
		m.Data = panels[lo*act.perPanel:][:(count-1)*stride+m.Cols]
	}
	return m
}

// Forward computes A and Y of the first examples, whose values the caller has written into
// Input. It doesn't allocate.
func (act *PackedActivations) Forward(examples int) {
	p := act.weights
	valid := examples
	examples = act.rounded(examples)
	p.packed.PanelsFrom(act.x[0], backend.Rows(act.Input, 0, examples), true, 1)
	last := len(p.layers) - 1
	for ℓ, d := range p.layers {
		p.packed.DesignAffine(act.a, d, act.x[ℓ], examples)
		if ℓ < last {
			next := act.view(act.x[ℓ+1], d.Batch+1, 0, d.Batch, examples)
			p.kernels.Apply(next, act.view(act.a, d.Batch, 0, d.Batch, examples), p.net.Layers[ℓ].Transfer())
		}
	}
	p.packed.PanelsTo(backend.Rows(act.A, 0, examples), act.a, true, false)
	p.kernels.Apply(backend.Rows(act.Y, 0, valid), backend.Rows(act.A, 0, valid), p.net.Last().Transfer())
}
