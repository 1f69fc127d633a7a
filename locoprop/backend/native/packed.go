//go:build cgo && !purego

package native

import (
	"unsafe"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend"
)

var _ backend.Packed = (*Backend)(nil)

// PanelsLen implements backend.Packed.
func (k *Backend) PanelsLen(rows, units int) int { return bindings.PanelsLen(rows, units) }

// PanelUnits implements backend.Packed.
func (k *Backend) PanelUnits() int { return bindings.PanelUnits() }

// DesignLen implements backend.Packed.
func (k *Backend) DesignLen(batch, cols int, both bool) int {
	return bindings.DesignLen(batch, cols, both)
}

// PackDesign implements backend.Packed.
func (k *Backend) PackDesign(d backend.Design, x backend.Mat, part, parts int) {
	backend.CheckPack(k, d, x, part, parts)
	must(bindings.DesignPack(x.Rows, x.Cols, data(x), x.Stride, part, parts, d.Both, unsafe.SliceData(d.Data)))
}

// DesignAffine implements backend.Packed.
func (k *Backend) DesignAffine(a []float32, d backend.Design, w []float32, units int) {
	backend.CheckDesign(k, d, a, w, units)
	must(bindings.DesignAffine(d.Batch, d.Cols, units, unsafe.SliceData(d.Data), unsafe.SliceData(w), unsafe.SliceData(a)))
}

// DesignGrad implements backend.Packed.
func (k *Backend) DesignGrad(g []float32, d backend.Design, r []float32, units int) {
	backend.CheckDesign(k, d, r, g, units)
	backend.CheckBoth(d)
	must(bindings.DesignGrad(d.Batch, d.Cols, units, unsafe.SliceData(d.Data), unsafe.SliceData(r), unsafe.SliceData(g)))
}

// PanelsProduct implements backend.Packed.
func (k *Backend) PanelsProduct(c []float32, m backend.Mat, trans bool, b []float32, units int) {
	rows, terms := backend.CheckPanelsProduct(k, c, m, trans, b, units)
	must(bindings.PanelsProduct(trans, rows, terms, units, data(m), m.Stride, unsafe.SliceData(b), unsafe.SliceData(c)))
}

// PanelsFrom implements backend.Packed.
func (k *Backend) PanelsFrom(panels []float32, m backend.Mat, trans bool, alpha float32) {
	rows, units := backend.CheckPanels(k, m, panels, trans)
	must(bindings.PanelsFrom(trans, rows, units, alpha, data(m), m.Stride, unsafe.SliceData(panels)))
}

// PanelsTo implements backend.Packed.
func (k *Backend) PanelsTo(m backend.Mat, panels []float32, trans, add bool) {
	rows, units := backend.CheckPanels(k, m, panels, trans)
	must(bindings.PanelsTo(trans, rows, units, unsafe.SliceData(panels), add, data(m), m.Stride))
}
