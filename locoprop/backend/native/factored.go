//go:build cgo && !purego

package native

import (
	"unsafe"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend"
)

var _ backend.Factored = (*Backend)(nil)

// StepSM3 implements backend.Factored.
func (k *Backend) StepSM3(s *backend.SM3) {
	backend.CheckSM3(s)
	must(bindings.SM3(s.W.Rows, s.W.Cols, data(s.W), s.W.Stride, data(s.G), s.G.Stride, data(s.M), s.M.Stride,
		unsafe.SliceData(s.Rows), unsafe.SliceData(s.Columns), unsafe.SliceData(s.Top), unsafe.SliceData(s.Biases),
		s.Rate, s.Momentum, s.Share))
}

// SquareSums implements backend.Factored.
func (k *Backend) SquareSums(g backend.Mat, rows, cols []float64) {
	backend.CheckSquareSums(g, rows, cols)
	must(bindings.SquareSums(g.Rows, g.Cols, data(g), g.Stride, unsafe.SliceData(rows), unsafe.SliceData(cols)))
}

// ScaledSquares implements backend.Factored.
func (k *Backend) ScaledSquares(g backend.Mat, rows, cols []float32) float64 {
	backend.CheckScaled(g, rows, cols)
	sum, err := bindings.ScaledSquares(g.Rows, g.Cols, data(g), g.Stride, unsafe.SliceData(rows), unsafe.SliceData(cols))
	must(err)
	return sum
}

// ScaledStep implements backend.Factored.
func (k *Backend) ScaledStep(w, g backend.Mat, rows, cols []float32) {
	backend.CheckSame(w, g)
	backend.CheckScaled(g, rows, cols)
	must(bindings.ScaledStep(w.Rows, w.Cols, data(w), w.Stride, data(g), g.Stride, unsafe.SliceData(rows), unsafe.SliceData(cols)))
}
