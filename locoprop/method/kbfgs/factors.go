package kbfgs

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

const (
	average     = 0.9 // of gradients and pairs
	firstShare  = 0.2 // of yᵀHy, below which s is damped
	leastCosine = 1e-4
)

// factors is what K-BFGS keeps of one layer.
type factors struct {
	*layerwise.Layer
	o     Options
	ridge float64         // √λ
	input *precond.Moment // C̄
	ha    backend.Mat     // H_a, (n+1) × (n+1)
	hg    backend.Mat     // H_g, m × m; none where limited
	mean  backend.Mat     // M
	half  backend.Mat     // G; M H_a
	a     backend.Mat     // A, of the last pass

	s, y             []float32   // averages of the pairs
	xBar, aBar, dBar []float64   // means before the step; dBar is that of B·D
	v1, v2, v3       []float64   // vectors of n+1 elements, for the task on H_a
	u1, u2, u3       []float64   // of m, for the task on H_g
	pairS, pairY     backend.Mat // Limited: the pairs, a ring of rows
	count            []int64     // pairs ever stored
}

func newFactors(l *layerwise.Layer, input *precond.Moment, a backend.Mat, o Options) *factors {
	m, n := l.W.Rows, l.W.Cols
	vector := func(n int) []float64 { return make([]float64, n) }
	f := &factors{
		Layer: l, o: o, ridge: math.Sqrt(o.Damping), input: input, a: a,
		ha: backend.NewMat(n, n), mean: backend.NewMat(m, n), half: backend.NewMat(m, n),
		s: make([]float32, m), y: make([]float32, m), xBar: vector(n), aBar: vector(m), dBar: vector(m),
		v1: vector(n), v2: vector(n), v3: vector(n), u1: vector(m), u2: vector(m), u3: vector(m),
	}
	if o.Limited {
		f.pairS, f.pairY, f.count = backend.NewMat(o.Memory, m), backend.NewMat(o.Memory, m), make([]int64, 1)
		return f
	}
	f.hg = backend.NewMat(m, m)
	for i := range m {
		f.hg.Data[i*m+i] = 1
	}
	return f
}

func (f *factors) state() []plan.Tensor {
	state := []plan.Tensor{
		f.Tensor("kbfgs.gradient", f.mean), f.Tensor("kbfgs.second", f.input.Second()),
		f.Counter("kbfgs.batches", f.input.State().Batches), f.Tensor("kbfgs.input", f.ha),
		f.Vector("kbfgs.s", f.s), f.Vector("kbfgs.y", f.y),
	}
	if f.o.Limited {
		return append(state, f.Tensor("kbfgs.pairs_s", f.pairS), f.Tensor("kbfgs.pairs_y", f.pairY), f.Counter("kbfgs.pairs", f.count))
	}
	return append(state, f.Tensor("kbfgs.output", f.hg))
}

// average takes G of rows lo ≤ u < hi, which half holds, into M.
func (f *factors) average(lo, hi int) {
	l2 := float32(f.o.L2)
	for u := lo; u < hi; u++ {
		g, w, to := mat.Row(f.half, u), mat.Row(f.W, u), mat.Row(f.mean, u)
		for j, v := range g {
			to[j] = average*to[j] + (1-average)*(v+l2*w[j])
		}
	}
}

// means keeps the means of this batch before the step.
func (f *factors) means() {
	columnSums(f.xBar, f.X, 1/float64(f.X.Rows))
	columnSums(f.aBar, f.a, 1/float64(f.a.Rows))
	columnSums(f.dBar, f.D, 1) // the mean of B·D
}

func columnSums(to []float64, m backend.Mat, scale float64) {
	clear(to)
	for i := range m.Rows {
		for j, v := range mat.Row(m, i) {
			to[j] += float64(v)
		}
	}
	for j := range to {
		to[j] *= scale
	}
}

// start makes H_a of the first batch.
func (f *factors) start(scratch []float32) error {
	return f.input.Inverse(f.ha, f.ridge, mat.Float64s(scratch))
}

