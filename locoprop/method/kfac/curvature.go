package kfac

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// forwardDerivatives makes the tasks that measure the Fisher matrix F along Δ₀ and δ′: a
// task takes a few examples through the network, with the derivative of all that they
// cause along both directions,
//
//	Ȧ = ẊWᵀ + X̃Δᵀ,  Ẋ of the next layer = f′(A)∘Ȧ,  vᵀFv = mean of Ȧ H Ȧ at the last layer
//
// H = diag(y(1 − y)) for sigmoid-ce, diag y − yyᵀ for softmax-ce, and for squared f′²:
// the second derivative of the loss, which for these is that of the model's likelihood.
func (s *stepper) forwardDerivatives() []plan.Job {
	widest, cost := 0, 0.0
	for _, f := range s.layers {
		widest = max(widest, f.W.Rows)
		cost += 8 * float64(f.W.Rows) * float64(f.W.Cols)
	}
	var list []plan.Job
	tasks := plan.ExampleTasks(s.tape.Batch, cost)
	for i := range s.curvature {
		s.curvature[i] = make([]float64, len(tasks))
	}
	for slot, t := range tasks {
		size := mat.RoundLine((t.Hi - t.Lo) * widest)
		list = append(list, plan.Job{Task: t, Scratch: 4 * size, Do: func(scratch []float32) error {
			s.measure(t.Lo, t.Hi, slot, size, scratch)
			return nil
		}})
	}
	return list
}

// measure takes examples lo ≤ i < hi through the network, with four buffers of a size.
func (s *stepper) measure(lo, hi, slot, size int, scratch []float32) {
	var from, to [2]backend.Mat // Ẋ and Ȧ of both directions
	buffer := func(i, cols int) backend.Mat {
		m, _ := mat.Carve(scratch[i*size:], hi-lo, cols)
		return m
	}
	last := len(s.layers) - 1
	for ℓ, f := range s.layers {
		x := backend.Rows(f.X, lo, hi)
		a, y := backend.Rows(s.tape.A[ℓ], lo, hi), backend.Rows(s.tape.Y[ℓ], lo, hi)
		for i, along := range [2]backend.Mat{f.delta, f.previous} {
			to[i] = buffer(2*i+ℓ%2, f.W.Rows)
			s.kernels.Affine(to[i], x, along)
			if ℓ > 0 {
				s.kernels.Gemm(false, true, 1, from[i], backend.WithoutBias(f.W), 1, to[i])
			}
			if ℓ < last || s.lossKind == loss.Squared {
				s.kernels.Chain(to[i], a, y, s.net.Layers[ℓ].Transfer())
			}
		}
		from = to
	}
	y := backend.Rows(s.tape.Y[last], lo, hi)
	for i, pair := range [3][2]int{{0, 0}, {0, 1}, {1, 1}} {
		s.curvature[i][slot] = s.along(from[pair[0]], from[pair[1]], y)
	}
}

// along is Σ Ȧ H Ȧ′ over rows.
func (s *stepper) along(u, v, y backend.Mat) (sum float64) {
	if s.lossKind == loss.Squared {
		return mat.Dot(u, v)
	}
	for i := range y.Rows {
		ui, vi, yi := mat.Row(u, i), mat.Row(v, i), mat.Row(y, i)
		var row, meanU, meanV float64
		for j, p := range yi {
			q, a, b := float64(p), float64(ui[j]), float64(vi[j])
			if s.lossKind == loss.SigmoidCE {
				row += float64(q*(1-q)) * float64(a*b)
				continue
			}
			row += q * float64(a*b)
			meanU += float64(q * a)
			meanV += float64(q * b)
		}
		sum += row - float64(meanU*meanV)
	}
	return sum
}
