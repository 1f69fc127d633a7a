package catalog_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
)

// What a program reads from flags and files becomes an experiment; what they leave open
// follows from what they say.
func Example() {
	e, rate, err := catalog.Resolve(
		catalog.Layer{Source: "my.toml", Values: catalog.Values{"preset": "paper", "epochs": "3"}},
		catalog.Layer{Values: catalog.Values{"method": "backprop", "optimizer": "adam"}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Method, e.Values()["optimizer"], "for", e.Epochs, "epochs of", e.Dataset)
	fmt.Println("the rate of", rate.Pair, "is", rate.Eta)
	_, _, err = catalog.Resolve(catalog.Layer{Values: catalog.Values{"optimizer": "adem"}})
	fmt.Println(err)
	// Output:
	// backprop adam:variant=torch,beta1=0.9,beta2=0.999,epsilon=1e-08 for 3 epochs of mnist
	// the rate of backprop with adam torch is 0.0015
	// --optimizer adem: unknown optimizer "adem"; did you mean adam? (known: sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw, amsgrad, nadamw, schedule-free, egu, egu-gd, p-norm)
}
