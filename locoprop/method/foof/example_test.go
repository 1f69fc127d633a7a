package foof_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/method/foof"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
)

// The 8-3-8 encoder problem, preconditioned by a running second moment of the inputs. Steps
// are made as in the example of package backprop.
func Example() {
	m, err := foof.New(foof.Options{Eta: 10, Relative: 0.1})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last, err := methodtest.Encoder(m, 100, 3) // 100 steps on a network of 8, 3 and 8 units
	fmt.Printf("%s: loss fell to less than half: %v, %v\n", m.Name(), last < first/2, err)
	// Output: foof: loss fell to less than half: true, <nil>
}
