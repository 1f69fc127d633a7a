package methodtest

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Encoder trains the encoder problem for the examples of methods: a network with hidden
// layers of so many units learns to give back each of 8 inputs of which one is 1, all in one
// batch. It returns the losses of the first and of the last step.
func Encoder(m plan.Method, steps int, hidden ...int) (first, last float64, err error) {
	arch := nn.Arch{Widths: []int{8}}
	for _, width := range hidden {
		arch.Widths, arch.Transfer = append(arch.Widths, width), append(arch.Transfer, transfer.Tanh)
	}
	arch.Widths, arch.Transfer = append(arch.Widths, 8), append(arch.Transfer, transfer.Sigmoid)
	n, err := nn.New(arch)
	if err != nil {
		return 0, 0, err
	}
	n.Init(nn.Glorot, 1)
	s, err := m.Plan(n, loss.SigmoidCE, 8, gonum.New())
	if err != nil {
		return 0, 0, err
	}
	pool := plan.NewPool(2)
	defer pool.Close()
	x := backend.NewMat(8, 8)
	for i := range 8 {
		x.Data[8*i+i] = 1
	}
	for k := range steps {
		r, err := s.Step(pool, x, x, 1)
		if err != nil {
			return 0, 0, err
		}
		if last = r.Loss; k == 0 {
			first = last
		}
	}
	return first, last, nil
}
