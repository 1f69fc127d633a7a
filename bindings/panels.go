//go:build cgo && !purego

package bindings

// #cgo noescape lp_panels_product
// #cgo nocallback lp_panels_product
// #cgo noescape lp_panels_from
// #cgo nocallback lp_panels_from
// #cgo noescape lp_panels_to
// #cgo nocallback lp_panels_to
// #cgo noescape lp_panels_turn
// #cgo nocallback lp_panels_turn
// #include "../csrc/locoprop.h"
import "C"

// PanelsLen calls lp_panels_len.
func PanelsLen(rows, units int) int { return int(C.lp_panels_len(i64(rows), i64(units))) }

// PanelUnits calls lp_panel_units.
func PanelUnits() int { return int(C.lp_panel_units()) }

// PanelsProduct calls lp_panels_product: C = MB or MᵀB.
func PanelsProduct(trans bool, rows, terms, units int, m *float32, ldm int, b, c *float32) error {
	var e C.lp_error
	if C.lp_panels_product(flag(trans), i64(rows), i64(terms), i64(units), f32(m), i64(ldm), f32(b), f32(c), &e) != C.LP_OK {
		return failed("lp_panels_product", e)
	}
	return nil
}

// PanelsFrom calls lp_panels_from: panels = αM or αMᵀ.
func PanelsFrom(trans bool, rows, units int, alpha float32, m *float32, ldm int, panels *float32) error {
	var e C.lp_error
	if C.lp_panels_from(flag(trans), i64(rows), i64(units), C.float(alpha), f32(m), i64(ldm), f32(panels), &e) != C.LP_OK {
		return failed("lp_panels_from", e)
	}
	return nil
}

// PanelsTo calls lp_panels_to: M or Mᵀ = panels, added or not.
func PanelsTo(trans bool, rows, units int, panels *float32, add bool, m *float32, ldm int) error {
	var e C.lp_error
	if C.lp_panels_to(flag(trans), i64(rows), i64(units), f32(panels), flag(add), f32(m), i64(ldm), &e) != C.LP_OK {
		return failed("lp_panels_to", e)
	}
	return nil
}

// PanelsTurn calls lp_panels_turn: rows first ≤ i < first + count of panels of rows × units, from
// panels of units × count.
func PanelsTurn(rows, first, count, units int, alpha float32, from, to *float32) error {
	var e C.lp_error
	if C.lp_panels_turn(i64(rows), i64(first), i64(count), i64(units), C.float(alpha), f32(from), f32(to), &e) != C.LP_OK {
		return failed("lp_panels_turn", e)
	}
	return nil
}
