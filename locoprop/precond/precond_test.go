package precond_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func structures() []precond.Options {
	return []precond.Options{
		{Structure: precond.Full},
		{Structure: precond.BlockDiagonal, Block: 3}, // 3 + 3 + 1
		{Structure: precond.BlockDiagonal, Block: 1},
		{Structure: precond.Diagonal},
	}
}

func newPreconditioner(t *testing.T, o precond.Options) *precond.Preconditioner {
	t.Helper()
	p, err := precond.New(ops, units, cols, o)
	require.NoError(t, err)
	return p
}

// Several batches with every structure, average, refresh and kind of damping against
// float64. The bound is float32's rounding of C̄ times its condition number, below 1e3 here.
func TestUpdatesAgreeWithFormulas(t *testing.T) {
	for _, o := range structures() {
		for _, more := range []precond.Options{
			{}, {NoAverage: true, Damping: 0.05}, {Average: 0.6, Refresh: 3}, {Damping: 2, Refresh: 2}, {Relative: 0.01},
		} {
			more.Structure, more.Block = o.Structure, o.Block
			t.Run(fmt.Sprintf("%+v", more), func(t *testing.T) { checkUpdates(t, more) })
		}
	}
}

func checkUpdates(t *testing.T, o precond.Options) {
	t.Helper()
	p := newPreconditioner(t, o)
	ref := &reference{o: p.Moment().Options()}
	rates := []float64{0.02, 0.015, 0.02, 0.001}
	for batch := range 6 {
		x, g := inputs(uint64(batch), 5+batch), gradient(uint64(batch))
		g32, delta := g.To32(), oracle.New(units, cols).To32()
		p.Observe(x.To32())
		ref.observe(x)

		require.NoError(t, p.Steps(delta, g32, gamma, 0.25, rates))
		want := ref.steps(g, 0.25, rates)
		require.LessOrEqual(t, oracle.MaxDiff(oracle.From32(delta), want), 1e-5*oracle.MaxAbs(want), "steps, batch %d", batch)

		require.NoError(t, p.Update(delta, g32, gamma))
		want = ref.converged(g)
		require.LessOrEqual(t, oracle.MaxDiff(oracle.From32(delta), want), 1e-4*oracle.MaxAbs(want), "converged, batch %d", batch)

		require.NoError(t, p.Update(g32, g32, gamma)) // in place
		require.Equal(t, delta.Data, g32.Data)
	}
}

// What a caller gives as X̃ᵀX̃/B has the effect of its X̃.
func TestMomentForInputs(t *testing.T) {
	for _, o := range structures() {
		a, b := newPreconditioner(t, o), newPreconditioner(t, o)
		for batch := range 3 {
			x := inputs(uint64(batch), 9)
			a.Observe(x.To32())
			b.ObserveMoment(scaled(oracle.Mul(x.T(), x), 1.0/9).To32())
		}
		for i, v := range a.State().Second {
			require.InEpsilon(t, v, b.State().Second[i], 1e-4, "element %d", i)
		}
	}
}

// Two half batches' second moments average to the whole's, and their gradients' mean is
// the whole's, so that batches may be observed in pieces.
func TestHalfBatchesAddUp(t *testing.T) {
	x := inputs(1, 12)
	top, bottom := oracle.New(6, cols), oracle.New(6, cols)
	copy(top.Data, x.Data[:6*cols])
	copy(bottom.Data, x.Data[6*cols:])
	whole, halves := newPreconditioner(t, precond.Options{}), newPreconditioner(t, precond.Options{Average: 0.5})
	whole.Observe(x.To32())
	halves.Observe(top.To32())
	halves.Observe(bottom.To32()) // β₂ = 1 − 1/2
	for i, v := range whole.State().Second {
		require.InEpsilon(t, v, halves.State().Second[i], 1e-5)
	}
}

// A block that holds all columns is the full matrix, bit for bit; and each block is what
// a layer with these columns alone would have.
func TestBlocksAreProblemsApart(t *testing.T) {
	x, g := inputs(3, 11), gradient(3)
	update := func(x, g oracle.Mat, o precond.Options) []float32 {
		p, err := precond.New(ops, units, x.Cols, o)
		require.NoError(t, err)
		delta := oracle.New(units, x.Cols).To32()
		p.Observe(x.To32())
		require.NoError(t, p.Update(delta, g.To32(), gamma))
		return delta.Data
	}
	full := precond.Options{Damping: 0.1}
	one := precond.Options{Damping: 0.1, Structure: precond.BlockDiagonal, Block: 2 * cols}
	assert.Equal(t, update(x, g, full), update(x, g, one))
	three := precond.Options{Damping: 0.1, Structure: precond.BlockDiagonal, Block: 3}
	got := update(x, g, three)
	for lo := 0; lo < cols; lo += 3 {
		hi := min(lo+3, cols)
		apart := update(x.Columns(lo, hi), g.Columns(lo, hi), full)
		for u := range units {
			assert.InDeltaSlice(t, apart[u*(hi-lo):(u+1)*(hi-lo)], got[u*cols+lo:u*cols+hi], 1e-6)
		}
	}
}

