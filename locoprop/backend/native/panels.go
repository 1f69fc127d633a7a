//go:build cgo && !purego

package native

import (
	"math"
	"unsafe"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend"
)

var _ backend.Panels = (*Backend)(nil)

// panelShape is what sides of panels are padded to multiples of, which the kernels are asked for
// once: each call needs the length of its panels.
type panelShape struct{ rows, units int }

// mostPanels is the most rows and units that kernels take.
const mostPanels = 1 << 30

func shapeOfPanels() panelShape {
	units := bindings.PanelUnits() / 2
	return panelShape{rows: bindings.PanelsLen(1, units) / units, units: units}
}

// PanelsLen implements backend.Panels.
func (k *Backend) PanelsLen(rows, units int) int {
	if rows < 0 || units < 0 || rows > mostPanels || units > mostPanels {
		return math.MaxInt
	}
	up := func(n, step int) int { return (n + step - 1) / step * step }
	return up(rows, k.shape.rows) * up(units, k.shape.units)
}

// PanelUnits implements backend.Panels.
func (k *Backend) PanelUnits() int { return 2 * k.shape.units }

// PanelsProduct implements backend.Panels.
func (k *Backend) PanelsProduct(c []float32, m backend.Mat, trans bool, b []float32, units int) {
	rows, terms := backend.CheckPanelsProduct(k, c, m, trans, b, units)
	must(bindings.PanelsProduct(trans, rows, terms, units, data(m), m.Stride, unsafe.SliceData(b), unsafe.SliceData(c)))
}

// PanelsFrom implements backend.Panels.
func (k *Backend) PanelsFrom(panels []float32, m backend.Mat, trans bool, alpha float32) {
	rows, units := backend.CheckPanels(k, m, panels, trans)
	must(bindings.PanelsFrom(trans, rows, units, alpha, data(m), m.Stride, unsafe.SliceData(panels)))
}

// PanelsTo implements backend.Panels.
func (k *Backend) PanelsTo(m backend.Mat, panels []float32, trans, add bool) {
	rows, units := backend.CheckPanels(k, m, panels, trans)
	must(bindings.PanelsTo(trans, rows, units, unsafe.SliceData(panels), add, data(m), m.Stride))
}

// PanelsTurn implements backend.Panels.
func (k *Backend) PanelsTurn(to []float32, rows, first int, alpha float32, from []float32, units, count int) {
	backend.CheckPanelsTurn(k, to, rows, first, from, units, count)
	must(bindings.PanelsTurn(rows, first, count, units, alpha, unsafe.SliceData(from), unsafe.SliceData(to)))
}
