//go:build cgo && !purego

package native

import (
	"unsafe"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
)

// firstRule is the address of a list of updates, nil of none.
func firstRule(updates []optimizer.Update) *bindings.Rule {
	if len(updates) == 0 {
		return nil
	}
	return rule(&updates[0])
}

// SolveKernel implements backend.KernelSolver. It returns an error only for sizes above
// OpenBLAS's 32-bit integers.
func (k *Backend) SolveKernel(b *backend.KernelBlock, updates []optimizer.Update, scratch []float32) error {
	backend.CheckKernel(b, updates, scratch)
	v := slotMats(b.Slots)[0]
	return bindings.SolveKernel(b.X.Rows, b.X.Cols, b.W.Rows, data(b.X), b.X.Stride, data(b.Kernel), b.Kernel.Stride,
		data(b.Ahat), b.Ahat.Stride, data(b.Yhat), b.Yhat.Stride, data(b.D), b.D.Stride, data(b.W), b.W.Stride,
		data(v), v.Stride, unsafe.SliceData(b.Share), b.Velocity, int(b.F.Kind()), b.F.Param(), b.Gamma,
		firstRule(updates), len(updates), unsafe.SliceData(scratch), len(scratch))
}

// SolveGram implements backend.GramSolver. It returns an error only for sizes above
// OpenBLAS's 32-bit integers.
func (k *Backend) SolveGram(b *backend.GramBlock, updates []optimizer.Update, scratch []float32) error {
	backend.CheckGram(b, updates, scratch)
	s := slotMats(b.Slots)
	return bindings.SolveGram(b.X.Rows, b.X.Cols, b.W.Rows, data(b.X), b.X.Stride, data(b.Second), b.Second.Stride,
		data(b.D), b.D.Stride, data(b.W), b.W.Stride, data(s[0]), s[0].Stride, data(s[1]), s[1].Stride,
		data(s[2]), s[2].Stride, b.Gamma, firstRule(updates), len(updates), unsafe.SliceData(scratch), len(scratch))
}

// SolveMetric implements backend.MetricSolver. It returns an error only for sizes above
// OpenBLAS's 32-bit integers.
func (k *Backend) SolveMetric(b *backend.MetricBlock, scratch []float32) error {
	backend.CheckMetric(b, scratch)
	v := b.Slots[0]
	return bindings.SolveMetric(b.D.Rows, b.W.Cols, b.W.Rows, data(b.Kernel), b.Kernel.Stride, data(b.XP), b.XP.Stride,
		data(b.Ahat), b.Ahat.Stride, data(b.Yhat), b.Yhat.Stride, data(b.D), b.D.Stride, data(b.W), b.W.Stride,
		data(v), v.Stride, int(b.F.Kind()), b.F.Param(), b.Gamma, b.Step, b.Rate, b.Momentum, b.Steps,
		unsafe.SliceData(scratch), len(scratch))
}
