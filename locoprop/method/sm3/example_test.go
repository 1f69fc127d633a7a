package sm3_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/sm3"
)

// The 8-3-8 encoder problem, with a row and a column of state for each matrix. Steps are
// made as in the example of package backprop.
func Example() {
	m, err := sm3.New(sm3.Options{Eta: 0.3})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last, err := methodtest.Encoder(m, 200, 3) // 200 steps on a network of 8, 3 and 8 units
	fmt.Printf("%s: loss fell to less than half: %v, %v\n", m.Name(), last < first/2, err)
	// Output: sm3: loss fell to less than half: true, <nil>
}
