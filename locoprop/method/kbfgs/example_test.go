package kbfgs_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/kbfgs"
)

// The 8-3-8 encoder problem, with a memory of the last ten pairs. Steps are made as in the
// example of package backprop.
func Example() {
	m, err := kbfgs.New(kbfgs.Options{Eta: 1, Limited: true, Memory: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last, err := methodtest.Encoder(m, 100, 3) // 100 steps on a network of 8, 3 and 8 units
	fmt.Printf("%s: loss fell to less than half: %v, %v\n", m.Name(), last < first/2, err)
	// Output: kbfgs: loss fell to less than half: true, <nil>
}
