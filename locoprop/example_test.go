package locoprop_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// example is a small regression: sin x at eight points.
func example() (n *nn.Network, x, t backend.Mat) {
	n, err := nn.New(nn.Arch{Widths: []int{1, 8, 1}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity}})
	if err != nil {
		panic(err)
	}
	n.Init(nn.Glorot, 1)
	x = backend.Mat{Rows: 8, Cols: 1, Stride: 1, Data: []float32{-1.5, -1.1, -0.6, -0.2, 0.2, 0.6, 1.1, 1.5}}
	t = backend.Mat{Rows: 8, Cols: 1, Stride: 1, Data: []float32{-0.997, -0.891, -0.565, -0.199, 0.199, 0.565, 0.891, 0.997}}
	return n, x, t
}

// LocoProp-M by hand, without the trainer: each step lets every layer approach a target
// of its own.
func Example() {
	n, x, t := example()
	m, err := locoprop.New(locoprop.Options{Eta: 0.02, Gamma: 8, Steps: 10, Optimizer: optimizer.New(optimizer.Momentum)})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := m.Plan(n, loss.Squared, x.Rows, gonum.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	pool := plan.NewPool(2)
	defer pool.Close()
	for i := range 101 {
		r, err := s.Step(pool, x, t, 1)
		if err != nil {
			fmt.Println(err)
			return
		}
		if i%50 == 0 {
			fmt.Printf("step %3d: loss below 1e-3: %v\n", i, r.Loss < 1e-3)
		}
	}
	for _, l := range s.Explain() {
		fmt.Printf("layer %d: %d inputs, %d units, %v\n", l.Layer, l.Inputs, l.Units, l.Transfer)
	}
	// Output:
	// step   0: loss below 1e-3: false
	// step  50: loss below 1e-3: true
	// step 100: loss below 1e-3: true
	// layer 0: 1 inputs, 8 units, tanh
	// layer 1: 8 inputs, 1 units, identity
}

// A layer may have settings of its own, and all that is wrong with settings is told at
// once.
func ExampleOptions() {
	run := locoprop.Options{Loss: locoprop.Squared, Form: locoprop.FormGram, Eta: 0.01}
	first := run
	first.Form, first.Prox = locoprop.FormExact, 0.5
	run.Layers = map[int]locoprop.Options{0: first}
	m, err := locoprop.New(run)
	if err != nil {
		fmt.Println(err)
		return
	}
	n, x, _ := example()
	s, err := m.Plan(n, loss.Squared, x.Rows, gonum.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range s.Explain() {
		fmt.Printf("%s: layer %d by form %s\n", m.Name(), l.Layer, l.Form)
	}
	_, err = locoprop.New(locoprop.Options{Eta: 0.01, Gamma: 10, GammaPerExample: 0.1, Steps: -1})
	fmt.Println(err)
	// Output:
	// locoprop-s: layer 0 by form exact
	// locoprop-s: layer 1 by form gram
	// locoprop: gamma is 10 and gamma per example 0.1; give one of both
	// locoprop: -1 local steps; must be 1 to 10000
}
