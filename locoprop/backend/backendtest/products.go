package backendtest

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
)

// product is a call whose output is α·L R + β·C for the matrices that left and right
// hold, each transposed where told to; C's earlier value counts where β isn't 0.
func product(l, r backend.Mat, transL, transR bool, alpha, beta float64, c backend.Mat, run func(k backend.Kernels)) call {
	inner := l.Cols
	if transL {
		inner = l.Rows
	}
	n := float64(c.Rows) * float64(c.Cols)
	want := func() expected {
		x, y := oracle.From32(l), oracle.From32(r)
		if transL {
			x = x.T()
		}
		if transR {
			y = y.T()
		}
		value := oracle.New(c.Rows, c.Cols)
		sum := oracle.New(c.Rows, c.Cols)
		if beta != 0 {
			value = oracle.From32(c).Map(func(v float64) float64 { return beta * v })
			sum = absolute(value)
		}
		value = oracle.Plus(value, alpha, oracle.Mul(x, y))
		sum = oracle.Plus(sum, max(alpha, -alpha), oracle.Mul(absolute(x), absolute(y)))
		return one(value, dotBound(sum, inner))
	}
	return call{run: run, outs: []backend.Mat{c}, want: want, flops: 2 * n * float64(inner)}
}

// products lists the three products of a layer.
func products() []operation {
	return []operation{
		{name: "Affine", prep: func(ar *arena, s Shape) call {
			x, w := ar.in(s.B, s.N+1, symmetric), ar.in(s.M, s.N+1, symmetric)
			a := ar.out(s.B, s.M, nan)
			return product(x, w, false, true, 1, 0, a, func(k backend.Kernels) { k.Affine(a, x, w) })
		}},
		{name: "Backprop", prep: func(ar *arena, s Shape) call {
			d, w := ar.in(s.B, s.M, symmetric), ar.in(s.M, s.N, symmetric)
			dx := ar.out(s.B, s.N, nan)
			return product(d, w, false, false, 1, 0, dx, func(k backend.Kernels) { k.Backprop(dx, d, w) })
		}},
		{name: "Grad", prep: func(ar *arena, s Shape) call {
			r, x := ar.in(s.B, s.M, symmetric), ar.in(s.B, s.N+1, symmetric)
			g := ar.out(s.M, s.N+1, nan)
			return product(r, x, true, false, 1, 0, g, func(k backend.Kernels) { k.Grad(g, r, x) })
		}},
		{name: "Gradient", prep: func(ar *arena, s Shape) call {
			d, x := ar.in(s.B, s.M, symmetric), ar.in(s.B, s.N+1, symmetric)
			g := ar.out(s.M, s.N+1, nan)
			var scratch []float32
			return product(d, x, true, false, 1, 0, g, func(k backend.Kernels) {
				gradient := backend.NewGradient(k, s.B)
				if n := gradient.ScratchLen(s.N+1, s.M); n > len(scratch) {
					scratch = make([]float32, n)
				}
				for i := range scratch {
					scratch[i] = guard // it mustn't count on what it holds
				}
				gradient.Of(g, d, x, scratch)
			})
		}},
	}
}

// factors are the pairs α, β that Gemm and Syrk are tried with. With β = 0 the output
// starts as NaN, which shows whether it is read.
var factors = [][2]float32{{1, 0}, {-0.5, 1}, {2, 0.75}, {0, 0.5}}

func start(beta float32) fill {
	if beta == 0 {
		return nan
	}
	return symmetric
}

// gemms lists Gemm with every transposition and pair of factors.
func gemms() []operation {
	var ops []operation
	for _, tr := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
		for _, f := range factors {
			transA, transB, alpha, beta := tr[0], tr[1], f[0], f[1]
			name := fmt.Sprintf("Gemm/transA=%v,transB=%v,alpha=%v,beta=%v", transA, transB, alpha, beta)
			ops = append(ops, operation{name: name, thin: f != factors[0], prep: func(ar *arena, s Shape) call {
				a := ar.in(pick(transA, s.N, s.B), pick(transA, s.B, s.N), symmetric)
				b := ar.in(pick(transB, s.M, s.N), pick(transB, s.N, s.M), symmetric)
				c := ar.out(s.B, s.M, start(beta))
				return product(a, b, transA, transB, float64(alpha), float64(beta), c, func(k backend.Kernels) {
					k.Gemm(transA, transB, alpha, a, b, beta, c)
				})
			}})
		}
	}
	return ops
}

// syrks lists Syrk with both transpositions and every pair of factors.
func syrks() []operation {
	var ops []operation
	for _, trans := range []bool{false, true} {
		for _, f := range factors {
			alpha, beta := f[0], f[1]
			name := fmt.Sprintf("Syrk/trans=%v,alpha=%v,beta=%v", trans, alpha, beta)
			ops = append(ops, operation{name: name, thin: f != factors[0], prep: func(ar *arena, s Shape) call {
				x := ar.in(s.B, s.N+1, symmetric)
				n := pick(trans, s.N+1, s.B)
				c := ar.out(n, n, start(beta))
				if beta != 0 {
					ar.mirror(c)
				}
				p := product(x, x, trans, !trans, float64(alpha), float64(beta), c, func(k backend.Kernels) {
					k.Syrk(trans, alpha, x, beta, c)
				})
				p.flops /= 2
				return p
			}})
		}
	}
	return ops
}

// mirror makes the newest matrix symmetric.
func (a *arena) mirror(c backend.Mat) {
	for i := range c.Rows {
		for j := range i {
			c.Data[j*c.Stride+i] = c.Data[i*c.Stride+j]
		}
	}
	b := &a.blocks[len(a.blocks)-1]
	b.before = bits(b.whole)
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
