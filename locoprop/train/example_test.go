package train_test

import (
	"context"
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// An autoencoder of generated curves for two epochs, the last batch of an epoch short.
func Example() {
	n, err := nn.New(nn.Arch{Widths: []int{784, 32, 784}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}})
	if err != nil {
		fmt.Println(err)
		return
	}
	n.Init(nn.Glorot, 1)
	m, err := locoprop.New(locoprop.Options{Eta: 1e-4, Gamma: 10, Steps: 5, Optimizer: optimizer.New(optimizer.RMSPropTF1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	last := 0.0
	ctx := context.Background()
	t, err := train.New(ctx, train.Config{
		Network: n, Loss: loss.SigmoidCE, Method: m, Data: dataset.Curves(1, 230, 50),
		Batch: 100, KeepLast: true, Epochs: 2, Schedule: schedule.Schedule{Kind: schedule.Constant}, Seed: 1, Workers: 2,
		OnEpoch: func(m train.Metrics) error {
			fmt.Printf("epoch %d, step %d: test loss falls: %v\n", m.Epoch, m.Step, last == 0 || m.TestLoss < last)
			last = m.TestLoss
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	r, err := t.Run(ctx)
	fmt.Println(r.Finished, r.Batches, "batches an epoch", err)
	// Output:
	// epoch 0, step 0: test loss falls: true
	// epoch 1, step 3: test loss falls: true
	// epoch 2, step 6: test loss falls: true
	// true 3 batches an epoch <nil>
}
