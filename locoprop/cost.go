package locoprop

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// The constants of the cost model, for one core. They are compiled in and never
// measured at run time: FormAuto's choice, and with it the bits of a run, must not
// depend on the machine or on what else it does.
const (
	corePeak      = 90e9    // float32 operations per second
	gemmShare     = 0.85    // of the peak, in a product of two matrices
	syrkShare     = 0.6     // of the peak, in a product of a matrix with itself
	coreBandwidth = 15e9    // bytes per second from memory
	cacheBytes    = 1 << 20 // a core's share of the last-level cache
	transferTime  = 1e-9    // seconds for f at one element
	callTime      = 3e-7    // seconds that a kernel call takes before its work
)

// workload is all that the cost of a layer's local solve depends on.
type workload struct {
	batch, cols, units int // rows of X̃, n+1, m
	steps, block       int // T, units per task
	optimizer          optimizer.Kind
	prox               bool
	matching           bool // M: the transfer function is evaluated
	coupled            bool // a row-coupled M: all units in one task
	carried            bool // a velocity lasts from batch to batch
}

func (l *layer) workload() workload {
	return workload{
		batch: l.x.Rows, cols: l.x.Cols, units: l.w.Rows, steps: l.o.Steps, block: l.o.Block,
		optimizer: l.o.Optimizer.Kind, prox: l.o.Prox != ProxOff,
		matching: l.f != transfer.Identity, coupled: l.f.RowCoupled(), carried: l.carries(),
	}
}

// cost is what a form is predicted to take for a layer and batch on one core.
type cost struct{ flops, bytes, seconds float64 }

func (c cost) explain(p *plan.LayerPlan) {
	p.LocalFlops, p.Bytes, p.Seconds = c.flops, c.bytes, c.seconds
}

// predict is the cost model of the forms direct, Gram and kernel: docs/method.md. It
// counts the flops of matrix products, the words that kernels read and write beyond
// what a cache keeps, and the calls of kernels; the first two overlap:
//
//	seconds = max(flops/rate, bytes/bandwidth) + time of f (M) + calls·callTime
func predict(form Form, w workload) cost {
	b, n, m, t := float64(w.batch), float64(w.cols), float64(w.units), float64(w.steps)
	again := t - 1                                          // iterations with Δ ≠ 0
	words := 2 + 2*float64(w.optimizer.NumSlots())          // per weight and update: Δ and slots, in and out
	blocks := math.Ceil(m / float64(min(w.block, w.units))) // tasks
	if w.coupled {
		blocks = 1
	}
	// reads is how often blocks that share an operand get it from memory.
	reads := func(elements float64) float64 {
		if 4*elements <= cacheBytes {
			return 1
		}
		return blocks
	}
	stripes := func(size int) float64 { return math.Ceil(float64(size) / float64(stripeSize(size))) }

	var gemm, syrk, q, calls float64
	input := reads(b*n) * b * n // X̃, once for all blocks
	switch form {
	case FormGram:
		syrk, gemm = b*n*n, 2*b*n*m+2*again*n*n*m
		q = 2*b*n + 2*n*n + input + b*m + again*(reads(n*n)*n*n+2*n*m) + t*words*n*m
		calls = 2*stripes(w.cols) + blocks*(2*t+1)
	case FormKernel:
		syrk, gemm = b*b*n, 2*b*n*m+2*again*b*b*m
		q = 2*b*n + 2*b*b + input + 2*n*m + again*reads(b*b)*b*b + 4*t*b*m
		calls = 2*stripes(w.batch) + blocks*(3*t+1)
		if w.carried {
			gemm += 4 * b * n * m
			q += 2 * (input + 2*n*m)
			calls += blocks * (t + 2)
		}
	default:
		if w.prox {
			words++
		}
		gemm = (4*t - 2) * b * n * m
		q = (2*t-1)*(input+n*m) + 4*t*b*m + t*words*n*m
		calls = blocks * 4 * t
	}
	c := cost{flops: gemm + syrk, bytes: 4 * q}
	c.seconds = math.Max(gemm/(gemmShare*corePeak)+syrk/(syrkShare*corePeak), c.bytes/coreBandwidth) + calls*callTime
	if w.matching {
		c.seconds += transferTime * t * b * m
	}
	return c
}

// cheapest is what FormAuto stands for: of direct, Gram and kernel, which give the
// same iterates, the valid one with the least predicted time, the first of equals.
func (l *layer) cheapest() Form {
	best, least := FormDirect, math.Inf(1)
	for _, form := range []Form{FormDirect, FormGram, FormKernel} {
		if l.o.valid(form, l.f) != nil {
			continue
		}
		if s := predict(form, l.workload()).seconds; s < least {
			best, least = form, s
		}
	}
	return best
}
