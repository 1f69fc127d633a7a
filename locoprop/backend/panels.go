package backend

import (
	"github.com/locoprop/locoprop-go/locoprop/internal/pace"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Panels is an optional fast path of the forms direct and Gram, of passes, gradients and evaluation: products of
// which one matrix is read as it is, and the other and the result are in panels, an order of
// elements that products read and write one after the other and that element-wise kernels take as
// a single row: rows × units of activations or weights, padded. What is in the padding makes no
// difference to the rest.
type Panels interface {
	// PanelsLen is how many float32 panels of rows × units take.
	PanelsLen(rows, units int) int
	// PanelUnits is how many units a whole panel has side by side, an even number; the last one has
	// room for half of that where it is enough. Element (i, j) of a panel lies at i times this
	// width plus j, and a panel begins where a whole one before it ends, after PanelsLen(rows,
	// PanelUnits()) float32.
	PanelUnits() int
	// PanelsProduct computes C = MB, or MᵀB where trans, with M as it is; c and b: panels of
	// rows × units and terms × units.
	PanelsProduct(c []float32, m Mat, trans bool, b []float32, units int)
	// PanelsFrom computes panels = alpha·m, or alpha·mᵀ where trans; padding becomes 0.
	PanelsFrom(panels []float32, m Mat, trans bool, alpha float32)
	// PanelsTo computes m = panels, or panelsᵀ where trans, or adds that to m.
	PanelsTo(m Mat, panels []float32, trans, add bool)
	// PanelsTurn computes rows first ≤ i < first + count of panels of rows × units: alpha times
	// the transpose of panels of units × count. All else in to stays.
	PanelsTurn(to []float32, rows, first int, alpha float32, from []float32, units, count int)
}

// SolvesPanels tells whether blocks can be solved in panels with a transfer function and a rule:
// with those that take each element by itself, whatever its place. Functions registered from Go
// aren't among them, since they would be asked for values of padding.
func SolvesPanels(f transfer.Func, k optimizer.Kind) bool {
	return !f.RowCoupled() && f.Kind() != transfer.KindCustom && !optimizer.Rule{Kind: k}.NeedsWeights()
}

// A block is solved a few units at a time, for which what the iterations work on stays in the nearest
// caches, unless the matrix that each part reads anew is too large for the shared one. Units don't
// depend on each other, so it makes no difference to the result.
const (
	panelStep  = 32      // units
	sharedMost = 2 << 20 // float32
)

// PanelStep is how many units of a block to take at a time, where each such part reads a matrix of
// shared float32.
func PanelStep(block, shared int) int {
	if shared > sharedMost {
		return max(1, block)
	}
	return max(1, min(block, panelStep))
}

// Kept are activations of a batch that passes leave in panels of B × m, as solvers in panels read
// them, in place of matrices: E = γD and, where it is asked for, Â.
type Kept struct{ E, Ahat []float32 }

// KeepsPanels tells whether a layer's blocks, and the parts that they are solved in, begin where
// panels do, so that they can read what passes keep.
func KeepsPanels(p Panels, units, block int) bool {
	whole := p.PanelUnits()
	return panelStep%whole == 0 && (units <= block || block%whole == 0)
}

// NewKept allocates activations of batch × units, with Â where values is set.
func NewKept(p Panels, batch, units int, values bool) Kept {
	kept := Kept{E: Alloc(p.PanelsLen(batch, units))}
	if values {
		kept.Ahat = Alloc(len(kept.E))
	}
	return kept
}

// Units views units lo ≤ u < hi of activations of batch × m, where lo begins a panel.
func (kept Kept) Units(p Panels, batch, lo, hi int) Kept {
	if kept.E == nil {
		return kept
	}
	whole := p.PanelUnits()
	must(lo%whole == 0, badKept)
	view := func(panels []float32) []float32 {
		if panels == nil {
			return nil
		}
		return panels[lo/whole*p.PanelsLen(batch, whole):][:p.PanelsLen(batch, hi-lo)]
	}
	return Kept{E: view(kept.E), Ahat: view(kept.Ahat)}
}

// PanelBlock is a block of the direct form that is solved in panels. Yhat isn't used, being f(Ahat).
type PanelBlock struct {
	Block
	Kept Kept // where given, Ahat, D and Gamma aren't used

	held heldSlots
}

// heldSlots is room for slots of some units, as they are and in panels: slices of locals would be allocated.
type heldSlots struct{ rows, panels [optimizer.MaxSlots]Mat }

// PanelScratchLen is what PanelBlock.Solve needs: E and Â, unless they are kept, dA, Ŷ, Δ, G and
// the slots, in panels, of as many units as PanelStep says.
func PanelScratchLen(p Panels, batch, cols, units, slots int, kept bool) int {
	units = PanelStep(units, batch*cols)
	activations := 4
	if kept {
		activations = 2
	}
	return activations*round16(p.PanelsLen(batch, units)) + (2+slots)*round16(p.PanelsLen(cols, units))
}

// Solve makes all T = len(updates) iterations of the block, those of [BlockSolver] but for the
// order in which products add up. It doesn't allocate.
func (b *PanelBlock) Solve(k Kernels, p Panels, updates []optimizer.Update, scratch []float32) {
	CheckPanelBlock(p, b, updates, scratch)
	own, step := pace.Begin(), PanelStep(b.W.Rows, b.X.Rows*b.X.Cols)
	for lo := 0; lo < b.W.Rows; lo += step {
		hi := min(lo+step, b.W.Rows)
		part := b.Block.part(lo, hi, &b.held)
		part.solvePanels(k, p, b.Kept.Units(p, b.X.Rows, lo, hi), updates, scratch, &b.held, &own)
	}
}

// part views a block's units lo ≤ i < hi, without the activations that it doesn't hold.
func (b *Block) part(lo, hi int, held *heldSlots) Block {
	part := *b
	part.W, part.Slots = Rows(b.W, lo, hi), held.rows[:len(b.Slots)]
	for i, s := range b.Slots {
		part.Slots[i] = Rows(s, lo, hi)
	}
	if b.D.Data != nil {
		part.D = Cols(b.D, lo, hi)
	}
	if b.Ahat.Data != nil {
		part.Ahat = Cols(b.Ahat, lo, hi)
	}
	return part
}

// solvePanels is PanelBlock.Solve of a few units.
func (b *Block) solvePanels(k Kernels, p Panels, kept Kept, updates []optimizer.Update, scratch []float32, held *heldSlots, own *pace.Pace) {
	units := b.W.Rows
	c := carver(scratch)
	length := p.PanelsLen(b.X.Rows, units)
	da := c.next(1, length)
	e := activations(p, &c, kept.E, b.D, b.Gamma)
	ahat, yhat := e, e // which the identity doesn't read
	if len(updates) > 1 && b.F != transfer.Identity {
		ahat, yhat = activations(p, &c, kept.Ahat, b.Ahat, 1), c.next(1, length)
		k.Apply(yhat, ahat, b.F)
	}
	delta, g, slots := b.weightPanels(&c, p, held)
	for t, u := range updates {
		r := e
		if t > 0 {
			p.PanelsProduct(da.Data, b.X, false, delta.Data, units)
			k.Residual(da, da, ahat, yhat, e, b.F)
			r = da
		}
		p.PanelsProduct(g.Data, b.X, true, r.Data, units)
		k.Update(u, delta, g, g, slots) // any matrix for W̃ₖ, which these rules don't read
		own.Yield()
	}
	b.endPanels(p, delta, slots)
}

// activations returns panels as a row: what was kept or, where nothing was, alpha·m.
func activations(p Panels, c *carver, kept []float32, m Mat, alpha float32) Mat {
	if kept != nil {
		return Mat{Rows: 1, Cols: len(kept), Stride: len(kept), Data: kept}
	}
	row := c.next(1, p.PanelsLen(m.Rows, m.Cols))
	p.PanelsFrom(row.Data, m, false, alpha)
	return row
}

// weightPanels makes panels of a block's Δ, which is 0, of G, and of its slots.
func (b *Block) weightPanels(c *carver, p Panels, held *heldSlots) (delta, g Mat, slots []Mat) {
	weights := p.PanelsLen(b.W.Cols, b.W.Rows)
	delta, g, slots = c.next(1, weights), c.next(1, weights), held.panels[:len(b.Slots)]
	clear(delta.Data)
	for i := range slots {
		slots[i] = c.next(1, weights)
		p.PanelsFrom(slots[i].Data, b.Slots[i], true, 1)
	}
	return delta, g, slots
}

// endPanels takes what a block's solver made back: W̃ + Δ and the slots.
func (b *Block) endPanels(p Panels, delta Mat, slots []Mat) {
	for i := range slots {
		p.PanelsTo(b.Slots[i], slots[i].Data, true, false)
	}
	p.PanelsTo(b.W, delta.Data, true, true)
}

// PanelGramBlock is a block of the Gram form that is solved in panels, with Gᵀ = CΔᵀ and Fᵀ = γX̃ᵀD.
type PanelGramBlock struct {
	GramBlock
	Kept Kept // where given, D and Gamma aren't used

	held heldSlots
}

// PanelGramScratchLen is what PanelGramBlock.Solve needs: γD, unless it is kept, F, Δ, G and the
// slots, in panels, of as many units as PanelStep says of C; X̃ is read once only.
func PanelGramScratchLen(p Panels, batch, cols, units, slots int, kept bool) int {
	units = PanelStep(units, cols*cols)
	length := (3 + slots) * round16(p.PanelsLen(cols, units))
	if !kept {
		length += round16(p.PanelsLen(batch, units))
	}
	return length
}

// Solve makes all iterations of the block, those of [GramSolver] but for the order in which
// products add up. It doesn't allocate.
func (b *PanelGramBlock) Solve(k Kernels, p Panels, updates []optimizer.Update, scratch []float32) {
	CheckPanelGram(p, b, updates, scratch)
	own, step := pace.Begin(), PanelStep(b.W.Rows, b.X.Cols*b.X.Cols)
	for lo := 0; lo < b.W.Rows; lo += step {
		hi := min(lo+step, b.W.Rows)
		part := b.Block.part(lo, hi, &b.held)
		part.solveGramPanels(k, p, b.Kept.Units(p, b.X.Rows, lo, hi), b.Second, updates, scratch, &b.held, &own)
	}
}

// solveGramPanels is PanelGramBlock.Solve of a few units.
func (b *Block) solveGramPanels(k Kernels, p Panels, kept Kept, second Mat, updates []optimizer.Update, scratch []float32, held *heldSlots, own *pace.Pace) {
	units, cols := b.W.Rows, b.W.Cols
	c := carver(scratch)
	e := activations(p, &c, kept.E, b.D, b.Gamma)
	first := c.next(1, p.PanelsLen(cols, units))
	p.PanelsProduct(first.Data, b.X, true, e.Data, units)
	delta, sum, slots := b.weightPanels(&c, p, held)
	for t, u := range updates {
		g := first
		if t > 0 {
			p.PanelsProduct(sum.Data, second, false, delta.Data, units)
			k.AddInto(sum, first)
			g = sum
		}
		k.Update(u, delta, g, g, slots)
		own.Yield()
	}
	b.endPanels(p, delta, slots)
}

// Gradient makes gradients, G = DᵀX̃, of blocks of units: as Gᵀ = X̃ᵀD by panels where the backend
// has them and the batch is large enough for that to pay, else by Kernels.Grad.
type Gradient struct {
	kernels Kernels
	panels  Panels // nil: by Kernels.Grad
	batch   int
}

// gradientRows is how many rows X̃ needs for panels to pay: with fewer, G takes as long out of panels
// as the product gains. Fixed, since it decides the bits of the result.
const gradientRows = 256

// NewGradient plans gradients of batches with so many rows of X̃.
func NewGradient(k Kernels, batch int) Gradient {
	g := Gradient{kernels: k, batch: batch}
	if p, ok := k.(Panels); ok && batch >= gradientRows {
		g.panels = p
	}
	return g
}

// Units is how many units to take at a time of a block, where something is to be done with their
// gradient while it is in the nearest caches.
func (g Gradient) Units(cols, block int) int {
	if g.panels == nil {
		return block
	}
	return PanelStep(block, g.batch*cols)
}

// ScratchLen is what Of needs for so many units: D and Gᵀ of Units of them, in panels.
func (g Gradient) ScratchLen(cols, units int) int {
	if g.panels == nil {
		return 0
	}
	units = g.Units(cols, units)
	return round16(g.panels.PanelsLen(g.batch, units)) + round16(g.panels.PanelsLen(cols, units))
}

// Panels are those that gradients are made by, which can be made of what passes keep; nil where
// they are made by Kernels.Grad.
func (g Gradient) Panels() Panels { return g.panels }

// OfKept computes G = EᵀX̃ of some units' kept activations, by panels. It doesn't allocate.
func (g Gradient) OfKept(out Mat, kept Kept, x Mat, scratch []float32) {
	must(g.panels != nil && x.Rows == g.batch && out.Cols == x.Cols, badGradient)
	must(len(kept.E) >= g.panels.PanelsLen(x.Rows, out.Rows), badKept)
	must(len(scratch) >= round16(g.panels.PanelsLen(x.Cols, g.Units(x.Cols, out.Rows))), badGradient)
	g.byPanels(out, Mat{}, kept, x, scratch)
}

// Of computes G = DᵀX̃. It doesn't allocate.
func (g Gradient) Of(out, d, x Mat, scratch []float32) {
	if g.panels == nil {
		g.kernels.Grad(out, d, x)
		return
	}
	CheckGrad(out, d, x)
	must(x.Rows == g.batch && len(scratch) >= g.ScratchLen(x.Cols, d.Cols), badGradient)
	g.byPanels(out, d, Kept{}, x, scratch)
}

// byPanels computes G of what is kept or, where nothing is, of D.
func (g Gradient) byPanels(out, d Mat, kept Kept, x Mat, scratch []float32) {
	step := g.Units(x.Cols, out.Rows)
	for lo := 0; lo < out.Rows; lo += step {
		hi := min(lo+step, out.Rows)
		c := carver(scratch)
		to := c.next(1, g.panels.PanelsLen(x.Cols, hi-lo))
		var part Mat
		if kept.E == nil {
			part = Cols(d, lo, hi)
		}
		from := activations(g.panels, &c, kept.Units(g.panels, x.Rows, lo, hi).E, part, 1)
		g.panels.PanelsProduct(to.Data, x, true, from.Data, hi-lo)
		g.panels.PanelsTo(Rows(out, lo, hi), to.Data, true, false)
	}
}
