package kfac

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

const (
	adaptEvery  = 5            // steps from one look at the damping to the next
	adaptFactor = 0.7737809375 // (19/20)⁵
	gradAverage = 0.9          // of plain's average of gradients
)

// stepper is a plan of K-FAC.
type stepper struct {
	o        Options
	net      *nn.Network
	tape     *plan.Tape
	kernels  backend.Kernels
	lossKind loss.Loss
	layers   []*factors
	damping  []float64 // λ
	steps    []int64   // done

	sampled  *plan.Backward // nil where empirical
	second   *plan.Phase    // second moments and gradients
	inverses *plan.Phase
	products [2]*plan.Phase
	fisher   *plan.Phase // curvature along both directions, and inner products
	update   *plan.Phase

	// Partial sums, a slot per task.
	curvature  [3][]float64 // Δ₀FΔ₀, Δ₀Fδ′, δ′Fδ′ summed over examples, by chunk
	inner      [innerCount][]float64
	a, b, rate float64 // this step's
}

// Inner products of a layer's rows.
const (
	gradDelta   = iota // ⟨∇, Δ₀⟩
	gradPrev           // ⟨∇, δ′⟩
	deltaDelta         // ⟨Δ₀, Δ₀⟩
	deltaPrev          // ⟨Δ₀, δ′⟩
	prevPrev           // ⟨δ′, δ′⟩
	weightDelta        // ⟨W̃, Δ₀⟩
	weightPrev         // ⟨W̃, δ′⟩
	innerCount
)

func (s *stepper) planPhases() {
	var second, inverses, right, left, fisher, update []plan.Job
	if !s.o.Empirical {
		s.sampled = s.tape.NewBackward(s.sample)
	}
	slots := 0
	for ℓ, f := range s.layers {
		f.d, f.scale = s.tape.D[ℓ], float64(s.tape.Batch)*float64(s.tape.Batch)
		if s.sampled != nil {
			f.d, f.scale = s.sampled.D[ℓ], 1
		}
		m, n, b := f.W.Rows, f.W.Cols, float64(f.X.Rows)
		second = append(second, s.gradient(f)...)
		second = append(second, layerwise.Stripes(ℓ, n, s.o.Block, b*float64(n), 0, func(lo, hi int, _ []float32) error {
			f.input.Accumulate(f.X, lo, hi)
			return nil
		})...)
		second = append(second, layerwise.Stripes(ℓ, m, s.o.Block, b*float64(m), 0, func(lo, hi int, _ []float32) error {
			f.output.AccumulateScaled(f.d, f.scale, lo, hi)
			return nil
		})...)
		cubes := func(k int) float64 { return float64(k) * float64(k) * float64(k) }
		inverses = append(inverses, plan.Job{
			Task: plan.Task{Layer: ℓ, Hi: n, Cost: cubes(n)}, Scratch: 2 * f.input.InverseScratch(), What: "inverse of the input's second moment",
			Do: func(scratch []float32) error { return f.input.Inverse(f.inInv, f.inRho, mat.Float64s(scratch)) },
		}, plan.Job{
			Task: plan.Task{Layer: ℓ, Hi: m, Cost: cubes(m)}, Scratch: 2 * f.output.InverseScratch(), What: "inverse of the derivatives' second moment",
			Do: func(scratch []float32) error { return f.output.Inverse(f.outInv, f.outRho, mat.Float64s(scratch)) },
		})
		right = append(right, layerwise.Stripes(ℓ, m, s.o.Block, 2*float64(n)*float64(n), 0, func(lo, hi int, _ []float32) error {
			s.kernels.Gemm(false, false, 1, backend.Rows(f.grad, lo, hi), f.inInv, 0, backend.Rows(f.half, lo, hi))
			return nil
		})...)
		left = append(left, layerwise.Stripes(ℓ, m, s.o.Block, 2*float64(m)*float64(n), 0, func(lo, hi int, _ []float32) error {
			s.kernels.Gemm(false, false, -1, backend.Rows(f.outInv, lo, hi), f.half, 0, backend.Rows(f.delta, lo, hi))
			return nil
		})...)
		units := layerwise.Stripes(ℓ, m, s.o.Block, 14*float64(n), 0, func(lo, hi int, _ []float32) error { return nil })
		for i := range units {
			lo, hi, slot := units[i].Lo, units[i].Hi, slots
			slots++
			units[i].Do = func([]float32) error { s.multiply(f, lo, hi, slot); return nil }
		}
		fisher = append(fisher, units...)
		update = append(update, s.moves(f)...)
	}
	for i := range s.inner {
		s.inner[i] = make([]float64, slots)
	}
	fisher = append(fisher, s.forwardDerivatives()...)
	s.second = plan.NewJobPhase("second moments and gradients", second)
	s.inverses = plan.NewJobPhase("inverses", inverses)
	s.products = [2]*plan.Phase{plan.NewJobPhase("gradient times inverse of the input's", right), plan.NewJobPhase("inverse of the output's times gradient", left)}
	if !s.o.Plain {
		s.fisher = plan.NewJobPhase("curvature", fisher)
	}
	s.update = plan.NewJobPhase("update", update)
}

