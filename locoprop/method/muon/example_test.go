package muon_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/muon"
)

// An encoder of 8 values: the layers in the middle have momentum made orthogonal, the
// others AdamW. Steps are made as in the example of package backprop.
func Example() {
	m, err := muon.New(muon.Options{Eta: 0.05, AdamEta: 0.01})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last, err := methodtest.Encoder(m, 300, 6, 6, 6) // 300 steps on a network of 8, 6, 6, 6 and 8 units
	fmt.Printf("%s: loss fell to less than half: %v, %v\n", m.Name(), last < first/2, err)
	// Output: muon: loss fell to less than half: true, <nil>
}
