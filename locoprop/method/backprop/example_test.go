package backprop_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// A line through four points, by Nesterov's method and without the trainer.
func Example() {
	n, err := nn.New(nn.Arch{Widths: []int{1, 1}, Transfer: []transfer.Func{transfer.Identity}})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := backprop.New(backprop.Options{Eta: 0.1, Optimizer: optimizer.New(optimizer.Nesterov)})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := m.Plan(n, loss.Squared, 4, gonum.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	pool := plan.NewPool(1)
	defer pool.Close()
	x := backend.Mat{Rows: 4, Cols: 1, Stride: 1, Data: []float32{-1, 0, 1, 2}}
	t := backend.Mat{Rows: 4, Cols: 1, Stride: 1, Data: []float32{-1, 1, 3, 5}} // 2x + 1
	for range 200 {
		if _, err := s.Step(pool, x, t, 1); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Printf("weight and bias %.3f\n", n.Weights()[0].Data)
	_, err = backprop.New(backprop.Options{Eta: 1, WeightDecay: 0.1, Optimizer: optimizer.New(optimizer.AdamW)})
	fmt.Println(err)
	// Output:
	// weight and bias [2.000 1.000]
	// backprop: weight decay is 0.1, but optimizer adamw decays weights by itself, by 0.01; give one of both
}