// sample writes D of targets drawn from the model, per example: y − t with t of the
// distribution whose negative logarithm the loss is; for squared, a unit normal around y.
func (s *stepper) sample(d, a, y backend.Mat, lo int) {
	u := philox.New(s.o.Seed, philox.Targets, uint64(s.steps[0]))
	for i := range d.Rows {
		di, yi := mat.Row(d, i), mat.Row(y, i)
		at := uint64(lo+i) * uint64(2*d.Cols)
		switch s.lossKind {
		case loss.SoftmaxCE:
			point, sum, drawn := u.Uniform(at), 0.0, -1
			for j, v := range yi {
				sum += float64(v)
				if drawn < 0 && (point < sum || j == len(yi)-1) {
					drawn = j
				}
				di[j] = v
			}
			di[drawn]--
		case loss.SigmoidCE:
			for j, v := range yi {
				di[j] = v
				if u.Uniform(at+uint64(j)) < float64(v) {
					di[j] = v - 1
				}
			}
		default: // squared: Box and Muller's pairs
			for j := range di {
				r := math.Sqrt(-2 * math.Log(u.Uniform(at+uint64(2*j))))
				di[j] = float32(r * math.Cos(2*math.Pi*u.Uniform(at+uint64(2*j)+1)))
			}
		}
	}
	if s.lossKind == loss.Squared {
		s.kernels.Chain(d, a, y, s.net.Last().Transfer())
	}
}

// gradient makes ∇, and in plain the average of it.
func (s *stepper) gradient(f *factors) []plan.Job {
	if !s.o.Plain {
		return f.Gradient(f.grad, func(lo, hi int) { s.addPenalty(f, f.grad, lo, hi) })
	}
	return f.Gradient(f.half, func(lo, hi int) {
		s.addPenalty(f, f.half, lo, hi)
		layerwise.Average(s.kernels, backend.Rows(f.grad, lo, hi), gradAverage, backend.Rows(f.half, lo, hi))
	})
}

// addPenalty adds η₂W̃ to rows lo ≤ u < hi of the gradient.
func (s *stepper) addPenalty(f *factors, grad backend.Mat, lo, hi int) {
	if s.o.L2 != 0 {
		layerwise.AddScaled(s.kernels, backend.Rows(grad, lo, hi), float32(s.o.L2), backend.Rows(f.W, lo, hi))
	}
}

// setDamping sets the damping of every layer's inverses.
func (s *stepper) setDamping() {
	κ := math.Sqrt(s.damping[0])
	if !s.o.Plain {
		κ = math.Sqrt(s.damping[0] + s.o.L2)
	}
	for _, f := range s.layers {
		π := math.Sqrt(f.input.Mean() / f.output.Mean())
		if s.o.Plain || !layerwise.Positive(π) {
			π = 1
		}
		f.inRho, f.outRho = π*κ, κ/π
	}
}

