// Package layerwise is what methods share that treat a network layer by layer, given the
// gradient of the mean loss: the step itself, its tasks and its state. A method brings a
// [Rule] per layer.
package layerwise

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/mat"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Stripes cuts rows 0 ≤ i < rows into tasks of at most size rows.
func Stripes(layer, rows, size int, costPerRow float64, scratch int, do func(lo, hi int, scratch []float32) error) []plan.Job {
	var list []plan.Job
	for _, t := range plan.UnitTasks(layer, rows, size, false, costPerRow) {
		list = append(list, plan.Job{Task: t, Scratch: scratch, Do: func(s []float32) error { return do(t.Lo, t.Hi, s) }})
	}
	return list
}

// AddScaled computes dst ← dst + a·src, with the kernel of plain gradient descent.
func AddScaled(k backend.Kernels, dst backend.Mat, a float32, src backend.Mat) {
	k.Update(optimizer.Update{Kind: optimizer.SGD, C: [8]float32{-a}}, dst, backend.Mat{}, src, nil)
}

// Average computes dst ← keep·dst + (1 − keep)·src.
func Average(k backend.Kernels, dst backend.Mat, keep float64, src backend.Mat) {
	k.Scale(dst, dst, float32(keep))
	AddScaled(k, dst, float32(1-keep), src)
}

// Squares sums the squares of parts of a matrix with a backend's kernels, in float64 and a
// fixed order.
type Squares struct {
	kernels backend.Factored
	ones    []float32
}

// NewSquares is for parts of matrices of the shape of w.
func NewSquares(k backend.Kernels, w backend.Mat) Squares {
	s := Squares{backend.FactoredOf(k), make([]float32, max(w.Rows, w.Cols))}
	for i := range s.ones {
		s.ones[i] = 1
	}
	return s
}

// Of is Σ m².
func (s Squares) Of(m backend.Mat) float64 {
	return s.kernels.ScaledSquares(m, s.ones[:m.Rows], s.ones[:m.Cols])
}

// CacheRows is how many rows tasks take that go over a few matrices in several passes: what
// the first pass reads and writes is then still in the core's own cache in the next.
const CacheRows = 16

// InCache calls do for rows lo ≤ u < hi, CacheRows at a time.
func InCache(lo, hi int, do func(lo, hi int)) {
	for ; lo < hi; lo += CacheRows {
		do(lo, min(lo+CacheRows, hi))
	}
}

// Layer is what a rule sees of one layer.
type Layer struct {
	Index   int
	First   bool
	Last    bool
	Block   int // units per task
	Kernels backend.Kernels
	X, D    backend.Mat // X̃, rows × (n+1), and D = ∂L/∂A, rows × m, of the batch
	W       backend.Mat // W̃, m × (n+1)
}

// LayerOf is layer ℓ of a network as a tape sees it.
func LayerOf(n *nn.Network, t *plan.Tape, k backend.Kernels, ℓ, block int) *Layer {
	return &Layer{
		Index: ℓ, First: ℓ == 0, Last: ℓ == len(n.Layers)-1, Block: block, Kernels: k,
		X: t.Design[ℓ], D: t.D[ℓ], W: n.Layers[ℓ].Weights(),
	}
}

// Units cuts the layer's units into tasks, each of which does something with the gradient
// of its rows lo ≤ u < hi, G = DᵀX̃, in g. extra is further scratch that do needs.
func (l *Layer) Units(extra int, do func(lo, hi int, g backend.Mat, scratch []float32) error) []plan.Job {
	cols, gradient := l.W.Cols, backend.NewGradient(l.Kernels, l.X.Rows)
	var list []plan.Job
	for _, t := range plan.UnitTasks(l.Index, l.W.Rows, l.Block, false, l.GradFlops()/float64(l.W.Rows)) {
		d := backend.Cols(l.D, t.Lo, t.Hi)
		length := mat.RoundLine((t.Hi-t.Lo)*cols) + max(extra, gradient.ScratchLen(cols, t.Hi-t.Lo))
		list = append(list, plan.Job{Task: t, Scratch: length, Do: func(scratch []float32) error {
			g, scratch := mat.Carve(scratch, t.Hi-t.Lo, cols)
			gradient.Of(g, d, l.X, scratch)
			return do(t.Lo, t.Hi, g, scratch)
		}})
	}
	return list
}

