// Package kbfgs trains by K-BFGS: a quasi-Newton method whose matrix is, layer by layer, a
// Kronecker product, both factors kept as inverses by BFGS updates.
//
// With the input X̃ and D = ∂L/∂A of a layer, D carrying the 1/B of the mean loss L:
//
//	C̄ ← βₖC̄ + (1 − βₖ)X̃ᵀX̃/B                 βₖ = min(0.9, 1 − 1/k)
//	M ← 0.9M + 0.1(DᵀX̃ + η₂W̃)
//	W̃ ← W̃ − η H_g M H_a
//
// H_g starts at the identity and H_a, at the first batch, at (C̄ + √λ I)⁻¹. After the step
// the same batch goes through the network once more. With bars for means over the batch,
//
//	H_a ← BFGS(H_a; H_a x̄, (C̄ + √λ I)H_a x̄)     x̄ of X̃ before the step
//	s ← 0.9s + 0.1(ā_new − ā),  y ← 0.9y + 0.1(B·d̄_new − B·d̄)
//	H_g ← BFGS(H_g; s, y)
//
//	BFGS(H; s, y) = H + (ρ²yᵀHy + ρ)ssᵀ − ρ(s(Hy)ᵀ + (Hy)sᵀ),  ρ = 1/sᵀy
//
// where the pair s, y is damped twice before it is used, which keeps H_g positive definite
// and bounded:
//
//	sᵀy < 0.2 yᵀHy:  s ← θs + (1 − θ)Hy,  θ = 0.8 yᵀHy/(yᵀHy − sᵀy)
//	sᵀy < √λ sᵀs:    y ← θy + (1 − θ)s,   θ = (1 − √λ)sᵀs/(sᵀs − sᵀy)
//
// and left out where sᵀy ≤ 1e-4‖s‖²‖B·d̄‖. Limited keeps the last 100 pairs instead of H_g
// and applies them by the two-loop recursion from the identity.
//
// Source: Goldfarb, Ren, Bahamou, "Practical Quasi-Newton Methods for Training Deep Neural
// Networks", NeurIPS 2020, algorithms 1 to 4, with the constants of its public code. Where
// that sets up C̄ by a pass over the training set, here it begins with the first batch.
// Gradients are of the mean loss; pairs are means per example.
package kbfgs

