package backendtest

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
)

// secants lists what quasi-Newton updates are made of: the backend's own, or the loops in Go.
func secants() []operation {
	return []operation{
		{name: "ColumnSums", prep: columnSumsCall},
		{name: "Times", prep: timesCall},
		{name: "RankTwo", prep: rankTwoCall},
	}
}

// widened is a vector of float64 that float32 could hold.
func widened(m backend.Mat) []float64 { return oracle.From32(m).Data }

// widen copies a vector.
func widen(to []float64, m backend.Mat) []float64 {
	for j := range to {
		to[j] = float64(m.Data[j])
	}
	return to
}

// vectorCall is an operation whose result is a vector in float64, which is handed on as
// float32, and added up as what it is: there sums may differ by a few units of float64.
func vectorCall(ar *arena, length int, run func(k backend.Kernels, to []float64), want func() (value, size []float64)) call {
	out, to, total := ar.out(1, length, nan), make([]float64, length), new(float64)
	return call{
		run: func(k backend.Kernels) {
			run(k, to)
			*total = 0
			for i, v := range to {
				out.Data[i] = float32(v)
				*total += v
			}
		},
		outs: []backend.Mat{out}, sum: total,
		want: func() expected {
			e := one(oracle.New(1, length), oracle.New(1, length))
			value, size := want()
			for i, v := range value {
				e.outs[0].Data[i] = v
				e.bounds[0].Data[i] = epsilon*math.Abs(v) + 1e-12*size[i] + tiny
				e.sum += v
				e.sumBound += 1e-12 * size[i]
			}
			return e
		},
	}
}

func columnSumsCall(ar *arena, s Shape) call {
	x := ar.in(s.B, s.N, symmetric)
	c := vectorCall(ar, s.N, func(k backend.Kernels, to []float64) { backend.SecantOf(k).ColumnSums(x, to) }, func() (value, size []float64) {
		value, size = make([]float64, s.N), make([]float64, s.N)
		for i, v := range widened(x) {
			value[i%s.N] += v
			size[i%s.N] += math.Abs(v)
		}
		return value, size
	})
	c.bytes = 4 * float64(s.B*s.N)
	return c
}

func timesCall(ar *arena, s Shape) call {
	h, x := ar.in(s.M, s.N, symmetric), ar.in(1, s.N, symmetric)
	vector := make([]float64, s.N)
	c := vectorCall(ar, s.M, func(k backend.Kernels, to []float64) { backend.SecantOf(k).Times(to, h, widen(vector, x)) }, func() (value, size []float64) {
		value, size = make([]float64, s.M), make([]float64, s.M)
		vector := widened(x)
		for i, v := range widened(h) {
			value[i/s.N] += v * vector[i%s.N]
			size[i/s.N] += math.Abs(v * vector[i%s.N])
		}
		return value, size
	})
	c.bytes = 4 * float64(s.M*s.N)
	return c
}

// rankTwoCall updates the last rows of a square matrix.
func rankTwoCall(ar *arena, s Shape) call {
	rows := min(s.M, s.N)
	h := ar.out(rows, s.N, symmetric)
	sv, tv := ar.in(1, s.N, symmetric), ar.in(1, s.N, symmetric)
	const a, b = 1.25, 0.75
	first := s.N - rows
	vectors := [2][]float64{make([]float64, s.N), make([]float64, s.N)}
	return call{
		run: func(k backend.Kernels) {
			backend.SecantOf(k).RankTwo(h, first, a, b, widen(vectors[0], sv), widen(vectors[1], tv))
		},
		outs: []backend.Mat{h},
		want: func() expected {
			e := one(oracle.From32(h), oracle.New(rows, s.N))
			s, t := widened(sv), widened(tv)
			for i := range rows {
				for j := range s {
					p, q, r := a*s[first+i]*s[j], b*s[first+i]*t[j], b*t[first+i]*s[j]
					v := e.outs[0].At(i, j) + p - q - r
					e.outs[0].Set(i, j, v)
					e.bounds[0].Set(i, j, epsilon*math.Abs(v)+1e-12+tiny)
				}
			}
			return e
		},
		bytes: 8 * float64(rows*s.N),
	}
}
