package shampoo

import (
	"fmt"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Roots against eigendecompositions in float64.
func TestRoot(t *testing.T) {
	for _, n := range []int{1, 2, 5, 33, 65} {
		for _, p := range []int{2, 4} {
			for _, c := range []struct{ top, condition, ridge, tolerance float64 }{
				{1, 1, 0, 1e-5},
				{7, 10, 0, 1e-5},
				{1e-4, 1e3, 0, 1e-4},
				{300, 1e3, 1e-6, 1e-4},
				{1, 1e8, 1e-3, 1e-4},
				{1e3, 1e12, 1e-6, 0.05},
			} {
				if n > 33 && c.ridge == 0 {
					continue
				}
				name := fmt.Sprintf("n=%d p=%d %v", n, p, c)
				a32 := methodtest.SPD(n, c.top, c.condition, uint32(n)).To32()
				a := oracle.From32(a32)
				got := backend.NewMat(n, n)
				require.True(t, root(gonum.New(), got, a32, p, c.ridge, make([]float32, rootScratch(n))), name)
				want := methodtest.Power(t, oracle.Plus(a, 1, oracle.Eye(n, c.ridge*c.top)), -1/float64(p))
				diff := oracle.MaxDiff(oracle.From32(got), want) / oracle.MaxAbs(want)
				assert.Less(t, diff, c.tolerance, name)
			}
		}
	}
}

// A residual that stays large keeps the old root.
func TestRootRefuses(t *testing.T) {
	for name, a := range map[string]backend.Mat{
		"zero":       {Rows: 2, Cols: 2, Stride: 2, Data: make([]float32, 4)},
		"indefinite": {Rows: 2, Cols: 2, Stride: 2, Data: []float32{1, 0, 0, -1}},
	} {
		dst := backend.Mat{Rows: 2, Cols: 2, Stride: 2, Data: []float32{5, 6, 7, 8}}
		assert.False(t, root(gonum.New(), dst, a, 4, 0, make([]float32, rootScratch(2))), name)
		assert.Equal(t, []float32{5, 6, 7, 8}, dst.Data, name)
	}
}
