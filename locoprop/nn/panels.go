package nn

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// PanelPass makes passes of a few examples at a time, as many as up to four panels have side by side
// (see backend.Panels): a layer's X̃ᵀ, (n+1) × B, Aᵀ and Dᵀ, m × B, are panels, from one product to
// the next in the nearest caches, and the weights are read as they are:
//
//	Aᵀ = W̃X̃ᵀ,  X̃ᵀ of the next layer = [f(A) 1]ᵀ,  Dᵀ of the layer before = WᵀDᵀ ⊙ f′
//
// Of B examples a pass takes as many as Size says; other numbers panic. All methods take a scratch
// of ScratchLen float32, in which a pass keeps what it makes, and don't allocate; passes with
// scratches of their own may run at once.
type PanelPass struct {
	net     *Network
	kernels backend.Kernels
	by      backend.Panels
	x, a    []int  // where the panels of a layer begin in scratch
	d       [2]int // those of Dᵀ, of even and odd layers
	length  int
	most    int  // panels of a pass
	shared  bool // by several workers
}

// NewPanelPass plans passes through a network, for several workers to share those of a batch, or for
// one to make them one after the other. It is nil where they can't be made by panels: the
// backend has none, or a layer has positions, a design of its own or, before the last, a function
// registered from Go, which would be asked for values of padding.
func NewPanelPass(n *Network, k backend.Kernels, shared bool) *PanelPass {
	by, ok := k.(backend.Panels)
	for ℓ, l := range n.Layers {
		custom := l.Transfer().Kind() == transfer.KindCustom && ℓ+1 < len(n.Layers)
		ok = ok && l.Positions() == 1 && l.DesignIsInput() && !custom
	}
	if !ok {
		return nil
	}
	p := &PanelPass{net: n, kernels: k, by: by, most: 4, shared: shared}
	if shared {
		p.most = 2
	}
	most := 0
	for _, l := range n.Layers {
		w := l.Weights()
		p.x, p.a = append(p.x, p.place(w.Cols)), append(p.a, p.place(w.Rows))
		most = max(most, w.Rows)
	}
	p.d = [2]int{p.place(most), p.place(most)}
	return p
}

// place finds room for a panel of so many rows.
func (p *PanelPass) place(rows int) int {
	begin := p.length
	p.length += mat.RoundLine(p.by.PanelsLen(rows, p.most*p.by.PanelUnits()))
	return begin
}

// Size is how many of so many examples the next pass is to take: four panels of them, for which
// weights are read once, less at the end; where workers share the passes two, and the last ones
// are smaller, so that they end at about the same time. An example's results are the same in any
// pass.
func (p *PanelPass) Size(examples int) int {
	whole := p.by.PanelUnits()
	panels := examples / whole
	switch {
	case p.shared && panels >= 4:
		return 2 * whole
	case p.shared && panels >= 2:
		return whole
	case p.shared:
		return min(examples, whole/2)
	case panels > 0:
		return min(panels, p.most) * whole
	default:
		return examples
	}
}

// ScratchLen is how many float32 a pass needs.
func (p *PanelPass) ScratchLen() int { return p.length }

// panels are those of a layer's rows × examples, from begin on.
type panels struct {
	data  []float32
	count int // of panels
	lanes int // examples side by side in one, padding included
}

func (p *PanelPass) at(scratch []float32, begin, rows, examples int) panels {
	whole := p.by.PanelUnits()
	if examples > whole && (examples%whole != 0 || examples > p.most*whole) {
		panic("nn: a pass of another number of examples than Size gives")
	}
	v := panels{count: max(1, examples/whole), lanes: whole, data: scratch[begin:][:p.by.PanelsLen(rows, examples)]}
	if examples <= whole/2 {
		v.lanes = whole / 2
	}
	return v
}

// rows views rows lo ≤ i < hi; those of a panel, which have no gaps, are a row of the view.
func (v panels) rows(lo, hi int) backend.Mat {
	m := backend.Mat{Rows: v.count, Cols: (hi - lo) * v.lanes, Stride: len(v.data) / v.count}
	m.Data = v.data[lo*v.lanes:][:(v.count-1)*m.Stride+m.Cols]
	return m
}

func (p *PanelPass) xOf(scratch []float32, ℓ, examples int) panels {
	return p.at(scratch, p.x[ℓ], p.net.Layers[ℓ].Weights().Cols, examples)
}

func (p *PanelPass) aOf(scratch []float32, ℓ, examples int) panels {
	return p.at(scratch, p.a[ℓ], p.net.Layers[ℓ].Weights().Rows, examples)
}

func (p *PanelPass) dOf(scratch []float32, ℓ, examples int) panels {
	return p.at(scratch, p.d[ℓ%2], p.net.Layers[ℓ].Weights().Rows, examples)
}

// Begin gives a pass its input, B × (n+1) with the ones.
func (p *PanelPass) Begin(scratch []float32, input backend.Mat) {
	p.by.PanelsFrom(p.xOf(scratch, 0, input.Rows).data, input, true, 1)
}

