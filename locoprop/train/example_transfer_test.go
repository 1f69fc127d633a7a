package train_test

import (
	"context"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// A transfer function of a program's own, f(a) = a/√(1 + a²), in an autoencoder.
func Example_transferFunction() {
	root := func(a float32) float32 { return float32(math.Sqrt(1 + float64(a)*float64(a))) }
	bend, err := transfer.Register("example-bend", transfer.Custom{
		F:        func(a float32) float32 { return a / root(a) },
		Deriv:    func(a, _ float32) float32 { r := root(a); return 1 / (r * r * r) },
		Integral: func(a float32) float64 { return math.Sqrt(1 + float64(a)*float64(a)) },
		Monotone: true, MaxSlope: 1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	net, err := nn.New(nn.Arch{Widths: []int{784, 24, 784}, Transfer: []transfer.Func{bend, transfer.Sigmoid}})
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
	var losses []float64
	ctx := context.Background()
	t, err := train.New(ctx, train.Config{
		Network: net, Loss: loss.SigmoidCE, Method: method, Data: dataset.Curves(1, 100, 20), Batch: 50, Epochs: 2,
		OnEpoch: func(m train.Metrics) error {
			losses = append(losses, m.TestLoss)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	if _, err := t.Run(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(net.Layers[0].Transfer(), losses[1] < losses[0], losses[2] < losses[1])
	// Output: example-bend true true
}
