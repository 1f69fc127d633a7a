package kfac_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/kfac"
)

// The 8-3-8 encoder problem, with targets sampled from the model for the Fisher matrix.
// Steps are made as in the example of package backprop.
func Example() {
	m, err := kfac.New(kfac.Options{Damping: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last, err := methodtest.Encoder(m, 100, 3) // 100 steps on a network of 8, 3 and 8 units
	fmt.Printf("%s: loss fell to less than half: %v, %v\n", m.Name(), last < first/2, err)
	// Output: kfac: loss fell to less than half: true, <nil>
}
