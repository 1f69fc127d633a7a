package precond

import (
	"errors"
	"math"
)

const (
	ladderSteps = 3    // times that more damping is tried
	ladderFloor = 1e-6 // least damping then, relative to the mean of the diagonal
)

// Factor is the Cholesky factor of A + ρI in float64, for an A that is positive
// semi-definite but for rounding, or nearly singular.
//
// Where A + ρI has a pivot that isn't positive, ρ is raised to max(10ρ, 1e-6·mean), up
// to three times, mean being that of A's diagonal. Where that isn't enough either, A's
// eigenvalues are computed, those below 0 set to 0, and the matrix that has them,
// damped by the last ρ, is factored in their stead. What remains is an error.
type Factor struct {
	L       []float64 // n × n row-major; the lower triangle is L, the rest unspecified
	Damping float64   // ρ, as raised; 0 before Make
	ops     Ops
	n       int
}

// NewFactor returns a factor of n × n matrices in the caller's memory: l, of n·n
// elements, becomes L. A factor restored into l, a checkpoint's, can be solved with.
func NewFactor(ops Ops, n int, l []float64) Factor {
	must(n >= 1 && len(l) == n*n, "precond: factor needs n·n elements")
	return Factor{L: l, ops: ops, n: n}
}

// FactorScratch is the length of the scratch that Make needs for an n × n matrix.
func FactorScratch(ops Ops, n int) int { return n + ops.SymEigWork(n) }

var (
	errFactorInput = errors.New("it holds numbers that aren't finite")
	errFactorZero  = errors.New("it is singular even so")
)

// Make factors A + rho·I. fill writes A's lower triangle, row-major, into memory that
// it is given, the same at every call; it is called once per attempt. mean is the mean
// of A's diagonal, or of that of the matrix A is a block of. The error is a
// *FactorError; L is of no use then.
func (f *Factor) Make(fill func(a []float64), rho, mean float64, scratch []float64) error {
	a, n := f.L, f.n
	for try := range ladderSteps + 1 {
		if try > 0 {
			rho = math.Max(10*rho, ladderFloor*mean)
		}
		f.Damping = rho
		fill(a)
		if try == 0 && !lowerFinite(a, n) {
			return &FactorError{Damping: rho, Condition: math.Inf(1), Err: errFactorInput}
		}
		for i := range n {
			a[i*n+i] += rho
		}
		if f.ops.Cholesky(a, n) == nil && f.positive() {
			return nil
		}
	}
	fill(a)
	return f.fromEigenvalues(scratch)
}

// fromEigenvalues factors A = V diag(w) Vᵀ, which L's memory holds, with w < 0 set to 0
// and ρ added. S = V diag(√(w+ρ)) has SSᵀ = A + ρI; by reflections from the right it
// becomes the lower triangle L with the same product.
func (f *Factor) fromEigenvalues(scratch []float64) error {
	a, n := f.L, f.n
	w, work := scratch[:n], scratch[n:]
	if err := f.ops.SymEig(a, n, w, work); err != nil {
		return &FactorError{Damping: f.Damping, Condition: math.Inf(1), Err: err}
	}
	top := 0.0
	for k, v := range w {
		v = math.Max(v, 0) + f.Damping
		top = math.Max(top, v)
		w[k] = math.Sqrt(v)
	}
	for i := range n {
		for k := range n {
			a[i*n+k] *= w[k]
		}
	}
	triangulate(a, n)
	if !f.positive() {
		condition := math.Inf(1)
		if f.Damping > 0 {
			condition = top / f.Damping
		}
		return &FactorError{Damping: f.Damping, Condition: condition, Err: errFactorZero}
	}
	return nil
}

// triangulate overwrites the lower triangle of S by that of SQ, Q orthogonal such that
// SQ is lower triangular with a diagonal that isn't negative (Householder).
func triangulate(s []float64, n int) {
	for i := range n {
		v := s[i*n+i : (i+1)*n]
		norm := math.Sqrt(dot(v, v))
		if norm == 0 {
			continue
		}
		// The reflection I − 2vvᵀ/vᵀv takes the row to ∓norm in its first place; the sign that
		// doesn't cancel, turned afterwards for the whole column.
		sign := math.Copysign(1, v[0])
		v[0] += sign * norm
		scale := 2 / dot(v, v)
		for j := i + 1; j < n; j++ {
			r := s[j*n+i : (j+1)*n]
			by := scale * dot(v, r)
			for k, x := range v {
				r[k] -= by * x
			}
			r[0] *= -sign
		}
		v[0] = norm
	}
}

func dot(x, y []float64) (sum float64) {
	y = y[:len(x)]
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

// positive reports whether L's diagonal is: a NaN anywhere in a row reaches its end.
func (f *Factor) positive() bool {
	for i := range f.n {
		if v := f.L[i*f.n+i]; !(v > 0) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

func lowerFinite(a []float64, n int) bool {
	for i := range n {
		var sum float64
		for _, v := range a[i*n : i*n+i+1] {
			sum += v * 0
		}
		if sum != 0 {
			return false
		}
	}
	return true
}

// Solve overwrites b (n × k, row-major) by (A + ρI)⁻¹B.
func (f *Factor) Solve(b []float64, k int) { f.ops.Solve(f.L, f.n, b, k) }

// Condition estimates the condition number of A + ρI, from below, by L's diagonal.
func (f *Factor) Condition() float64 {
	least, most := math.Inf(1), 0.0
	for i := range f.n {
		v := f.L[i*f.n+i]
		least, most = math.Min(least, v), math.Max(most, v)
	}
	return most * most / (least * least)
}
