package shampoo_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/shampoo"
)

// The 8-3-8 encoder problem, with new roots at every other step. Steps are made as in the
// example of package backprop.
func Example() {
	m, err := shampoo.New(shampoo.Options{Eta: 0.5, Refresh: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last, err := methodtest.Encoder(m, 200, 3) // 200 steps on a network of 8, 3 and 8 units
	fmt.Printf("%s: loss fell to less than half: %v, %v\n", m.Name(), last < first/2, err)
	// Output: shampoo: loss fell to less than half: true, <nil>
}
