package backend

import (
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Design is a design X̃ (Batch × Cols, Cols being n+1) as [Packed] arranged it.
type Design struct {
	Batch, Cols int
	Both        bool      // for both products; else for DesignAffine alone, in half the memory
	Data        []float32 // DesignLen(Batch, Cols, Both)
}

// NewDesign allocates a design for what k packs.
func NewDesign(k Packed, batch, cols int, both bool) Design {
	return Design{Batch: batch, Cols: cols, Both: both, Data: Alloc(k.DesignLen(batch, cols, both))}
}

// Packed is an optional fast path of forms direct and Gram, and of forward passes with the same
// weights. All blocks of a layer multiply the same design, X̃ or C, in all T iterations: it is
// arranged ("packed") once. A block's
// matrices are in panels, an order of elements that the products read and write one after
// the other and that element-wise kernels take as a single row: rows × m activations or
// (n+1) × m weights, padded. What is in the padding makes no difference to the rest.
//
// Where a design isn't packed, products arrange it anew in each call, which takes a tenth of
// their time with blocks of 128 units.
type Packed interface {
	// PanelsLen is how many float32 panels of rows × units take.
	PanelsLen(rows, units int) int
	// PanelUnits is how many units a whole panel has side by side. Panels of a multiple of it
	// lie one after the other, PanelsLen(rows, PanelUnits()) float32 each.
	PanelUnits() int
	// DesignLen is how many float32 a packed design takes.
	DesignLen(batch, cols int, both bool) int
	// PackDesign packs part 0 ≤ part < parts of x into d. Parts can be packed at once.
	PackDesign(d Design, x Mat, part, parts int)
	// DesignAffine computes A = X̃W̃ᵀ; a: panels of B × m, w: panels of (n+1) × m.
	DesignAffine(a []float32, d Design, w []float32, units int)
	// DesignGrad computes Gᵀ = X̃ᵀR; g: panels of (n+1) × m, r: panels of B × m; d is packed
	// for both.
	DesignGrad(g []float32, d Design, r []float32, units int)
	// PanelsProduct computes C = MB, or MᵀB where trans, with M as it is; c and b: panels of
	// rows × units and terms × units.
	PanelsProduct(c []float32, m Mat, trans bool, b []float32, units int)
	// PanelsFrom computes panels = alpha·m, or alpha·mᵀ where trans; padding becomes 0.
	PanelsFrom(panels []float32, m Mat, trans bool, alpha float32)
	// PanelsTo computes m = panels, or panelsᵀ where trans, or adds that to m.
	PanelsTo(m Mat, panels []float32, trans, add bool)
}

// SolvesPacked tells whether blocks with packed designs can have a transfer function and a rule:
// those that take each element by itself, whatever its place. Functions registered from Go
// aren't among them, since they would be asked for values of padding.
func SolvesPacked(f transfer.Func, k optimizer.Kind) bool {
	return !f.RowCoupled() && f.Kind() != transfer.KindCustom && !optimizer.Rule{Kind: k}.NeedsWeights()
}

// PackedBlock is a block of the direct form whose design is packed, for both products; X isn't
// used.
type PackedBlock struct {
	Block
	Design Design

	slots [optimizer.MaxSlots]Mat // in panels; a slice of a local would be allocated
}

// PackedScratchLen is what PackedBlock.Solve needs: E, dA, Â, Ŷ, Δ, G and the slots, in panels.
func PackedScratchLen(p Packed, batch, cols, units, slots int) int {
	return 4*round16(p.PanelsLen(batch, units)) + (2+slots)*round16(p.PanelsLen(cols, units))
}

// Solve makes all T = len(updates) iterations of the block, those of [BlockSolver] but for the
// order in which products add up. It doesn't allocate.
func (b *PackedBlock) Solve(k Kernels, p Packed, updates []optimizer.Update, scratch []float32) {
	CheckPacked(p, b, updates, scratch)
	batch, units := b.Design.Batch, b.W.Rows
	c := carver(scratch)
	activations := p.PanelsLen(batch, units)
	e, da := c.next(1, activations), c.next(1, activations)
	ahat, yhat := e, e // which the identity doesn't read
	p.PanelsFrom(e.Data, b.D, false, b.Gamma)
	if len(updates) > 1 && b.F != transfer.Identity {
		ahat, yhat = c.next(1, activations), c.next(1, activations)
		p.PanelsFrom(ahat.Data, b.Ahat, false, 1)
		p.PanelsFrom(yhat.Data, b.Yhat, false, 1)
	}
	delta, g, slots := weightPanels(&c, p, &b.Block, &b.slots)
	for t, u := range updates {
		r := e
		if t > 0 {
			p.DesignAffine(da.Data, b.Design, delta.Data, units)
			k.Residual(da, da, ahat, yhat, e, b.F)
			r = da
		}
		p.DesignGrad(g.Data, b.Design, r.Data, units)
		k.Update(u, delta, g, g, slots) // any matrix for W̃ₖ, which these rules don't read
	}
	endPanels(p, &b.Block, delta, slots)
}

// weightPanels makes panels of a block's Δ, which is 0, of G, and of its slots.
func weightPanels(c *carver, p Packed, b *Block, held *[optimizer.MaxSlots]Mat) (delta, g Mat, slots []Mat) {
	weights := p.PanelsLen(b.W.Cols, b.W.Rows)
	delta, g, slots = c.next(1, weights), c.next(1, weights), held[:len(b.Slots)]
	clear(delta.Data)
	for i := range slots {
		slots[i] = c.next(1, weights)
		p.PanelsFrom(slots[i].Data, b.Slots[i], true, 1)
	}
	return delta, g, slots
}

// endPanels takes what a block's solver made back: W̃ + Δ and the slots.
func endPanels(p Packed, b *Block, delta Mat, slots []Mat) {
	for i := range slots {
		p.PanelsTo(b.Slots[i], slots[i].Data, true, false)
	}
	p.PanelsTo(b.W, delta.Data, true, true)
}

// PackedGramBlock is a block of the Gram form whose second moment C is packed, for DesignAffine,
// which makes Gᵀ = CΔᵀ of it; Second isn't used.
type PackedGramBlock struct {
	GramBlock
	Design Design

	slots [optimizer.MaxSlots]Mat
}

// PackedGramScratchLen is what PackedGramBlock.Solve needs: F, and F, Δ, G and the slots in panels.
func PackedGramScratchLen(p Packed, cols, units, slots int) int {
	return round16(units*cols) + (3+slots)*round16(p.PanelsLen(cols, units))
}

// Solve makes all iterations of the block, those of [GramSolver] but for the order in which
// products add up. It doesn't allocate.
func (b *PackedGramBlock) Solve(k Kernels, p Packed, updates []optimizer.Update, scratch []float32) {
	CheckPackedGram(p, b, updates, scratch)
	units, cols := b.W.Rows, b.W.Cols
	c := carver(scratch)
	rows, first := c.next(units, cols), c.next(1, p.PanelsLen(cols, units))
	k.Gemm(true, false, b.Gamma, b.D, b.X, 0, rows)
	p.PanelsFrom(first.Data, rows, true, 1)
	delta, sum, slots := weightPanels(&c, p, &b.Block, &b.slots)
	for t, u := range updates {
		g := first
		if t > 0 {
			p.DesignAffine(sum.Data, b.Design, delta.Data, units)
			k.AddInto(sum, first)
			g = sum
		}
		k.Update(u, delta, g, g, slots)
	}
	endPanels(p, &b.Block, delta, slots)
}
