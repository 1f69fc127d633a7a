package locoprop

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

const (
	powerProducts = 6    // products with K′ that estimate its norm
	scaleAverage  = 0.99 // of e, the running mean of d²
	scaleMargin   = 1.001
	scaleLeast    = 1e-30
)

// metric is the metric form of one layer; see Metric.
type metric struct {
	*layer
	second  backend.Mat // C̄, (n+1) × (n+1); only the lower triangle is kept
	inverse backend.Mat // P = (C̄ + ρI)⁻¹
	outer   backend.Mat // V of the outer Nesterov step, m × (n+1)
	mean    []float64   // e, the running mean of d²; 0 before the first batch
	batches []int64     // batches done
	changes []int64     // times that C̄ was updated
	stale   []int64     // 1 where C̄ has changed since P was made

	xp    backend.Mat // X̃P, rows × (n+1)
	gram  backend.Mat // K′ = X̃PX̃ᵀ, rows × rows
	power backend.Mat // two vectors of rows elements for the power iteration

	// This batch's.
	average float32 // 1 − β of the update of C̄; 0: none
	refresh bool    // P is made anew
	gamma   float32 // of E = gamma·D: γ_ℓ·B, so that E = γ_ℓ·d, or γ under GammaFixed
	step    float32 // η = Step/λ
	alpha   float32 // factor of Δ
	work    [][]plan.Job
	filler  func(a []float64)
}

func newMetric(l *layer) *metric {
	rows, cols, units := l.x.Rows, l.x.Cols, l.w.Rows
	s := &metric{
		layer:  l,
		second: backend.NewMat(cols, cols), inverse: backend.NewMat(cols, cols), outer: backend.NewMat(units, cols),
		mean: make([]float64, 1), batches: make([]int64, 1), changes: make([]int64, 1), stale: make([]int64, 1),
		xp: backend.NewPadded(rows, cols), gram: backend.NewPadded(rows, rows), power: backend.NewMat(2, rows),
	}
	s.filler = func(a []float64) { widenLower(a, s.second) } // made once: a closure allocates
	b, n := float64(rows), float64(cols)
	task := func(hi int, cost float64) plan.Task { return plan.Task{Layer: l.index, Hi: hi, Cost: cost} }

	first := []plan.Job{{Task: task(units, b*float64(units)), Do: s.setGamma}}
	for _, t := range plan.UnitTasks(l.index, cols, 2*l.o.Block, false, 0) {
		t.Cost = 2 * b * float64(t.Hi-t.Lo) * float64(t.Hi)
		first = append(first, plan.Job{Task: t, Do: func([]float32) error { s.updateSecond(t.Lo, t.Hi); return nil }})
	}
	invert := []plan.Job{{Task: task(cols, n*n*n), Scratch: 2 * (cols*cols + precond.FactorScratch(l.kernels, cols)), What: "inverse of the damped second moment", Do: s.invert}} // float64
	var products []plan.Job
	for _, t := range plan.UnitTasks(l.index, rows, productRows(rows), false, 0) {
		t.Cost = float64(t.Hi-t.Lo) * (2*n*n + 2*n*float64(t.Hi))
		products = append(products, plan.Job{Task: t, Do: func([]float32) error { s.product(t.Lo, t.Hi); return nil }})
	}
	norm := []plan.Job{{Task: task(rows, 2*powerProducts*b*b), What: "norm of the metric", Do: s.setStep}}
	fast, _ := l.kernels.(backend.MetricSolver)
	var local []plan.Job
	for _, t := range l.units(2*b*n + 2*float64(l.o.Steps-1)*b*b) {
		block := backend.MetricBlock{
			Block:  l.block(t.Lo, t.Hi, []backend.Mat{backend.Rows(s.outer, t.Lo, t.Hi)}),
			Kernel: s.gram, XP: s.xp, Momentum: float32(l.o.Metric.OuterMomentum), Steps: l.o.Steps,
		}
		local = append(local, plan.Job{
			Task: t, Scratch: backend.MetricScratchLen(rows, cols, t.Hi-t.Lo),
			Do: func(scratch []float32) error {
				block.Gamma, block.Step, block.Rate = s.gamma, s.step, s.alpha
				if fast != nil && fast.SolvesBlock(block.F) {
					return fast.SolveMetric(&block, scratch)
				}
				backend.LoopMetric(l.kernels, &block, scratch)
				return nil
			},
		})
	}
	s.work = [][]plan.Job{first, invert, products, norm, local}
	return s
}

