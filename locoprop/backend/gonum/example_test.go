package gonum_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
)

// Cholesky, in place, and a solve with it.
func Example() {
	k := gonum.New()
	a := []float64{
		4, 0,
		2, 5,
	}
	if err := k.Cholesky(a, 2); err != nil { // the lower triangle is L
		fmt.Println(err)
		return
	}
	b := []float64{8, 14}
	k.Solve(a, 2, b, 1)
	fmt.Println(a[0], a[2], a[3], b)
	fmt.Println(k.Cholesky([]float64{1, 0, 2, 1}, 2))
	// Output:
	// 2 1 2 [0.75 2.5]
	// matrix isn't positive definite: leading minor of order 2 isn't positive
}
