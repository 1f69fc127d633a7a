//go:build cgo && !purego

package bindings

// #cgo noescape lp_sm3
// #cgo nocallback lp_sm3
// #cgo noescape lp_square_sums
// #cgo nocallback lp_square_sums
// #cgo noescape lp_scaled_squares
// #cgo nocallback lp_scaled_squares
// #cgo noescape lp_scaled_step
// #cgo nocallback lp_scaled_step
// #include "../csrc/locoprop.h"
import "C"

// SM3 calls lp_sm3: a step of SM3-II, with momentum where m isn't nil.
func SM3(rows, cols int, w *float32, ldw int, g *float32, ldg int, m *float32, ldm int,
	r, c, top, b *float32, rate, mu, share float32,
) error {
	var e C.lp_error
	if C.lp_sm3(i64(rows), i64(cols), f32(w), i64(ldw), f32(g), i64(ldg), f32(m), i64(ldm),
		f32(r), f32(c), f32(top), f32(b), C.float(rate), C.float(mu), C.float(share), &e) != C.LP_OK {
		return failed("lp_sm3", e)
	}
	return nil
}

// SquareSums calls lp_square_sums: Σ g² by row and by column.
func SquareSums(rows, cols int, g *float32, ldg int, rowSums, colSums *float64) error {
	var e C.lp_error
	if C.lp_square_sums(i64(rows), i64(cols), f32(g), i64(ldg), f64(rowSums), f64(colSums), &e) != C.LP_OK {
		return failed("lp_square_sums", e)
	}
	return nil
}

// ScaledSquares calls lp_scaled_squares: Σ (aᵢ gᵢⱼ bⱼ)².
func ScaledSquares(rows, cols int, g *float32, ldg int, a, b *float32) (float64, error) {
	var e C.lp_error
	var sum C.double
	if C.lp_scaled_squares(i64(rows), i64(cols), f32(g), i64(ldg), f32(a), f32(b), &sum, &e) != C.LP_OK {
		return 0, failed("lp_scaled_squares", e)
	}
	return float64(sum), nil
}

// ScaledStep calls lp_scaled_step: wᵢⱼ ← wᵢⱼ − aᵢ gᵢⱼ bⱼ.
func ScaledStep(rows, cols int, w *float32, ldw int, g *float32, ldg int, a, b *float32) error {
	var e C.lp_error
	if C.lp_scaled_step(i64(rows), i64(cols), f32(w), i64(ldw), f32(g), i64(ldg), f32(a), f32(b), &e) != C.LP_OK {
		return failed("lp_scaled_step", e)
	}
	return nil
}
