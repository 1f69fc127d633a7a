package plan

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
)

// Slots is the state of an element-wise optimiser for every layer of a network: the
// rule's slots, each of the shape of W̃, and the number of updates made.
type Slots struct {
	Rule  optimizer.Rule
	Layer [][]backend.Mat // per layer, in the order of Rule.Slots
	Count []int64         // updates made, per layer
}

// NewSlots allocates the state of a rule at its starting values.
func NewSlots(n *nn.Network, r optimizer.Rule) *Slots {
	s := &Slots{Rule: r, Layer: make([][]backend.Mat, len(n.Layers)), Count: make([]int64, len(n.Layers))}
	for ℓ, w := range n.Weights() {
		for _, slot := range r.Slots() {
			m := backend.NewMat(w.Rows, w.Cols)
			if slot.Init != 0 {
				for i := range m.Data {
					m.Data[i] = slot.Init
				}
			}
			s.Layer[ℓ] = append(s.Layer[ℓ], m)
		}
	}
	return s
}

// Rows views rows lo ≤ u < hi of a layer's slots.
func (s *Slots) Rows(layer, lo, hi int) []backend.Mat {
	views := make([]backend.Mat, 0, optimizer.MaxSlots)
	for _, m := range s.Layer[layer] {
		views = append(views, backend.Rows(m, lo, hi))
	}
	return views
}

// Bytes is the memory of a layer's slots.
func (s *Slots) Bytes(layer int) float64 {
	var sum float64
	for _, m := range s.Layer[layer] {
		sum += 4 * float64(m.Rows*m.Cols)
	}
	return sum
}

// State lists the weights of a network and the optimiser's state, layer by layer:
// layers.0.w, layers.0.rmsprop.s, layers.0.rmsprop.v, layers.0.step, layers.1.w, …
func (s *Slots) State(n *nn.Network) []Tensor {
	var state []Tensor
	for ℓ, w := range n.Weights() {
		shape := []int{w.Rows, w.Cols}
		state = append(state, Tensor{Name: fmt.Sprintf("layers.%d.w", ℓ), Shape: shape, F32: w.Data})
		for i, slot := range s.Rule.Slots() {
			name := fmt.Sprintf("layers.%d.%s.%s", ℓ, s.Rule.Name(), slot.Name)
			state = append(state, Tensor{Name: name, Shape: shape, F32: s.Layer[ℓ][i].Data})
		}
		state = append(state, Tensor{Name: fmt.Sprintf("layers.%d.step", ℓ), Shape: []int{1}, I64: s.Count[ℓ : ℓ+1]})
	}
	return state
}
