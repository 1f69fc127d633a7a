// Package kfac trains by K-FAC: natural gradient with a Fisher matrix that is, layer by
// layer, the Kronecker product of two small second moments.
//
// With the input X̃ and D = ∂L/∂A of a layer, D carrying the 1/B of the mean loss L, a
// step does this, all sums being means over the batch:
//
//	C̄ ← βₖC̄ + (1 − βₖ)X̃ᵀX̃/B             βₖ = min(β, 1 − 1/k)
//	Ḡ ← βₖḠ + (1 − βₖ)B·DˢᵀDˢ            Dˢ: D of targets sampled from the model
//	∇ = DᵀX̃ + η₂W̃
//	Δ₀ = −(Ḡ + κ/π I)⁻¹ ∇ (C̄ + πκI)⁻¹    κ = √(λ + η₂), π = √((tr C̄/(n+1))/(tr Ḡ/m))
//	δ = aΔ₀ + bδ′                         δ′ the last step's; all layers together
//	W̃ ← W̃ + s·δ
//
// with a and b minimising ½δᵀ(F + (λ + η₂)I)δ + ⟨∇, δ⟩, F the Fisher matrix of the batch
// itself, by one pass of derivatives forward per direction, Ȧ = ẊWᵀ + X̃Δᵀ. Every fifth
// step the damping λ follows the ratio ρ of the fall of the regularised loss on this batch
// to that of the quadratic model: λ ← ω⁵λ where ρ > ¾, λ ← ω⁻⁵λ where ρ < ¼, ω = 19/20.
// The inverses are made anew at steps 1 to 3 and every 20th. s is the schedule's factor
// times η.
//
// Empirical takes D of the true targets for Dˢ. Plain is the simpler method of Goldfarb et
// al.'s public code: no π (κ = √λ, λ constant), no rescaling, an average of gradients in
// place of momentum, β = 0.9, inverses anew up to step 20:
//
//	M ← 0.9M + 0.1(DᵀX̃ + η₂W̃);  W̃ ← W̃ − s·(Ḡ + κI)⁻¹ M (C̄ + κI)⁻¹
//
// where that code sets up the second moments by a pass over the training set, here they
// begin with the first batch's.
//
// Sources: Martens & Grosse, "Optimizing Neural Networks with Kronecker-factored
// Approximate Curvature", ICML 2015: factors section 3, damping and π 6.3, rescaling and
// momentum 6.4 and 7, adaptive damping 6.5. Goldfarb, Ren, Bahamou, "Practical
// Quasi-Newton Methods for Training Deep Neural Networks", NeurIPS 2020, for plain. Both
// take gradients of the mean loss.
package kfac

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

