//go:build cgo && !purego

package native_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/native"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// The C++ kernels take the same calls as any backend's; Close gives OpenBLAS its threads
// back.
func Example() {
	k := native.New()
	defer k.Close()
	a := backend.Mat{Rows: 1, Cols: 4, Stride: 4, Data: []float32{-2, -0.5, 0, 1}}
	y := backend.NewMat(1, 4)
	k.Apply(y, a, transfer.Tanh)
	fmt.Printf("%s %.4f\n", k.Info().Name, y.Data)
	fmt.Println("fused local solve of tanh:", k.SolvesBlock(transfer.Tanh))
	// Output:
	// native [-0.9640 -0.4621 0.0000 0.7616]
	// fused local solve of tanh: true
}
