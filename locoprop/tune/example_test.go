package tune_test

import (
	"context"
	"fmt"
	"math"
	"strconv"

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

// Two settings of a made-up loss that falls with the length of a run: 28 trials, of which
// the better thirds go on.
func ExampleSearch() {
	out, err := tune.Search(context.Background(), tune.Options{
		Space: []tune.Dimension{
			{Key: "rate", Low: 1e-4, High: 1, Log: true},
			{Key: "kind", Choices: []string{"plain", "better"}},
		},
		Default: map[string]string{"rate": "0.5", "kind": "plain"},
		Trials:  28, Length: 90, Seed: 1,
		Evaluate: func(_ context.Context, t tune.Trial, length int) (float64, error) {
			rate, err := strconv.ParseFloat(t.Point["rate"], 64)
			loss := math.Abs(math.Log10(rate)+2) + 10/float64(length)
			if t.Point["kind"] == "plain" {
				loss++
			}
			return loss, err
		},
	})
	fmt.Println(out.Rungs, out.Budget.Length, err)
	fmt.Println(out.Best.Trial.Point["kind"], out.Best.Loss < 0.5, out.Default.Loss > 2)
	// Output:
	// [10 30 90] 720 <nil>
	// better true true
}
