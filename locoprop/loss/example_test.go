package loss_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/loss"
)

// The loss of one example and its gradient in the pre-activations, and the part of it
// that no prediction gets below.
func Example() {
	l := loss.SigmoidCE
	a, t := []float32{2, -1}, []float32{1, 0.25}
	y, d := make([]float32, 2), make([]float32, 2)
	l.Transfer().Eval(y, a)
	value := l.Eval(d, a, y, t, l.Transfer(), 1)
	fmt.Printf("%v under %v: %.4f, of which %.4f is the target's own\n", l, l.Transfer(), value, l.Floor(t))
	fmt.Printf("gradient y - t: %.4f %.4f\n", d[0], d[1])
	fmt.Println(loss.SoftmaxCE.CheckTarget(t))
	// Output:
	// sigmoid-ce under sigmoid: 0.6902, of which 0.5623 is the target's own
	// gradient y - t: -0.1192 0.0189
	// targets sum to 1.25, and softmax-ce needs 1 within 0.0001
}

// A wrong label costs little under the bi-tempered loss, which is bounded.
func ExampleBiTempered() {
	wrong := []float32{-20, 20}
	for _, l := range []loss.Loss{loss.SoftmaxCE, loss.BiTempered(0.8, 1.2)} {
		y := make([]float32, 2)
		l.Transfer().Eval(y, wrong)
		fmt.Printf("%v: %.2f\n", l, l.Eval(nil, wrong, y, []float32{1, 0}, l.Transfer(), 1))
	}
	// Output:
	// softmax-ce: 40.00
	// bi-tempered(0.8,1.2): 4.44
}
