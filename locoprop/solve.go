package locoprop

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
)

// SolveBlock makes all T = len(updates) iterations of one block's local problem in
// direct form, by single kernels: the fallback where a backend has no
// backend.BlockSolver, and the reference for those that have. The loop is written out
// at backend.BlockSolver. scratch has backend.ScratchLen elements.
func SolveBlock(k backend.Kernels, b *backend.Block, updates []optimizer.Update, scratch []float32) {
	backend.CheckBlock(b, updates, scratch)
	e, da, delta, g := backend.CarveScratch(scratch, b.X.Rows, b.X.Cols, b.W.Rows)
	clear(delta.Data)
	k.Scale(e, b.D, b.Gamma)
	for t, u := range updates {
		r := e
		if t > 0 {
			k.Affine(da, b.X, delta)
			k.Residual(da, da, b.Ahat, b.Yhat, e, b.F)
			r = da
		}
		k.Grad(g, r, b.X)
		k.Update(u, delta, b.W, g, b.Slots)
	}
	k.AddInto(b.W, delta)
}
