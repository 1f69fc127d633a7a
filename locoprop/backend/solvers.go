package backend

import (
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// The other forms of a local problem, each with its optional fast path in the manner of
// [BlockSolver] and with the loop over [Kernels] that it must agree with to the bit. What
// [Panels] makes of them has other last bits.

// KernelBlock is a block in the kernel (dual) form, for a rule that is linear in the
// gradient. Slots holds V₀, the velocity before the batch, where one is carried from
// batch to batch, and nothing otherwise.
type KernelBlock struct {
	Block
	Kernel   Mat       // K = X̃X̃ᵀ, B × B
	Share    []float32 // p before iteration t, and, last, after all; unused without V₀
	Velocity float32   // a after all

	dual [1]Mat // U, for LoopKernel: a slice of a local would be allocated
}

// KernelSolver makes all T iterations of a block in the kernel form,
//
//	Z = 0, U = 0, E = γD, A₀ = X̃V₀ᵀ
//	for t = 0 … T−1:
//	    R = E                                                 (t = 0)
//	    R = Residual(dA = KZ + pₜA₀, Â, Ŷ, E, f)              (t ≥ 1)
//	    Z, U ← Update(updates[t], Z, R, U)
//	W̃ ← W̃ₖ + ZᵀX̃ + p_T V₀,  V₀ ← UᵀX̃ + aV₀
//
// the bits being those of [LoopKernel]. scratch: [KernelScratchLen].
type KernelSolver interface {
	SolvesBlock(f transfer.Func) bool
	SolveKernel(b *KernelBlock, updates []optimizer.Update, scratch []float32) error
}

// KernelScratchLen is what SolveKernel and LoopKernel need: E, Z, R, A₀, U (B × m each)
// and Δ (m × (n+1)).
func KernelScratchLen(batch, cols, units int) int {
	return 5*round16(batch*units) + round16(units*cols)
}

// LoopKernel is [KernelSolver] by single kernels.
func LoopKernel(k Kernels, b *KernelBlock, updates []optimizer.Update, scratch []float32) {
	CheckKernel(b, updates, scratch)
	rows, units := b.D.Rows, b.D.Cols
	c := carver(scratch)
	e, z, r, start := c.next(rows, units), c.next(rows, units), c.next(rows, units), c.next(rows, units)
	slots := b.dual[:0]
	if len(updates) > 0 && updates[0].Kind.NumSlots() > 0 {
		b.dual[0] = c.next(rows, units)
		clear(b.dual[0].Data)
		slots = b.dual[:1]
	}
	delta := c.next(units, b.W.Cols)
	carried := len(b.Slots) > 0
	beta := float32(0)
	if carried {
		beta = 1
	}
	k.Scale(e, b.D, b.Gamma)
	clear(z.Data)
	if carried {
		k.Affine(start, b.X, b.Slots[0])
	}
	for t, u := range updates {
		g := e
		if t > 0 {
			if carried {
				k.Scale(r, start, b.Share[t])
			}
			k.Gemm(false, false, 1, b.Kernel, z, beta, r)
			k.Residual(r, r, b.Ahat, b.Yhat, e, b.F)
			g = r
		}
		// What Δ starts from isn't read by these rules: any matrix of the shape will do.
		k.Update(u, z, b.Ahat, g, slots)
	}
	if carried {
		k.Scale(delta, b.Slots[0], b.Share[len(updates)])
	}
	k.Gemm(true, false, 1, z, b.X, beta, delta)
	if carried && len(slots) > 0 {
		k.Gemm(true, false, 1, slots[0], b.X, b.Velocity, b.Slots[0])
	}
	k.AddInto(b.W, delta)
}

// GramBlock is a block of LocoProp-S in the Gram form; Ahat, Yhat and F aren't used.
type GramBlock struct {
	Block
	Second Mat // C = X̃ᵀX̃, (n+1) × (n+1)
}

// GramSolver makes all T iterations of a block in the Gram form,
//
//	Δ = 0, F = γDᵀX̃
//	for t = 0 … T−1:
//	    G = F (t = 0), ΔC + F (t ≥ 1)
//	    Δ, slots ← Update(updates[t], Δ, W̃ₖ, G, slots)
//	W̃ ← W̃ₖ + Δ
//
// the bits being those of [LoopGram]. scratch: [GramScratchLen].
type GramSolver interface {
	SolveGram(b *GramBlock, updates []optimizer.Update, scratch []float32) error
}

// GramScratchLen is what SolveGram and LoopGram need: F, Δ, G (m × (n+1) each).
func GramScratchLen(cols, units int) int { return 3 * round16(units*cols) }

// LoopGram is [GramSolver] by single kernels.
func LoopGram(k Kernels, b *GramBlock, updates []optimizer.Update, scratch []float32) {
	CheckGram(b, updates, scratch)
	units, cols := b.W.Rows, b.W.Cols
	c := carver(scratch)
	first, delta, sum := c.next(units, cols), c.next(units, cols), c.next(units, cols)
	clear(delta.Data)
	k.Gemm(true, false, b.Gamma, b.D, b.X, 0, first)
	for t, u := range updates {
		g := first
		if t > 0 {
			copy(sum.Data, first.Data)
			k.Gemm(false, false, 1, delta, b.Second, 1, sum)
			g = sum
		}
		k.Update(u, delta, b.W, g, b.Slots)
	}
	k.AddInto(b.W, delta)
}

// MetricBlock is a block in the metric P of running statistics. Slots holds V of the
// outer step; X isn't used.
type MetricBlock struct {
	Block
	Kernel   Mat     // K′ = X̃PX̃ᵀ, B × B
	XP       Mat     // X̃P, B × (n+1)
	Step     float32 // η
	Rate     float32 // α, the factor of Δ
	Momentum float32 // μ of the outer step
	Steps    int     // T; 0: nothing is done
}

// MetricSolver makes all T iterations of a block in the metric form, and its outer step:
//
//	E = γD, Z = −ηE
//	T − 1 times: R = Residual(dA = K′Z, Â, Ŷ, E, f), Z ← Z − ηR
//	Δ = αZᵀX̃P, V ← μV + Δ, W̃ ← W̃ + μV + Δ
//
// the bits being those of [LoopMetric]. scratch: [MetricScratchLen].
type MetricSolver interface {
	SolvesBlock(f transfer.Func) bool
	SolveMetric(b *MetricBlock, scratch []float32) error
}

// MetricScratchLen is what SolveMetric and LoopMetric need: E, Z, R (B × m each) and Δ
// (m × (n+1)).
func MetricScratchLen(batch, cols, units int) int {
	return 3*round16(batch*units) + round16(units*cols)
}

// LoopMetric is [MetricSolver] by single kernels.
func LoopMetric(k Kernels, b *MetricBlock, scratch []float32) {
	CheckMetric(b, scratch)
	if b.Steps == 0 {
		return
	}
	rows, units := b.D.Rows, b.D.Cols
	c := carver(scratch)
	e, z, r := c.next(rows, units), c.next(rows, units), c.next(rows, units)
	delta := c.next(units, b.W.Cols)
	k.Scale(e, b.D, b.Gamma)
	k.Scale(z, e, -b.Step)
	for range b.Steps - 1 {
		k.Gemm(false, false, 1, b.Kernel, z, 0, r)
		k.Residual(r, r, b.Ahat, b.Yhat, e, b.F)
		k.Update(optimizer.Update{Kind: optimizer.SGD, C: [8]float32{b.Step}}, z, Mat{}, r, nil)
	}
	k.Gemm(true, false, b.Rate, z, b.XP, 0, delta)
	// V ← μV + Δ, W̃ ← W̃ + μV + Δ is Nesterov's update with rate −1.
	k.Update(optimizer.Update{Kind: optimizer.Nesterov, C: [8]float32{-1, b.Momentum}}, b.W, Mat{}, delta, b.Slots)
}

// carver cuts matrices without gaps from scratch, each from a multiple of 16 floats.
type carver []float32

func (c *carver) next(rows, cols int) Mat {
	n := rows * cols
	m := Mat{Rows: rows, Cols: cols, Stride: cols, Data: (*c)[:n:n]}
	*c = (*c)[round16(n):]
	return m
}
