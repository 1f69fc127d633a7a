//go:build cgo && !purego

package bindings

// #cgo noescape lp_solve_kernel
// #cgo nocallback lp_solve_kernel
// #cgo noescape lp_solve_gram
// #cgo nocallback lp_solve_gram
// #cgo noescape lp_solve_metric
// #cgo nocallback lp_solve_metric
// #include "../csrc/locoprop.h"
import "C"

// SolveKernel calls lp_solve_kernel: all iterations of a block in the kernel form.
func SolveKernel(batch, cols, units int, x *float32, ldx int, k *float32, ldk int, ahat *float32, ldahat int,
	yhat *float32, ldyhat int, d *float32, ldd int, w *float32, ldw int, v *float32, ldv int,
	share *float32, velocity float32, f int, alpha, gamma float32, rules *Rule, steps int, scratch *float32, scratchLen int,
) error {
	var e C.lp_error
	if C.lp_solve_kernel(i64(batch), i64(cols), i64(units), f32(x), i64(ldx), f32(k), i64(ldk), f32(ahat), i64(ldahat),
		f32(yhat), i64(ldyhat), f32(d), i64(ldd), f32(w), i64(ldw), f32(v), i64(ldv),
		f32(share), C.float(velocity), C.int32_t(f), C.float(alpha), C.float(gamma),
		rule(rules), i64(steps), f32(scratch), i64(scratchLen), &e) != C.LP_OK {
		return failed("lp_solve_kernel", e)
	}
	return nil
}

// SolveGram calls lp_solve_gram: all iterations of a block in the Gram form.
func SolveGram(batch, cols, units int, x *float32, ldx int, c *float32, ldc int, d *float32, ldd int, w *float32, ldw int,
	s0 *float32, lds0 int, s1 *float32, lds1 int, s2 *float32, lds2 int,
	gamma float32, rules *Rule, steps int, scratch *float32, scratchLen int,
) error {
	var e C.lp_error
	if C.lp_solve_gram(i64(batch), i64(cols), i64(units), f32(x), i64(ldx), f32(c), i64(ldc), f32(d), i64(ldd), f32(w), i64(ldw),
		f32(s0), i64(lds0), f32(s1), i64(lds1), f32(s2), i64(lds2),
		C.float(gamma), rule(rules), i64(steps), f32(scratch), i64(scratchLen), &e) != C.LP_OK {
		return failed("lp_solve_gram", e)
	}
	return nil
}

// SolveMetric calls lp_solve_metric: all iterations and the outer step of a block in the
// metric form.
func SolveMetric(batch, cols, units int, k *float32, ldk int, xp *float32, ldxp int, ahat *float32, ldahat int,
	yhat *float32, ldyhat int, d *float32, ldd int, w *float32, ldw int, v *float32, ldv int,
	f int, alpha, gamma, eta, rate, mu float32, steps int, scratch *float32, scratchLen int,
) error {
	var e C.lp_error
	if C.lp_solve_metric(i64(batch), i64(cols), i64(units), f32(k), i64(ldk), f32(xp), i64(ldxp), f32(ahat), i64(ldahat),
		f32(yhat), i64(ldyhat), f32(d), i64(ldd), f32(w), i64(ldw), f32(v), i64(ldv),
		C.int32_t(f), C.float(alpha), C.float(gamma), C.float(eta), C.float(rate), C.float(mu),
		i64(steps), f32(scratch), i64(scratchLen), &e) != C.LP_OK {
		return failed("lp_solve_metric", e)
	}
	return nil
}

// SolveKernelScratch calls lp_solve_kernel_scratch: the float32 that SolveKernel needs.
func SolveKernelScratch(batch, cols, units int) int {
	return int(C.lp_solve_kernel_scratch(i64(batch), i64(cols), i64(units)))
}

// SolveGramScratch calls lp_solve_gram_scratch.
func SolveGramScratch(cols, units int) int {
	return int(C.lp_solve_gram_scratch(i64(cols), i64(units)))
}

// SolveMetricScratch calls lp_solve_metric_scratch.
func SolveMetricScratch(batch, cols, units int) int {
	return int(C.lp_solve_metric_scratch(i64(batch), i64(cols), i64(units)))
}
