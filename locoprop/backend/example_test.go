package backend_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// A layer by hand: A = X̃W̃ᵀ, Y = f(A), D of the mean loss, G = DᵀX̃. The bias is the last
// column, and views share memory.
func Example() {
	var k backend.Kernels = gonum.New()
	x := backend.Mat{Rows: 2, Cols: 3, Stride: 3, Data: []float32{1, 2, 1, 3, 4, 1}} // [X 1]
	w := backend.Mat{Rows: 1, Cols: 3, Stride: 3, Data: []float32{0.5, -0.25, 0.1}}  // [W b]
	t := backend.Mat{Rows: 2, Cols: 1, Stride: 1, Data: []float32{1, 0}}
	a, y, d, g := backend.NewMat(2, 1), backend.NewMat(2, 1), backend.NewMat(2, 1), backend.NewMat(1, 3)
	k.Affine(a, x, w)
	k.Apply(y, a, transfer.Identity)
	sum := k.Loss(d, a, y, t, transfer.Identity, loss.Squared, 0.5)
	k.Grad(g, d, x)
	fmt.Printf("mean loss %.4f, gradient %.3f\n", sum/2, g.Data)
	fmt.Println(len(backend.WithoutBias(w).Data) <= len(w.Data), backend.WithoutBias(w).Cols)
	// Output:
	// mean loss 0.2925, gradient [0.450 0.300 -0.150]
	// true 2
}
