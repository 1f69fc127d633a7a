package plan

import (
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// Tape holds the forward and backward pass of a batch: X̃, Â, Ŷ and D = ∂L/∂A of every
// layer. Both passes of an example need no other example, so a task takes a few
// examples through the whole network and back: one phase, no barrier between layers.
type Tape struct {
	*nn.Activations
	D     []backend.Mat // B·p × m
	Batch int

	net     *nn.Network
	loss    loss.Loss
	kernels backend.Kernels
	phase   *Phase
	again   *Phase        // forward only
	sums    []float64     // loss of each task's examples, by Lo / chunk
	chunk   int           // examples per task
	design  []backend.Mat // ∂L/∂(design), where the design isn't the input
	x, t    backend.Mat   // the batch being run
}

// PassPhase is the name of a tape's phase.
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
	}
	tasks := t.tasks(1)
	t.sums, t.chunk, t.D = make([]float64, len(tasks)), tasks[0].Hi, t.newD()
	for ℓ, layer := range n.Layers {
		w, p := layer.Weights(), layer.Positions()
		if ℓ > 0 && !layer.DesignIsInput() {
			t.design[ℓ] = backend.NewPadded(batch*p, w.Cols-1)
		}
	}
	t.phase = NewPhase(PassPhase, tasks, 0, t.pass)
	t.again = NewPhase("forward", t.tasks(0.4), 0, t.lossOnly)
	return t, nil
}

// Phase is the tape's one phase.
func (t *Tape) Phase() *Phase { return t.phase }

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
	if err := p.Run(t.phase); err != nil {
		return 0, err
	}
	mean := t.mean()
	if math.IsNaN(mean) || math.IsInf(mean, 0) {
		return mean, t.diagnose(mean)
	}
	return mean, nil
}

// pass takes examples task.Lo ≤ i < task.Hi through the network and back.
func (t *Tape) pass(task *Task, _ []float32) error {
	lo, hi := task.Lo, task.Hi
	k := t.kernels
	backend.Copy(backend.WithoutBias(backend.Rows(t.Input[0], lo, hi)), backend.Rows(t.x, lo, hi))
	t.Forward(k, t.net.Weights(), lo, hi)

	last := len(t.D) - 1
	a, y := t.Output(lo, hi)
	t.sums[lo/t.chunk] = k.Loss(t.flat(t.D, last, lo, hi), a, y, backend.Rows(t.t, lo, hi),
		t.net.Last().Transfer(), t.loss, float32(1/float64(t.Batch)))
	t.backward(t.D, lo, hi)
	return nil
}

// lossOnly takes examples through the network and to their loss.
func (t *Tape) lossOnly(task *Task, _ []float32) error {
	lo, hi := task.Lo, task.Hi
	t.Forward(t.kernels, t.net.Weights(), lo, hi)
	a, y := t.Output(lo, hi)
	t.sums[lo/t.chunk] = t.kernels.Loss(backend.Mat{}, a, y, backend.Rows(t.t, lo, hi), t.net.Last().Transfer(), t.loss, 0)
	return nil
}

// backward takes d of the last layer down to the first, for examples lo ≤ i < hi.
func (t *Tape) backward(d []backend.Mat, lo, hi int) {
	k := t.kernels
	for ℓ := len(d) - 1; ℓ > 0; ℓ-- {
		layer, below := t.net.Layers[ℓ], t.net.Layers[ℓ-1]
		w, p := backend.WithoutBias(layer.Weights()), layer.Positions()
		from, dx := backend.Rows(d[ℓ], lo*p, hi*p), t.flat(d, ℓ-1, lo, hi)
		if layer.DesignIsInput() {
			k.Backprop(dx, from, w)
		} else {
			dd := backend.Rows(t.design[ℓ], lo*p, hi*p)
			k.Backprop(dd, from, w)
			layer.Fold(dx, dd)
		}
		q := below.Positions()
		k.Chain(backend.Rows(d[ℓ-1], lo*q, hi*q), backend.Rows(t.A[ℓ-1], lo*q, hi*q),
			backend.Rows(t.Y[ℓ-1], lo*q, hi*q), below.Transfer())
	}
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
	D     []backend.Mat // as the tape's
	phase *Phase
}

// NewBackward plans a backward pass that begins with what start writes into d, the last
// layer's, from its a and y; all are rows of examples from the lo-th on. It may be called
// for several ranges at once.
func (t *Tape) NewBackward(start func(d, a, y backend.Mat, lo int)) *Backward {
	b := &Backward{D: t.newD()}
	b.phase = NewPhase("another backward pass", t.tasks(0.5), 0, func(task *Task, _ []float32) error {
		a, y := t.Output(task.Lo, task.Hi)
		start(t.flat(b.D, len(b.D)-1, task.Lo, task.Hi), a, y, task.Lo)
		t.backward(b.D, task.Lo, task.Hi)
		return nil
	})
	return b
}

// Phase is the pass's one phase; the tape must have run.
func (b *Backward) Phase() *Phase { return b.phase }

// Again returns the mean loss of the batch last run at the weights as they are now. It
// overwrites the activations, and D stays. It isn't finite where the weights have left
// the range that the network can stand.
func (t *Tape) Again(p *Pool) (float64, error) {
	if err := p.Run(t.again); err != nil {
		return 0, err
	}
	return t.mean(), nil
}

// mean is the mean loss from the tasks' sums.
func (t *Tape) mean() float64 {
	var sum float64
	for _, s := range t.sums {
		sum += s
	}
	return sum / float64(t.Batch)
}

// tasks cuts the batch, at a share of the cost of both passes.
func (t *Tape) tasks(share float64) []Task {
	var cost float64
	for _, p := range PassFlops(t.net, 1) {
		cost += p.ForwardFlops + p.BackwardFlops
	}
	return ExampleTasks(t.Batch, share*cost)
}

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
func (t *Tape) diagnose(mean float64) error {
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