// Gradient makes the tasks that write G into g, m × (n+1), followed by what then does
// with its rows lo ≤ u < hi; then may be nil.
func (l *Layer) Gradient(g backend.Mat, then func(lo, hi int)) []plan.Job {
	gradient := backend.NewGradient(l.Kernels, l.X.Rows)
	scratch := gradient.ScratchLen(l.W.Cols, min(l.Block, l.W.Rows))
	return Stripes(l.Index, l.W.Rows, l.Block, l.GradFlops()/float64(l.W.Rows), scratch, func(lo, hi int, scratch []float32) error {
		gradient.Of(backend.Rows(g, lo, hi), backend.Cols(l.D, lo, hi), l.X, scratch)
		if then != nil {
			then(lo, hi)
		}
		return nil
	})
}

// GradFlops counts G = DᵀX̃.
func (l *Layer) GradFlops() float64 {
	return 2 * float64(l.X.Rows) * float64(l.X.Cols) * float64(l.W.Rows)
}

// Tensor names a piece of the layer's state: layers.LAYER.NAME.
func (l *Layer) Tensor(name string, m backend.Mat) plan.Tensor {
	return plan.MatTensor(l.Index, name, m)
}

// Counter is a state tensor of one whole number.
func (l *Layer) Counter(name string, v []int64) plan.Tensor {
	return plan.Tensor{Name: fmt.Sprintf("layers.%d.%s", l.Index, name), Shape: []int{len(v)}, I64: v}
}

// Vector is a state tensor of float32 numbers.
func (l *Layer) Vector(name string, v []float32) plan.Tensor {
	return plan.Tensor{Name: fmt.Sprintf("layers.%d.%s", l.Index, name), Shape: []int{len(v)}, F32: v}
}

// Rule is what a method does to one layer. All its memory is made with it.
type Rule interface {
	// Stages lists its jobs. Jobs of a stage are independent of each other and of all
	// other layers'; they run once those of the stage before, of every layer, have ended;
	// see plan.Stages. Weights move in the last stage only.
	Stages() [][]plan.Job
	// Begin prepares a step at rate η·s, before any task.
	Begin(rate float64)
	// State lists what is carried from step to step; the weights aren't its own.
	State() []plan.Tensor
	// Explain fills in Form, Tasks, LocalFlops and StateBytes.
	Explain(p *plan.LayerPlan)
}

// Stepper is a plan of a layerwise method: after the tape's phase, a phase for each stage
// of the layers' rules.
type Stepper struct {
	net    *nn.Network
	tape   *plan.Tape
	eta    float64
	rules  []Rule
	backup *plan.Backup // where a job may fail when others have moved weights
	phases []*plan.Phase
}

var _ plan.Stepper = (*Stepper)(nil)

// NewStepper plans a method with learning rate eta whose rules newRule makes.
func NewStepper(name string, n *nn.Network, l loss.Loss, batch int, k backend.Kernels, eta float64, block int,
	newRule func(l *Layer) (Rule, error),
) (*Stepper, error) {
	tape, err := plan.NewTape(n, l, batch, k)
	if err != nil {
		return nil, err
	}
	s := &Stepper{net: n, tape: tape, eta: eta}
	var layers [][][]plan.Job
	for ℓ := range n.Layers {
		r, err := newRule(LayerOf(n, tape, k, ℓ, block))
		if err != nil {
			return nil, fmt.Errorf("%s: layer %d: %w", name, ℓ, err)
		}
		s.rules = append(s.rules, r)
		layers = append(layers, r.Stages())
	}
	stages := plan.Stages(layers...)
	for i, stage := range stages {
		s.phases = append(s.phases, plan.NewJobPhase(fmt.Sprintf("%s %d", name, i), stage))
	}
	if plan.MayDiverge(stages[len(stages)-1]) {
		s.backup = plan.NewBackup(n, block)
	}
	return s, nil
}

