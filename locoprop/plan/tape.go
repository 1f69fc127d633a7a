package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// Tape holds the forward and backward pass of a batch: X̃, Â, Ŷ and D = ∂L/∂A of every layer, but
// for what LeaveA and Keep have it leave. Where [nn.PanelPass] can make the passes, a task takes
// some examples through all of both. Else each layer's product is a phase of its own, cut into
// [Tiles]; a layer whose design isn't its input takes a few examples per task.
type Tape struct {
	*nn.Activations
	D     []backend.Mat // B·p × m; empty where Keep has taken it away
	Batch int

	net     *nn.Network
	loss    loss.Loss
	kernels backend.Kernels
	passes  []*Phase      // both passes
	forward []*Phase      // up to the loss, the first layer's input being there
	sums    []float64     // loss of each task's examples, by Task.ID
	design  []backend.Mat // ∂L/∂(design), where the design isn't the input
	x, t    backend.Mat   // the batch being run

	panels backend.Panels // of passes by panels; else nil
	kept   []backend.Kept // by layer; see Keep
	gamma  []float32      // of kept E
}

// PassPhase is the name of a tape's phases.
const PassPhase = "forward and backward"

// NewTape allocates a tape for batches of a network.
func NewTape(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (*Tape, error) {
	if batch < 1 {
		return nil, fmt.Errorf("batch of %d examples; must be 1 or more", batch)
	}
	last := n.Last()
	if err := l.CheckTransfer(last.Transfer()); err != nil {
		return nil, err
	}
	if last.Positions() > 1 && last.Transfer().RowCoupled() {
		return nil, fmt.Errorf("%v needs a last layer with one position, not %d", last.Transfer(), last.Positions())
	}
	t := &Tape{
		Activations: nn.NewActivations(n, batch), Batch: batch,
		net: n, loss: l, kernels: k, design: make([]backend.Mat, len(n.Layers)),
		kept: make([]backend.Kept, len(n.Layers)), gamma: make([]float32, len(n.Layers)),
	}
	for ℓ, layer := range n.Layers {
		w, p := layer.Weights(), layer.Positions()
		if ℓ > 0 && !layer.DesignIsInput() {
			t.design[ℓ] = backend.NewPadded(batch*p, w.Cols-1)
		}
	}
	t.D = t.newD()
	if panels := nn.NewPanelPass(n, k, t.shared()); panels != nil {
		t.panels = k.(backend.Panels)
		t.planPanels(panels)
	} else {
		t.planTiles()
	}
	return t, nil
}

// planTiles plans the passes layer by layer.
func (t *Tape) planTiles() {
	input := t.examples(ElementCost*float64(t.net.Inputs()), func(_, lo, hi int) { t.begin(lo, hi) })
	var layers []*Phase
	costs := PassFlops(t.net, 1)
	for ℓ, layer := range t.net.Layers {
		w := layer.Weights()
		if !tiled(layer) {
			layers = append(layers, t.examples(costs[ℓ].ForwardFlops, func(_, lo, hi int) {
				t.ForwardLayer(t.kernels, w, ℓ, lo, hi)
			}))
			continue
		}
		layers = append(layers, NewPhase(PassPhase, Tiles(ℓ, t.Batch, w.Rows, 2*float64(w.Cols)), 0,
			func(task *Task, _ []float32) error {
				t.ForwardTile(t.kernels, w, ℓ, task.Lo, task.Hi, task.Left, task.Right)
				return nil
			}))
	}
	last := t.net.Last()
	whole := tiled(last) && last.Transfer().RowCoupled() // left to do by the tiles
	lossPhase := func(derivative bool) *Phase {
		return t.examples(ElementCost*float64(t.net.Outputs()), func(id, lo, hi int) {
			if whole {
				a, y := t.Output(lo, hi)
				t.kernels.Apply(y, a, last.Transfer())
			}
			t.lossOf(id, lo, hi, derivative)
		})
	}
	lossD := lossPhase(true)
	t.sums = make([]float64, len(lossD.Tasks))
	t.forward = slices.Concat(layers, []*Phase{lossPhase(false)})
	t.passes = slices.Concat([]*Phase{input}, layers, []*Phase{lossD}, t.backwardInto(t.D))
}

// begin copies inputs of the batch.
func (t *Tape) begin(lo, hi int) {
	backend.Copy(backend.WithoutBias(backend.Rows(t.Input[0], lo, hi)), backend.Rows(t.x, lo, hi))
}

// LeaveA tells the tape that nothing reads A of any layer but the last, which rules out NewBackward:
// passes by panels then don't make it, and A is empty.
func (t *Tape) LeaveA() {
	for ℓ := range len(t.A) - 1 {
		t.leave(ℓ)
	}
}

// leave takes A of a layer away where passes go by panels, which don't read it.
func (t *Tape) leave(ℓ int) {
	if t.panels != nil {
		t.A[ℓ] = backend.Mat{}
	}
}

// leaves tells whether A of some layer isn't there.
func (t *Tape) leaves() bool {
	return slices.ContainsFunc(t.A, func(a backend.Mat) bool { return a.Data == nil })
}

// Keep has passes leave what the blocks of a layer before the last read, E = γD and, where values is
// set, Â, in panels instead of matrices: A and D of the layer are empty from then on, which rules
// out NewBackward, before it too. Blocks have so many units. It does nothing, and returns nothing
// kept, where that can't be: passes don't go by panels, or blocks don't begin where panels do. A
// layer's activations can be kept once.
func (t *Tape) Keep(ℓ, block int, gamma float32, values bool) backend.Kept {
	units := t.net.Layers[ℓ].Weights().Rows
	if t.panels == nil || ℓ == len(t.net.Layers)-1 || !backend.KeepsPanels(t.panels, units, block) {
		return backend.Kept{}
	}
	if t.kept[ℓ].E != nil {
		panic("plan: activations of a layer kept twice")
	}
	t.leave(ℓ)
	t.D[ℓ] = backend.Mat{}
	t.kept[ℓ], t.gamma[ℓ] = backend.NewKept(t.panels, t.Batch, units, values), gamma
	return t.kept[ℓ]
}

// tiled tells whether a layer's products can be cut by units.
func tiled(l nn.Layer) bool { return l.DesignIsInput() && l.Positions() == 1 }

// examples makes a phase of tasks that take a few examples each, and are numbered.
func (t *Tape) examples(cost float64, do func(id, lo, hi int)) *Phase {
	tasks := ExampleTasks(t.Batch, cost)
	for i := range tasks {
		tasks[i].ID = i
	}
	return NewPhase(PassPhase, tasks, 0, func(task *Task, _ []float32) error {
		do(task.ID, task.Lo, task.Hi)
		return nil
	})
}

// Phases are those of a [Tape.Run], in order.
func (t *Tape) Phases() []*Phase { return t.passes }

var errShape = errors.New("batch of another shape than planned")

// Run computes both passes for inputs x (B × Inputs) and targets target
// (B × Outputs) and returns the mean loss. It returns *DivergedError where the loss
// isn't finite.
func (t *Tape) Run(p *Pool, x, target backend.Mat) (float64, error) {
	if x.Rows != t.Batch || x.Cols != t.net.Inputs() || target.Rows != t.Batch || target.Cols != t.net.Outputs() {
		return 0, fmt.Errorf("%w: got x %d × %d and targets %d × %d, want %d × %d and %d × %d", errShape,
			x.Rows, x.Cols, target.Rows, target.Cols, t.Batch, t.net.Inputs(), t.Batch, t.net.Outputs())
	}
	t.x, t.t = x, target
	mean, err := t.run(p, t.passes)
	if err != nil {
		return 0, err
	}
	if math.IsNaN(mean) || math.IsInf(mean, 0) {
		return mean, t.diagnose(p, mean)
	}
	return mean, nil
}

// run runs phases, and returns the mean loss that they find.
func (t *Tape) run(p *Pool, phases []*Phase) (float64, error) {
	if err := runAll(p, phases); err != nil {
		return 0, err
	}
	var sum float64
	for _, s := range t.sums {
		sum += s
	}
	return sum / float64(t.Batch), nil
}

func runAll(p *Pool, phases []*Phase) error {
	for _, ph := range phases {
		if err := p.Run(ph); err != nil {
			return err
		}
	}
	return nil
}

// lossOf computes the loss of a task's examples and, where told to, D of the last layer.
func (t *Tape) lossOf(id, lo, hi int, derivative bool) {
	a, y := t.Output(lo, hi)
	var d backend.Mat
	var scale float32
	if derivative {
		d, scale = t.flat(t.D, len(t.D)-1, lo, hi), float32(1/float64(t.Batch))
	}
	t.sums[id] = t.kernels.Loss(d, a, y, backend.Rows(t.t, lo, hi), t.net.Last().Transfer(), t.loss, scale)
}

// backwardInto makes the phases that take d of the last layer down to the first.
func (t *Tape) backwardInto(d []backend.Mat) []*Phase {
	k := t.kernels
	var phases []*Phase
	for ℓ := len(d) - 1; ℓ > 0; ℓ-- {
		layer, below := t.net.Layers[ℓ], t.net.Layers[ℓ-1]
		w, p, q := backend.WithoutBias(layer.Weights()), layer.Positions(), below.Positions()
		if tiled(layer) && q == 1 {
			phases = append(phases, NewPhase(PassPhase, Tiles(ℓ-1, t.Batch, w.Cols, 2*float64(w.Rows)), 0,
				func(task *Task, _ []float32) error {
					tile := func(m backend.Mat) backend.Mat { return backend.View(m, task.Lo, task.Hi, task.Left, task.Right) }
					dx := tile(d[ℓ-1])
					k.Backprop(dx, backend.Rows(d[ℓ], task.Lo, task.Hi), backend.Cols(w, task.Left, task.Right))
					k.Chain(dx, tile(t.A[ℓ-1]), tile(t.Y[ℓ-1]), below.Transfer())
					return nil
				}))
			continue
		}
		cost := 2 * float64(p) * float64(w.Cols) * float64(w.Rows)
		phases = append(phases, t.examples(cost, func(_, lo, hi int) {
			from, dx := backend.Rows(d[ℓ], lo*p, hi*p), t.flat(d, ℓ-1, lo, hi)
			if layer.DesignIsInput() {
				k.Backprop(dx, from, w)
			} else {
				dd := backend.Rows(t.design[ℓ], lo*p, hi*p)
				k.Backprop(dd, from, w)
				layer.Fold(dx, dd)
			}
			k.Chain(backend.Rows(d[ℓ-1], lo*q, hi*q), backend.Rows(t.A[ℓ-1], lo*q, hi*q),
				backend.Rows(t.Y[ℓ-1], lo*q, hi*q), below.Transfer())
		}))
	}
	return phases
}

// newD allocates matrices of the shapes of D.
func (t *Tape) newD() []backend.Mat {
	d := make([]backend.Mat, len(t.net.Layers))
	for ℓ, layer := range t.net.Layers {
		if p := layer.Positions(); p > 1 {
			d[ℓ] = backend.NewMat(t.Batch*p, layer.Weights().Rows)
		} else {
			d[ℓ] = backend.NewPadded(t.Batch, layer.Weights().Rows)
		}
	}
	return d
}

// Backward is another backward pass over the activations that a tape holds.
type Backward struct {
	D      []backend.Mat // as the tape's
	phases []*Phase
}

// NewBackward plans a backward pass that begins with what start writes into d, the last
// layer's, from its a and y; all are rows of examples from the lo-th on. It may be called
// for several ranges at once.
func (t *Tape) NewBackward(start func(d, a, y backend.Mat, lo int)) *Backward {
	if t.leaves() {
		panic("plan: another backward pass needs A, which this tape leaves")
	}
	b := &Backward{D: t.newD()}
	first := t.examples(ElementCost*float64(t.net.Outputs()), func(_, lo, hi int) {
		a, y := t.Output(lo, hi)
		start(t.flat(b.D, len(b.D)-1, lo, hi), a, y, lo)
	})
	b.phases = append([]*Phase{first}, t.backwardInto(b.D)...)
	return b
}

// Run makes the pass; the tape must have run.
func (b *Backward) Run(p *Pool) error { return runAll(p, b.phases) }

// Again returns the mean loss of the batch last run at the weights as they are now. It
// overwrites the activations; D and what Keep leaves stay. It isn't finite where the weights have
// left the range that the network can stand.
func (t *Tape) Again(p *Pool) (float64, error) { return t.run(p, t.forward) }

// flat views a layer's matrix of those of D's shapes as a row per example.
func (t *Tape) flat(of []backend.Mat, ℓ, lo, hi int) backend.Mat {
	p := t.net.Layers[ℓ].Positions()
	d := backend.Rows(of[ℓ], lo*p, hi*p)
	if p > 1 {
		d = backend.Reshape(d, hi-lo, d.Cols*p)
	}
	return d
}

// diagnose finds where a value that isn't finite first appears on the way forward.
func (t *Tape) diagnose(p *Pool, mean float64) error {
	if t.leaves() { // now A is of use
		left := slices.Clone(t.A)
		defer copy(t.A, left)
		for ℓ, layer := range t.net.Layers {
			if t.A[ℓ].Data == nil {
				t.A[ℓ] = backend.NewPadded(t.Batch, layer.Weights().Rows)
			}
		}
		if err := runAll(p, t.forward); err != nil {
			return err
		}
	}
	if v, found := nonFinite(backend.WithoutBias(t.Input[0])); found {
		return &DivergedError{Layer: -1, What: "input", Value: v}
	}
	if v, found := nonFinite(t.t); found {
		return &DivergedError{Layer: -1, What: "target", Value: v}
	}
	for ℓ, a := range t.A {
		if v, found := nonFinite(a); found {
			return &DivergedError{Layer: ℓ, What: "pre-activations", Value: v}
		}
	}
	return &DivergedError{Layer: len(t.A) - 1, What: "loss", Value: mean}
}

func nonFinite(m backend.Mat) (float64, bool) {
	for i := range m.Rows {
		for _, v := range m.Data[i*m.Stride : i*m.Stride+m.Cols] {
			if x := float64(v); math.IsNaN(x) || math.IsInf(x, 0) {
				return x, true
			}
		}
	}
	return 0, false
}

// FirstNonFinite finds a weight that isn't finite; layer is −1 where all are.
func FirstNonFinite(weights []backend.Mat) (layer int, value float64) {
	for ℓ, w := range weights {
		if v, found := nonFinite(w); found {
			return ℓ, v
		}
	}
	return -1, 0
}
