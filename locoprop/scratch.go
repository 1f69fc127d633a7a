package locoprop

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
)

// Short names of what package mat has.

func roundLine(n int) int { return mat.RoundLine(n) }

func carve(scratch []float32, rows, cols int) (m backend.Mat, rest []float32) {
	return mat.Carve(scratch, rows, cols)
}

func float64s(scratch []float32) []float64 { return mat.Float64s(scratch) }

// matBytes is the memory of a matrix, what lies between its rows included.
func matBytes(m backend.Mat) float64 { return 4 * float64(len(m.Data)) }

func sumSquares(m backend.Mat) float64 { return mat.SumSquares(m) }
