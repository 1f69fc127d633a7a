package locoprop

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

const (
	powerProducts = 6    // products with K′ that estimate its norm
	scaleAverage  = 0.99 // of e, the running mean of d²
	scaleMargin   = 1.001
	scaleLeast    = 1e-30
)

// metricLayer is what the metric form keeps for one layer.
type metricLayer struct {
	second  backend.Mat // C̄, (n+1) × (n+1); only the lower triangle is kept
	inverse backend.Mat // P = (C̄ + ρI)⁻¹
	outer   backend.Mat // V of the outer Nesterov step, m × (n+1)
	scale   []float64   // e, the running mean of d²; 0 before the first batch

	xp    backend.Mat // X̃P, rows × (n+1)
	gram  backend.Mat // K′ = X̃PX̃ᵀ, rows × rows
	power backend.Mat // two vectors of rows elements for the power iteration
	gamma float32     // γ_ℓ·B of this batch: E = γ_ℓ·d = γ_ℓ·B·D
	eta   float32     // η = Step/λ of this batch
}

// metricStepper is a plan of LocoProp in the metric form.
type metricStepper struct {
	o       Options
	net     *nn.Network
	tape    *plan.Tape
	kernels backend.Kernels
	layers  []metricLayer
	blocks  []metricBlock // by Task.ID of the local phase
	counts  metricCounts
	alpha   float32 // this batch's factor of Δ
	weight  float32 // 1 − β of this batch's update of C̄

	scales, moments, inverses, metrics, powers, local *plan.Phase
}

// metricCounts says where the statistics stand; one element each, as state tensors.
type metricCounts struct {
	batches []int64 // batches done
	updates []int64 // times that C̄ was updated
	stale   []int64 // 1 where C̄ has changed since P was made
}

// metricBlock is a block of units of one layer: views made once.
type metricBlock struct {
	ahat, yhat, d, w backend.Mat
	outer            []backend.Mat // V, one slot
}

func (s *metricStepper) plan() {
	block := s.o.Block
	var scales, moments, inverses, metrics, powers, local []plan.Task
	var invertScratch, localScratch int
	for ℓ, layer := range s.net.Layers {
		w, x := layer.Weights(), s.tape.Design[ℓ]
		rows, cols := x.Rows, x.Cols
		b, n, m := float64(rows), float64(cols), float64(w.Rows)
		s.layers[ℓ] = metricLayer{
			second: backend.NewMat(cols, cols), inverse: backend.NewMat(cols, cols),
			outer: backend.NewMat(w.Rows, w.Cols), scale: make([]float64, 1),
			xp: backend.NewPadded(rows, cols), gram: backend.NewPadded(rows, rows), power: backend.NewMat(2, rows),
		}
		scales = append(scales, plan.Task{Layer: ℓ, Hi: w.Rows, Cost: b * m})
		for _, t := range plan.UnitTasks(ℓ, cols, 2*block, false, 1) {
			t.Cost = 2 * b * float64(t.Hi-t.Lo) * float64(t.Hi)
			moments = append(moments, t)
		}
		inverses = append(inverses, plan.Task{Layer: ℓ, Hi: cols, Cost: n * n * n})
		metrics = append(metrics, plan.UnitTasks(ℓ, rows, block, false, 2*n*n+2*b*n)...)
		powers = append(powers, plan.Task{Layer: ℓ, Hi: rows, Cost: 2 * powerProducts * b * b})
		invertScratch = max(invertScratch, 4*cols*cols) // two float64 matrices
		f := s.o.Loss.localTransfer(layer.Transfer())
		for _, t := range plan.UnitTasks(ℓ, w.Rows, block, f.RowCoupled(), 2*b*n+2*float64(s.o.Steps-1)*b*b) {
			t.ID = len(s.blocks)
			local = append(local, t)
			s.blocks = append(s.blocks, metricBlock{
				ahat: backend.Cols(s.tape.A[ℓ], t.Lo, t.Hi), yhat: backend.Cols(s.tape.Y[ℓ], t.Lo, t.Hi),
				d: backend.Cols(s.tape.D[ℓ], t.Lo, t.Hi), w: backend.Rows(w, t.Lo, t.Hi),
				outer: []backend.Mat{backend.Rows(s.layers[ℓ].outer, t.Lo, t.Hi)},
			})
			localScratch = max(localScratch, metricScratch(rows, cols, t.Hi-t.Lo))
		}
	}
	s.scales = plan.NewPhase("gradient scales", scales, 0, s.scaleTask)
	s.moments = plan.NewPhase("second moments", moments, 0, s.momentTask)
	s.inverses = plan.NewPhase("inverses", inverses, invertScratch, s.inverseTask)
	s.metrics = plan.NewPhase("metric", metrics, 0, s.metricTask)
	s.powers = plan.NewPhase("norms", powers, 0, s.powerTask)
	s.local = plan.NewPhase("local problems", local, localScratch, s.localTask)
}