func (s *metric) stages() [][]plan.Job { return s.work }

// cycle is that of P, which changes only where C̄ has.
func (s *metric) cycle() plan.Cycle {
	return plan.Cycle{Begin: settled, Length: s.o.Metric.Refresh}.With(plan.Cycle{Length: s.o.Metric.Every})
}

func (s *metric) begin() {
	i := s.batches[0]
	s.batches[0]++
	s.average = 0
	if i%int64(s.o.Metric.Every) == 0 {
		s.changes[0]++
		s.average = float32(1 - math.Min(s.o.Metric.Average, 1-1/float64(s.changes[0])))
		s.stale[0] = 1
	}
	s.refresh = s.stale[0] != 0 && s.o.Metric.refreshes(i)
	if s.refresh {
		s.stale[0] = 0
	}
	s.alpha = float32(s.o.Eta * s.scale)
}

// setGamma sets γ_ℓ from the mean of d² over examples and units, unless the rule is that
// γ is fixed.
func (s *metric) setGamma([]float32) error {
	if s.o.GammaRule == GammaFixed {
		s.gamma = float32(s.o.Gamma)
		return nil
	}
	b := float64(s.batch)
	mean := sumSquares(s.d) * b * b / float64(s.d.Rows*s.d.Cols)
	if s.mean[0] == 0 {
		s.mean[0] = mean
	} else {
		s.mean[0] = scaleAverage*s.mean[0] + (1-scaleAverage)*mean
	}
	s.gamma = float32(s.o.Gamma * b / (scaleMargin * math.Max(math.Max(s.mean[0], mean), scaleLeast)))
	return nil
}

// updateSecond averages rows lo ≤ j < hi of X̃ᵀX̃/B into C̄, up to the diagonal block.
func (s *metric) updateSecond(lo, hi int) {
	if s.average == 0 {
		return
	}
	c := backend.View(s.second, lo, hi, 0, hi)
	s.kernels.Gemm(true, false, s.average/float32(s.x.Rows), backend.Cols(s.x, lo, hi), backend.Cols(s.x, 0, hi), 1-s.average, c)
}

// invert makes P = (C̄ + ρI)⁻¹ in float64, with more damping where rounding has left C̄ +
// ρI not positive; see precond.Factor.
func (s *metric) invert(scratch []float32) error {
	if !s.refresh {
		return nil
	}
	n := s.second.Rows
	memory := float64s(scratch)
	a := memory[: n*n : n*n]
	var trace float64
	for j := range n {
		trace += float64(s.second.Data[j*n+j])
	}
	mean := trace / float64(n)
	factor := precond.NewFactor(s.kernels, n, a)
	err := factor.Make(s.filler, s.o.Metric.Damping*trace/float64(n), mean, memory[n*n:])
	if err != nil {
		return err
	}
	s.kernels.Invert(a, n)
	narrow(s.inverse, a, false)
	return nil
}

// productRows cuts a batch for product: into an even number of tasks, so that the later
// and longer ones find partners, of at most 128 rows, a multiple of 4.
func productRows(rows int) int {
	count := (rows + 127) / 128
	count += count % 2
	return max(4, ((rows+count-1)/count+3)&^3)
}

// product makes rows lo ≤ i < hi of X̃P, and of K′, which is symmetric, those up to the
// diagonal and their mirror image above.
func (s *metric) product(lo, hi int) {
	xp := backend.Rows(s.xp, lo, hi)
	s.kernels.Gemm(false, false, 1, backend.Rows(s.x, lo, hi), s.inverse, 0, xp)
	s.kernels.Gemm(false, true, 1, xp, backend.Rows(s.x, 0, hi), 0, backend.View(s.gram, lo, hi, 0, hi))
	mirror(s.gram, lo, hi)
}

