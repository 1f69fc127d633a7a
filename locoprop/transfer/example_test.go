package transfer_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// LocoProp-M measures how far a pre-activation is from another by the divergence of F,
// and asks for a function that never falls.
func Example() {
	for _, name := range []string{"tanh", "relu", "softplus", "silu"} {
		f, err := transfer.Parse(name)
		if err != nil {
			fmt.Println(err)
			return
		}
		a, y := []float32{2}, []float32{0}
		f.Eval(y, a)
		fmt.Printf("%-8v f(2) = %.4f  f'(2) = %.4f  monotone: %-5v  D_F(2, 0.5) = %.4f\n",
			f, y[0], f.Deriv(2), f.Monotone(), f.Divergence(a, []float32{0.5}))
	}
	// Output:
	// tanh     f(2) = 0.9640  f'(2) = 0.0707  monotone: true   D_F(2, 0.5) = 0.5117
	// relu     f(2) = 2.0000  f'(2) = 1.0000  monotone: true   D_F(2, 0.5) = 1.1250
	// softplus f(2) = 2.1269  f'(2) = 0.8808  monotone: true   D_F(2, 0.5) = 0.8161
	// silu     f(2) = 1.7616  f'(2) = 1.0908  monotone: false  D_F(2, 0.5) = NaN
}

// A function of a program's own trains on every backend, and by LocoProp-M if it never
// falls.
func ExampleRegister() {
	cube, err := transfer.Register("example-cube", transfer.Custom{
		F:        func(a float32) float32 { return a * a * a },
		Deriv:    func(a, _ float32) float32 { return 3 * a * a },
		Integral: func(a float32) float64 { return float64(a) * float64(a) * float64(a) * float64(a) / 4 },
		Monotone: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	again, _ := transfer.Parse("example-cube")
	fmt.Println(again == cube, cube.At(2), cube.Integral([]float32{2}))
	_, err = transfer.Register("tanh", transfer.Custom{F: func(a float32) float32 { return a }, Deriv: func(_, _ float32) float32 { return 1 }})
	fmt.Println(err)
	// Output:
	// true 8 4
	// transfer function "tanh" is built in
}
