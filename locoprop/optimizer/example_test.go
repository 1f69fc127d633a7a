package optimizer_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
)

// Adam in the form of PyTorch on (w - 3)²/2. A rule is a value; its slots belong to
// whoever uses it.
func Example() {
	rule := optimizer.New(optimizer.AdamTorch)
	w := []float32{0}
	slots := make([][]float32, len(rule.Slots()))
	for i := range slots {
		slots[i] = make([]float32, len(w))
	}
	rule.Start(w, slots)
	for k := int64(1); k <= 200; k++ {
		g := []float32{w[0] - 3}
		rule.At(0.1, k).Apply(w, nil, g, slots)
		if k == 1 || k == 200 {
			fmt.Printf("after %3d: w = %.2f\n", k, w[0])
		}
	}
	// Output:
	// after   1: w = 0.10
	// after 200: w = 3.00
}
