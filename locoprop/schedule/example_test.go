package schedule_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/schedule"
)

// The factor of the rate over four epochs of two batches, with three warm-up steps.
func Example() {
	s := schedule.Schedule{Kind: schedule.Linear, Epochs: 4, Warmup: 3}
	for epoch := range 4 {
		fmt.Printf("epoch %d: %.4f %.4f\n", epoch, s.At(epoch, 0, 2), s.At(epoch, 1, 2))
	}
	fmt.Println(schedule.Schedule{Kind: schedule.Paper, Epochs: 100, Warmup: 3}.Check())
	// Output:
	// epoch 0: 0.3333 0.5833
	// epoch 1: 0.7500 0.6250
	// epoch 2: 0.5000 0.3750
	// epoch 3: 0.2500 0.1250
	// schedule paper warms up over its first five epochs; it takes no warm-up steps (got 3)
}
