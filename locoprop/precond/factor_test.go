package precond_test

import (
	"errors"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// makeFactor factors a + rho·I and returns LLᵀ as well.
func makeFactor(ops precond.Ops, a oracle.Mat, rho float64) (precond.Factor, oracle.Mat, error) {
	n := a.Rows
	f := precond.NewFactor(ops, n, make([]float64, n*n))
	var trace float64
	for i := range n {
		trace += a.At(i, i)
	}
	err := f.Make(func(dst []float64) { copy(dst, a.Data) }, rho, trace/float64(n), make([]float64, precond.FactorScratch(ops, n)))
	l := oracle.New(n, n)
	for i := range n {
		copy(l.Row(i)[:i+1], f.L[i*n:])
	}
	return f, oracle.Mul(l, l.T()), err
}

// symmetric is Q diag(w) Qᵀ for an orthogonal Q, a product of reflections.
func symmetric(w ...float64) oracle.Mat {
	n := len(w)
	q := plusIdentity(oracle.New(n, n), 1)
	for r := range 3 {
		v := oracle.New(n, 1)
		for i := range n {
			v.Set(i, 0, math.Sin(float64(1+r+2*i*(r+1))))
		}
		q = oracle.Plus(q, -2/oracle.Dot(v, v), oracle.Mul(v, oracle.Mul(v.T(), q)))
	}
	scaledRows := q.Clone()
	for i := range n {
		for j := range n {
			scaledRows.Set(i, j, w[i]*q.At(i, j))
		}
	}
	return oracle.Mul(q.T(), scaledRows)
}

func TestFactorOfGoodMatrix(t *testing.T) {
	a := symmetric(5, 3, 1, 0.1)
	f, product, err := makeFactor(ops, a, 0.5)
	require.NoError(t, err)
	assert.Equal(t, 0.5, f.Damping)
	assert.LessOrEqual(t, oracle.MaxDiff(product, plusIdentity(a, 0.5)), 1e-14)
	assert.Greater(t, f.Condition(), 1.5)
	assert.LessOrEqual(t, f.Condition(), 5.5/0.6+1e-9)
	b := oracle.New(4, 2).Map(func(float64) float64 { return 1 })
	want := solve(plusIdentity(a, 0.5), b)
	f.Solve(b.Data, 2)
	assert.LessOrEqual(t, oracle.MaxDiff(b, want), 1e-14)
}

// A slightly indefinite matrix, as rounding makes them, is damped just as much as it
// takes: ρ = 10⁻⁶ of the mean, then tenfold.
func TestFactorLadder(t *testing.T) {
	const mean = (4 + 2 - 5e-6) / 3
	a := symmetric(4, 2, -5e-6)
	f, product, err := makeFactor(ops, a, 1e-9)
	require.NoError(t, err)
	assert.InEpsilon(t, 1e-5*mean, f.Damping, 1e-9)
	assert.LessOrEqual(t, oracle.MaxDiff(product, plusIdentity(a, f.Damping)), 1e-14)
}

// What the ladder doesn't reach is cured by its eigenvalues.
func TestFactorFromEigenvalues(t *testing.T) {
	for _, w := range [][]float64{{4, 2, -1}, {1, -1}, {3, 1, 0.5, -0.1, -0.2, 0}, {2, -3, 1e-9}} {
		a := symmetric(w...)
		f, product, err := makeFactor(ops, a, 1e-4)
		require.NoError(t, err)
		clamped := make([]float64, len(w))
		for i, v := range w {
			clamped[i] = math.Max(v, 0)
		}
		want := plusIdentity(symmetric(clamped...), f.Damping)
		assert.LessOrEqual(t, oracle.MaxDiff(product, want), 1e-13, "%v", w)
	}
}

// stubborn is arithmetic whose factorisations fail.
type stubborn struct{ *gonum.Backend }

var errStubborn = errors.New("no eigenvalues today")

func (stubborn) Cholesky([]float64, int) error { return errors.New("no pivots today") }

func (stubborn) SymEig([]float64, int, []float64, []float64) error { return errStubborn }

func TestFactorErrors(t *testing.T) {
	var e *precond.FactorError
	_, _, err := makeFactor(stubborn{gonum.New()}, symmetric(2, 1), 1)
	require.ErrorAs(t, err, &e)
	require.ErrorIs(t, err, errStubborn)
	assert.InDelta(t, 1000, e.Damping, 1e-9) // three times more

	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		a := symmetric(2, 1, 1)
		a.Set(2, 1, v)
		_, _, err = makeFactor(ops, a, 1)
		require.ErrorAs(t, err, &e)
		assert.ErrorContains(t, err, "aren't finite")
		assert.True(t, math.IsInf(e.Condition, 1))
	}
	_, _, err = makeFactor(ops, oracle.New(3, 3), 0)
	require.ErrorAs(t, err, &e)
	assert.ErrorContains(t, err, "singular")
}
