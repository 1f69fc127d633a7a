package nn_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// A network, its initial weights (the same on every machine), and a forward pass.
func Example() {
	n, err := nn.New(nn.Arch{Widths: []int{4, 3, 2}, Transfer: []transfer.Func{transfer.Tanh, transfer.Softmax}})
	if err != nil {
		fmt.Println(err)
		return
	}
	n.Init(nn.Glorot, 1)
	fmt.Println(len(n.Layers), "layers,", n.Params(), "parameters")
	act := nn.NewActivations(n, 1)
	x := backend.WithoutBias(act.Input[0])
	copy(x.Data, []float32{1, 0, -1, 0.5})
	act.Forward(gonum.New(), n.Weights(), 0, 1)
	_, y := act.Output(0, 1)
	fmt.Printf("%.3f\n", y.Data[:2])
	_, err = nn.New(nn.Arch{Widths: []int{4}})
	fmt.Println(err)
	// Output:
	// 2 layers, 23 parameters
	// [0.653 0.347]
	// architecture has 1 widths; it needs at least 2 (input and output)
}
