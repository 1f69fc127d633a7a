package locoprop

import (
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// DefaultMomentumLimit is the most memory that [Momentum] takes unless told, in bytes.
const DefaultMomentumLimit = 2 << 30

// Momentum averages D over the visits of each training example: in the targets, D_i of
// example i is replaced by
//
//	D̄_i ← μD̄_i + (1−μ)D_i,  D̄_i = D_i at the first visit
//
// It keeps a row per example and layer, 4·Examples·Σm bytes, which LayerPlan.StateBytes
// shows, and needs to be told which examples a batch has: plan.ExampleStepper.
type Momentum struct {
	Factor   float64 // μ, below 1; 0: off
	Examples int     // number of training examples
	Limit    int64   // most bytes to take; 0 means DefaultMomentumLimit
}

func (m Momentum) check() error {
	var errs []error
	if !(m.Factor >= 0 && m.Factor < 1) {
		errs = append(errs, fmt.Errorf("locoprop: momentum on D is %v; must be above 0 and below 1, or 0 for none", m.Factor))
	}
	if m.Factor > 0 && m.Examples < 1 {
		errs = append(errs, errors.New("locoprop: momentum on D needs the number of training examples"))
	}
	if m.Limit < 0 {
		errs = append(errs, fmt.Errorf("locoprop: momentum on D may take %d bytes; must be 0 or more", m.Limit))
	}
	return errors.Join(errs...)
}

// memory is what Momentum keeps.
type memory struct {
	mean    []backend.Mat // D̄ of each layer, positions·Examples × m
	visited []int64       // 1 for examples that have a D̄
	ids     []int         // of the batch; nil: not set
	stamp   []int64       // last batch, from 1, that named an example: finds doubles
	batches int64
}

// planVariants checks and allocates what layers share.
func (s *stepper) planVariants() error {
	if s.o.Correction > 0 {
		for ℓ, l := range s.net.Layers {
			if !l.DesignIsInput() {
				return fmt.Errorf("layer %d: the forward correction needs layers whose design is their input", ℓ)
			}
		}
	}
	m := s.o.Momentum
	if m.Factor == 0 || s.memory != nil {
		return nil
	}
	limit := m.Limit
	if limit == 0 {
		limit = DefaultMomentumLimit
	}
	bytes := 0.0
	for _, l := range s.net.Layers {
		bytes += 4 * float64(m.Examples) * float64(l.Positions()*l.Weights().Rows)
	}
	if bytes > float64(limit) {
		return fmt.Errorf("momentum on D would take %.0f bytes for %d examples; its limit is %d", bytes, m.Examples, limit)
	}
	s.memory = &memory{visited: make([]int64, m.Examples), stamp: make([]int64, m.Examples)}
	for _, l := range s.net.Layers {
		s.memory.mean = append(s.memory.mean, backend.NewMat(m.Examples*l.Positions(), l.Weights().Rows))
	}
	return nil
}

// examples is a stepper that needs to know a batch's examples.
type examples struct{ *stepper }

var _ plan.ExampleStepper = examples{}

// SetExamples names the examples of the next batch.
func (s examples) SetExamples(ids []int) error {
	m := s.memory
	m.ids = nil
	if len(ids) != s.tape.Batch {
		return fmt.Errorf("locoprop: %d example numbers for a batch of %d", len(ids), s.tape.Batch)
	}
	m.batches++
	for _, id := range ids {
		if id < 0 || id >= len(m.visited) {
			return fmt.Errorf("locoprop: example %d; momentum on D was planned for 0 to %d", id, len(m.visited)-1)
		}
		if m.stamp[id] == m.batches {
			return fmt.Errorf("locoprop: example %d twice in a batch", id)
		}
		m.stamp[id] = m.batches
	}
	m.ids = ids
	return nil
}

// planTarget gives a layer memory of its own for what a variant changes: D, and Ŷ, which
// is else the next layer's input.
func (s *stepper) planTarget(l *layer) {
	l.given = l.d
	if s.memory != nil || l.clips() {
		l.d = backend.NewPadded(l.d.Rows, l.d.Cols)
	}
	if l.clips() {
		l.gamma = 1
	}
	if s.o.Correction > 0 && l.index > 0 {
		l.yhat = backend.NewPadded(l.yhat.Rows, l.yhat.Cols)
	}
}

func (l *layer) clips() bool {
	_, _, bounded := l.f.Clip()
	return l.o.Clip && bounded
}

// targetWork makes the tasks that write a layer's D, or γD where targets are clipped.
func (s *stepper) targetWork(l *layer) []plan.Job {
	if s.memory == nil && !l.clips() {
		return nil
	}
	var tasks []plan.Job
	for _, t := range l.units(float64(l.x.Rows)) {
		tasks = append(tasks, plan.Job{Task: t, Do: func([]float32) error {
			s.target(l, t.Lo, t.Hi)
			return nil
		}})
	}
	return tasks
}

func (s *stepper) target(l *layer, lo, hi int) {
	backend.Copy(backend.Cols(l.d, lo, hi), backend.Cols(l.given, lo, hi))
	positions := l.x.Rows / l.batch
	for i := range l.d.Rows {
		d := l.d.Data[i*l.d.Stride+lo : i*l.d.Stride+hi]
		if m := s.memory; m != nil {
			id := m.ids[i/positions]
			all := m.mean[l.index]
			mean := all.Data[(id*positions+i%positions)*all.Stride:][lo:hi]
			remember(mean, d, float32(s.o.Momentum.Factor), m.visited[id] != 0)
		}
		if l.clips() {
			l.clip(d, l.yhat.Data[i*l.yhat.Stride+lo:i*l.yhat.Stride+hi])
		}
	}
}

// remember takes d into its mean and replaces it by that.
func remember(mean, d []float32, mu float32, visited bool) {
	if !visited {
		copy(mean, d)
		return
	}
	for j := range d {
		mean[j] = float32(mu*mean[j]) + float32((1-mu)*d[j])
	}
	copy(d, mean)
}

// clip replaces d by E = Ŷ − Y*, Y* = Ŷ − γD clipped into the bounds of f. The bounds
// give way to Ŷ where that lies beyond, so that a saturated unit with D = 0 stays where
// it is. Entries that aren't clipped keep E = γD, which Ŷ − Y* would round.
func (l *layer) clip(d, yhat []float32) {
	low, high, _ := l.f.Clip()
	lo, hi, gamma := float32(low), float32(high), float32(l.o.Gamma)
	clipped := func(j int) (y float32, changed bool) {
		target := yhat[j] - gamma*d[j]
		y = min(max(target, min(lo, yhat[j])), max(hi, yhat[j]))
		return y, y != target
	}
	if !l.f.RowCoupled() {
		for j := range d {
			if y, changed := clipped(j); changed {
				d[j] = yhat[j] - y
			} else {
				d[j] *= gamma
			}
		}
		return
	}
	sum, moved := 0.0, false
	for j := range d {
		y, changed := clipped(j)
		sum, moved = sum+float64(y), moved || changed
	}
	for j := range d {
		if !moved {
			d[j] *= gamma
			continue
		}
		y, _ := clipped(j)
		d[j] = float32(float64(yhat[j]) - float64(y)/sum)
	}
}

// correctionWork makes the tasks of the forward correction after a layer is solved: the
// next layer's input moves toward the layer's new output, by at most c·√n for an example
// with n inputs, and Â and Ŷ follow; D stays.
//
//	δ = f(X̃W̃ᵀ) − X₊,  X₊ ← X₊ + δ·min(1, c√n/‖δ‖),  Â₊ = X̃₊W̃₊ᵀ,  Ŷ₊ = f₊(Â₊)
func (s *stepper) correctionWork(l *layer) []plan.Job {
	if s.o.Correction == 0 || l.index+1 == len(s.layers) {
		return nil
	}
	next := s.layers[l.index+1]
	f, after := s.net.Layers[l.index].Transfer(), s.net.Layers[l.index+1].Transfer()
	var tasks []plan.Job
	for _, t := range plan.ExampleTasks(l.batch, 4*float64(l.x.Cols)*float64(l.w.Rows)) {
		t.Layer = l.index
		tasks = append(tasks, plan.Job{Task: t, Scratch: roundLine((t.Hi - t.Lo) * l.w.Rows), Do: func(scratch []float32) error {
			y, _ := carve(scratch, t.Hi-t.Lo, l.w.Rows)
			x := backend.Rows(next.x, t.Lo, t.Hi)
			l.kernels.Affine(y, backend.Rows(l.x, t.Lo, t.Hi), l.w)
			l.kernels.Apply(y, y, f)
			correct(x, y, s.o.Correction)
			ahat, yhat := backend.Rows(next.ahat, t.Lo, t.Hi), backend.Rows(next.yhat, t.Lo, t.Hi)
			l.kernels.Affine(ahat, x, next.w)
			l.kernels.Apply(yhat, ahat, after)
			return nil
		}})
	}
	return tasks
}

// correct moves the rows of x, whose last column is the bias, toward those of y.
func correct(x, y backend.Mat, c float64) {
	bound := c * math.Sqrt(float64(y.Cols))
	for i := range y.Rows {
		from, to := x.Data[i*x.Stride:][:y.Cols], y.Data[i*y.Stride:][:y.Cols]
		var squares float64
		for j := range to {
			to[j] -= from[j]
			squares += float64(to[j]) * float64(to[j])
		}
		share := float32(1)
		if norm := math.Sqrt(squares); norm > bound {
			share = float32(bound / norm)
		}
		for j := range to {
			from[j] += float32(share * to[j])
		}
	}
}
