//go:build cgo && !purego

package bindings

// #cgo noescape lp_apply
// #cgo nocallback lp_apply
// #cgo noescape lp_chain
// #cgo nocallback lp_chain
// #cgo noescape lp_loss
// #cgo nocallback lp_loss
// #cgo noescape lp_residual
// #cgo nocallback lp_residual
// #cgo noescape lp_scale
// #cgo nocallback lp_scale
// #cgo noescape lp_update
// #cgo nocallback lp_update
// #cgo noescape lp_add_into
// #cgo nocallback lp_add_into
// #cgo noescape lp_solve_direct
// #cgo nocallback lp_solve_direct
// #include "../csrc/locoprop.h"
import "C"

import "unsafe"

// Rule is lp_rule, one update of an optimiser.
type Rule struct {
	Kind uint8
	Prox float32
	C    [8]float32
}

// The compiler refuses these where Rule isn't laid out as lp_rule is.
var (
	_ [unsafe.Sizeof(Rule{})]byte        = [unsafe.Sizeof(C.lp_rule{})]byte{}
	_ [unsafe.Offsetof(Rule{}.Prox)]byte = [unsafe.Offsetof(C.lp_rule{}.prox)]byte{}
	_ [unsafe.Offsetof(Rule{}.C)]byte    = [unsafe.Offsetof(C.lp_rule{}.c)]byte{}
)

func rule(r *Rule) *C.lp_rule { return (*C.lp_rule)(unsafe.Pointer(r)) }

// Apply calls lp_apply: Y = f(A).
func Apply(rows, cols int, y *float32, ldy int, a *float32, lda, f int, alpha float32) error {
	var e C.lp_error
	if C.lp_apply(i64(rows), i64(cols), f32(y), i64(ldy), f32(a), i64(lda), C.int32_t(f), C.float(alpha), &e) != C.LP_OK {
		return failed("lp_apply", e)
	}
	return nil
}

// Chain calls lp_chain: D ← D ∘ f′(A), or by a row's Jacobian.
func Chain(rows, cols int, d *float32, ldd int, a *float32, lda int, y *float32, ldy, f int, alpha float32) error {
	var e C.lp_error
	if C.lp_chain(i64(rows), i64(cols), f32(d), i64(ldd), f32(a), i64(lda), f32(y), i64(ldy), C.int32_t(f), C.float(alpha), &e) != C.LP_OK {
		return failed("lp_chain", e)
	}
	return nil
}

// Loss calls lp_loss: the summed loss, and D where d isn't nil.
func Loss(rows, cols int, d *float32, ldd int, a *float32, lda int, y *float32, ldy int, t *float32, ldt int,
	f int, alpha float32, loss int, t1, scale float32,
) (float64, error) {
	var e C.lp_error
	var sum C.double
	if C.lp_loss(i64(rows), i64(cols), f32(d), i64(ldd), f32(a), i64(lda), f32(y), i64(ldy), f32(t), i64(ldt),
		C.int32_t(f), C.float(alpha), C.int32_t(loss), C.float(t1), C.float(scale), &sum, &e) != C.LP_OK {
		return 0, failed("lp_loss", e)
	}
	return float64(sum), nil
}

// Residual calls lp_residual: R = (f(Â + dA) − Ŷ) + E.
func Residual(rows, cols int, r *float32, ldr int, da *float32, ldda int, ahat *float32, ldahat int,
	yhat *float32, ldyhat int, e *float32, lde, f int, alpha float32,
) error {
	var err C.lp_error
	if C.lp_residual(i64(rows), i64(cols), f32(r), i64(ldr), f32(da), i64(ldda), f32(ahat), i64(ldahat),
		f32(yhat), i64(ldyhat), f32(e), i64(lde), C.int32_t(f), C.float(alpha), &err) != C.LP_OK {
		return failed("lp_residual", err)
	}
	return nil
}

// Scale calls lp_scale: E = γ D.
func Scale(rows, cols int, e *float32, lde int, d *float32, ldd int, gamma float32) error {
	var err C.lp_error
	if C.lp_scale(i64(rows), i64(cols), f32(e), i64(lde), f32(d), i64(ldd), C.float(gamma), &err) != C.LP_OK {
		return failed("lp_scale", err)
	}
	return nil
}

// Update calls lp_update: one step of r.
func Update(r *Rule, rows, cols int, delta *float32, lddelta int, w0 *float32, ldw0 int, g *float32, ldg int,
	s0 *float32, lds0 int, s1 *float32, lds1 int, s2 *float32, lds2 int,
) error {
	var e C.lp_error
	if C.lp_update(rule(r), i64(rows), i64(cols), f32(delta), i64(lddelta), f32(w0), i64(ldw0), f32(g), i64(ldg),
		f32(s0), i64(lds0), f32(s1), i64(lds1), f32(s2), i64(lds2), &e) != C.LP_OK {
		return failed("lp_update", e)
	}
	return nil
}

// AddInto calls lp_add_into: W̃ ← W̃ + Δ.
func AddInto(rows, cols int, w *float32, ldw int, delta *float32, lddelta int) error {
	var e C.lp_error
	if C.lp_add_into(i64(rows), i64(cols), f32(w), i64(ldw), f32(delta), i64(lddelta), &e) != C.LP_OK {
		return failed("lp_add_into", e)
	}
	return nil
}

// SolveDirect calls lp_solve_direct: all iterations of one block of units.
func SolveDirect(batch, cols, units int, x *float32, ldx int, ahat *float32, ldahat int, yhat *float32, ldyhat int,
	d *float32, ldd int, w *float32, ldw int, s0 *float32, lds0 int, s1 *float32, lds1 int,
	s2 *float32, lds2 int, f int, alpha, gamma float32, rules *Rule, steps int, scratch *float32, scratchLen int,
) error {
	var e C.lp_error
	if C.lp_solve_direct(i64(batch), i64(cols), i64(units), f32(x), i64(ldx), f32(ahat), i64(ldahat), f32(yhat), i64(ldyhat),
		f32(d), i64(ldd), f32(w), i64(ldw), f32(s0), i64(lds0), f32(s1), i64(lds1),
		f32(s2), i64(lds2), C.int32_t(f), C.float(alpha), C.float(gamma),
		rule(rules), i64(steps), f32(scratch), i64(scratchLen), &e) != C.LP_OK {
		return failed("lp_solve_direct", e)
	}
	return nil
}

// SolveDirectScratch calls lp_solve_direct_scratch: the float32 that SolveDirect needs.
func SolveDirectScratch(batch, cols, units int) int {
	return int(C.lp_solve_direct_scratch(i64(batch), i64(cols), i64(units)))
}
