package precond_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

// A training loop written by hand: a hidden layer of tanh units and an output learn the
// product of two inputs. Of this library it uses the update of each layer, and the
// products that a backend offers.
func Example() {
	const (
		batch, inputs, hidden = 32, 2, 6
		gamma                 = 0.15 // γ̄: the learning rate
	)
	matrix := func(rows, cols int) precond.Mat {
		return precond.Mat{Rows: rows, Cols: cols, Stride: cols, Data: make([]float32, rows*cols)}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	widths := []int{inputs, hidden, 1}
	var w, g, x, a [2]precond.Mat // weights [W b], their gradients, inputs [X 1], pre-activations
	var layers [2]*precond.Preconditioner
	for i := range layers {
		n, m := widths[i], widths[i+1]
		w[i], g[i], x[i], a[i] = matrix(m, n+1), matrix(m, n+1), matrix(batch, n+1), matrix(batch, m)
		for j := range w[i].Data {
			w[i].Data[j] = float32(rng.NormFloat64() / math.Sqrt(float64(n)))
		}
		p, err := precond.New(gonum.New(), m, n+1, precond.Options{Relative: 0.1, Refresh: 5})
		if err != nil {
			fmt.Println(err)
			return
		}
		layers[i] = p
	}
	k := gonum.New()
	var first, last float64
	for step := range 400 {
		// Forward.
		target := make([]float32, batch)
		for i := range batch {
			u, v := 2*rng.Float32()-1, 2*rng.Float32()-1
			copy(x[0].Data[i*(inputs+1):], []float32{u, v, 1})
			target[i] = u * v
		}
		k.Gemm(false, true, 1, x[0], w[0], 0, a[0])
		for i := range batch {
			for j := range hidden {
				x[1].Data[i*(hidden+1)+j] = float32(math.Tanh(float64(a[0].Data[i*hidden+j])))
			}
			x[1].Data[i*(hidden+1)+hidden] = 1
		}
		k.Gemm(false, true, 1, x[1], w[1], 0, a[1])

		// Backward: the loss is half the mean squared error.
		d := [2]precond.Mat{matrix(batch, hidden), matrix(batch, 1)}
		last = 0
		for i, t := range target {
			e := a[1].Data[i] - t
			last += float64(e) * float64(e) / 2 / batch
			d[1].Data[i] = e / batch
			for j := range hidden {
				y := x[1].Data[i*(hidden+1)+j]
				d[0].Data[i*hidden+j] = d[1].Data[i] * w[1].Data[j] * (1 - y*y)
			}
		}
		if step == 0 {
			first = last
		}

		// Update: W ← W − γ̄ G (C̄ + ρI)⁻¹.
		for i, p := range layers {
			k.Gemm(true, false, 1, d[i], x[i], 0, g[i])
			p.Observe(x[i])
			if err := p.Update(g[i], g[i], gamma); err != nil {
				fmt.Println(err)
				return
			}
			for j, v := range g[i].Data {
				w[i].Data[j] += v
			}
		}
	}
	fmt.Println("the loss fell to less than a twentieth:", last < first/20)
	// Output: the loss fell to less than a twentieth: true
}
