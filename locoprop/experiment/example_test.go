package experiment_test

import (
	"context"
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// Settings by the names of the command line, over those of a preset, become a trainer.
func Example() {
	e, _, err := catalog.Resolve(catalog.Layer{Values: catalog.Values{
		"preset": "curves", "arch": "784,16,784", "batch": "50", "epochs": "2", "method": "locoprop-m", "form": "metric",
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := experiment.Config(&e, dataset.Curves(1, 200, 50), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	first := 0.0
	c.OnEpoch = func(m train.Metrics) error {
		if m.Step == 0 {
			first = m.TestLoss
		}
		return nil
	}
	ctx := context.Background()
	t, err := train.New(ctx, c)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	r, err := t.Run(ctx)
	fmt.Println(r.Step, "steps, test loss fell:", r.Last.TestLoss < first, err)
	// Output: 8 steps, test loss fell: true <nil>
}
