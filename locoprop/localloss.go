package locoprop

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// localLoss evaluates the local loss of units, relative to the batch's start and
// without its proximal term, in float64:
//
//	ℓ(A) = Σ D_F(A, Â) + ⟨E, A − Â⟩,  E = γD
//
// It needs no inverse of f and has a value for targets outside the range of f; its
// gradient in A is the R of the local problem. For LocoProp-S, f is the identity and
// D_F is ½(A − Â)².
type localLoss struct {
	f       transfer.Func
	ahat, e backend.Mat // B × m
	da      backend.Mat // A − Â
	more    backend.Mat // direction of a search; unused where s = 0
	row     []float32   // m elements of scratch
}

// moved is A − Â of an element, s along the direction.
func (l *localLoss) moved(i, u int, s float32) float32 {
	d := l.da.Data[i*l.da.Stride+u]
	if s != 0 {
		d += float32(s * l.more.Data[i*l.more.Stride+u])
	}
	return d
}

// at sums ℓ over units lo ≤ u < hi, in a fixed order, s along the direction; terms is the
// sum of the absolute values.
func (l *localLoss) at(lo, hi int, s float32) (value, terms float64) {
	for i := range l.ahat.Rows {
		if l.f.RowCoupled() {
			d := l.rowDivergence(i, s)
			value += d
			terms += d
		}
		for u := lo; u < hi; u++ {
			d := l.moved(i, u, s)
			linear := float64(l.e.Data[i*l.e.Stride+u]) * float64(d)
			value += linear
			terms += math.Abs(linear)
			if !l.f.RowCoupled() {
				convex := divergence(l.f, l.ahat.Data[i*l.ahat.Stride+u], d)
				value += convex
				terms += convex
			}
		}
	}
	return value, terms
}

// divergence is D_F(â + d, â) for one element, â + d as the float32 that f sees.
func divergence(f transfer.Func, ahat, d float32) float64 {
	if f == transfer.Identity {
		return float64(d) * float64(d) / 2
	}
	a, b := [1]float32{ahat + d}, [1]float32{ahat}
	return f.Divergence(a[:], b[:])
}

// rowDivergence is D_F of a row of a row-coupled f.
func (l *localLoss) rowDivergence(i int, s float32) float64 {
	ahat := l.ahat.Data[i*l.ahat.Stride:][:l.ahat.Cols]
	for u, a := range ahat {
		l.row[u] = a + l.moved(i, u, s)
	}
	return l.f.Divergence(l.row, ahat)
}
