package bench_test

import (
	"context"
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// A step of a small network against square products of the same run. What it counts
// doesn't depend on the machine; how fast it was does.
func Example() {
	m, err := backprop.New(backprop.Options{Eta: 0.01})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := bench.Run(context.Background(), bench.Config{
		Arch: nn.Arch{Widths: []int{20, 10, 20}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}},
		Loss: loss.SigmoidCE, Method: m, Batch: 16, Workers: 1, Rounds: 2, Sizes: []int{32},
		Backends: []backend.Kernels{gonum.New()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := r.Steps[0]
	fmt.Printf("%s, %s, batch %d: %.0f operations a step\n", s.Backend, r.Method, r.Batch, r.Flops)
	fmt.Println(s.Seconds.Count, "rounds, each with a rate:", s.Rate > 0 && r.Sgemm.Median > 0)
	// Output:
	// gonum, backprop, batch 16: 33920 operations a step
	// 2 rounds, each with a rate: true
}
