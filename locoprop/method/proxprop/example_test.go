package proxprop_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/proxprop"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// The 8-3-8 encoder problem, with the exact solution of each proximal problem.
func Example() {
	n, err := nn.New(nn.Arch{Widths: []int{8, 3, 8}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}})
	if err != nil {
		fmt.Println(err)
		return
	}
	n.Init(nn.Glorot, 1)
	m, err := proxprop.New(proxprop.Options{Exact: true, Tau: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := m.Plan(n, loss.SigmoidCE, 8, gonum.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	pool := plan.NewPool(2)
	defer pool.Close()
	x := backend.NewMat(8, 8)
	for i := range 8 {
		x.Data[8*i+i] = 1
	}
	var losses []float64
	for range 200 {
		r, err := s.Step(pool, x, x, 1)
		if err != nil {
			fmt.Println(err)
			return
		}
		losses = append(losses, r.Loss)
	}
	fmt.Printf("%s: loss fell to less than half: %v\n", m.Name(), losses[len(losses)-1] < losses[0]/2)
	// Output:
	// proxprop: loss fell to less than half: true
}
