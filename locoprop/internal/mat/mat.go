// Package mat holds what training methods share in handling their matrices: cutting
// scratch into matrices, and sums in a fixed order in float64.
package mat

import (
	"unsafe"

	"github.com/locoprop/locoprop-go/locoprop/backend"
)

// RoundLine rounds a number of float32 up to whole cache lines.
func RoundLine(n int) int { return (n + 15) &^ 15 }

// Carve cuts a matrix without gaps from the front of scratch and returns the rest,
// which starts on a cache line if scratch does.
func Carve(scratch []float32, rows, cols int) (m backend.Mat, rest []float32) {
	n := rows * cols
	return backend.Mat{Rows: rows, Cols: cols, Stride: cols, Data: scratch[:n:n]}, scratch[RoundLine(n):]
}

// Float64s views 64-byte aligned scratch as half as many float64.
func Float64s(scratch []float32) []float64 {
	if len(scratch) < 2 {
		return nil
	}
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(scratch))), len(scratch)/2)
}

// Row is row i of m.
func Row(m backend.Mat, i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }

// SumSquares is Σ m², added in float64 in a fixed order.
func SumSquares(m backend.Mat) float64 { return Dot(m, m) }

// Dot is ⟨A, B⟩, the sum of the products of elements, added in float64 in a fixed order.
// Both have one shape.
func Dot(a, b backend.Mat) float64 {
	var sum [4]float64
	if a.Cols == 0 {
		return 0 // a view without columns has no data at all
	}
	for i := range a.Rows {
		x, y := Row(a, i), Row(b, i)
		y = y[:len(x)]
		for len(x) >= 4 && len(y) >= 4 {
			sum[0] += float64(float64(x[0]) * float64(y[0]))
			sum[1] += float64(float64(x[1]) * float64(y[1]))
			sum[2] += float64(float64(x[2]) * float64(y[2]))
			sum[3] += float64(float64(x[3]) * float64(y[3]))
			x, y = x[4:], y[4:]
		}
		for j, v := range x {
			sum[0] += float64(float64(v) * float64(y[j]))
		}
	}
	return (sum[0] + sum[1]) + (sum[2] + sum[3])
}

// Sum adds partial sums in their order.
func Sum(parts []float64) (sum float64) {
	for _, v := range parts {
		sum += v
	}
	return sum
}