// Forward makes A of layer ℓ with weights w, m × (n+1), and of it, but for the last layer, the input
// of the next.
func (p *PanelPass) Forward(scratch []float32, w backend.Mat, ℓ, examples int) {
	a := p.aOf(scratch, ℓ, examples)
	p.by.PanelsProduct(a.data, w, false, p.xOf(scratch, ℓ, examples).data, examples)
	if ℓ+1 == len(p.net.Layers) {
		return
	}
	x := p.xOf(scratch, ℓ+1, examples)
	p.kernels.Apply(x.rows(0, w.Rows), a.rows(0, w.Rows), p.net.Layers[ℓ].Transfer())
	ones := x.rows(w.Rows, w.Rows+1)
	for i := range ones.Rows {
		for j := range ones.Cols {
			ones.Data[i*ones.Stride+j] = 1
		}
	}
}

// BeginBackward gives a pass D of the last layer, B × m.
func (p *PanelPass) BeginBackward(scratch []float32, d backend.Mat) {
	p.by.PanelsFrom(p.dOf(scratch, len(p.net.Layers)-1, d.Rows).data, d, true, 1)
}

// Backward makes D of layer ℓ − 1 from that of layer ℓ, which has weights w.
func (p *PanelPass) Backward(scratch []float32, w backend.Mat, ℓ, examples int) {
	w = backend.WithoutBias(w)
	d := p.dOf(scratch, ℓ-1, examples)
	p.by.PanelsProduct(d.data, w, true, p.dOf(scratch, ℓ, examples).data, examples)
	a, y := p.aOf(scratch, ℓ-1, examples).rows(0, w.Cols), p.xOf(scratch, ℓ, examples).rows(0, w.Cols)
	p.kernels.Chain(d.rows(0, w.Cols), a, y, p.net.Layers[ℓ-1].Transfer())
}

// ToInput copies X̃ of layer ℓ, B × (n+1), out of a pass; ToA and ToD do so with A and D, B × m.
func (p *PanelPass) ToInput(x backend.Mat, scratch []float32, ℓ int) {
	p.by.PanelsTo(x, p.xOf(scratch, ℓ, x.Rows).data, true, false)
}

// ToA copies A of layer ℓ; see ToInput.
func (p *PanelPass) ToA(a backend.Mat, scratch []float32, ℓ int) {
	p.by.PanelsTo(a, p.aOf(scratch, ℓ, a.Rows).data, true, false)
}

// ToD copies D of layer ℓ, until Backward makes that of layer ℓ − 2; see ToInput.
func (p *PanelPass) ToD(d backend.Mat, scratch []float32, ℓ int) {
	p.by.PanelsTo(d, p.dOf(scratch, ℓ, d.Rows).data, true, false)
}

// TurnA copies A of layer ℓ into panels of batch × m, from example first on; see backend.Kept.
func (p *PanelPass) TurnA(to []float32, batch, first int, scratch []float32, ℓ, examples int) {
	p.by.PanelsTurn(to, batch, first, 1, p.aOf(scratch, ℓ, examples).data, p.net.Layers[ℓ].Weights().Rows, examples)
}

// TurnD does so with gamma times D; see ToD.
func (p *PanelPass) TurnD(to []float32, batch, first int, gamma float32, scratch []float32, ℓ, examples int) {
	p.by.PanelsTurn(to, batch, first, gamma, p.dOf(scratch, ℓ, examples).data, p.net.Layers[ℓ].Weights().Rows, examples)
}

// PanelActivations holds a forward pass by [PanelPass], of which only the output is kept.
type PanelActivations struct {
	pass    *PanelPass
	Input   backend.Mat // X̃ of the first layer, B × (n+1); the ones are kept
	A, Y    backend.Mat // of the last layer, B × m
	scratch []float32
}

// NewPanelActivations allocates activations for a number of examples.
func NewPanelActivations(p *PanelPass, examples int) *PanelActivations {
	inputs, outputs := p.net.Inputs(), p.net.Outputs()
	act := &PanelActivations{
		pass: p, Input: backend.NewPadded(examples, inputs+1),
		A: backend.NewPadded(examples, outputs), Y: backend.NewPadded(examples, outputs),
		scratch: backend.Alloc(p.ScratchLen()),
	}
	for i := range examples {
		act.Input.Data[i*act.Input.Stride+inputs] = 1
	}
	return act
}

// Forward computes A and Y of the first examples, whose values the caller has written into
// Input; weights is [Network.Weights], or as many matrices of the same shapes. It doesn't
// allocate.
func (act *PanelActivations) Forward(weights []backend.Mat, examples int) {
	p := act.pass
	for lo := 0; lo < examples; {
		hi := lo + p.Size(examples-lo)
		p.Begin(act.scratch, backend.Rows(act.Input, lo, hi))
		for ℓ, w := range weights {
			p.Forward(act.scratch, w, ℓ, hi-lo)
		}
		p.ToA(backend.Rows(act.A, lo, hi), act.scratch, len(weights)-1)
		lo = hi
	}
	p.kernels.Apply(backend.Rows(act.Y, 0, examples), backend.Rows(act.A, 0, examples), p.net.Last().Transfer())
}
