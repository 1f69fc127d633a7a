package tune_test

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/tune"
)

// The best rate of a made-up loss, which diverges above 0.1: the search starts anywhere
// and ends two points past the best.
func Example() {
	tried := 0
	best, loss, found, err := tune.Best(0, func(rate float64) (float64, error) {
		tried++
		if rate > 0.1 {
			return math.Inf(1), nil
		}
		return math.Abs(math.Log10(rate) + 2), nil
	})
	fmt.Println(tune.Rate(best), loss, found, err, tried)
	// Output:
	// 0.01 0 true <nil> 7
}
