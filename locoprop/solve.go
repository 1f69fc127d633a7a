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
	backend.Loop(k, b, updates, scratch)
}
