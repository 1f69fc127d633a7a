package nn

import "github.com/locoprop/locoprop-go/locoprop/backend"

// Activations holds what a forward pass computes, layer by layer, for up to a given
// number of examples. A layer with p positions has p rows per example in Design, A
// and Y.
type Activations struct {
	Input  []backend.Mat // X̃ = [X 1] of each layer, B × (Inputs+1); the ones are kept
	Design []backend.Mat // B·p × (n+1); the same matrix as Input where the design is the input
	A      []backend.Mat // pre-activations, B·p × m
	Y      []backend.Mat // outputs, B·p × m; a view into the next layer's Input where p = 1
	net    *Network
}

// NewActivations allocates activations for a network and a number of examples.
func NewActivations(n *Network, examples int) *Activations {
	count := len(n.Layers)
	act := &Activations{
		Input:  make([]backend.Mat, count),
		Design: make([]backend.Mat, count),
		A:      make([]backend.Mat, count),
		Y:      make([]backend.Mat, count),
		net:    n,
	}
	for ℓ, l := range n.Layers {
		w, p := l.Weights(), l.Positions()
		act.Input[ℓ] = backend.NewPadded(examples, l.Inputs()+1)
		for i := range examples {
			act.Input[ℓ].Data[i*act.Input[ℓ].Stride+l.Inputs()] = 1
		}
		act.Design[ℓ] = act.Input[ℓ]
		if !l.DesignIsInput() {
			act.Design[ℓ] = backend.NewPadded(examples*p, w.Cols)
		}
		if p == 1 {
			act.A[ℓ] = backend.NewPadded(examples, w.Rows)
		} else { // without gaps, so that an example's positions can be seen as one row
			act.A[ℓ] = backend.NewMat(examples*p, w.Rows)
			act.Y[ℓ] = backend.NewMat(examples*p, w.Rows)
		}
	}
	for ℓ, l := range n.Layers {
		switch {
		case l.Positions() > 1:
		case ℓ+1 < count:
			act.Y[ℓ] = backend.WithoutBias(act.Input[ℓ+1])
		default:
			act.Y[ℓ] = backend.NewPadded(examples, l.Weights().Rows)
		}
	}
	return act
}

// Forward computes the activations of examples lo ≤ i < hi from the first layer's
// input, which the caller has filled in; weights is [Network.Weights], or as many
// matrices of the same shapes. It doesn't allocate; calls on disjoint ranges may run
// at once.
func (act *Activations) Forward(k backend.Kernels, weights []backend.Mat, lo, hi int) {
	for ℓ := range act.net.Layers {
		act.ForwardLayer(k, weights[ℓ], ℓ, lo, hi)
	}
}

// ForwardLayer computes the activations of layer ℓ, with weights w, for examples
// lo ≤ i < hi from those of the layer before.
func (act *Activations) ForwardLayer(k backend.Kernels, w backend.Mat, ℓ, lo, hi int) {
	l := act.net.Layers[ℓ]
	p := l.Positions()
	x := l.Design(backend.Rows(act.Design[ℓ], lo*p, hi*p), backend.Rows(act.Input[ℓ], lo, hi))
	a, y := backend.Rows(act.A[ℓ], lo*p, hi*p), backend.Rows(act.Y[ℓ], lo*p, hi*p)
	k.Affine(a, x, w)
	k.Apply(y, a, l.Transfer())
	if p > 1 && ℓ+1 < len(act.Input) {
		next := backend.WithoutBias(backend.Rows(act.Input[ℓ+1], lo, hi))
		backend.Copy(next, backend.Reshape(y, hi-lo, next.Cols))
	}
}

// ForwardTile computes, of layer ℓ with weights w, units left ≤ u < right for examples
// lo ≤ i < hi: pre-activations, and outputs unless f is row-coupled, which needs whole
// rows. Only for a layer with one position whose design is its input.
func (act *Activations) ForwardTile(k backend.Kernels, w backend.Mat, ℓ, lo, hi, left, right int) {
	a := backend.View(act.A[ℓ], lo, hi, left, right)
	k.Affine(a, backend.Rows(act.Design[ℓ], lo, hi), backend.Rows(w, left, right))
	if f := act.net.Layers[ℓ].Transfer(); !f.RowCoupled() {
		k.Apply(backend.View(act.Y[ℓ], lo, hi, left, right), a, f)
	}
}

// Output views what the last layer computed as a row per example: its
// pre-activations A and outputs Y, for examples lo ≤ i < hi.
func (act *Activations) Output(lo, hi int) (a, y backend.Mat) {
	last := len(act.A) - 1
	p := act.net.Layers[last].Positions()
	a, y = backend.Rows(act.A[last], lo*p, hi*p), backend.Rows(act.Y[last], lo*p, hi*p)
	if p > 1 {
		a, y = backend.Reshape(a, hi-lo, a.Cols*p), backend.Reshape(y, hi-lo, y.Cols*p)
	}
	return a, y
}
