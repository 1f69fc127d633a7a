package mat_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/stretchr/testify/assert"
)

// Sums of whole numbers are exact, in any order: every element counts once, and nothing
// between rows.
func TestDot(t *testing.T) {
	for rows := range 4 {
		for cols := range 11 {
			a, b := backend.NewPadded(rows, cols+1), backend.NewPadded(rows, cols+2)
			for i := range a.Data {
				a.Data[i] = float32(i%7) - 3
			}
			for i := range b.Data {
				b.Data[i] = float32(i%5) + 1
			}
			x, y := backend.Cols(a, 1, cols+1), backend.Cols(b, 0, cols)
			var dot, squares float64
			for i := range rows {
				for j := range cols {
					v := float64(a.Data[i*a.Stride+j+1])
					dot += v * float64(b.Data[i*b.Stride+j])
					squares += v * v
				}
			}
			assert.Equal(t, dot, mat.Dot(x, y), "%d × %d", rows, cols)
			assert.Equal(t, squares, mat.SumSquares(x), "%d × %d", rows, cols)
		}
	}
	assert.Equal(t, 7.0, mat.Sum([]float64{1, 2, 4}))
	assert.Zero(t, mat.Sum(nil))
}

func TestCarve(t *testing.T) {
	scratch := backend.Alloc(100)
	a, rest := mat.Carve(scratch, 3, 7)
	assert.Equal(t, [3]int{3, 7, 7}, [3]int{a.Rows, a.Cols, a.Stride})
	assert.Len(t, a.Data, 21)
	assert.Len(t, rest, 100-32)
	a.Data[20] = 5
	assert.Equal(t, float32(5), scratch[20])
	wide := mat.Float64s(rest)
	assert.Len(t, wide, 34)
	wide[0] = 1
	assert.NotZero(t, scratch[33], "the same memory")
	assert.Nil(t, mat.Float64s(rest[:1]))
}
