package locoprop

import (
	"unsafe"

	"github.com/locoprop/locoprop-go/locoprop/backend"
)

// roundLine rounds a number of float32 up to whole cache lines.
func roundLine(n int) int { return (n + 15) &^ 15 }

// carve cuts a matrix without gaps from the front of scratch and returns the rest,
// which starts on a cache line if scratch does.
func carve(scratch []float32, rows, cols int) (m backend.Mat, rest []float32) {
	n := rows * cols
	return backend.Mat{Rows: rows, Cols: cols, Stride: cols, Data: scratch[:n:n]}, scratch[roundLine(n):]
}

// float64s views 64-byte aligned scratch as half as many float64.
func float64s(scratch []float32) []float64 {
	if len(scratch) < 2 {
		return nil
	}
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(scratch))), len(scratch)/2)
}

// sumSquares is Σ m², added in float64 in a fixed order.
func sumSquares(m backend.Mat) float64 {
	var sum [4]float64
	for i := range m.Rows {
		row := m.Data[i*m.Stride : i*m.Stride+m.Cols]
		for len(row) >= 4 {
			for j := range 4 {
				v := float64(row[j])
				sum[j] += float64(v * v)
			}
			row = row[4:]
		}
		for _, v := range row {
			sum[0] += float64(float64(v) * float64(v))
		}
	}
	return (sum[0] + sum[1]) + (sum[2] + sum[3])
}