// setStep estimates ‖K′‖₂ from below by a power iteration from ones.
func (s *metric) setStep([]float32) error {
	u, v := backend.Rows(s.power, 0, 1), backend.Rows(s.power, 1, 2)
	for i := range u.Data {
		u.Data[i] = 1
	}
	for range powerProducts {
		scale := 1 / math.Sqrt(sumSquares(u))
		for i := range u.Data {
			u.Data[i] = float32(float64(u.Data[i]) * scale)
		}
		s.kernels.Affine(v, u, s.gram) // v = u K′ᵀ, and K′ is symmetric
		u, v = v, u
	}
	norm := math.Sqrt(sumSquares(u))
	if !positive(norm) {
		return fmt.Errorf("found %v; the inputs or weights have left the finite numbers", norm)
	}
	s.step = float32(s.o.Metric.Step / norm)
	return nil
}

// targetGamma is the factor of D in this batch's target.
func (s *metric) targetGamma() float64 { return float64(s.gamma) }

func (s *metric) state() []plan.Tensor {
	count := func(name string, v []int64) plan.Tensor {
		return plan.Tensor{Name: fmt.Sprintf("layers.%d.metric.%s", s.index, name), Shape: []int{1}, I64: v}
	}
	return []plan.Tensor{
		plan.MatTensor(s.index, "outer.v", s.outer),
		plan.MatTensor(s.index, "metric.second_moment", s.second),
		plan.MatTensor(s.index, "metric.inverse", s.inverse),
		{Name: fmt.Sprintf("layers.%d.metric.scale", s.index), Shape: []int{1}, F64: s.mean},
		count("batches", s.batches), count("changes", s.changes), count("stale", s.stale),
	}
}

// explain counts statistics and inverses at their average rate.
func (s *metric) explain(p *plan.LayerPlan) {
	b, n, m := float64(s.x.Rows), float64(s.x.Cols), float64(s.w.Rows)
	p.Form, p.Tasks = FormMetric.String(), len(s.work[len(s.work)-1])
	p.LocalFlops = 2*b*n*n + 2*b*b*n + 2*float64(s.o.Steps-1)*b*b*m + 2*b*n*m +
		b*n*n/float64(s.o.Metric.Every) + n*n*n/float64(s.o.Metric.Refresh)
	p.StateBytes = 4*(2*n*n+n*m) + 8
	p.MemoryBytes = matBytes(s.xp) + matBytes(s.gram) + matBytes(s.power)
	s.tell(s.predict(), p)
}

// predict counts a batch's work as the cost model does for the forms that auto chooses
// from: each operand once for each call.
func (s *metric) predict() (w Work) {
	b, n, m, again := float64(s.x.Rows), float64(s.x.Cols), float64(s.w.Rows), float64(s.o.Steps-1)
	every, refresh := 1/float64(s.o.Metric.Every), 1/float64(s.o.Metric.Refresh)
	for _, job := range s.work[0][1:] { // rows of C̄
		own, hi := float64(job.Hi-job.Lo), float64(job.Hi)
		w.Product += every * 2 * b * own * hi
		w.Operand += every * (b*own + b*hi + own*hi)
	}
	w.Product += refresh * factorCost * n * n * n
	w.Operand += refresh * 6 * n * n // C̄, its factor and P, in float64
	for _, job := range s.work[2] {  // rows of X̃P and K′
		own, hi := float64(job.Hi-job.Lo), float64(job.Hi)
		w.Product += 2*own*n*n + 2*own*n*hi
		w.Operand += 2*own*n + n*n + own*n + hi*n + own*hi
	}
	w.Operand += powerProducts * b * b
	for _, job := range s.work[4] { // Z, and Δ of it
		own := float64(job.Hi - job.Lo)
		w.Product += again*2*b*b*own + 2*b*n*own
		w.Operand += again*(b*b+2*b*own) + b*n + b*own + n*own
	}
	w.Element = again*8*b*m + 2*b*m + 5*n*m // residuals and steps of Z; γ; V and W̃
	if s.f != transfer.Identity {
		w.Transfer = again * b * m
	}
	return w
}
