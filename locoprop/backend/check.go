package backend

import (
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// The functions of this file hold every shape rule of [Kernels] once. Each backend
// calls them first, so that a wrong shape panics in Go with the same constant text
// everywhere, before a kernel touches memory.

const (
	badMat      = "backend: matrix with rows, cols or stride below 0, stride below cols, or too little data"
	badShape    = "backend: matrices of different shapes where equal ones are needed"
	badAffine   = "backend: Affine needs a B × m, x B × (n+1), w m × (n+1)"
	badBack     = "backend: Backprop needs dx B × n, d B × m, w m × n"
	badGrad     = "backend: Grad needs g m × (n+1), r B × m, x B × (n+1)"
	badGemm     = "backend: Gemm needs c = op(a) op(b) of matching shapes"
	badGemm64   = "backend: Gemm64 needs c = op(a) op(b) of matching shapes, stride at least cols, and enough data"
	badSyrk     = "backend: Syrk needs a square c of the size of XᵀX (trans) or XXᵀ"
	badUpdate   = "backend: Update needs delta, g, the slots and a given w0 of one shape, and the rule's number of slots"
	badProx     = "backend: Update with a proximal term needs w0"
	badSquare   = "backend: square matrix or right-hand side shorter than its size says"
	badSolver   = "backend: a block's solver needs matrices of the shapes at its type, updates with its number of slots, and its length of scratch"
	badSM3      = "backend: StepSM3 needs w, g and a given m of m × (n+1), rows and biases of m, columns and top of n"
	badSums     = "backend: SquareSums, ScaledSquares and ScaledStep need a number for each row and each column"
	badSecant   = "backend: ColumnSums, Times and RankTwo need vectors as long as the matrix's sides, and RankTwo rows of a square matrix"
	badPanels   = "backend: panels shorter than PanelsLen of their matrix"
	badTurn     = "backend: PanelsTurn needs rows for all that it is to write"
	badKept     = "backend: kept activations shorter than panels of the block, or cut where no panel begins"
	badGradient = "backend: Gradient needs as many rows of x as planned, ScratchLen scratch, and panels for what is kept"
	badRule     = "backend: in panels neither the transfer function nor the rule may ask for more than an element; see SolvesPanels"
	badBlock    = "backend: SolveBlock needs x B × (n+1), ahat, yhat and d B × m, w m × (n+1), and ScratchLen scratch"
)

func must(ok bool, text string) {
	if !ok {
		panic(text)
	}
}

func checkMat(m Mat) {
	must(m.Rows >= 0 && m.Cols >= 0 && m.Stride >= m.Cols, badMat)
	must(m.Rows == 0 || m.Cols == 0 || len(m.Data) >= (m.Rows-1)*m.Stride+m.Cols, badMat)
}

// CheckSame panics unless all matrices are valid and of the first one's shape.
func CheckSame(first Mat, others ...Mat) {
	checkMat(first)
	for _, m := range others {
		checkMat(m)
		must(m.Rows == first.Rows && m.Cols == first.Cols, badShape)
	}
}

// CheckAffine panics unless the arguments of Affine fit.
func CheckAffine(a, x, w Mat) {
	checkMat(a)
	checkMat(x)
	checkMat(w)
	must(a.Rows == x.Rows && a.Cols == w.Rows && x.Cols == w.Cols, badAffine)
}

// CheckBackprop panics unless the arguments of Backprop fit.
func CheckBackprop(dx, d, w Mat) {
	checkMat(dx)
	checkMat(d)
	checkMat(w)
	must(dx.Rows == d.Rows && d.Cols == w.Rows && dx.Cols == w.Cols, badBack)
}

// CheckGrad panics unless the arguments of Grad fit.
func CheckGrad(g, r, x Mat) {
	checkMat(g)
	checkMat(r)
	checkMat(x)
	must(g.Rows == r.Cols && g.Cols == x.Cols && r.Rows == x.Rows, badGrad)
}

// CheckGemm panics unless the arguments of Gemm fit.
func CheckGemm(transA, transB bool, a, b, c Mat) {
	checkMat(a)
	checkMat(b)
	checkMat(c)
	m, k, n, l := a.Rows, a.Cols, b.Cols, b.Rows
	if transA {
		m, k = k, m
	}
	if transB {
		n, l = l, n
	}
	must(k == l && c.Rows == m && c.Cols == n, badGemm)
}

// CheckGemm64 panics unless the arguments of Gemm64 fit.
func CheckGemm64(transA, transB bool, a, b, c Mat64) {
	for _, m := range [...]Mat64{a, b, c} {
		must(m.Rows >= 0 && m.Cols >= 0 && m.Stride >= m.Cols, badGemm64)
		must(m.Rows == 0 || m.Cols == 0 || len(m.Data) >= (m.Rows-1)*m.Stride+m.Cols, badGemm64)
	}
	m, k, n, l := a.Rows, a.Cols, b.Cols, b.Rows
	if transA {
		m, k = k, m
	}
	if transB {
		n, l = l, n
	}
	must(k == l && c.Rows == m && c.Cols == n, badGemm64)
}

// CheckSyrk panics unless the arguments of Syrk fit.
func CheckSyrk(trans bool, x, c Mat) {
	checkMat(x)
	checkMat(c)
	n := x.Rows
	if trans {
		n = x.Cols
	}
	must(c.Rows == n && c.Cols == n, badSyrk)
}

// CheckUpdate panics unless the arguments of Update fit.
func CheckUpdate(u optimizer.Update, delta, w0, g Mat, slots []Mat) {
	CheckSame(delta, g)
	must(w0.Data != nil || u.Prox == 0, badProx)
	if w0.Data != nil {
		checkMat(w0)
		must(w0.Rows == delta.Rows && w0.Cols == delta.Cols, badUpdate)
	}
	must(len(slots) == u.Kind.NumSlots(), badUpdate)
	for _, s := range slots {
		checkMat(s)
		must(s.Rows == delta.Rows && s.Cols == delta.Cols, badUpdate)
	}
}

// CheckSquare panics unless a holds an n × n matrix and b an n × k one.
func CheckSquare(a []float64, n int, b []float64, k int) {
	must(n >= 0 && k >= 0 && len(a) >= n*n && len(b) >= n*k, badSquare)
}

// CheckBlock panics unless the arguments of SolveBlock fit.
func CheckBlock(b *Block, updates []optimizer.Update, scratch []float32) {
	CheckSame(b.Ahat, b.Yhat, b.D)
	CheckAffine(b.Ahat, b.X, b.W)
	must(len(scratch) >= ScratchLen(b.X.Rows, b.X.Cols, b.W.Rows), badBlock)
	checkSlots(b, updates)
}

func checkSlots(b *Block, updates []optimizer.Update) {
	for _, u := range updates {
		must(u.Kind.NumSlots() == len(b.Slots), badUpdate)
	}
	for _, s := range b.Slots {
		checkMat(s)
		must(s.Rows == b.W.Rows && s.Cols == b.W.Cols, badUpdate)
	}
}

// CheckPanels panics unless panels hold m, or mᵀ where trans. It returns what the panels are
// of: rows × units.
func CheckPanels(p Panels, m Mat, panels []float32, trans bool) (rows, units int) {
	rows, units = checkTurned(m, trans)
	must(len(panels) >= p.PanelsLen(rows, units), badPanels)
	return rows, units
}

// CheckPanelsProduct panics unless c and b are panels of a product of m, or mᵀ where trans, with
// so many units. It returns rows and terms: the sizes of m or mᵀ.
func CheckPanelsProduct(p Panels, c []float32, m Mat, trans bool, b []float32, units int) (rows, terms int) {
	rows, terms = checkTurned(m, trans)
	must(units >= 0 && len(c) >= p.PanelsLen(rows, units) && len(b) >= p.PanelsLen(terms, units), badPanels)
	return rows, terms
}

// CheckPanelsTurn panics unless from are panels of units × count, and to has rows enough for it.
func CheckPanelsTurn(p Panels, to []float32, rows, first int, from []float32, units, count int) {
	must(units >= 0 && count >= 0 && first >= 0 && first+count <= rows, badTurn)
	must(len(to) >= p.PanelsLen(rows, units) && len(from) >= p.PanelsLen(units, count), badPanels)
}

// checkTurned checks m and returns its size, or that of mᵀ where trans.
func checkTurned(m Mat, trans bool) (rows, cols int) {
	checkMat(m)
	if trans {
		return m.Cols, m.Rows
	}
	return m.Rows, m.Cols
}

// CheckPanelBlock panics unless the arguments of PanelBlock.Solve fit.
func CheckPanelBlock(p Panels, b *PanelBlock, updates []optimizer.Update, scratch []float32) {
	if checkKept(p, &b.Block, b.Kept, b.F != transfer.Identity) {
		CheckSame(b.Ahat, b.D)
		CheckAffine(b.D, b.X, b.W)
	}
	must(len(scratch) >= PanelScratchLen(p, b.X.Rows, b.X.Cols, b.W.Rows, len(b.Slots), b.Kept.E != nil), badSolver)
	checkPanelRules(&b.Block, b.F, updates)
}

// checkKept checks a block's kept activations, and tells whether there are none.
func checkKept(p Panels, b *Block, kept Kept, values bool) bool {
	if kept.E == nil {
		must(kept.Ahat == nil, badKept)
		return true
	}
	checkMat(b.X)
	checkMat(b.W)
	must(b.X.Cols == b.W.Cols, badBlock)
	length := p.PanelsLen(b.X.Rows, b.W.Rows)
	must(len(kept.E) >= length && (!values || len(kept.Ahat) >= length), badKept)
	return false
}

// checkPanelRules checks what all solvers in panels need.
func checkPanelRules(b *Block, f transfer.Func, updates []optimizer.Update) {
	for _, u := range updates {
		must(SolvesPanels(f, u.Kind), badRule)
	}
	checkSlots(b, updates)
}

// CheckPanelGram panics unless the arguments of PanelGramBlock.Solve fit.
func CheckPanelGram(p Panels, b *PanelGramBlock, updates []optimizer.Update, scratch []float32) {
	if checkKept(p, &b.Block, b.Kept, false) {
		CheckAffine(b.D, b.X, b.W)
	}
	checkMat(b.Second)
	must(b.Second.Rows == b.W.Cols && b.Second.Cols == b.W.Cols, badSolver)
	must(len(scratch) >= PanelGramScratchLen(p, b.X.Rows, b.W.Cols, b.W.Rows, len(b.Slots), b.Kept.E != nil), badSolver)
	checkPanelRules(&b.Block, transfer.Identity, updates)
}

// CheckKernel panics unless the arguments of SolveKernel fit.
func CheckKernel(b *KernelBlock, updates []optimizer.Update, scratch []float32) {
	CheckSame(b.Ahat, b.Yhat, b.D)
	CheckAffine(b.Ahat, b.X, b.W)
	checkMat(b.Kernel)
	rows := b.D.Rows
	must(b.Kernel.Rows == rows && b.Kernel.Cols == rows, badSolver)
	must(len(scratch) >= KernelScratchLen(rows, b.X.Cols, b.W.Rows), badSolver)
	must(len(b.Slots) <= 1, badSolver)
	for _, u := range updates {
		must(u.Kind == updates[0].Kind, badSolver)
		switch u.Kind {
		case optimizer.Momentum, optimizer.Nesterov, optimizer.MomentumBuffer:
		case optimizer.SGD:
			must(len(b.Slots) == 0, badSolver)
		default:
			panic(badSolver)
		}
	}
	for _, v := range b.Slots {
		CheckSame(b.W, v)
		must(len(b.Share) > len(updates), badSolver)
	}
}

// CheckGram panics unless the arguments of SolveGram fit.
func CheckGram(b *GramBlock, updates []optimizer.Update, scratch []float32) {
	CheckGrad(b.W, b.D, b.X)
	checkMat(b.Second)
	must(b.Second.Rows == b.X.Cols && b.Second.Cols == b.X.Cols, badSolver)
	must(len(scratch) >= GramScratchLen(b.X.Cols, b.W.Rows), badSolver)
	for _, u := range updates {
		must(u.Kind.NumSlots() == len(b.Slots), badSolver)
	}
	for _, s := range b.Slots {
		CheckSame(b.W, s)
	}
}

// CheckMetric panics unless the arguments of SolveMetric fit.
func CheckMetric(b *MetricBlock, scratch []float32) {
	CheckSame(b.Ahat, b.Yhat, b.D)
	CheckAffine(b.Ahat, b.XP, b.W)
	checkMat(b.Kernel)
	rows := b.D.Rows
	must(b.Kernel.Rows == rows && b.Kernel.Cols == rows && b.Steps >= 0, badSolver)
	must(len(scratch) >= MetricScratchLen(rows, b.XP.Cols, b.W.Rows), badSolver)
	must(len(b.Slots) == 1, badSolver)
	CheckSame(b.W, b.Slots[0])
}

// CheckSM3 panics unless the matrices and vectors of StepSM3 fit.
func CheckSM3(s *SM3) {
	CheckSame(s.W, s.G)
	if s.M.Data != nil {
		CheckSame(s.W, s.M)
	}
	m, n := s.W.Rows, s.W.Cols-1
	must(n >= 0 && len(s.Rows) == m && len(s.Biases) == m && len(s.Columns) == n && len(s.Top) == n, badSM3)
}

// CheckSquareSums panics unless the arguments of SquareSums fit.
func CheckSquareSums(g Mat, rows, cols []float64) {
	checkMat(g)
	must(len(rows) == g.Rows && len(cols) == g.Cols, badSums)
}

// CheckColumnSums panics unless the arguments of ColumnSums fit.
func CheckColumnSums(x Mat, sums []float64) {
	checkMat(x)
	must(len(sums) == x.Cols, badSecant)
}

// CheckTimes panics unless the arguments of Times fit.
func CheckTimes(y []float64, h Mat, x []float64) {
	checkMat(h)
	must(len(y) == h.Rows && len(x) == h.Cols, badSecant)
}

// CheckRankTwo panics unless the arguments of RankTwo fit.
func CheckRankTwo(h Mat, first int, s, t []float64) {
	checkMat(h)
	must(len(s) == h.Cols && len(t) == h.Cols && first >= 0 && h.Rows <= h.Cols && first <= h.Cols-h.Rows, badSecant)
}

// CheckScaled panics unless the arguments of ScaledSquares, or but for w those of
// ScaledStep, fit.
func CheckScaled(g Mat, rows, cols []float32) {
	checkMat(g)
	must(len(rows) == g.Rows && len(cols) == g.Cols, badSums)
}
