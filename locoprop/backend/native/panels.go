//go:build cgo && !purego

package native

import (
	"unsafe"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend"
)

var _ backend.Panels = (*Backend)(nil)

// PanelsLen implements backend.Panels.
func (k *Backend) PanelsLen(rows, units int) int { return bindings.PanelsLen(rows, units) }

// PanelUnits implements backend.Panels.
func (k *Backend) PanelUnits() int { return bindings.PanelUnits() }

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
