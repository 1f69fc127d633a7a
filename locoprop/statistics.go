package locoprop

import (
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

// Statistics holds the settings of the statistics form: LocoProp-S from the gradient and
// a running second moment of the input alone (package precond has the formulas). Every
// zero value means the default.
//
//	C̄ ← βₖC̄ + (1 − βₖ)X̃ᵀX̃/B
//	converged:  Δ = −γ̄ G (C̄ + ρI)⁻¹
//	iterated:   Δ ← Δ − η̄ₜ(Δ(C̄ + ρI) + γ̄G), T times
//
// with γ̄ = γ/B, η̄ₜ = Bηₜ and, unless Damping or Relative says otherwise, ρ = 1/(λB), λ
// that of the proximal term. The first is FOOF (Benzing 2022). B is the number of rows of
// X̃: a convolution has one per example and position.
type Statistics struct {
	Structure precond.Structure // precond.Full
	Columns   int               // columns of a diagonal block, where block-diagonal; 0 means 128
	Average   float64           // β in (0, 1); 0 means 0.95; see NoAverage
	NoAverage bool              // β = 0: every batch by itself
	Refresh   int               // r: C̄ is factored anew every r-th batch; 0 means 1
	Damping   float64           // ρ > 0, instead of a proximal term's
	Relative  float64           // ρ = Relative·tr(C̄)/(n+1), instead of both
	Iterate   bool              // T steps of gradient descent; the default is the converged update
}

func (s Statistics) withDefaults() Statistics {
	o := s.precond().WithDefaults()
	s.Columns, s.Average, s.Refresh = o.Block, o.Average, o.Refresh
	return s
}

// precond translates the settings.
func (s Statistics) precond() precond.Options {
	return precond.Options{
		Structure: s.Structure, Block: s.Columns, Average: s.Average, NoAverage: s.NoAverage,
		Refresh: s.Refresh, Damping: s.Damping, Relative: s.Relative, StepsOnly: s.Iterate,
	}
}

// check returns all that is wrong with settings that have their defaults, given those of
// the local problem.
func (s Statistics) check(o Options) error {
	errs := []error{s.precond().Check()}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	damped := s.Damping != 0 || s.Relative != 0
	switch {
	case s.Iterate:
		if o.Optimizer.Kind != optimizer.SGD {
			bad("%d local steps need optimizer sgd, not %s", o.Steps, o.Optimizer.Name())
		}
		if damped {
			bad("local steps take no damping but that of a proximal term; set prox to auto or a λ instead")
		}
		if s.Refresh != precond.DefaultRefresh {
			bad("refresh every %d batches, but local steps factor nothing", s.Refresh)
		}
	case damped && o.Prox != ProxOff:
		bad("damping is given and a proximal term has its own; give one of both")
	case !damped && o.Prox == ProxOff:
		bad("the converged update needs a proximal term (prox auto or a λ), damping or relative damping")
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("locoprop: statistics: %w", err)
	}
	return nil
}

// statistics is the statistics form of one layer; see Statistics.
type statistics struct {
	*layer
	moment *precond.Moment
	steps  []float64 // η̄ₜ
	idle   bool      // no step in this batch: λ = 0, or all rates are
	work   [][]plan.Job
}

func newStatistics(l *layer) (*statistics, error) {
	c := l.o.Statistics
	m, err := precond.NewMoment(l.kernels, l.x.Cols, c.precond())
	if err != nil {
		return nil, err
	}
	s := &statistics{layer: l, moment: m, steps: make([]float64, l.o.Steps)}
	b := float64(l.x.Rows)
	var accumulate, factor, update []plan.Job
	for _, t := range plan.UnitTasks(l.index, l.x.Cols, stripeSize(l.x.Cols), false, 0) {
		t.Cost = 2 * b * float64(t.Hi-t.Lo) * float64(t.Hi)
		accumulate = append(accumulate, plan.Job{Task: t, Do: func([]float32) error {
			m.Accumulate(l.x, t.Lo, t.Hi)
			return nil
		}})
	}
	s.work = [][]plan.Job{accumulate}
	if !c.Iterate {
		lo := 0
		for i := range m.Blocks() {
			n := m.BlockColumns(i)
			factor = append(factor, plan.Job{
				Task:    plan.Task{Layer: l.index, Lo: lo, Hi: lo + n, Cost: math.Pow(float64(n), 3) / 3},
				Scratch: 2 * m.RefactorScratch(), What: madeFactor,
				Do: func(scratch []float32) error { return s.factor(i, scratch) },
			})
			lo += n
		}
		s.work = append(s.work, factor)
	}
	for _, t := range l.units(s.unitFlops()) {
		units := t.Hi - t.Lo
		own := max(2*m.ConvergedScratch(units), m.StepsScratch(units))
		update = append(update, plan.Job{
			Task: t, Scratch: 2*roundLine(units*l.x.Cols) + own, What: madeSolution,
			Do: func(scratch []float32) error { return s.update(t.Lo, t.Hi, scratch) },
		})
	}
	s.work = append(s.work, update)
	return s, nil
}

func (s *statistics) stages() [][]plan.Job { return s.work }

// cycle is that of the factorisations.
func (s *statistics) cycle() plan.Cycle { return plan.Cycle{Length: s.moment.Options().Refresh} }

// begin counts the batch: statistics are taken where no weight moves, too.
func (s *statistics) begin() {
	s.moment.Begin()
	rows := float64(s.x.Rows)
	c := s.o.Statistics
	switch {
	case c.Iterate:
		for t, eta := range s.rates {
			s.steps[t] = rows * eta
		}
		s.idle = s.rates[0] == 0 // the largest of them
	case c.Damping == 0 && c.Relative == 0:
		s.idle = !positive(s.prox / rows)
		if !s.idle {
			s.moment.SetDamping(s.prox / rows)
		}
	}
}

func (s *statistics) factor(i int, scratch []float32) error {
	if s.idle {
		return nil
	}
	return s.moment.Refactor(i, float64s(scratch))
}

// update makes and applies the update of units lo ≤ u < hi.
func (s *statistics) update(lo, hi int, scratch []float32) error {
	if s.idle {
		return nil
	}
	g, scratch := carve(scratch, hi-lo, s.x.Cols)
	delta, scratch := carve(scratch, hi-lo, s.x.Cols)
	s.kernels.Grad(g, backend.Cols(s.d, lo, hi), s.x)
	rows := float64(s.x.Rows)
	var err error
	if s.o.Statistics.Iterate {
		err = s.moment.Steps(delta, g, s.o.Gamma/rows, s.prox/rows, s.steps, scratch)
	} else {
		err = s.moment.Converged(delta, g, s.o.Gamma/rows, float64s(scratch))
	}
	if err != nil {
		return err
	}
	s.kernels.AddInto(backend.Rows(s.w, lo, hi), delta)
	return nil
}

// iterations are T on statistics, none of the converged update.
func (s *statistics) iterations() int {
	if s.idle || !s.o.Statistics.Iterate {
		return 0
	}
	return s.o.Steps
}

// condition is an estimate for the matrix that was factored last, that of the worst block.
func (s *statistics) condition() float64 {
	if s.idle || s.o.Statistics.Iterate {
		return 0
	}
	return s.moment.Condition()
}

func (s *statistics) state() []plan.Tensor {
	name := func(what string) string { return fmt.Sprintf("layers.%d.statistics.%s", s.index, what) }
	m := s.moment.State()
	state := []plan.Tensor{{Name: name("second_moment"), Shape: []int{len(m.Second)}, F32: m.Second}}
	if !s.o.Statistics.Iterate {
		state = append(state, plan.Tensor{Name: name("factor"), Shape: []int{len(m.Factors)}, F64: m.Factors})
	}
	return append(state,
		plan.Tensor{Name: name("batches"), Shape: []int{1}, I64: m.Batches},
		plan.Tensor{Name: name("due"), Shape: []int{len(m.Due)}, I64: m.Due})
}

// squares is the number of elements of C̄ that are kept.
func (s *statistics) squares() float64 { return float64(len(s.moment.State().Second)) }

// unitFlops counts a unit's gradient and its products with C̄ or its factor.
func (s *statistics) unitFlops() float64 {
	products := 1.0
	if s.o.Statistics.Iterate {
		products = float64(s.o.Steps - 1)
	}
	return 2*float64(s.x.Rows)*float64(s.x.Cols) + 2*products*s.squares()
}

// explain counts factors at their average rate.
func (s *statistics) explain(p *plan.LayerPlan) {
	p.Form, p.Tasks = FormStatistics.String(), len(s.work[len(s.work)-1])
	p.LocalFlops = float64(s.x.Rows)*s.squares() + float64(s.w.Rows)*s.unitFlops()
	if c := s.o.Statistics; !c.Iterate && c.Structure != precond.Diagonal {
		for i := range s.moment.Blocks() {
			p.LocalFlops += math.Pow(float64(s.moment.BlockColumns(i)), 3) / 3 / float64(c.Refresh)
		}
	}
	m := s.moment.State()
	p.StateBytes = 4*float64(len(m.Second)) + 8*float64(len(m.Factors))
	s.tell(s.predict(), p)
}
