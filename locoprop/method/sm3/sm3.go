// Package sm3 trains by SM3-II: AdaGrad with a number per row and one per column in place
// of one per weight.
//
// For the weights W (m × n) of a layer with gradient g of the mean loss:
//
//	νᵢⱼ = min(rᵢ, cⱼ) + gᵢⱼ²
//	rᵢ ← maxⱼ νᵢⱼ,  cⱼ ← maxᵢ νᵢⱼ                 from 0
//	M ← μM + (1 − μ)g/√(ν + 1e-30)               μ = 0.9
//	W ← W − ηM
//
// The biases are a tensor of their own, with a number each: AdaGrad with the same momentum.
// ν is never below AdaGrad's Σg².
//
// Source: Anil, Gupta, Koren, Singer, "Memory-Efficient Adaptive Optimization", NeurIPS
// 2019, algorithm SM3-II, covers by rows and columns, with the momentum of section 5.
package sm3

import (
	"errors"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Options are the settings of SM3. Zero values are the defaults, but for Eta, which must
// be given.
type Options struct {
	Eta        float64 // η > 0
	Momentum   float64 // μ in [0, 1); 0 means 0.9; see NoMomentum
	NoMomentum bool    // μ = 0
	Block      int     // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

// Method is SM3 with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	layerwise.Default(&o.Block, plan.DefaultBlock)
	c := layerwise.Checks{Method: "sm3"}
	c.NotBoth("momentum", o.Momentum, o.NoMomentum)
	if !o.NoMomentum {
		layerwise.Default(&o.Momentum, 0.9)
	}
	c.Positive("learning rate", o.Eta)
	c.Below1("momentum", o.Momentum)
	c.AtLeast1("block", o.Block)
	if err := errors.Join(c.Errs...); err != nil {
		return nil, err
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is sm3.
func (m *Method) Name() string { return "sm3" }

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	return layerwise.NewStepper("sm3", n, l, batch, k, m.o.Eta, m.o.Block, func(l *layerwise.Layer) (layerwise.Rule, error) {
		return newRule(l, m.o), nil
	})
}

// rule is SM3 on one layer.
type rule struct {
	*layerwise.Layer
	rows     []float32     // r
	columns  []float32     // c
	biases   []float32     // ν of the biases
	momentum backend.Mat   // M; none without momentum
	partial  backend.Mat   // maxima of columns, a row per task
	steps    []backend.SM3 // one per task
}

func newRule(l *layerwise.Layer, o Options) *rule {
	m, n := l.W.Rows, l.W.Cols-1
	r := &rule{
		Layer: l, rows: make([]float32, m), columns: make([]float32, n), biases: make([]float32, m),
		partial: backend.NewPadded((m+l.Block-1)/l.Block, n), steps: make([]backend.SM3, (m+l.Block-1)/l.Block),
	}
	if o.Momentum > 0 {
		r.momentum = backend.NewMat(m, n+1)
	}
	for i := range r.steps {
		lo := i * l.Block
		hi := min(lo+l.Block, m)
		s := &r.steps[i]
		*s = backend.SM3{
			W: backend.Rows(l.W, lo, hi), Rows: r.rows[lo:hi], Biases: r.biases[lo:hi], Columns: r.columns, Top: mat.Row(r.partial, i),
			Momentum: float32(o.Momentum), Share: float32(1 - o.Momentum),
		}
		if o.Momentum > 0 {
			s.M = backend.Rows(r.momentum, lo, hi)
		}
	}
	return r
}

func (r *rule) Begin(rate float64) {
	for i := range r.steps {
		r.steps[i].Rate = float32(rate)
	}
}

func (r *rule) Stages() [][]plan.Job {
	kernels := backend.FactoredOf(r.Kernels)
	update := func(lo, _ int, g backend.Mat, _ []float32) error {
		s := &r.steps[lo/r.Block]
		s.G = g
		clear(s.Top)
		kernels.StepSM3(s)
		return nil
	}
	combine := plan.Job{
		Task: plan.Task{Layer: r.Index, Hi: len(r.columns), Cost: float64(len(r.partial.Data))},
		Do:   func([]float32) error { r.combine(); return nil },
	}
	return [][]plan.Job{r.Units(0, update), {combine}}
}

// combine makes c from the tasks' maxima.
func (r *rule) combine() {
	copy(r.columns, mat.Row(r.partial, 0))
	for i := 1; i < r.partial.Rows; i++ {
		for j, v := range mat.Row(r.partial, i) {
			r.columns[j] = max(r.columns[j], v)
		}
	}
}

func (r *rule) State() []plan.Tensor {
	state := []plan.Tensor{r.Vector("sm3.rows", r.rows), r.Vector("sm3.columns", r.columns), r.Vector("sm3.biases", r.biases)}
	if r.momentum.Data != nil {
		state = append(state, r.Tensor("sm3.m", r.momentum))
	}
	return state
}

func (r *rule) Explain(p *plan.LayerPlan) {
	p.Tasks, p.LocalFlops = r.partial.Rows, r.GradFlops()
}