// refreshes reports whether inverses are made anew at step k, from 1.
func (s *stepper) refreshes(k int64) bool { return k <= s.early() || k%int64(s.o.Refresh) == 0 }

// early is the number of first steps each of which makes inverses.
func (s *stepper) early() int64 {
	if s.o.Plain {
		return 20
	}
	return 3
}

// Cycle is that of the inverses and of adapting the damping; see plan.CyclicStepper.
func (s *stepper) Cycle() plan.Cycle {
	c := plan.Cycle{Begin: int(s.early()), Length: s.o.Refresh}
	if !s.o.Plain {
		c = c.With(plan.Cycle{Length: adaptEvery})
	}
	return c
}

// Step makes one training step; see plan.Stepper.
func (s *stepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	mean, err := s.tape.Run(p, x, t)
	report := plan.Report{Loss: mean}
	if err != nil {
		return report, err
	}
	if s.sampled != nil {
		if err := s.sampled.Run(p); err != nil {
			return report, err
		}
	}
	for _, f := range s.layers {
		f.input.Begin()
		f.output.Begin()
	}
	if err := p.Run(s.second); err != nil {
		return report, err
	}
	k := s.steps[0] + 1
	if s.refreshes(k) {
		s.setDamping()
		if err := p.Run(s.inverses); err != nil {
			return report, err
		}
	}
	s.steps[0] = k
	for _, phase := range s.products {
		if err := p.Run(phase); err != nil {
			return report, err
		}
	}
	s.rate = float64(s.o.Eta * scale)
	s.a, s.b = s.rate, 0
	var fall float64
	if !s.o.Plain {
		if fall, err = s.rescale(p); err != nil {
			return report, err
		}
	}
	if err := p.Run(s.update); err != nil {
		return report, err
	}
	if !s.o.Plain && k%adaptEvery == 0 && fall < 0 {
		return report, s.adapt(p, mean, fall)
	}
	return report, nil
}

// rescale sets the factors of Δ₀ and δ′ and returns the quadratic model's value of the
// step, which is below 0.
func (s *stepper) rescale(p *plan.Pool) (float64, error) {
	if err := p.Run(s.fisher); err != nil {
		return 0, err
	}
	b := float64(s.tape.Batch)
	ridge := s.damping[0] + s.o.L2
	m11 := mat.Sum(s.curvature[0])/b + ridge*s.sum(deltaDelta)
	m12 := mat.Sum(s.curvature[1])/b + ridge*s.sum(deltaPrev)
	m22 := mat.Sum(s.curvature[2])/b + ridge*s.sum(prevPrev)
	g1, g2 := s.sum(gradDelta), s.sum(gradPrev)
	a, c := -g1/m11, 0.0
	// Directions that are parallel but for rounding determine no pair of factors.
	if det := m11*m22 - m12*m12; det > 1e-8*m11*m22 {
		a, c = (m12*g2-m22*g1)/det, (m12*g1-m11*g2)/det
	}
	if m11 == 0 { // no gradient: Δ₀ = 0
		a = 0
	}
	s.a, s.b = float64(a*s.rate), float64(c*s.rate)
	// At the minimum δᵀ(F + …)δ = −⟨∇, δ⟩; rate times it has this value.
	return (s.rate - s.rate*s.rate/2) * (a*g1 + c*g2), nil
}

func (s *stepper) sum(i int) float64 { return mat.Sum(s.inner[i]) }

// multiply makes the inner products of rows lo ≤ u < hi, all in one pass.
func (s *stepper) multiply(f *factors, lo, hi, slot int) {
	var gd, gv, dd, dv, vv, wd, wv float64
	for u := lo; u < hi; u++ {
		d := mat.Row(f.delta, u)
		last, grad, weights := mat.Row(f.previous, u)[:len(d)], mat.Row(f.grad, u)[:len(d)], mat.Row(f.W, u)[:len(d)]
		for j := range d {
			d, v, g, w := float64(d[j]), float64(last[j]), float64(grad[j]), float64(weights[j])
			gd += float64(g * d)
			gv += float64(g * v)
			dd += float64(d * d)
			dv += float64(d * v)
			vv += float64(v * v)
			wd += float64(w * d)
			wv += float64(w * v)
		}
	}
	for i, sum := range [innerCount]float64{gradDelta: gd, gradPrev: gv, deltaDelta: dd, deltaPrev: dv, prevPrev: vv, weightDelta: wd, weightPrev: wv} {
		s.inner[i][slot] = sum
	}
}

