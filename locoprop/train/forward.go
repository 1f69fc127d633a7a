package train

import (
	"context"
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// evalChunk is the number of examples that a task of an evaluation takes, of n in all: more
// make faster products by matrices, and fewer tasks share many workers' work better. It is part of what
// fixes the bits of a loss, so it depends on nothing else.
func evalChunk(n int) int {
	const usual, large, tasks = 256, 512, 32
	if n >= large*tasks {
		return large
	}
	return usual
}

// forward takes the examples of a source through a network, chunk by chunk, in
// parallel. Buffers are made once.
type forward struct {
	kernels backend.Kernels
	net     *nn.Network
	src     *source
	chunk   int
	panels  *nn.PanelPass // nil: the backend or the network has no passes by panels
	phase   *plan.Phase
	visit   func(c *output) error
	free    chan *forwardBuffer // one for each worker; nil until it is first used
	weights []backend.Mat       // of the pass being run
	ctx     context.Context     // of the pass being run: tasks look at it
}

// output is what the network gives for examples lo ≤ i < hi.
type output struct {
	id, lo, hi int
	a, y, t    backend.Mat // pre-activations, outputs, targets
}

type forwardBuffer struct {
	chunk  int
	act    *nn.Activations // or
	panels *nn.PanelActivations
	target backend.Mat // where the target isn't the input
}

func newForward(k backend.Kernels, n *nn.Network, src *source, workers int, visit func(*output) error) *forward {
	f := &forward{
		kernels: k, net: n, src: src, chunk: evalChunk(src.n), visit: visit,
		panels: nn.NewPanelPass(n, k, false), free: make(chan *forwardBuffer, workers),
	}
	for range workers {
		f.free <- nil
	}
	var cost float64
	for _, p := range plan.PassFlops(n, 1) {
		cost += p.ForwardFlops
	}
	f.phase = plan.NewPhase("evaluation", src.tasks(f.chunk, cost), 0, f.do)
	return f
}

// share lets two passes that never run at once, through one network with one backend, use the
// same memory.
func (f *forward) share(other *forward) { f.free = other.free }

// run takes all examples through the network with the given weights. It returns an
// interruption's error as soon as the chunks in hand are done.
func (f *forward) run(ctx context.Context, p *plan.Pool, weights []backend.Mat) error {
	f.ctx, f.weights = ctx, weights
	return p.Run(f.phase)
}

func (f *forward) do(t *plan.Task, _ []float32) error {
	if err := interruption(f.ctx); err != nil {
		return err
	}
	b := <-f.free
	if b == nil {
		b = &forwardBuffer{}
	}
	defer func() { f.free <- b }()
	if b.chunk < f.chunk { // a pass that shares it may have smaller ones
		*b = forwardBuffer{chunk: f.chunk}
	}
	n := t.Hi - t.Lo
	x := backend.WithoutBias(backend.Rows(f.input(b), 0, n))
	target := x
	if f.src.labels != nil {
		if b.target.Data == nil {
			b.target = backend.NewMat(b.chunk, f.src.outputs)
		}
		target = backend.Rows(b.target, 0, n)
	}
	if err := f.src.fill(x, target, f.src.index[t.Lo:t.Hi]); err != nil {
		return err
	}
	if f.panels != nil {
		b.panels.Forward(f.weights, n)
		return f.visit(&output{t.ID, t.Lo, t.Hi, backend.Rows(b.panels.A, 0, n), backend.Rows(b.panels.Y, 0, n), target})
	}
	b.act.Forward(f.kernels, f.weights, 0, n)
	a, y := b.act.Output(0, n)
	return f.visit(&output{t.ID, t.Lo, t.Hi, a, y, target})
}

// input is where a pass takes its input from, made when it is first used.
func (f *forward) input(b *forwardBuffer) backend.Mat {
	if f.panels != nil {
		if b.panels == nil {
			b.panels = nn.NewPanelActivations(f.panels, b.chunk)
		}
		return b.panels.Input
	}
	if b.act == nil {
		b.act = nn.NewActivations(f.net, b.chunk)
	}
	return b.act.Input[0]
}

// Predict writes the network's outputs for all examples into out, Len × Outputs. Values
// that aren't finite give a *DataError, another number of values or another shape of
// out a *ConfigError; a context that ends gives ErrInterrupted. out is then partly
// written.
func Predict(ctx context.Context, m *model.Model, in Examples, out backend.Mat, c Compute) error {
	if m.Network == nil {
		return &ConfigError{m.Check()}
	}
	return Encode(ctx, m, len(m.Network.Layers)-1, in, out, c)
}

// Encode writes the outputs of a layer, counted from 0, for all examples into out, Len ×
// the layer's units. Its errors are those of [Predict].
func Encode(ctx context.Context, m *model.Model, layer int, in Examples, out backend.Mat, c Compute) error {
	k, workers, err := c.resolve()
	if err != nil {
		return &ConfigError{err}
	}
	if err := m.Check(); err != nil {
		return &ConfigError{err}
	}
	if layer < 0 || layer >= len(m.Network.Layers) {
		return &ConfigError{fmt.Errorf("layer %d; must be 0 to %d", layer, len(m.Network.Layers)-1)}
	}
	net := &nn.Network{Layers: m.Network.Layers[:layer+1]}
	if in.Dim() != net.Inputs() {
		return &ConfigError{fmt.Errorf("examples have %d values, but the network reads %d", in.Dim(), net.Inputs())}
	}
	if out.Rows != in.Len() || out.Cols != net.Outputs() {
		return &ConfigError{fmt.Errorf("output is %d × %d; must be %d × %d", out.Rows, out.Cols, in.Len(), net.Outputs())}
	}
	pool := plan.NewPool(workers)
	defer pool.Close()
	src := &source{name: "input", from: in, n: in.Len(), outputs: in.Dim(), index: consecutive(in.Len())}
	f := newForward(k, net, src, workers, func(c *output) error {
		for r := range c.t.Rows {
			if _, finite := mix(0, row(c.t, r)); !finite {
				return &DataError{src.name, c.lo + r, errNotFinite}
			}
		}
		backend.Copy(backend.Rows(out, c.lo, c.hi), c.y)
		return nil
	})
	return f.run(ctx, pool, m.EvalWeights()[:layer+1])
}
