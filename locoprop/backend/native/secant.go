//go:build cgo && !purego

package native

import (
	"unsafe"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend"
)

var _ backend.Secant = (*Backend)(nil)

// ColumnSums implements backend.Secant.
func (k *Backend) ColumnSums(x backend.Mat, sums []float64) {
	backend.CheckColumnSums(x, sums)
	must(bindings.ColumnSums(x.Rows, x.Cols, data(x), x.Stride, unsafe.SliceData(sums)))
}

// Times implements backend.Secant.
func (k *Backend) Times(y []float64, h backend.Mat, x []float64) {
	backend.CheckTimes(y, h, x)
	must(bindings.Times(h.Rows, h.Cols, data(h), h.Stride, unsafe.SliceData(x), unsafe.SliceData(y)))
}

// RankTwo implements backend.Secant.
func (k *Backend) RankTwo(h backend.Mat, first int, a, b float64, s, t []float64) {
	backend.CheckRankTwo(h, first, s, t)
	must(bindings.RankTwo(h.Rows, h.Cols, data(h), h.Stride, first, a, b, unsafe.SliceData(s), unsafe.SliceData(t)))
}
