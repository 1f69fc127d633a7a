package shampoo

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
)

const (
	rootIterations = 100
	rootTolerance  = 1e-6 // of the residual ‖M − I‖
	rootAccepted   = 0.1
	powerProducts  = 50 // of the estimate of λ_max
)

// rootScratch is the length of the scratch that root needs.
func rootScratch(n int) int { return 6 * mat.RoundLine(n*n) }

// root writes (A + ridge·λ_max(A)·I)^(−1/p), p 2 or 4, into dst, by the coupled iteration
//
//	M = zA, H = z^(1/p)I,  z = (1 + p)/(2‖A‖)
//	T = ((p + 1)I − M)/p;  M ← TᵖM,  H ← HT       until M = I
//
// (Guo & Higham, "A Schur–Newton Method for the Matrix pth Root and its Inverse", SIAM J.
// Matrix Anal. Appl. 28, 2006), in which the Frobenius norm is good enough for ‖A‖. It
// reports whether the residual ‖M − I‖ is below 0.1; if not, dst stays as it was.
func root(k backend.Kernels, dst, a backend.Mat, p int, ridge float64, scratch []float32) bool {
	n := a.Rows
	m, scratch := mat.Carve(scratch, n, n)
	h, scratch := mat.Carve(scratch, n, n)
	t, scratch := mat.Carve(scratch, n, n)
	power, scratch := mat.Carve(scratch, n, n)
	next, scratch := mat.Carve(scratch, n, n)
	other, _ := mat.Carve(scratch, n, n)

	shift := float32(ridge * largest(k, a, next, other))
	backend.Copy(m, a)
	for i := range n {
		m.Data[i*n+i] += shift
	}
	norm := math.Sqrt(mat.SumSquares(m))
	if !(norm > 0) || math.IsInf(norm, 0) {
		return false
	}
	q := float64(p)
	z := float32((1 + q) / (2 * norm))
	if math.IsInf(float64(z), 0) { // A is made of denormals
		return false
	}
	clear(h.Data)
	k.Scale(m, m, z)
	for i := range n {
		h.Data[i*n+i] = float32(math.Pow(float64(z), 1/q))
	}
	residual := fromIdentity(m)
	for range rootIterations {
		if residual <= rootTolerance {
			break
		}
		k.Scale(t, m, float32(-1/q)) // q is a power of 2
		for i := range n {
			t.Data[i*n+i] = float32((q + 1 - float64(m.Data[i*n+i])) / q)
		}
		k.Gemm(false, false, 1, t, t, 0, power)
		if p == 4 {
			k.Gemm(false, false, 1, power, power, 0, next)
			power, next = next, power
		}
		k.Gemm(false, false, 1, power, m, 0, next)
		now := fromIdentity(next)
		if !(now < residual) { // float32 has nothing more to give
			break
		}
		residual = now
		m, next = next, m
		k.Gemm(false, false, 1, h, t, 0, other)
		h, other = other, h
	}
	if !(residual < rootAccepted) {
		return false
	}
	for i := range n { // symmetric to the bit, as it ought to be
		for j := range i + 1 {
			v := (h.Data[i*n+j] + h.Data[j*n+i]) / 2
			dst.Data[i*dst.Stride+j], dst.Data[j*dst.Stride+i] = v, v
		}
	}
	return true
}

// fromIdentity is ‖M − I‖_F. In exact arithmetic it falls with every iteration, as each
// eigenvalue's distance from 1 does, which max |M − I| need not.
func fromIdentity(m backend.Mat) float64 {
	var sum float64
	for i := range m.Rows {
		row := mat.Row(m, i)
		d := float64(row[i]) - 1
		sum += squares(row[:i]) + float64(d*d) + squares(row[i+1:])
	}
	return math.Sqrt(sum)
}

func squares(x []float32) float64 {
	return mat.SumSquares(backend.Mat{Rows: 1, Cols: len(x), Stride: len(x), Data: x})
}

// largest estimates the largest eigenvalue of a positive semi-definite A by the power
// method, from below; u and v lend memory.
func largest(k backend.Kernels, a, u, v backend.Mat) float64 {
	n := a.Rows
	x, y := backend.Mat{Rows: n, Cols: 1, Stride: 1, Data: u.Data[:n]}, backend.Mat{Rows: n, Cols: 1, Stride: 1, Data: v.Data[:n]}
	for i := range x.Data {
		x.Data[i] = float32(1 + 0.5*math.Sin(float64(i))) // no eigenvector of anything likely
	}
	norm := 0.0
	for range powerProducts {
		length := math.Sqrt(mat.SumSquares(x))
		if !(length > 0) {
			return 0
		}
		for i, e := range x.Data {
			x.Data[i] = float32(float64(e) / length)
		}
		k.Gemm(false, false, 1, a, x, 0, y)
		x, y = y, x
		norm = math.Sqrt(mat.SumSquares(x))
	}
	return norm
}