// Step makes one training step; see plan.Stepper.
func (s *metricStepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	mean, err := s.tape.Run(p, x, t)
	report := plan.Report{Loss: mean}
	if err != nil {
		return report, err
	}
	i := s.counts.batches[0]
	s.alpha = float32(s.o.Eta * scale)
	phases := [...]*plan.Phase{s.scales, nil, nil, s.metrics, s.powers, s.local}
	if i%int64(s.o.Metric.Every) == 0 {
		s.counts.updates[0]++
		s.counts.stale[0] = 1
		s.weight = float32(1 - math.Min(s.o.Metric.Average, 1-1/float64(s.counts.updates[0])))
		phases[1] = s.moments
	}
	if s.counts.stale[0] != 0 && s.o.Metric.refreshes(i) {
		s.counts.stale[0] = 0
		phases[2] = s.inverses
	}
	for _, ph := range phases {
		if ph == nil {
			continue
		}
		if err := p.Run(ph); err != nil {
			return report, fmt.Errorf("%s: %w", ph.Name, err)
		}
	}
	s.counts.batches[0]++
	return report, nil
}

// scaleTask sets γ_ℓ from the mean of d² over examples and units.
func (s *metricStepper) scaleTask(t *plan.Task, _ []float32) error {
	l := &s.layers[t.Layer]
	d := s.tape.D[t.Layer]
	batch := float64(s.tape.Batch)
	mean := sumSquares(d) * batch * batch / float64(d.Rows*d.Cols)
	if l.scale[0] == 0 {
		l.scale[0] = mean
	} else {
		l.scale[0] = scaleAverage*l.scale[0] + (1-scaleAverage)*mean
	}
	gamma := s.o.Gamma / (scaleMargin * math.Max(math.Max(l.scale[0], mean), scaleLeast))
	l.gamma = float32(gamma * batch)
	return nil
}

// momentTask averages rows t.Lo ≤ j < t.Hi of X̃ᵀX̃/B into C̄, up to the diagonal block.
func (s *metricStepper) momentTask(t *plan.Task, _ []float32) error {
	x := s.tape.Design[t.Layer]
	c := backend.View(s.layers[t.Layer].second, t.Lo, t.Hi, 0, t.Hi)
	s.kernels.Gemm(true, false, s.weight/float32(x.Rows), backend.Cols(x, t.Lo, t.Hi), backend.Cols(x, 0, t.Hi), 1-s.weight, c)
	return nil
}

// inverseTask makes P = (C̄ + ρI)⁻¹ in float64.
func (s *metricStepper) inverseTask(t *plan.Task, scratch []float32) error {
	l := &s.layers[t.Layer]
	n := l.second.Rows
	work := float64s(scratch)
	a, p := work[:n*n], work[n*n:2*n*n]
	var trace float64
	for j := range n {
		trace += float64(l.second.Data[j*n+j])
	}
	rho := s.o.Metric.Damping * trace / float64(n)
	clear(p)
	for j := range n {
		for k := range j + 1 {
			a[j*n+k] = float64(l.second.Data[j*n+k])
		}
		a[j*n+j] += rho
		p[j*n+j] = 1
	}
	if err := s.kernels.Cholesky(a, n); err != nil {
		return fmt.Errorf("layer %d: damped second moment: %w", t.Layer, err)
	}
	s.kernels.Solve(a, n, p, n)
	for j := range p {
		l.inverse.Data[j] = float32(p[j])
	}
	return nil
}

// metricTask makes rows t.Lo ≤ i < t.Hi of X̃P and K′.
func (s *metricStepper) metricTask(t *plan.Task, _ []float32) error {
	l := &s.layers[t.Layer]
	x := s.tape.Design[t.Layer]
	xp := backend.Rows(l.xp, t.Lo, t.Hi)
	s.kernels.Gemm(false, false, 1, backend.Rows(x, t.Lo, t.Hi), l.inverse, 0, xp)
	s.kernels.Gemm(false, true, 1, xp, x, 0, backend.Rows(l.gram, t.Lo, t.Hi))
	return nil
}