// The parts that callers with goroutines use: columns in ranges, units in blocks.
func TestPartsMakeTheWhole(t *testing.T) {
	for _, o := range structures() {
		whole := newPreconditioner(t, o)
		parts, err := precond.NewMoment(ops, cols, o)
		require.NoError(t, err)
		x, g := inputs(5, 8).To32(), gradient(5).To32()
		want, got := oracle.New(units, cols).To32(), oracle.New(units, cols).To32()
		whole.Observe(x)
		require.NoError(t, whole.Update(want, g, gamma))

		parts.Begin()
		for _, r := range [][2]int{{4, 7}, {0, 2}, {2, 4}} {
			parts.Accumulate(x, r[0], r[1])
		}
		for i := range parts.Blocks() {
			require.NoError(t, parts.Refactor(i, make([]float64, parts.RefactorScratch())))
		}
		for u := range units {
			d, gu := got, g
			d.Rows, d.Data = 1, got.Data[u*cols:(u+1)*cols]
			gu.Rows, gu.Data = 1, g.Data[u*cols:(u+1)*cols]
			require.NoError(t, parts.Converged(d, gu, gamma, make([]float64, parts.ConvergedScratch(1))))
		}
		assert.InDeltaSlice(t, want.Data, got.Data, 1e-5)
		assert.GreaterOrEqual(t, parts.Condition(), 1.0)
		assert.Positive(t, parts.Damping())
		for i := range parts.Blocks() { // C̄ is symmetric to the bit, whatever the ranges
			if o.Structure == precond.Full {
				for j := range cols {
					assert.Equal(t, parts.State().Second[i*cols+j], parts.State().Second[j*cols+i])
				}
			}
		}
	}
}

// Copied into another preconditioner, the state goes on with the same bits, in the middle
// of a refresh interval too.
func TestStateResumes(t *testing.T) {
	for _, o := range structures() {
		o.Refresh = 4
		straight, resumed := newPreconditioner(t, o), newPreconditioner(t, o)
		a, b := oracle.New(units, cols).To32(), oracle.New(units, cols).To32()
		for batch := range 7 {
			x, g := inputs(uint64(batch), 8).To32(), gradient(uint64(batch)).To32()
			if batch == 3 {
				from, to := straight.State(), resumed.State()
				copy(to.Second, from.Second)
				copy(to.Factors, from.Factors)
				copy(to.Batches, from.Batches)
				copy(to.Due, from.Due)
			}
			straight.Observe(x)
			require.NoError(t, straight.Update(a, g, gamma))
			if batch >= 3 {
				resumed.Observe(x)
				require.NoError(t, resumed.Update(b, g, gamma))
				require.Equal(t, a.Data, b.Data)
			}
		}
	}
}

// Inputs that make C̄ singular or badly scaled give finite updates.
func TestIllConditionedInputs(t *testing.T) {
	damage := map[string]func(x oracle.Mat, i, j int) float64{
		"duplicated columns": func(x oracle.Mat, i, _ int) float64 { return x.At(i, 0) },
		"scale 1e6":          func(x oracle.Mat, i, j int) float64 { return x.At(i, j) * math.Pow(1e6, float64(j%2)) },
		"zero columns":       func(x oracle.Mat, i, j int) float64 { return x.At(i, j) * float64(j%2) },
		"all zero":           func(oracle.Mat, int, int) float64 { return 0 },
	}
	for name, f := range damage {
		x := inputs(1, 4) // fewer rows than columns: singular anyway
		for i := range x.Rows {
			for j := range cols {
				if j < cols-1 || name == "all zero" {
					x.Set(i, j, f(x, i, j))
				}
			}
		}
		d := oracle.New(x.Rows, units).Map(func(float64) float64 { return 0.5 })
		g := oracle.Mul(d.T(), x)
		for _, o := range structures() {
			for _, rho := range []float64{0, 1e-20, 1e-3, 1e10} { // 0: relative
				o.Damping = rho
				p := newPreconditioner(t, o)
				delta := g.To32()
				p.Observe(x.To32())
				require.NoError(t, p.Update(delta, g.To32(), gamma), "%s, %+v", name, o)
				require.False(t, math.IsInf(oracle.MaxAbs(oracle.From32(delta)), 0), "%s, %+v", name, o)
			}
		}
	}
}

