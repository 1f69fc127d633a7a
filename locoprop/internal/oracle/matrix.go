// Package oracle holds LocoProp's formulas in float64, for tests only: dense matrices,
// transfer functions, losses, update rules, local problems and whole training steps
// of a small network.
//
// Everything here is written from the definitions in docs/method.md, as plainly as
// possible and without a look at the float32 code, so that an error in one of the two
// shows as a difference. Nothing here is fast, and results are new matrices.
package oracle

import (
	"math"

	"gonum.org/v1/gonum/blas/blas32"
)

// Mat is a dense row-major float64 matrix without padding.
type Mat struct {
	Rows, Cols int
	Data       []float64
}

// New returns a rows × cols matrix of zeros.
func New(rows, cols int) Mat { return Mat{rows, cols, make([]float64, rows*cols)} }

// From32 widens a float32 matrix.
func From32(m blas32.General) Mat {
	r := New(m.Rows, m.Cols)
	for i := range r.Rows {
		for j := range r.Cols {
			r.Set(i, j, float64(m.Data[i*m.Stride+j]))
		}
	}
	return r
}

// To32 rounds the matrix to float32.
func (m Mat) To32() blas32.General {
	r := blas32.General{Rows: m.Rows, Cols: m.Cols, Stride: max(1, m.Cols), Data: make([]float32, len(m.Data))}
	for i, v := range m.Data {
		r.Data[i] = float32(v)
	}
	return r
}

// At is the element in row i and column j.
func (m Mat) At(i, j int) float64 { return m.Data[i*m.Cols+j] }

// Set writes the element in row i and column j.
func (m Mat) Set(i, j int, v float64) { m.Data[i*m.Cols+j] = v }

// Row is row i, sharing m's memory.
func (m Mat) Row(i int) []float64 { return m.Data[i*m.Cols : (i+1)*m.Cols] }

// Clone is a copy in memory of its own.
func (m Mat) Clone() Mat {
	return Mat{m.Rows, m.Cols, append([]float64(nil), m.Data...)}
}

// T is the transpose.
func (m Mat) T() Mat {
	r := New(m.Cols, m.Rows)
	for i := range m.Rows {
		for j := range m.Cols {
			r.Set(j, i, m.At(i, j))
		}
	}
	return r
}

// Columns is a copy of columns lo to hi−1.
func (m Mat) Columns(lo, hi int) Mat {
	r := New(m.Rows, hi-lo)
	for i := range m.Rows {
		copy(r.Row(i), m.Row(i)[lo:hi])
	}
	return r
}

// Map is the matrix of f(element).
func (m Mat) Map(f func(float64) float64) Mat {
	r := New(m.Rows, m.Cols)
	for i, v := range m.Data {
		r.Data[i] = f(v)
	}
	return r
}

// Mul is the product A B.
func Mul(a, b Mat) Mat {
	if a.Cols != b.Rows {
		panic("oracle: Mul of matrices that don't chain")
	}
	c := New(a.Rows, b.Cols)
	for i := range a.Rows {
		ci := c.Row(i)
		for k, v := range a.Row(i) {
			for j, w := range b.Row(k) {
				ci[j] += v * w
			}
		}
	}
	return c
}

// Plus is A + s·B.
func Plus(a Mat, s float64, b Mat) Mat {
	if a.Rows != b.Rows || a.Cols != b.Cols {
		panic("oracle: Plus of matrices of different shapes")
	}
	c := a.Clone()
	for i, v := range b.Data {
		c.Data[i] += s * v
	}
	return c
}

// Dot is ⟨A, B⟩, the sum of the products of elements.
func Dot(a, b Mat) float64 {
	var sum float64
	for i, v := range a.Data {
		sum += v * b.Data[i]
	}
	return sum
}

// WithOnes is [X 1], the design matrix of a layer with input X.
func WithOnes(x Mat) Mat {
	r := New(x.Rows, x.Cols+1)
	for i := range x.Rows {
		copy(r.Row(i), x.Row(i))
		r.Set(i, x.Cols, 1)
	}
	return r
}

// MaxDiff is the largest |A − B| over the elements; NaN against anything is +Inf.
func MaxDiff(a, b Mat) float64 {
	var top float64
	for i, v := range a.Data {
		d := math.Abs(v - b.Data[i])
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		top = max(top, d)
	}
	return top
}

// MaxAbs is the largest |element|.
func MaxAbs(a Mat) float64 { return MaxDiff(a, New(a.Rows, a.Cols)) }

// Eye is the n × n identity, times s.
func Eye(n int, s float64) Mat {
	r := New(n, n)
	for i := range n {
		r.Set(i, i, s)
	}
	return r
}

// Inverse is A⁻¹.
func Inverse(a Mat) Mat { return solveDense(a, Eye(a.Rows, 1)) }

// Trace is the sum of the diagonal.
func Trace(a Mat) (sum float64) {
	for i := range a.Rows {
		sum += a.At(i, i)
	}
	return sum
}
