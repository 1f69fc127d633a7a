package backend

// Secant is the optional fast path of quasi-Newton updates: their matrices are float32,
// their vectors and every sum float64, added in a fixed order. [SecantOf] has the loops for
// backends without.
type Secant interface {
	// ColumnSums computes sumsⱼ = Σᵢ xᵢⱼ. x: B × n.
	ColumnSums(x Mat, sums []float64)

	// Times computes y = Hx. h: m × n.
	Times(y []float64, h Mat, x []float64)

	// RankTwo computes hᵢⱼ ← hᵢⱼ + a·sᵢsⱼ − b(sᵢtⱼ + tᵢsⱼ) in the rows of a square matrix
	// that h views, the first of which is its row first. A symmetric matrix stays so, to the
	// bit. h: m × n, s and t: n, first + m ≤ n.
	RankTwo(h Mat, first int, a, b float64, s, t []float64)
}

// SecantOf returns the backend's own [Secant], or loops in Go.
func SecantOf(k Kernels) Secant {
	if s, ok := k.(Secant); ok {
		return s
	}
	return secantLoops{}
}

// secantLoops is Secant in Go.
type secantLoops struct{}

func (secantLoops) ColumnSums(x Mat, sums []float64) {
	CheckColumnSums(x, sums)
	clear(sums)
	for i := range x.Rows {
		for j, v := range row(x, i) {
			sums[j] += float64(v)
		}
	}
}

func (secantLoops) Times(y []float64, h Mat, x []float64) {
	CheckTimes(y, h, x)
	for i := range y {
		var sum [4]float64 // chains of additions, each waiting for itself alone
		row := row(h, i)
		v := x[:len(row)]
		for len(row) >= 4 && len(v) >= 4 {
			sum[0] += float64(float64(row[0]) * v[0])
			sum[1] += float64(float64(row[1]) * v[1])
			sum[2] += float64(float64(row[2]) * v[2])
			sum[3] += float64(float64(row[3]) * v[3])
			row, v = row[4:], v[4:]
		}
		for j, e := range row {
			sum[0] += float64(float64(e) * v[j])
		}
		y[i] = (sum[0] + sum[1]) + (sum[2] + sum[3])
	}
}

func (secantLoops) RankTwo(h Mat, first int, a, b float64, s, t []float64) {
	CheckRankTwo(h, first, s, t)
	for i := range h.Rows {
		si, ti := s[first+i], t[first+i]
		row := row(h, i)
		s, t := s[:len(row)], t[:len(row)]
		for j, v := range row { // nothing in it changes where i and j are exchanged
			both := float64(si*t[j]) + float64(ti*s[j])
			row[j] = float32(float64(v) + (float64(a*float64(si*s[j])) - float64(b*both)))
		}
	}
}