func TestWhatIsNotFinite(t *testing.T) {
	for _, o := range structures() {
		p := newPreconditioner(t, o)
		delta, g := oracle.New(units, cols).To32(), gradient(1).To32()
		p.Observe(inputs(1, 9).To32())
		g.Data[2] = float32(math.NaN())
		assert.ErrorIs(t, p.Update(delta, g, gamma), precond.ErrNotFinite)
		assert.ErrorIs(t, p.Steps(delta, g, gamma, 0, []float64{0.1, 0.1}), precond.ErrNotFinite)
		g.Data[2] = 1
		assert.ErrorIs(t, p.Steps(delta, g, gamma, 0, []float64{1e20, 1e20, 1e20}), precond.ErrNotFinite)
		require.NoError(t, p.Update(delta, g, gamma))

		x := inputs(2, 9).To32()
		x.Data[1] = float32(math.Inf(1))
		p.Observe(x)
		var e *precond.FactorError
		require.ErrorAs(t, p.Update(delta, g, gamma), &e)
		assert.ErrorContains(t, e, "second moment of the input can't be factored")
		assert.Error(t, e.Unwrap())
	}
}

func TestNoAllocations(t *testing.T) {
	x, g, delta := inputs(1, 9).To32(), gradient(1).To32(), oracle.New(units, cols).To32()
	rates := []float64{0.01, 0.01}
	for _, o := range structures() {
		p := newPreconditioner(t, o)
		assert.Zero(t, testing.AllocsPerRun(10, func() {
			p.Observe(x)
			if p.Update(delta, g, gamma) != nil || p.Steps(delta, g, gamma, 0, rates) != nil {
				t.Error("no update")
			}
		}))
	}
}

func TestOptions(t *testing.T) {
	p := newPreconditioner(t, precond.Options{})
	assert.Equal(t, precond.Options{Average: 0.95, Refresh: 1, Relative: 0.3}, p.Moment().Options())
	assert.Equal(t, cols, p.Moment().Columns())
	assert.Equal(t, 128, precond.Options{Structure: precond.BlockDiagonal}.WithDefaults().Block)
	assert.Equal(t, "block-diagonal", precond.BlockDiagonal.String())
	assert.Equal(t, "precond.Structure(9)", precond.Structure(9).String())

	_, err := precond.New(nil, 0, 0, precond.Options{Structure: 9, Block: -1, Average: 1, Refresh: -2, Damping: -1, Relative: math.NaN()})
	for _, part := range []string{
		"unknown structure 9", "blocks of -1 columns", "average is 1", "refresh every -2", "damping is -1", "relative damping is NaN",
		"give one of both", "no arithmetic", "input of 0 columns",
	} {
		assert.ErrorContains(t, err, part)
	}
	_, err = precond.New(ops, 0, cols, precond.Options{})
	assert.ErrorContains(t, err, "layer of 0 units")
	_, err = precond.New(ops, 1, precond.MaxBlock+1, precond.Options{})
	assert.ErrorContains(t, err, "use block-diagonal")
	_, err = precond.New(ops, 1, cols, precond.Options{NoAverage: true, Average: 0.5, Structure: precond.BlockDiagonal, Block: -3})
	assert.ErrorContains(t, err, "average is 0.5, but none")
	assert.ErrorContains(t, err, "blocks of -3 columns; must be 1 to 32000")
}

// Programmer's errors.
func TestPanics(t *testing.T) {
	p := newPreconditioner(t, precond.Options{})
	delta, g := oracle.New(units, cols).To32(), gradient(1).To32()
	assert.PanicsWithValue(t, "precond: Update before Observe", func() { _ = p.Update(delta, g, 1) })
	assert.Panics(t, func() { p.Observe(oracle.New(3, cols+1).To32()) })
	assert.Panics(t, func() { p.ObserveMoment(oracle.New(3, cols).To32()) })
	p.Observe(inputs(1, 9).To32())
	assert.Panics(t, func() { _ = p.Update(delta, oracle.New(units+1, cols).To32(), 1) })
	assert.Panics(t, func() { _ = p.Update(oracle.New(units, cols-1).To32(), g, 1) })
	assert.Panics(t, func() { p.Moment().SetDamping(0) })
	p.Observe(inputs(1, 9).To32())
	assert.PanicsWithValue(t, "precond: Converged before Refactor", func() { _ = p.Moment().Converged(delta, g, 1, make([]float64, units*cols)) })

	only := newPreconditioner(t, precond.Options{StepsOnly: true})
	assert.Empty(t, only.State().Factors)
	only.Observe(inputs(1, 9).To32())
	require.NoError(t, only.Steps(delta, g, 1, 0, []float64{0.1}))
	assert.Panics(t, func() { _ = only.Update(delta, g, 1) })
	assert.Panics(t, func() { only.Moment().Condition() })
}
