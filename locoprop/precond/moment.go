package precond

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// leastDamping keeps relative damping of an input that is 0 everywhere, whose gradient
// is 0 too, from dividing 0 by 0.
const leastDamping = 1e-30

const stepsOnly = "precond: statistics made with StepsOnly have no converged update"

// Moment is a layer's running second moment C̄ with its factor: the parts that a
// [Preconditioner] is made of, for callers with goroutines and scratch of their own. In
// a batch they are called in this order:
//
//	Begin       once, and SetDamping if it changes
//	Accumulate  for all columns of X̃, in ranges that may run at once
//	Refactor    for every block, which may run at once   (converged update only)
//	Converged   or Steps, for blocks of units, which may run at once
//
// The bits of the result depend on the ranges, not on what runs at once. No method
// allocates, but those that return an error for their error.
type Moment struct {
	o       Options
	ops     Ops
	cols    int
	blocks  []block
	second  []float32 // C̄: its blocks one after the other, or its diagonal
	factors []float64 // theirs, laid out alike
	batches []int64   // k
	due     []int64   // per block: 1 where its factor must be made before it is used

	average float64 // 1 − βₖ of this batch
	damping float64 // ρ; 0: relative
}

// block is a diagonal block of C̄, columns lo ≤ j < hi; under Diagonal the one block
// has the diagonal only.
type block struct {
	lo, hi int
	second Mat // p × p, symmetric; 1 × (n+1) under Diagonal
	factor Factor
	fill   func(a []float64) // second, widened
}

// NewMoment allocates the statistics of a layer whose X̃ has cols = n+1 columns.
func NewMoment(ops Ops, cols int, o Options) (*Moment, error) {
	o = o.WithDefaults()
	errs := []error{o.Check()}
	if ops == nil {
		errs = append(errs, errors.New("no arithmetic; give a backend, such as locoprop/backend/gonum's"))
	}
	if cols < 1 {
		errs = append(errs, fmt.Errorf("input of %d columns; must be 1 or more", cols))
	}
	if o.Structure == Full && cols > MaxBlock {
		errs = append(errs, fmt.Errorf("input of %d columns; a full second moment is kept for up to %d, use block-diagonal", cols, MaxBlock))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("precond: %w", err)
	}
	m := &Moment{o: o, ops: ops, cols: cols, batches: make([]int64, 1), damping: o.Damping}
	m.cut()
	return m, nil
}

// cut allocates C̄ and its factors and cuts them into blocks.
func (m *Moment) cut() {
	p := m.cols
	switch m.o.Structure {
	case Diagonal:
		m.second, m.factors = make([]float32, p), m.factorMemory(p)
		m.blocks = []block{{hi: p, second: Mat{Rows: 1, Cols: p, Stride: p, Data: m.second}}}
		m.due = []int64{1}
		return
	case BlockDiagonal:
		p = min(p, m.o.Block)
	}
	size := 0
	for lo := 0; lo < m.cols; lo += p {
		n := min(p, m.cols-lo)
		size += n * n
	}
	m.second, m.factors = make([]float32, size), m.factorMemory(size)
	for lo, at := 0, 0; lo < m.cols; lo += p {
		n := min(p, m.cols-lo)
		end := at + n*n
		second := Mat{Rows: n, Cols: n, Stride: n, Data: m.second[at:end:end]}
		b := block{lo: lo, hi: lo + n, second: second, fill: func(a []float64) { widenLower(a, second) }}
		if !m.o.StepsOnly {
			b.factor = NewFactor(m.ops, n, m.factors[at:end:end])
		}
		m.blocks = append(m.blocks, b)
		m.due = append(m.due, 1)
		at = end
	}
}

func (m *Moment) factorMemory(size int) []float64 {
	if m.o.StepsOnly {
		return nil
	}
	return make([]float64, size)
}

func widenLower(a []float64, m Mat) {
	for i := range m.Rows {
		for j, v := range row(m, i)[:i+1] {
			a[i*m.Cols+j] = float64(v)
		}
	}
}

// Columns is n+1.
func (m *Moment) Columns() int { return m.cols }

// Options are the settings, defaults filled in.
func (m *Moment) Options() Options { return m.o }

// Begin begins batch k: it sets βₖ = min(β, 1 − 1/k) and whether C̄ is factored anew,
// which is where (k − 1) mod r = 0.
func (m *Moment) Begin() {
	m.batches[0]++
	k := m.batches[0]
	m.average = 1 - math.Min(m.o.Average, 1-1/float64(k))
	if (k-1)%int64(m.o.Refresh) == 0 {
		for i := range m.due {
			m.due[i] = 1
		}
	}
}

// SetDamping sets an absolute ρ > 0, used where C̄ is next factored. Under an Options
// with Relative it takes its place.
func (m *Moment) SetDamping(rho float64) {
	must(rho > 0 && !math.IsInf(rho, 0), "precond: damping must be a positive finite number")
	m.damping = rho
}

// Damping is ρ: as set, or relative to C̄ as it is now.
func (m *Moment) Damping() float64 {
	if m.damping > 0 {
		return m.damping
	}
	return math.Max(m.o.Relative*m.Mean(), leastDamping)
}

// Mean is tr(C̄)/(n+1).
func (m *Moment) Mean() float64 {
	var trace float64
	for i := range m.blocks {
		b := &m.blocks[i]
		step := b.second.Stride + 1 // along the diagonal
		if m.o.Structure == Diagonal {
			step = 1
		}
		for i := range b.hi - b.lo {
			trace += float64(b.second.Data[i*step])
		}
	}
	return trace / float64(m.cols)
}

