package train_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// A training loop of one's own, without a trainer: batches, the schedule's factor and when
// to stop are up to it.
func Example_loop() {
	const batch, batches, epochs = 50, 4, 3
	data := dataset.Curves(1, batch*batches, 0)
	net, err := nn.New(nn.Arch{Widths: []int{784, 24, 784}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}})
	if err != nil {
		fmt.Println(err)
		return
	}
	net.Init(nn.Glorot, 1)
	method, err := locoprop.New(locoprop.Options{Eta: 1e-4, Gamma: 10, Steps: 3, Optimizer: optimizer.New(optimizer.RMSPropTF1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	stepper, err := method.Plan(net, loss.SigmoidCE, batch, gonum.New()) // all checks, all memory
	if err != nil {
		fmt.Println(err)
		return
	}
	pool := plan.NewPool(2)
	defer pool.Close()

	course := schedule.Schedule{Kind: schedule.Cosine, Epochs: epochs}
	order, x := make([]int, batch*batches), backend.NewPadded(batch, 784)
	first, last := 0.0, 0.0
	for epoch := range epochs {
		dataset.OrderWithin(order, 1, epoch, 0)
		for b := range batches {
			if err := data.Train.Rows(x, order[b*batch:(b+1)*batch]); err != nil {
				fmt.Println(err)
				return
			}
			report, err := stepper.Step(pool, x, x, course.At(epoch, b, batches)) // the target is the input
			if err != nil {
				fmt.Println(err)
				return
			}
			if last = report.Loss; first == 0 {
				first = last
			}
		}
	}
	fmt.Println("the loss falls by a fifth or more:", last < 0.8*first)
	// Output: the loss falls by a fifth or more: true
}
