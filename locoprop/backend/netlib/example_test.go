//go:build cgo && !purego

package netlib_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/netlib"
)

// Products go to OpenBLAS, on one thread until Close gives it its own number back.
func Example() {
	k := netlib.New()
	defer k.Close()
	x := backend.Mat{Rows: 2, Cols: 3, Stride: 3, Data: []float32{1, 2, 1, 3, 4, 1}} // X̃: the last column is 1
	w := backend.Mat{Rows: 1, Cols: 3, Stride: 3, Data: []float32{1, -1, 0.5}}       // W̃: the last column is the bias
	a := backend.NewMat(2, 1)
	k.Affine(a, x, w)
	fmt.Println(k.Info().Name, a.Data)
	// Output:
	// netlib [-0.5 -0.5]
}