// Accumulate takes rows lo ≤ j < hi of X̃ᵀX̃/B into C̄, and what mirrors them across the
// diagonal. x is X̃, B × (n+1).
func (m *Moment) Accumulate(x Mat, lo, hi int) { m.AccumulateScaled(x, 1, lo, hi) }

// AccumulateScaled is Accumulate of factor·X̃ᵀX̃/B.
func (m *Moment) AccumulateScaled(x Mat, factor float64, lo, hi int) {
	must(x.Cols == m.cols && 0 <= lo && lo <= hi && hi <= m.cols, "precond: Accumulate needs x B × (n+1) and columns of it")
	if m.o.Structure == Diagonal {
		m.accumulateDiagonal(x, factor, lo, hi)
		return
	}
	scale, keep := float32(factor*m.average/float64(x.Rows)), float32(1-m.average)
	for i := range m.blocks {
		b := &m.blocks[i]
		r0, r1 := max(lo, b.lo), min(hi, b.hi)
		if r0 >= r1 {
			continue
		}
		c := view(b.second, r0-b.lo, r1-b.lo, 0, r1-b.lo)
		m.ops.Gemm(true, false, scale, view(x, 0, x.Rows, r0, r1), view(x, 0, x.Rows, b.lo, r1), keep, c)
		mirror(b.second, r0-b.lo, r1-b.lo)
	}
}

func (m *Moment) accumulateDiagonal(x Mat, factor float64, lo, hi int) {
	scale := factor * m.average / float64(x.Rows)
	for j := lo; j < hi; j++ {
		var sum float64
		for i := range x.Rows {
			v := float64(x.Data[i*x.Stride+j])
			sum += v * v
		}
		m.second[j] = float32((1-m.average)*float64(m.second[j]) + scale*sum)
	}
}

// AccumulateMoment takes rows lo ≤ j < hi of c into C̄, for callers that have a batch's
// second moment c = X̃ᵀX̃/B, (n+1) × (n+1) and symmetric, and not its X̃.
func (m *Moment) AccumulateMoment(c Mat, lo, hi int) {
	must(c.Rows == m.cols && c.Cols == m.cols && 0 <= lo && lo <= hi && hi <= m.cols,
		"precond: AccumulateMoment needs c (n+1) × (n+1) and rows of it")
	average, keep := float32(m.average), float32(1-m.average)
	for i := range m.blocks {
		b := &m.blocks[i]
		for j := max(lo, b.lo); j < min(hi, b.hi); j++ {
			if m.o.Structure == Diagonal {
				m.second[j] = keep*m.second[j] + average*c.Data[j*c.Stride+j]
				continue
			}
			dst, src := row(b.second, j-b.lo)[:j-b.lo+1], row(c, j)[b.lo:j+1]
			for i, v := range src {
				dst[i] = keep*dst[i] + average*v
			}
			mirror(b.second, j-b.lo, j-b.lo+1)
		}
	}
}

// mirror copies rows lo ≤ i < hi below the diagonal to their place above it.
func mirror(c Mat, lo, hi int) {
	for i := lo; i < hi; i++ {
		for j, v := range c.Data[i*c.Stride : i*c.Stride+i] {
			c.Data[j*c.Stride+i] = v
		}
	}
}

// Blocks is the number of blocks that Refactor is called for.
func (m *Moment) Blocks() int { return len(m.blocks) }

// BlockColumns is the number of columns of block i, for judging its cost.
func (m *Moment) BlockColumns(i int) int { return m.blocks[i].hi - m.blocks[i].lo }

// RefactorScratch is the length of the scratch that Refactor needs.
func (m *Moment) RefactorScratch() int {
	if m.o.Structure == Diagonal || m.o.StepsOnly {
		return 0
	}
	return FactorScratch(m.ops, m.blocks[0].hi) // the first block is the largest
}

// Refactor factors block i of C̄ + ρI where that is due, and else does nothing. After
// an error, which is a *[FactorError], the block is still due.
func (m *Moment) Refactor(i int, scratch []float64) error {
	must(!m.o.StepsOnly, stepsOnly)
	if m.due[i] == 0 {
		return nil
	}
	b := &m.blocks[i]
	rho := m.Damping()
	if m.o.Structure == Diagonal {
		for j, v := range m.second {
			m.factors[j] = float64(v) + rho
			if !(m.factors[j] > 0) || math.IsInf(m.factors[j], 0) {
				return &FactorError{Damping: rho, Condition: math.Inf(1), Err: fmt.Errorf("entry %d is %v", j, m.factors[j])}
			}
		}
	} else if err := b.factor.Make(b.fill, rho, m.Mean(), scratch); err != nil {
		return err
	}
	m.due[i] = 0
	return nil
}

// Condition estimates the condition number of C̄ + ρI when it was last factored, from
// below; that of the worst block.
func (m *Moment) Condition() float64 {
	must(!m.o.StepsOnly, stepsOnly)
	if m.o.Structure == Diagonal {
		return slices.Max(m.factors) / slices.Min(m.factors)
	}
	worst := 0.0
	for i := range m.blocks {
		b := &m.blocks[i]
		worst = math.Max(worst, b.factor.Condition())
	}
	return worst
}

// State is all that a Moment carries from batch to batch, for checkpoints: live memory,
// to be copied from and to. Shapes follow from the options and n+1.
type State struct {
	Second  []float32 // C̄
	Factors []float64 // of C̄ + ρI when it was last factored
	Batches []int64   // k, one element
	Due     []int64   // per block
}

// State returns the live state.
func (m *Moment) State() State {
	return State{Second: m.second, Factors: m.factors, Batches: m.batches, Due: m.due}
}