// Step makes one training step; see plan.Stepper.
func (s *Stepper) Step(p *plan.Pool, x, t backend.Mat, scale float64) (plan.Report, error) {
	mean, err := s.tape.Run(p, x, t)
	report := plan.Report{Loss: mean}
	if err != nil {
		return report, err
	}
	if err := s.backup.Keep(p); err != nil {
		return report, err
	}
	for _, r := range s.rules {
		r.Begin(float64(s.eta * scale))
	}
	for _, phase := range s.phases {
		if err := p.Run(phase); err != nil {
			s.backup.Undo()
			return report, err
		}
	}
	return report, nil
}

// Cycle is that of the rules that have one; see plan.CyclicStepper.
func (s *Stepper) Cycle() plan.Cycle {
	c := plan.Cycle{Length: 1}
	for _, r := range s.rules {
		if r, ok := r.(interface{ Cycle() plan.Cycle }); ok {
			c = c.With(r.Cycle())
		}
	}
	return c
}

// State lists, layer by layer, the weights and the rule's state.
func (s *Stepper) State() []plan.Tensor {
	var state []plan.Tensor
	for ℓ, w := range s.net.Weights() {
		state = append(state, plan.MatTensor(ℓ, "w", w))
		state = append(state, s.rules[ℓ].State()...)
	}
	return state
}

// EvalWeights are the network's weights.
func (s *Stepper) EvalWeights() []backend.Mat { return s.net.Weights() }

// Explain tells what a step costs, layer by layer.
func (s *Stepper) Explain() []plan.LayerPlan {
	layers := plan.PassFlops(s.net, s.tape.Batch)
	for ℓ, r := range s.rules {
		r.Explain(&layers[ℓ])
		layers[ℓ].StateBytes = Bytes(r.State())
	}
	return layers
}

// Bytes is the memory of state tensors.
func Bytes(state []plan.Tensor) (sum float64) {
	for _, t := range state {
		sum += float64(4*len(t.F32) + 8*len(t.F64) + 8*len(t.I64))
	}
	return sum
}

// Positive reports whether v is a positive finite number.
func Positive(v float64) bool { return v > 0 && !math.IsInf(v, 0) }

// Checks collects what is wrong with a method's settings.
type Checks struct {
	Method string
	Errs   []error
}

// Positive notes a setting that isn't a positive finite number.
func (c *Checks) Positive(name string, v float64) {
	if !Positive(v) {
		c.Bad("%s is %v; must be a positive finite number", name, v)
	}
}

// NotNegative notes a setting that isn't a finite number, 0 or more.
func (c *Checks) NotNegative(name string, v float64) {
	if !(v >= 0) || math.IsInf(v, 0) {
		c.Bad("%s is %v; must be a finite number, 0 or more", name, v)
	}
}

// Below1 notes a setting that isn't at least 0 and below 1.
func (c *Checks) Below1(name string, v float64) {
	if !(v >= 0 && v < 1) {
		c.Bad("%s is %v; must be at least 0 and below 1", name, v)
	}
}

// NotBoth notes a setting that has a value although it is to be left out.
func (c *Checks) NotBoth(name string, v float64, none bool) {
	if none && v != 0 {
		c.Bad("%s is %v, but none is to be taken; give one of both", name, v)
	}
}

// AtLeast1 notes a count below 1.
func (c *Checks) AtLeast1(name string, v int) {
	if v < 1 {
		c.Bad("%s is %d; must be 1 or more", name, v)
	}
}

// Bad notes an error.
func (c *Checks) Bad(format string, args ...any) {
	c.Errs = append(c.Errs, fmt.Errorf(c.Method+": "+format, args...))
}

// Default replaces a zero value.
func Default[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
