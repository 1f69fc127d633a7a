package plan

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// Decay is decoupled weight decay, outside of what a method minimises: once per batch,
// before the forward pass,
//
//	W ← (1 − η·wd)W
//
// for the weights of each layer, not its biases; η is the rate of the batch. A nil
// *Decay does nothing. Loshchilov & Hutter, "Decoupled Weight Decay Regularization",
// ICLR 2019.
type Decay struct {
	wd      []float64     // per layer
	factors []float32     // 1 − η·wd of this batch
	weights []backend.Mat // W, without the bias
	before  []backend.Mat // W as the batch found it; empty where wd is 0
	phase   *Phase
}

// NewDecay plans the decay of a network, wd of each layer in order; block is the number
// of units per task. It is nil where every wd is 0.
func NewDecay(n *nn.Network, wd []float64, block int, k backend.Kernels) *Decay {
	d := &Decay{wd: wd, factors: make([]float32, len(wd))}
	var tasks []Task
	for ℓ, l := range n.Layers {
		w := backend.WithoutBias(l.Weights())
		d.weights = append(d.weights, w)
		d.before = append(d.before, backend.Mat{})
		if wd[ℓ] != 0 {
			d.before[ℓ] = backend.NewMat(w.Rows, w.Cols)
			tasks = append(tasks, UnitTasks(ℓ, w.Rows, block, false, ElementCost*float64(w.Cols))...)
		}
	}
	if len(tasks) == 0 {
		return nil
	}
	d.phase = NewPhase("weight decay", tasks, 0, func(t *Task, _ []float32) error {
		w, before := backend.Rows(d.weights[t.Layer], t.Lo, t.Hi), backend.Rows(d.before[t.Layer], t.Lo, t.Hi)
		backend.Copy(before, w)
		k.Scale(w, before, d.factors[t.Layer])
		return nil
	})
	return d
}

// Run decays the weights for a batch with rate eta of each layer.
func (d *Decay) Run(p *Pool, eta []float64) error {
	if d == nil {
		return nil
	}
	for ℓ, wd := range d.wd {
		d.factors[ℓ] = float32(1 - float64(eta[ℓ]*wd))
	}
	return p.Run(d.phase)
}

// Undo gives the weights back that the last Run found, for a step that can't be made.
func (d *Decay) Undo() {
	if d == nil {
		return
	}
	for ℓ, wd := range d.wd {
		if wd != 0 {
			backend.Copy(d.weights[ℓ], d.before[ℓ])
		}
	}
}