import (
	"errors"
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

// Options are the settings of K-BFGS. Zero values are the defaults.
type Options struct {
	Eta     float64 // η; 0 means 0.3
	Damping float64 // λ in (0, 1); 0 means 0.3
	L2      float64 // η₂ ≥ 0; 0 means 1e-5; see NoL2
	NoL2    bool    // η₂ = 0
	Limited bool    // limited memory
	Memory  int     // pairs that Limited keeps; 0 means 100
	Block   int     // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

func (o Options) withDefaults() Options {
	layerwise.Default(&o.Eta, 0.3)
	layerwise.Default(&o.Damping, 0.3)
	layerwise.Default(&o.Block, plan.DefaultBlock)
	if !o.NoL2 {
		layerwise.Default(&o.L2, 1e-5)
	}
	if o.Limited {
		layerwise.Default(&o.Memory, 100)
	}
	return o
}

// Method is K-BFGS with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	o = o.withDefaults()
	c := layerwise.Checks{Method: "kbfgs"}
	c.Positive("learning rate", o.Eta)
	if !(o.Damping > 0 && o.Damping < 1) {
		c.Bad("damping is %v; must be above 0 and below 1", o.Damping)
	}
	c.NotNegative("l2", o.L2)
	c.NotBoth("l2", o.L2, o.NoL2)
	if o.Limited {
		c.AtLeast1("memory", o.Memory)
	} else if o.Memory != 0 {
		c.Bad("memory of %d pairs, but only the limited form keeps pairs", o.Memory)
	}
	c.AtLeast1("block", o.Block)
	if err := errors.Join(c.Errs...); err != nil {
		return nil, err
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is kbfgs.
func (m *Method) Name() string { return "kbfgs" }

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n. It refuses layers with several positions per example.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	tape, err := plan.NewTape(n, l, batch, k)
	if err != nil {
		return nil, err
	}
	s := &stepper{o: m.o, net: n, tape: tape, steps: make([]int64, 1)}
	for ℓ, nl := range n.Layers {
		if nl.Positions() > 1 {
			return nil, fmt.Errorf("kbfgs: layer %d has %d positions per example; it takes dense layers only", ℓ, nl.Positions())
		}
		input, err := precond.NewMoment(k, nl.Weights().Cols, precond.Options{Average: 0.9, StepsOnly: true})
		if err != nil {
			return nil, fmt.Errorf("kbfgs: layer %d: %w", ℓ, err)
		}
		s.layers = append(s.layers, newFactors(layerwise.LayerOf(n, tape, k, ℓ, m.o.Block), input, tape.A[ℓ], m.o))
	}
	s.planPhases()
	return s, nil
}

// stepper is a plan of K-BFGS.
type stepper struct {
	o      Options
	net    *nn.Network
	tape   *plan.Tape
	layers []*factors
	steps  []int64
	rate   float64 // of this step

	begin   *plan.Phase // second moments, gradients and means
	inverse *plan.Phase // H_a at the first step
	right   *plan.Phase
	left    *plan.Phase             // with the update
	pairs   [pairStages]*plan.Phase // after the second pass
	ok      bool                    // that gave finite numbers
}

func (s *stepper) planPhases() {
	var begin, inverse, right, left []plan.Job
	var pairs [pairStages][]plan.Job
	for ℓ, f := range s.layers {
		m, n, b := f.W.Rows, f.W.Cols, float64(f.X.Rows)
		fm, fn := float64(m), float64(n)
		begin = append(begin, f.Gradient(f.half, f.take)...)
		begin = append(begin, layerwise.Stripes(ℓ, n, s.o.Block, b*fn, 0, func(lo, hi int, _ []float32) error {
			f.input.Accumulate(f.X, lo, hi)
			return nil
		})...)
		begin = append(begin, plan.Job{
			Task: plan.Task{Layer: ℓ, Hi: m, Cost: plan.ElementCost * b * (2*fm + fn)},
			Do:   func([]float32) error { f.means(); return nil },
		})
		inverse = append(inverse, plan.Job{
			Task: plan.Task{Layer: ℓ, Hi: n, Cost: fn * fn * fn}, Scratch: 2 * f.input.InverseScratch(),
			What: "inverse of the input's second moment", Do: f.start,
		})
		right = append(right, layerwise.Stripes(ℓ, m, s.o.Block, 2*fn*fn, 0, func(lo, hi int, _ []float32) error {
			f.Kernels.Gemm(false, false, 1, backend.Rows(f.gradient, lo, hi), f.ha, 0, backend.Rows(f.half, lo, hi))
			return nil
		})...)
		if s.o.Limited {
			left = append(left, layerwise.Stripes(ℓ, n, s.o.Block, 8*float64(s.o.Memory)*fm, f.recursionScratch(min(s.o.Block, n)),
				func(lo, hi int, scratch []float32) error { f.moveLimited(lo, hi, s.rate, scratch); return nil })...)
		} else {
			left = append(left, layerwise.Stripes(ℓ, m, s.o.Block, 2*fm*fn, 0, func(lo, hi int, _ []float32) error {
				f.Kernels.Gemm(false, false, float32(-s.rate), backend.Rows(f.hg, lo, hi), f.half, 1, backend.Rows(f.W, lo, hi))
				return nil
			})...)
		}
		for i, jobs := range s.planPairs(ℓ, f) {
			pairs[i] = append(pairs[i], jobs...)
		}
	}
	s.begin = plan.NewJobPhase("second moments and gradients", begin)
	s.inverse = plan.NewJobPhase("inverses", inverse)
	s.right = plan.NewJobPhase("gradient times H_a", right)
	s.left = plan.NewJobPhase("update", left)
	for i, name := range [pairStages]string{"pairs", "pairs by factors", "damping of pairs", "damped pairs by factors", "quasi-Newton updates"} {
		s.pairs[i] = plan.NewJobPhase(name, pairs[i])
	}
}

// pairStages are the phases from a layer's second pass to its new H_a and H_g, each of which
// needs the whole result of the one before.
const pairStages = 5

// planPairs cuts the matrices of those phases by rows.
func (s *stepper) planPairs(ℓ int, f *factors) (stages [pairStages][]plan.Job) {
	m, n, b := f.W.Rows, f.W.Cols, float64(f.X.Rows)
	rows := func(i, of int, do func(lo, hi int)) {
		stages[i] = append(stages[i], layerwise.Stripes(ℓ, of, s.o.Block, plan.ElementCost*float64(of), 0, func(lo, hi int, _ []float32) error {
			do(lo, hi)
			return nil
		})...)
	}
	rows(0, n, func(lo, hi int) { f.secant.Times(f.in.s[lo:hi], backend.Rows(f.ha, lo, hi), f.xBar) })
	rows(1, n, f.inputY)
	rows(2, n, func(lo, hi int) { f.in.multiply(f.secant, f.ha, lo, hi) })
	rows(3, n, f.updateInput)

	// H_g stays as it is where the step led to numbers that aren't finite.
	output := func(i int, cost float64, scratch int, do func(scratch []float32)) {
		stages[i] = append(stages[i], plan.Job{Task: plan.Task{Layer: ℓ, Hi: m, Cost: cost}, Scratch: scratch, Do: func(scratch []float32) error {
			if s.ok {
				do(scratch)
			}
			return nil
		}})
	}
	output(0, plan.ElementCost*b*float64(m), 0, func([]float32) { f.observeOutput() })
	output(2, plan.ElementCost*float64(m), 0, func([]float32) { f.choose() })
	if s.o.Limited {
		output(1, 8*float64(s.o.Memory*m), f.recursionScratch(1), func(scratch []float32) { f.timesLimited(f.out.hy, f.out.y, scratch) })
		return stages
	}
	rows(1, m, func(lo, hi int) { f.out.multiply(f.secant, f.hg, lo, hi) }) // of no use where s.ok is false, and no harm
	rows(3, m, func(lo, hi int) {
		if s.ok && f.usable {
			f.out.multiply(f.secant, f.hg, lo, hi)
		}
	})
	rows(4, m, func(lo, hi int) {
		if s.ok && f.usable {
			f.out.update(f.secant, f.hg, lo, hi)
		}
	})
	return stages
}

// Step makes one training step; see plan.Stepper.
func (s *stepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	mean, err := s.tape.Run(p, x, t)
	report := plan.Report{Loss: mean}
	if err != nil {
		return report, err
	}
	s.rate = float64(s.o.Eta * scale)
	for _, f := range s.layers {
		f.input.Begin()
	}
	phases := [...]*plan.Phase{s.begin, s.inverse, s.right, s.left}
	for i, phase := range phases {
		if i == 1 && s.steps[0] > 0 {
			continue
		}
		if err := p.Run(phase); err != nil {
			return report, err
		}
	}
	s.steps[0]++
	// Where the step led to numbers that aren't finite, the next one reports it.
	_, err = s.tape.Run(p, x, t)
	s.ok = err == nil
	if err != nil {
		var diverged *plan.DivergedError
		if !errors.As(err, &diverged) {
			return report, err
		}
	}
	for _, phase := range s.pairs {
		if err := p.Run(phase); err != nil {
			return report, err
		}
	}
	return report, nil
}

// Cycle leaves out the first step, which inverts; see plan.CyclicStepper.
func (s *stepper) Cycle() plan.Cycle { return plan.Cycle{Begin: 1, Length: 1} }

// State lists, layer by layer, the weights, averages and both factors.
func (s *stepper) State() []plan.Tensor {
	var state []plan.Tensor
	for _, f := range s.layers {
		state = append(state, f.Tensor("w", f.W))
		state = append(state, f.state()...)
	}
	return append(state, plan.Tensor{Name: "kbfgs.steps", Shape: []int{1}, I64: s.steps})
}

func (s *stepper) EvalWeights() []backend.Mat { return s.net.Weights() }

// Explain counts the second pass as local work.
func (s *stepper) Explain() []plan.LayerPlan {
	layers := plan.PassFlops(s.net, s.tape.Batch)
	for ℓ, f := range s.layers {
		l := &layers[ℓ]
		b, n, m := float64(f.X.Rows), float64(f.W.Cols), float64(f.W.Rows)
		l.Tasks = (f.W.Rows + s.o.Block - 1) / s.o.Block
		l.LocalFlops = f.GradFlops() + b*n*n + 2*n*n*m + 10*n*n + l.ForwardFlops + l.BackwardFlops
		if s.o.Limited {
			l.LocalFlops += 8 * float64(s.o.Memory) * m * n
		} else {
			l.LocalFlops += 2*m*m*n + 6*m*m
		}
		l.StateBytes = layerwise.Bytes(f.state())
	}
	return layers
}
