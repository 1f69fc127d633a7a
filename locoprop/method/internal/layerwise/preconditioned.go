package layerwise

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

// Outer is the element-wise optimiser of a layer, for gradients or what takes their place.
type Outer struct {
	*Layer
	slots  *plan.Slots
	blocks []outerBlock
	update optimizer.Update
}

type outerBlock struct {
	w     backend.Mat
	slots []backend.Mat
}

// NewOuter makes an optimiser for a layer, cut into the layer's blocks of units.
func NewOuter(l *Layer, r optimizer.Rule) *Outer {
	o := &Outer{Layer: l, slots: plan.NewSlots(l.W, r.ForLayer(l.W.Cols-1, l.W.Rows))}
	for lo := 0; lo < l.W.Rows; lo += l.Block {
		hi := min(lo+l.Block, l.W.Rows)
		o.blocks = append(o.blocks, outerBlock{backend.Rows(l.W, lo, hi), o.slots.Rows(lo, hi)})
	}
	return o
}

// Begin prepares a step at a rate.
func (o *Outer) Begin(rate float64) { o.update = o.slots.Next(rate) }

// Move makes the step of the block of units from lo on, along g.
func (o *Outer) Move(lo int, g backend.Mat) {
	b := &o.blocks[lo/o.Block]
	o.Kernels.Update(o.update, b.w, backend.Mat{}, g, b.slots)
}

// State is the optimiser's.
func (o *Outer) State() []plan.Tensor { return o.slots.Tensors(o.Index) }

// CheckOuter notes what is wrong with an optimiser for this place.
func (c *Checks) CheckOuter(r optimizer.Rule) {
	if err := r.Check(); err != nil {
		c.Errs = append(c.Errs, err)
	}
	if r.Kind < optimizer.NumKinds && r.Kind.Averages() {
		c.Bad("optimizer %s keeps weights of its own to evaluate; use another", r.Name())
	}
}

// preconditioned hands factor·G(C̄ + ρI)⁻¹ to an optimiser, C̄ the running second moment
// of the layer's input.
type preconditioned struct {
	*Outer
	moment *precond.Moment
	stages [][]plan.Job
}

// NewPreconditioned is the rule that gives an element-wise optimiser, in place of the
// gradient, factor·G(C̄ + ρI)⁻¹, with C̄ and ρ as package precond has them.
func NewPreconditioned(l *Layer, o precond.Options, factor float64, r optimizer.Rule) (Rule, error) {
	m, err := precond.NewMoment(l.Kernels, l.X.Cols, o)
	if err != nil {
		return nil, err
	}
	p := &preconditioned{Outer: NewOuter(l, r), moment: m}
	accumulate := Stripes(l.Index, l.X.Cols, l.Block, float64(l.X.Rows)*float64(l.X.Cols), 0, func(lo, hi int, _ []float32) error {
		m.Accumulate(l.X, lo, hi)
		return nil
	})
	var refactor []plan.Job
	for i := range m.Blocks() {
		n := m.BlockColumns(i)
		refactor = append(refactor, plan.Job{
			Task: plan.Task{Layer: l.Index, Hi: n, Cost: math.Pow(float64(n), 3) / 3}, Scratch: 2 * m.RefactorScratch(), What: "preconditioner",
			Do: func(scratch []float32) error { return m.Refactor(i, mat.Float64s(scratch)) },
		})
	}
	units := l.Units(2*m.ConvergedScratch(min(l.Block, l.W.Rows)), func(lo, _ int, g backend.Mat, scratch []float32) error {
		if err := m.Converged(g, g, -factor, mat.Float64s(scratch)); err != nil {
			return err
		}
		p.Move(lo, g)
		return nil
	})
	for i := range units {
		units[i].What = "preconditioned gradient"
		units[i].Cost += 2 * float64(l.X.Cols) * float64(l.X.Cols) * float64(units[i].Hi-units[i].Lo)
	}
	p.stages = [][]plan.Job{accumulate, refactor, units}
	return p, nil
}

func (p *preconditioned) Stages() [][]plan.Job { return p.stages }

func (p *preconditioned) Begin(rate float64) {
	p.moment.Begin()
	p.Outer.Begin(rate)
}

// Cycle is that of the factorisations.
func (p *preconditioned) Cycle() plan.Cycle { return plan.Cycle{Length: p.moment.Options().Refresh} }

func (p *preconditioned) State() []plan.Tensor {
	s := p.moment.State()
	return append([]plan.Tensor{
		p.Vector("statistics.second_moment", s.Second),
		{Name: fmt.Sprintf("layers.%d.statistics.factor", p.Index), Shape: []int{len(s.Factors)}, F64: s.Factors},
		p.Counter("statistics.batches", s.Batches), p.Counter("statistics.due", s.Due),
	}, p.Outer.State()...)
}

func (p *preconditioned) Explain(l *plan.LayerPlan) {
	n, m := float64(p.X.Cols), float64(p.W.Rows)
	l.Tasks = len(p.blocks)
	l.LocalFlops = p.GradFlops() + float64(p.X.Rows)*n*n + 2*n*n*m + n*n*n/3/float64(p.moment.Options().Refresh)
}
