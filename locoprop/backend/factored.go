package backend

import "math"

// leastSM3 is added to ν of SM3 under the root.
const leastSM3 = 1e-30

// SM3 is one step of SM3-II (package method/sm3) on a block of m units. For the weights,
// all columns but the last:
//
//	νᵢⱼ = min(rᵢ, cⱼ) + gᵢⱼ²
//	rᵢ ← maxⱼ νᵢⱼ,  topⱼ ← max(topⱼ, maxᵢ νᵢⱼ)
//	M ← μM + share·g/√(ν + 1e-30),  W ← W − ηM
//
// and for the biases, the last column, with ν = bᵢ ← bᵢ + g². Without momentum W moves by
// η·g/√(ν + 1e-30).
type SM3 struct {
	W, G         Mat       // m × (n+1); G is only read
	M            Mat       // m × (n+1); without data: no momentum
	Rows, Biases []float32 // r and b, 0 or more: m
	Columns      []float32 // c, 0 or more: n, only read
	Top          []float32 // n; the block's part of the next c is taken into it
	Rate         float32   // η
	Momentum     float32   // μ
	Share        float32   // 1 − μ
}

// Factored is the optional fast path of update rules that keep a number for each row and
// each column in place of one for each weight. [FactoredOf] has the loops for backends
// without.
type Factored interface {
	// StepSM3 makes a step.
	StepSM3(s *SM3)

	// SquareSums computes Σⱼ gᵢⱼ² into rows and Σᵢ gᵢⱼ² into cols, in float64 and a fixed
	// order. g: m × n.
	SquareSums(g Mat, rows, cols []float64)

	// ScaledSquares returns Σ (rowsᵢ gᵢⱼ colsⱼ)², in float64 and a fixed order. g: m × n.
	ScaledSquares(g Mat, rows, cols []float32) float64

	// ScaledStep computes wᵢⱼ ← wᵢⱼ − rowsᵢ gᵢⱼ colsⱼ. w, g: m × n.
	ScaledStep(w, g Mat, rows, cols []float32)
}

// FactoredOf returns the backend's own [Factored], or loops in Go.
func FactoredOf(k Kernels) Factored {
	if f, ok := k.(Factored); ok {
		return f
	}
	return factoredLoops{}
}

// factoredLoops is Factored in Go.
type factoredLoops struct{}

func (factoredLoops) StepSM3(s *SM3) {
	CheckSM3(s)
	n := len(s.Columns)
	for i := range s.Rows {
		var m []float32
		if s.M.Data != nil {
			m = row(s.M, i)
		}
		w, g, top := row(s.W, i), row(s.G, i), s.Top[:n]
		weights, gradients := w[:n], g[:n]
		limit, largest := s.Rows[i], float32(0)
		for j, ν := range s.Columns {
			if limit < ν {
				ν = limit
			}
			v := gradients[j]
			ν += v * v
			largest, top[j] = max(largest, ν), max(top[j], ν)
			weights[j] -= s.move(m, j, v, ν)
		}
		s.Rows[i] = largest
		s.Biases[i] += g[n] * g[n]
		w[n] -= s.move(m, n, g[n], s.Biases[i])
	}
}

// move takes a gradient into element j of a row of M and returns what the weight moves by.
func (s *SM3) move(m []float32, j int, g, ν float32) float32 {
	u := g / float32(math.Sqrt(float64(ν+leastSM3)))
	if m != nil {
		u = s.Momentum*m[j] + s.Share*u
		m[j] = u
	}
	return s.Rate * u
}

func (factoredLoops) SquareSums(g Mat, rows, cols []float64) {
	CheckSquareSums(g, rows, cols)
	clear(cols)
	for i := range rows {
		var sum [2]float64 // two chains of additions, each waiting for itself alone
		for j, v := range row(g, i) {
			square := float64(v) * float64(v)
			sum[j&1] += square
			cols[j] += square
		}
		rows[i] = sum[0] + sum[1]
	}
}

func (factoredLoops) ScaledSquares(g Mat, rows, cols []float32) float64 {
	CheckScaled(g, rows, cols)
	var total float64
	for i, a := range rows {
		var sum [2]float64
		for j, v := range row(g, i) {
			u := float64(v * a * cols[j])
			sum[j&1] += float64(u * u)
		}
		total += sum[0] + sum[1]
	}
	return total
}

func (factoredLoops) ScaledStep(w, g Mat, rows, cols []float32) {
	CheckSame(w, g)
	CheckScaled(g, rows, cols)
	for i, a := range rows {
		wi := row(w, i)
		for j, v := range row(g, i) {
			wi[j] -= v * a * cols[j]
		}
	}
}

// row is row i of m, which may have no columns.
func row(m Mat, i int) []float32 {
	if m.Cols == 0 {
		return nil
	}
	return m.Data[i*m.Stride : i*m.Stride+m.Cols]
}
