package locoprop_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/require"
)

// windows is a convolution in one dimension: its units see a window of the inputs at every
// position, and its design has a row per example and position.
type windows struct {
	*nn.Dense
	inputs int
}

func (l windows) Inputs() int         { return l.inputs }
func (l windows) Positions() int      { return l.inputs - l.Dense.Inputs() + 1 }
func (l windows) DesignIsInput() bool { return false }

func (l windows) Design(dst, x backend.Mat) backend.Mat {
	n := l.Dense.Inputs()
	for i := range dst.Rows {
		from := i/l.Positions()*x.Stride + i%l.Positions()
		copy(dst.Data[i*dst.Stride:], x.Data[from:from+n])
		dst.Data[i*dst.Stride+n] = 1
	}
	return dst
}

func (l windows) Fold(dx, ddesign backend.Mat) {
	for i := range dx.Rows {
		clear(dx.Data[i*dx.Stride : i*dx.Stride+dx.Cols])
	}
	for i := range ddesign.Rows {
		for j := range ddesign.Cols {
			dx.Data[i/l.Positions()*dx.Stride+i%l.Positions()+j] += ddesign.Data[i*ddesign.Stride+j]
		}
	}
}

// convolution is two layers of windows and a dense one, on inputs of 7 values.
func convolution(t testingT) *nn.Network {
	t.Helper()
	n, err := nn.FromLayers(
		windows{nn.NewDense(3, 2, transfer.Tanh), 7}, // 5 positions of 2 units
		windows{nn.NewDense(4, 2, leaky), 10},        // 7 positions
		nn.NewDense(14, 3, transfer.Sigmoid))
	require.NoError(t, err)
	n.Init(nn.Glorot, 3)
	return n
}

// unfolded are the layers' passes as dense layers on the rows of their designs would have
// them: X̃ and D as the program's own tape has them for a batch.
func unfolded(t testingT, n *nn.Network, l loss.Loss, k backend.Kernels, x, y backend.Mat) []oracle.Pass {
	t.Helper()
	tape, err := plan.NewTape(n, l, x.Rows, k)
	require.NoError(t, err)
	pool := plan.NewPool(1)
	defer pool.Close()
	_, err = tape.Run(pool, x, y)
	require.NoError(t, err)
	var all []oracle.Pass
	for ℓ := range n.Layers {
		all = append(all, oracle.Pass{X: oracle.From32(tape.Design[ℓ]), D: oracle.From32(tape.D[ℓ])})
	}
	return all
}

// Convolutions run through every form, alone and with every option of safety and targets
// that it takes: their local problems are those of dense layers with a row of inputs for
// each example and position.
func TestEveryFormOnDesignMatrix(t *testing.T) {
	all := factors()
	data := problem{"windows", nn.Arch{Widths: []int{7, 3}}, loss.SigmoidCE, 4}
	tried := map[string]bool{}
	for _, f := range all {
		switch f.name {
		case "method", "transfer", "loss", "layers", "schedule", "steps", "correction":
			continue
		}
		for a := range f.choices {
			for form := range formChoices() {
				for method := range 2 {
					for prox := range 2 {
						pick := make([]int, len(all))
						for i, g := range all {
							switch g.name {
							case "form":
								pick[i] = form
							case "method":
								pick[i] = method
							case "prox":
								pick[i] = prox
							}
							if g.name == f.name && a > 0 {
								pick[i] = a
							}
						}
						name := caseName(all, pick)
						s := newSetup(all, pick)
						s.arch.Transfer = []transfer.Func{transfer.Tanh, leaky, transfer.Sigmoid}
						if s.o.Form != locoprop.FormMetric {
							s.o.Eta /= 4 // C is a sum over as many rows
						}
						if s.valid() && !tried[name] {
							tried[name] = true
							t.Run(name, func(t *testing.T) {
								for _, k := range allBackends {
									checkUnfolded(t, k, s, data)
								}
							})
						}
					}
				}
			}
		}
	}
}

// checkUnfolded compares each of three batches with the dense problems in float64.
func checkUnfolded(t *testing.T, k backend.Kernels, s setup, data problem) {
	t.Helper()
	n, m := convolution(t), newMethod(t, s.o)
	stepper, err := s.plan(m, n, k)
	require.NoError(t, err)
	trainer := trainerOf(data, n, m)
	for batch := range batchesOfSetup {
		ids := s.ids(batch)
		if e, ok := stepper.(plan.ExampleStepper); ok {
			require.NoError(t, e.SetExamples(ids))
		}
		x, y := data.rowsOf(uint32(batch), s.size(batch))
		start := snapshot(n)
		for ℓ, w := range start {
			trainer.Net.Layers[ℓ].W = w.Clone()
		}
		trainer.Decay(1)
		set := func(weight func(ℓ, i int) float64) {
			for ℓ, w := range n.Weights() {
				for i := range w.Data {
					w.Data[i] = float32(weight(ℓ, i))
				}
			}
		}
		set(func(ℓ, i int) float64 { return trainer.Net.Layers[ℓ].W.Data[i] })
		passes := unfolded(t, n, data.loss, gonum.New(), x, y)
		set(func(ℓ, i int) float64 { return start[ℓ].Data[i] })
		restore := s.scaleGamma(trainer, batch)
		trainer.Solve(passes, x.Rows, ids, 1)
		restore()
		step(t, stepper, 2, x, y, 1)
		requireNear(t, n, start, trainer.Net, goldenTolerance(s))
	}
	require.NotEqual(t, snapshot(convolution(t)), snapshot(n)) // rejection may stop some layers
}

// The forward correction moves a layer's input, which a design isn't.
func TestCorrectionRefusesDesigns(t *testing.T) {
	_, err := newMethod(t, locoprop.Options{Eta: 1, Correction: 0.1}).Plan(convolution(t), loss.SigmoidCE, 4, gonum.New())
	require.EqualError(t, err, "locoprop: layer 0: the forward correction needs layers whose design is their input")
}
