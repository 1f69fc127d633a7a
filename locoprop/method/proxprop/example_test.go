package proxprop_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/proxprop"
)

// The 8-3-8 encoder problem, with the exact solution of each proximal problem. Steps are
// made as in the example of package backprop.
func Example() {
	m, err := proxprop.New(proxprop.Options{Exact: true, Tau: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last, err := methodtest.Encoder(m, 200, 3) // 200 steps on a network of 8, 3 and 8 units
	fmt.Printf("%s: loss fell to less than half: %v, %v\n", m.Name(), last < first/2, err)
	// Output: proxprop: loss fell to less than half: true, <nil>
}
