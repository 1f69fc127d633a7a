package plan

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
)

// Slots is the state of an element-wise optimiser for one layer: the rule's slots, each
// of the shape of W̃, and the number of updates made.
type Slots struct {
	Rule  optimizer.Rule
	Mats  []backend.Mat // in the order of Rule.Slots
	Count []int64       // updates made; one element, as state tensors are slices
}

// NewSlots allocates the state of a rule for weights w, at its starting values.
func NewSlots(w backend.Mat, r optimizer.Rule) *Slots {
	s := &Slots{Rule: r, Count: make([]int64, 1)}
	for range r.Slots() {
		s.Mats = append(s.Mats, backend.NewMat(w.Rows, w.Cols))
	}
	s.ResetRows(0, w.Rows)
	return s
}

// ResetRows puts rows lo ≤ u < hi of every slot to their starting values. Count stays.
func (s *Slots) ResetRows(lo, hi int) {
	for i, slot := range s.Rule.Slots() {
		rows := backend.Rows(s.Mats[i], lo, hi).Data
		for j := range rows {
			rows[j] = slot.Init
		}
	}
}

// Rows views rows lo ≤ u < hi of the slots.
func (s *Slots) Rows(lo, hi int) []backend.Mat {
	views := make([]backend.Mat, 0, len(s.Mats))
	for _, m := range s.Mats {
		views = append(views, backend.Rows(m, lo, hi))
	}
	return views
}

// Bytes is the memory of the slots.
func (s *Slots) Bytes() float64 {
	var sum float64
	for _, m := range s.Mats {
		sum += 4 * float64(m.Rows*m.Cols)
	}
	return sum
}

// Tensors lists the state: layers.0.rmsprop.s, layers.0.rmsprop.v, layers.0.step.
func (s *Slots) Tensors(layer int) []Tensor {
	var state []Tensor
	for i, slot := range s.Rule.Slots() {
		state = append(state, MatTensor(layer, s.Rule.Name()+"."+slot.Name, s.Mats[i]))
	}
	return append(state, Tensor{Name: fmt.Sprintf("layers.%d.step", layer), Shape: []int{1}, I64: s.Count})
}

// MatTensor is the tensor of a layer's matrix, which has no gaps between rows:
// layers.LAYER.NAME.
func MatTensor(layer int, name string, m backend.Mat) Tensor {
	return Tensor{Name: fmt.Sprintf("layers.%d.%s", layer, name), Shape: []int{m.Rows, m.Cols}, F32: m.Data}
}