// moves add the step aΔ₀ + bδ′ to the weights and keep it in δ′, which is what momentum b
// does with the gradient aΔ₀ and the rate −1. In plain there is no δ′.
func (s *stepper) moves(f *factors) (jobs []plan.Job) {
	for _, t := range plan.UnitTasks(f.Index, f.W.Rows, layerwise.CacheRows, false, 3*plan.ElementCost*float64(f.W.Cols)) {
		w, d := backend.Rows(f.W, t.Lo, t.Hi), backend.Rows(f.delta, t.Lo, t.Hi)
		move := func([]float32) error {
			layerwise.AddScaled(s.kernels, w, float32(s.a), d)
			return nil
		}
		if !s.o.Plain {
			last := []backend.Mat{backend.Rows(f.previous, t.Lo, t.Hi)}
			move = func([]float32) error {
				s.kernels.Scale(d, d, float32(s.a))
				s.kernels.Update(optimizer.Update{Kind: optimizer.Momentum, C: [8]float32{-1, float32(s.b)}}, w, backend.Mat{}, d, last)
				return nil
			}
		}
		jobs = append(jobs, plan.Job{Task: t, Do: move})
	}
	return jobs
}

// adapt changes the damping by how well the quadratic model foretold the step's effect on
// the regularised loss h = L + η₂/2‖W̃‖².
func (s *stepper) adapt(p *plan.Pool, before, fall float64) error {
	after, err := s.tape.Again(p)
	if err != nil {
		return err
	}
	a, b := s.a, s.b
	square := a*a*s.sum(deltaDelta) + 2*a*b*s.sum(deltaPrev) + b*b*s.sum(prevPrev)
	penalty := s.o.L2 * (a*s.sum(weightDelta) + b*s.sum(weightPrev) + square/2)
	switch ratio := (after - before + penalty) / fall; {
	case ratio > 0.75:
		s.damping[0] *= adaptFactor
	case ratio < 0.25 || math.IsNaN(ratio):
		s.damping[0] /= adaptFactor
	}
	return nil
}

// State lists, layer by layer, the weights, second moments, inverses and last step.
func (s *stepper) State() []plan.Tensor {
	var state []plan.Tensor
	for _, f := range s.layers {
		state = append(state, f.Tensor("w", f.W))
		state = append(state, f.state(s.o)...)
	}
	return append(state,
		plan.Tensor{Name: "kfac.damping", Shape: []int{1}, F64: s.damping},
		plan.Tensor{Name: "kfac.steps", Shape: []int{1}, I64: s.steps})
}

func (s *stepper) EvalWeights() []backend.Mat { return s.net.Weights() }

// Explain counts inverses at their average rate.
func (s *stepper) Explain() []plan.LayerPlan {
	layers := plan.PassFlops(s.net, s.tape.Batch)
	for ℓ, f := range s.layers {
		l := &layers[ℓ]
		b, n, m := float64(f.X.Rows), float64(f.W.Cols), float64(f.W.Rows)
		l.Tasks = len(plan.UnitTasks(ℓ, f.W.Rows, s.o.Block, false, 0))
		l.LocalFlops = f.GradFlops() + b*n*n + b*m*m + 2*n*m*(n+m) + 7.0/3*(n*n*n+m*m*m)/float64(s.o.Refresh)
		if s.sampled != nil {
			l.LocalFlops += l.BackwardFlops
		}
		if !s.o.Plain { // Ȧ of two directions
			l.LocalFlops += 2 * (l.ForwardFlops + l.BackwardFlops)
		}
		l.StateBytes = layerwise.Bytes(f.state(s.o))
	}
	return layers
}
