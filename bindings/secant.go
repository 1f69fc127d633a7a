//go:build cgo && !purego

package bindings

// #cgo noescape lp_column_sums
// #cgo nocallback lp_column_sums
// #cgo noescape lp_times
// #cgo nocallback lp_times
// #cgo noescape lp_rank_two
// #cgo nocallback lp_rank_two
// #include "../csrc/locoprop.h"
import "C"

// ColumnSums calls lp_column_sums: Σᵢ xᵢⱼ.
func ColumnSums(rows, cols int, x *float32, ldx int, sums *float64) error {
	var e C.lp_error
	if C.lp_column_sums(i64(rows), i64(cols), f32(x), i64(ldx), f64(sums), &e) != C.LP_OK {
		return failed("lp_column_sums", e)
	}
	return nil
}

// Times calls lp_times: y = Hx.
func Times(rows, cols int, h *float32, ldh int, x, y *float64) error {
	var e C.lp_error
	if C.lp_times(i64(rows), i64(cols), f32(h), i64(ldh), f64(x), f64(y), &e) != C.LP_OK {
		return failed("lp_times", e)
	}
	return nil
}

// RankTwo calls lp_rank_two: hᵢⱼ ← hᵢⱼ + a sᵢsⱼ − b(sᵢtⱼ + tᵢsⱼ).
func RankTwo(rows, cols int, h *float32, ldh, first int, a, b float64, s, t *float64) error {
	var e C.lp_error
	if C.lp_rank_two(i64(rows), i64(cols), f32(h), i64(ldh), i64(first), C.double(a), C.double(b), f64(s), f64(t), &e) != C.LP_OK {
		return failed("lp_rank_two", e)
	}
	return nil
}
