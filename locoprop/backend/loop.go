package backend

import "github.com/locoprop/locoprop-go/locoprop/optimizer"

// What backends share whose own code doesn't do it.

// ApplyRows is Kernels.Update by the loops of package optimizer, on arguments that
// CheckUpdate has seen.
func ApplyRows(u optimizer.Update, delta, w0, g Mat, slots []Mat) {
	row := func(m Mat, i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }
	var held [optimizer.MaxSlots][]float32
	rows := held[:len(slots)]
	for i := range delta.Rows {
		for s := range slots {
			rows[s] = row(slots[s], i)
		}
		var wi []float32
		if w0.Data != nil {
			wi = row(w0, i)
		}
		u.Apply(row(delta, i), wi, row(g, i), rows)
	}
}

// Loop makes all T = len(updates) iterations of one block's local problem in direct
// form, by single kernels: the loop that is written out at [BlockSolver].
func Loop(k Kernels, b *Block, updates []optimizer.Update, scratch []float32) {
	CheckBlock(b, updates, scratch)
	e, da, delta, g := CarveScratch(scratch, b.X.Rows, b.X.Cols, b.W.Rows)
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
