package backendtest

import (
	"math"
	"math/rand/v2"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
)

// factored lists the updates with a number for each row and column: the backend's own, or
// the loops in Go.
func factored() []operation {
	return []operation{
		{name: "StepSM3/momentum", prep: func(ar *arena, s Shape) call { return sm3Call(ar, s, true) }},
		{name: "StepSM3/plain", thin: true, prep: func(ar *arena, s Shape) call { return sm3Call(ar, s, false) }},
		{name: "SquareSums", prep: squareSumsCall},
		{name: "ScaledSquares", prep: scaledSquaresCall},
		{name: "ScaledStep", prep: scaledStepCall},
	}
}

// accumulated fills sums of squares, some of them still 0.
func accumulated(r *rand.Rand) float32 {
	if r.IntN(10) == 0 {
		return 0
	}
	return 2 * r.Float32() * r.Float32()
}

func sm3Call(ar *arena, s Shape, momentum bool) call {
	m, n := s.M, s.N
	g := ar.in(m, n+1, symmetric)
	columns := ar.in(1, n, accumulated)
	outs := []backend.Mat{
		ar.out(m, n+1, symmetric), ar.out(1, m, accumulated), ar.out(1, n, accumulated), ar.out(1, m, accumulated),
	}
	step := &backend.SM3{
		W: outs[0], G: g, Rows: outs[1].Data, Columns: columns.Data, Top: outs[2].Data, Biases: outs[3].Data,
		Rate: 0.125, Momentum: 0.75, Share: 0.25,
	}
	if momentum {
		step.M = ar.out(m, n+1, symmetric)
		outs = append(outs, step.M)
	}
	return call{
		run:   func(k backend.Kernels) { backend.FactoredOf(k).StepSM3(step) },
		outs:  outs,
		want:  func() expected { return wantSM3(step, outs) },
		bytes: 4 * float64(len(outs)*2-5) * float64(m*(n+1)), // w and m read and written, g read
	}
}

// wantSM3 is a step in float64. ν rounds twice and its largest not at all; a step rounds
// fewer than 8 times.
func wantSM3(s *backend.SM3, outs []backend.Mat) expected {
	e := expected{}
	for _, m := range outs {
		e.outs = append(e.outs, oracle.From32(m))
		e.bounds = append(e.bounds, oracle.New(m.Rows, m.Cols))
	}
	w, rows, top, biases := e.outs[0], e.outs[1], e.outs[2], e.outs[3]
	g, n := oracle.From32(s.G), len(s.Columns)
	move := func(i, j int, ν float64) {
		u := g.At(i, j) / math.Sqrt(ν+1e-30)
		size := math.Abs(u)
		if len(outs) > 4 {
			size += math.Abs(e.outs[4].At(i, j))
			u = float64(s.Momentum)*e.outs[4].At(i, j) + float64(s.Share)*u
			e.outs[4].Set(i, j, u)
			e.bounds[4].Set(i, j, 8*epsilon*size+tiny)
		}
		e.bounds[0].Set(i, j, 8*epsilon*(math.Abs(w.At(i, j))+float64(s.Rate)*size)+tiny)
		w.Set(i, j, w.At(i, j)-float64(s.Rate)*u)
	}
	for i := range s.Rows {
		limit, largest := rows.At(0, i), 0.0
		for j, c := range s.Columns {
			ν := math.Min(limit, float64(c)) + g.At(i, j)*g.At(i, j)
			largest = math.Max(largest, ν)
			top.Set(0, j, math.Max(top.At(0, j), ν))
			move(i, j, ν)
		}
		rows.Set(0, i, largest)
		biases.Set(0, i, biases.At(0, i)+g.At(i, n)*g.At(i, n))
		move(i, n, biases.At(0, i))
	}
	for i := 1; i < 4; i++ {
		e.bounds[i] = scaled(2*epsilon, e.outs[i])
	}
	return e
}

// squareSumsCall hands the sums on as float32, and their total in float64 as what is added
// up: the squares of float32 are exact there.
func squareSumsCall(ar *arena, s Shape) call {
	g := ar.in(s.M, s.N, symmetric)
	outs := []backend.Mat{ar.out(1, s.M, nan), ar.out(1, s.N, nan)}
	rows, cols := make([]float64, s.M), make([]float64, s.N)
	total := new(float64)
	sums := func(k backend.Kernels) {
		backend.FactoredOf(k).SquareSums(g, rows, cols)
		*total = 0
		for n, list := range [][]float64{rows, cols} {
			for i, v := range list {
				outs[n].Data[i] = float32(v)
				*total += v
			}
		}
	}
	want := func() expected {
		e := expected{outs: []oracle.Mat{oracle.New(1, s.M), oracle.New(1, s.N)}}
		for i, x := range oracle.From32(g).Data {
			row, col := i/s.N, i%s.N
			e.outs[0].Data[row] += x * x
			e.outs[1].Data[col] += x * x
			e.sum += 2 * x * x
		}
		e.bounds = []oracle.Mat{scaled(epsilon, e.outs[0]), scaled(epsilon, e.outs[1])}
		e.sumBound = 1e-12 * e.sum
		return e
	}
	return call{run: sums, outs: outs, sum: total, want: want, bytes: 4 * float64(s.M*s.N)}
}

// scales are the factors of rows and columns.
func scales(ar *arena, s Shape) (rows, cols []float32) {
	return ar.in(1, s.M, symmetric).Data, ar.in(1, s.N, symmetric).Data
}

func scaledSquaresCall(ar *arena, s Shape) call {
	g := ar.in(s.M, s.N, symmetric)
	rows, cols := scales(ar, s)
	sum := new(float64)
	return call{
		run: func(k backend.Kernels) { *sum = backend.FactoredOf(k).ScaledSquares(g, rows, cols) },
		sum: sum,
		want: func() expected {
			var e expected
			for i, x := range oracle.From32(g).Data {
				u := float64(rows[i/s.N]) * x * float64(cols[i%s.N])
				e.sum += u * u
			}
			e.sumBound = 8*epsilon*e.sum + tiny // u rounds twice
			return e
		},
		bytes: 4 * float64(s.M*s.N),
	}
}

func scaledStepCall(ar *arena, s Shape) call {
	g := ar.in(s.M, s.N, symmetric)
	rows, cols := scales(ar, s)
	w := ar.out(s.M, s.N, symmetric)
	want := func() expected {
		e := one(oracle.From32(w), oracle.New(s.M, s.N))
		for i, x := range oracle.From32(g).Data {
			u := float64(rows[i/s.N]) * x * float64(cols[i%s.N])
			e.bounds[0].Data[i] = 4*epsilon*(math.Abs(e.outs[0].Data[i])+math.Abs(u)) + tiny
			e.outs[0].Data[i] -= u
		}
		return e
	}
	return call{
		run:   func(k backend.Kernels) { backend.FactoredOf(k).ScaledStep(w, g, rows, cols) },
		outs:  []backend.Mat{w},
		want:  want,
		bytes: 12 * float64(s.M*s.N),
	}
}