// powerTask estimates ‖K′‖₂ from below by a power iteration from ones.
func (s *metricStepper) powerTask(t *plan.Task, _ []float32) error {
	l := &s.layers[t.Layer]
	u, v := backend.Rows(l.power, 0, 1), backend.Rows(l.power, 1, 2)
	for i := range u.Data {
		u.Data[i] = 1
	}
	var norm float64
	for range powerProducts {
		norm = math.Sqrt(sumSquares(u))
		for i := range u.Data {
			u.Data[i] = float32(float64(u.Data[i]) / norm)
		}
		s.kernels.Affine(v, u, l.gram) // v = u K′ᵀ, K′ symmetric
		u, v = v, u
	}
	norm = math.Sqrt(sumSquares(u))
	if !(norm > 0) || math.IsInf(norm, 0) {
		return fmt.Errorf("layer %d: norm of the metric is %v", t.Layer, norm)
	}
	l.eta = float32(s.o.Metric.Step / norm)
	return nil
}

func metricScratch(rows, cols, units int) int {
	return 3*roundLine(rows*units) + roundLine(units*cols)
}

// localTask makes all local iterations of a block of units, and its outer step.
func (s *metricStepper) localTask(t *plan.Task, scratch []float32) error {
	b, l, k := &s.blocks[t.ID], &s.layers[t.Layer], s.kernels
	rows, units := b.d.Rows, b.w.Rows
	f := s.o.Loss.localTransfer(s.net.Layers[t.Layer].Transfer())
	e, scratch := carve(scratch, rows, units)
	z, scratch := carve(scratch, rows, units)
	r, scratch := carve(scratch, rows, units)
	delta, _ := carve(scratch, units, b.w.Cols)
	k.Scale(e, b.d, l.gamma)
	k.Scale(z, e, -l.eta)
	step := optimizer.Update{Kind: optimizer.SGD, C: [8]float32{l.eta}}
	for range s.o.Steps - 1 {
		k.Gemm(false, false, 1, l.gram, z, 0, r)
		k.Residual(r, r, b.ahat, b.yhat, e, f)
		k.Update(step, z, backend.Mat{}, r, nil)
	}
	k.Gemm(true, false, s.alpha, z, l.xp, 0, delta)
	// V ← μV + αΔ, W̃ ← W̃ + μV + αΔ is Nesterov's update with rate −1 and gradient αΔ.
	outer := optimizer.Update{Kind: optimizer.Nesterov, C: [8]float32{-1, float32(s.o.Metric.OuterMomentum)}}
	k.Update(outer, b.w, backend.Mat{}, delta, b.outer)
	return nil
}

// planMetric makes a stepper in the metric form.
func (m *Method) planMetric(n *nn.Network, tape *plan.Tape, k backend.Kernels) *metricStepper {
	s := &metricStepper{
		o: m.o, net: n, tape: tape, kernels: k,
		layers: make([]metricLayer, len(n.Layers)),
		counts: metricCounts{make([]int64, 1), make([]int64, 1), make([]int64, 1)},
	}
	s.plan()
	return s
}

// State lists weights, outer velocity and statistics layer by layer, then the counts.
func (s *metricStepper) State() []plan.Tensor {
	var state []plan.Tensor
	for ℓ, w := range s.net.Weights() {
		l := &s.layers[ℓ]
		add := func(name string, m backend.Mat) {
			state = append(state, plan.Tensor{Name: fmt.Sprintf("layers.%d.%s", ℓ, name), Shape: []int{m.Rows, m.Cols}, F32: m.Data})
		}
		add("w", w)
		add("outer.v", l.outer)
		add("metric.second_moment", l.second)
		add("metric.inverse", l.inverse)
		state = append(state, plan.Tensor{Name: fmt.Sprintf("layers.%d.metric.scale", ℓ), Shape: []int{1}, F64: l.scale})
	}
	count := func(name string, v []int64) {
		state = append(state, plan.Tensor{Name: "metric." + name, Shape: []int{1}, I64: v})
	}
	count("batches", s.counts.batches)
	count("updates", s.counts.updates)
	count("stale", s.counts.stale)
	return state
}

func (s *metricStepper) EvalWeights() []backend.Mat { return s.net.Weights() }

// Explain counts products as the local phase needs them; statistics and inverses at
// their average rate.
func (s *metricStepper) Explain() []plan.LayerPlan {
	layers := plan.PassFlops(s.net, s.tape.Batch)
	for _, t := range s.local.Tasks {
		layers[t.Layer].Tasks++
	}
	for ℓ := range layers {
		x, w := s.tape.Design[ℓ], s.net.Weights()[ℓ]
		b, n, m := float64(x.Rows), float64(x.Cols), float64(w.Rows)
		layers[ℓ].Form = FormMetric.String()
		layers[ℓ].LocalFlops = 2*b*n*n + 2*b*b*n + 2*float64(s.o.Steps-1)*b*b*m + 2*b*n*m +
			b*n*n/float64(s.o.Metric.Every) + n*n*n/float64(s.o.Metric.Refresh)
		layers[ℓ].StateBytes = 4 * (2*n*n + n*m)
	}
	return layers
}
