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
	// Squares is Ση² of the updates made, one element; nil unless the rule averages.
	Squares []float64

	weights backend.Mat // what some slots start from
}

// NewSlots allocates the state of a rule for weights w, at its starting values.
func NewSlots(w backend.Mat, r optimizer.Rule) *Slots {
	s := &Slots{Rule: r, Count: make([]int64, 1), weights: w}
	if r.Kind.Averages() {
		s.Squares = make([]float64, 1)
	}
	for range r.Slots() {
		s.Mats = append(s.Mats, backend.NewMat(w.Rows, w.Cols))
	}
	s.ResetRows(0, w.Rows)
	return s
}

// ResetRows puts rows lo ≤ u < hi of every slot to their starting values, those of the
// weights as they are now where they depend on them. Count stays.
func (s *Slots) ResetRows(lo, hi int) {
	var held [optimizer.MaxSlots][]float32
	rows := held[:len(s.Mats)]
	for u := lo; u < hi; u++ {
		for i := range rows {
			rows[i] = row(s.Mats[i], u)
		}
		s.Rule.Start(row(s.weights, u), rows)
	}
}

func row(m backend.Mat, i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }

// Next counts one more update, at rate eta, and returns it.
func (s *Slots) Next(eta float64) optimizer.Update {
	s.Count[0]++
	share := 0.0
	if s.Squares != nil {
		square := float64(eta * eta)
		s.Squares[0] += square
		if square > 0 {
			share = square / s.Squares[0]
		}
	}
	return s.Rule.AtShare(eta, s.Count[0], share)
}

// Result are the weights that the rule's result is: w itself, or the average it keeps.
func (s *Slots) Result() backend.Mat {
	if i := s.Rule.Result(); i >= 0 {
		return s.Mats[i]
	}
	return s.weights
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

// Tensors lists the state: layers.0.rmsprop.s, layers.0.rmsprop.v, layers.0.step; of a
// rule that averages, then layers.0.squares.
func (s *Slots) Tensors(layer int) []Tensor {
	var state []Tensor
	for i, slot := range s.Rule.Slots() {
		state = append(state, MatTensor(layer, s.Rule.Name()+"."+slot.Name, s.Mats[i]))
	}
	state = append(state, Tensor{Name: fmt.Sprintf("layers.%d.step", layer), Shape: []int{1}, I64: s.Count})
	if s.Squares != nil {
		state = append(state, Tensor{Name: fmt.Sprintf("layers.%d.squares", layer), Shape: []int{1}, F64: s.Squares})
	}
	return state
}

// MatTensor is the tensor of a layer's matrix, which has no gaps between rows:
// layers.LAYER.NAME.
func MatTensor(layer int, name string, m backend.Mat) Tensor {
	return Tensor{Name: fmt.Sprintf("layers.%d.%s", layer, name), Shape: []int{m.Rows, m.Cols}, F32: m.Data}
}
