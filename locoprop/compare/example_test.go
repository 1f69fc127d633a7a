package compare_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/compare"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
)

// Two contenders of the catalog on a small autoencoder, with two seeds and twenty steps
// each.
func Example() {
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	o := compare.Options{
		Dir: dir, Problem: catalog.Values{"preset": "fast-curves", "arch": "784,6,784", "checkpoint-every": "1h"},
		Seeds: []uint32{1, 2}, Length: compare.Length{Steps: 20}, Targets: []float64{540},
		Data: dataset.Curves(1, 400, 100),
	}
	for _, name := range []string{"nesterov", "adam"} {
		c, err := catalog.ContenderNamed(name)
		if err != nil {
			fmt.Println(err)
			return
		}
		o.Contenders = append(o.Contenders, compare.Contender{Name: name, Title: c.Title, Settings: c.Settings, Suited: true})
	}
	result, err := compare.Run(context.Background(), o)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range result.Contenders { // the best first
		fmt.Printf("%s: %d runs of %d steps, %d reached loss %g\n", s.Title, s.Runs, s.Steps, s.Targets[0].Reached, s.Targets[0].Target)
	}
	// Output:
	// SGD with Nesterov's momentum: 2 runs of 20 steps, 2 reached loss 540
	// Adam: 2 runs of 20 steps, 2 reached loss 540
}