// Options are the settings of K-FAC. Zero values are the defaults.
type Options struct {
	Eta       float64 // η, factor of every step; 0 means 1
	Plain     bool    // the simpler method; see the package
	Empirical bool    // Ḡ from the true targets' D, not from sampled ones
	Damping   float64 // λ at the start, > 0; 0 means 150, plain 3
	L2        float64 // η₂ ≥ 0; 0 means 1e-5; see NoL2
	NoL2      bool    // η₂ = 0
	Average   float64 // β in (0, 1); 0 means 0.95, plain 0.9
	Refresh   int     // steps from one inverse to the next; 0 means 20
	Seed      uint32  // of the sampled targets; 0 means 1
	Block     int     // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

func (o Options) withDefaults() Options {
	damping, average := 150.0, 0.95
	if o.Plain {
		damping, average = 3, 0.9
	}
	layerwise.Default(&o.Eta, 1)
	layerwise.Default(&o.Damping, damping)
	layerwise.Default(&o.Average, average)
	layerwise.Default(&o.Refresh, 20)
	layerwise.Default(&o.Seed, 1)
	layerwise.Default(&o.Block, plan.DefaultBlock)
	if !o.NoL2 {
		layerwise.Default(&o.L2, 1e-5)
	}
	return o
}

// Method is K-FAC with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	o = o.withDefaults()
	c := layerwise.Checks{Method: "kfac"}
	c.Positive("learning rate", o.Eta)
	c.Positive("damping", o.Damping)
	c.NotNegative("l2", o.L2)
	if !(o.Average > 0 && o.Average < 1) {
		c.Bad("average is %v; must be above 0 and below 1", o.Average)
	}
	c.NotBoth("l2", o.L2, o.NoL2)
	c.AtLeast1("refresh", o.Refresh)
	c.AtLeast1("block", o.Block)
	if err := errors.Join(c.Errs...); err != nil {
		return nil, err
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is kfac.
func (m *Method) Name() string { return "kfac" }

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n. It refuses losses that aren't the negative logarithm of a
// model's probability (others than sigmoid-ce, softmax-ce, squared), a row-coupled
// transfer function under squared, and layers with several positions per example.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	tape, err := plan.NewTape(n, l, batch, k)
	if err != nil {
		return nil, err
	}
	switch l {
	case loss.SigmoidCE, loss.SoftmaxCE:
	case loss.Squared:
		if f := n.Last().Transfer(); f.RowCoupled() {
			return nil, fmt.Errorf("kfac: loss squared with %v as the last transfer function has no Fisher matrix that it knows", f)
		}
	default:
		return nil, fmt.Errorf("kfac: loss %v is no model's likelihood; use sigmoid-ce, softmax-ce or squared", l)
	}
	s := &stepper{o: m.o, net: n, tape: tape, kernels: k, lossKind: l, damping: []float64{m.o.Damping}, steps: make([]int64, 1)}
	for ℓ, nl := range n.Layers {
		if nl.Positions() > 1 {
			return nil, fmt.Errorf("kfac: layer %d has %d positions per example; it takes dense layers only", ℓ, nl.Positions())
		}
		f, err := newFactors(layerwise.LayerOf(n, tape, k, ℓ, m.o.Block), m.o)
		if err != nil {
			return nil, fmt.Errorf("kfac: layer %d: %w", ℓ, err)
		}
		s.layers = append(s.layers, f)
	}
	s.planPhases()
	return s, nil
}

// factors is what K-FAC keeps of one layer.
type factors struct {
	*layerwise.Layer
	input, output   *precond.Moment // C̄ and Ḡ
	inInv, outInv   backend.Mat     // their damped inverses
	grad            backend.Mat     // ∇, and in plain the average M
	half            backend.Mat     // ∇(C̄ + …)⁻¹
	delta, previous backend.Mat     // Δ₀; δ′ (none in plain)
	inRho, outRho   float64         // damping of this step's inverses
	d               backend.Mat     // Dˢ, of the scale of the example losses' gradients over scale
	scale           float64         // B·DˢᵀDˢ = scale·dᵀd/B
}

func newFactors(l *layerwise.Layer, o Options) (*factors, error) {
	keep := precond.Options{Average: o.Average, StepsOnly: true}
	in, err := precond.NewMoment(l.Kernels, l.W.Cols, keep)
	if err != nil {
		return nil, err
	}
	out, err := precond.NewMoment(l.Kernels, l.W.Rows, keep)
	if err != nil {
		return nil, err
	}
	m, n := l.W.Rows, l.W.Cols
	f := &factors{
		Layer: l, input: in, output: out, inInv: backend.NewMat(n, n), outInv: backend.NewMat(m, m),
		grad: backend.NewMat(m, n), half: backend.NewMat(m, n), delta: backend.NewMat(m, n),
	}
	if !o.Plain {
		f.previous = backend.NewMat(m, n)
	}
	return f, nil
}

func (f *factors) state(o Options) []plan.Tensor {
	in, out := f.input.State(), f.output.State()
	state := []plan.Tensor{
		f.Tensor("kfac.input", f.input.Second()), f.Tensor("kfac.output", f.output.Second()),
		f.Tensor("kfac.input_inverse", f.inInv), f.Tensor("kfac.output_inverse", f.outInv),
		f.Counter("kfac.input_batches", in.Batches), f.Counter("kfac.output_batches", out.Batches),
	}
	if o.Plain {
		return append(state, f.Tensor("kfac.gradient", f.grad))
	}
	return append(state, f.Tensor("kfac.step", f.previous))
}
