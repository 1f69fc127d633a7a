package adafactor_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/method/adafactor"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
)

// The 8-3-8 encoder problem, with steps relative to the size of the weights. Steps are made
// as in the example of package backprop.
func Example() {
	m, err := adafactor.New(adafactor.Options{Eta: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last, err := methodtest.Encoder(m, 300, 3) // 300 steps on a network of 8, 3 and 8 units
	fmt.Printf("%s: loss fell to less than half: %v, %v\n", m.Name(), last < first/2, err)
	// Output: adafactor: loss fell to less than half: true, <nil>
}