// times computes y = Hx.
func times(y []float64, h backend.Mat, x []float64) {
	for i := range h.Rows {
		var sum [2]float64
		row := mat.Row(h, i)
		v := x[:len(row)]
		j := 0
		for ; j+2 <= len(row); j += 2 {
			sum[0] += float64(float64(row[j]) * v[j])
			sum[1] += float64(float64(row[j+1]) * v[j+1])
		}
		if j < len(row) {
			sum[0] += float64(float64(row[j]) * v[j])
		}
		y[i] = sum[0] + sum[1]
	}
}

func dot(x, y []float64) (sum float64) {
	for i, v := range x {
		sum += float64(v * y[i])
	}
	return sum
}

// bfgs updates H by the pair s, y; hy is Hy.
func bfgs(h backend.Mat, s, y, hy []float64) {
	ρ := 1 / dot(s, y)
	both := float64(ρ*ρ)*dot(y, hy) + ρ
	for i := range h.Rows {
		a, b := float64(both*s[i])-float64(ρ*hy[i]), float64(ρ*s[i])
		row := mat.Row(h, i)[:i+1]
		for j, v := range row {
			row[j] = float32(float64(v) + (float64(a*s[j]) - float64(b*hy[j])))
		}
		for j, v := range row { // symmetric to the bit
			h.Data[j*h.Stride+i] = v
		}
	}
}

// updateInput brings H_a nearer to (C̄ + √λ I)⁻¹.
func (f *factors) updateInput() {
	s, y, hy := f.v1, f.v2, f.v3
	times(s, f.ha, f.xBar)
	times(y, f.input.Second(), s)
	for j := range y {
		y[j] += float64(f.ridge * s[j])
	}
	times(hy, f.ha, y)
	if sy := dot(s, y); sy > 0 && !math.IsInf(sy, 0) {
		bfgs(f.ha, s, y, hy)
	}
}

// updateOutput takes what the step did to the layer's means into H_g.
func (f *factors) updateOutput(scratch []float32) {
	s, y, hy := f.u1, f.u2, f.u3
	columnSums(s, f.a, 1/float64(f.a.Rows))
	columnSums(y, f.D, 1)
	for u := range s {
		f.s[u] = float32(average*float64(f.s[u]) + (1-average)*(s[u]-f.aBar[u]))
		f.y[u] = float32(average*float64(f.y[u]) + (1-average)*(y[u]-f.dBar[u]))
		s[u], y[u] = float64(f.s[u]), float64(f.y[u])
	}
	if f.o.Limited {
		f.timesLimited(hy, y, scratch)
	} else {
		times(hy, f.hg, y)
	}
	f.damp(s, y, hy)
	ss, sy := dot(s, s), dot(s, y)
	if !(sy > leastCosine*ss*math.Sqrt(dot(f.dBar, f.dBar))) || math.IsInf(sy, 0) {
		return
	}
	if !f.o.Limited {
		times(hy, f.hg, y)
		bfgs(f.hg, s, y, hy)
		return
	}
	// A common factor of s and y changes nothing; this one, sᵀy = 1, keeps small pairs, and
	// what they are divided by, within float32.
	at, scale := int(f.count[0])%f.o.Memory, 1/math.Sqrt(sy)
	for u, v := range s {
		f.pairS.Data[at*f.pairS.Stride+u], f.pairY.Data[at*f.pairY.Stride+u] = float32(scale*v), float32(scale*y[u])
	}
	f.count[0]++
}

// damp makes a pair safe for H_g. hy is H_g y.
func (f *factors) damp(s, y, hy []float64) {
	yhy, sy := dot(y, hy), dot(s, y)
	if sy < firstShare*yhy {
		θ := (1 - firstShare) * yhy / (yhy - sy)
		for u := range s {
			s[u] = float64(θ*s[u]) + float64((1-θ)*hy[u])
		}
	}
	ss, sy := dot(s, s), dot(s, y)
	if sy < f.ridge*ss {
		θ := (1 - f.ridge) * ss / (ss - sy)
		for u := range y {
			y[u] = float64(θ*y[u]) + float64((1-θ)*s[u])
		}
	}
}
