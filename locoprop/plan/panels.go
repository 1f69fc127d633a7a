package plan

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// planPanels plans passes by panels.
func (t *Tape) planPanels(p *nn.PanelPass) {
	phase := func(backward bool) []*Phase {
		return []*Phase{NewPhase(PassPhase, panelTasks(t.net, p, t.Batch), p.ScratchLen(), func(task *Task, scratch []float32) error {
			t.panelPass(p, task, scratch, backward)
			return nil
		})}
	}
	t.passes, t.forward, t.panels = phase(true), phase(false), true
	t.sums = make([]float64, len(t.passes[0].Tasks))
}

// panelTasks cuts a batch into passes, those of one that takes some ten microseconds in all without
// regard to a second worker.
func panelTasks(n *nn.Network, p *nn.PanelPass, batch int) []Task {
	cost := 0.0
	for _, c := range PassFlops(n, 1) {
		cost += c.ForwardFlops + c.BackwardFlops
	}
	shared := cost*float64(batch) >= 8*grain
	var tasks []Task
	for lo := 0; lo < batch; {
		hi := lo + p.Size(batch-lo, shared)
		tasks = append(tasks, Task{Layer: -1, ID: len(tasks), Lo: lo, Hi: hi, Cost: cost * float64(hi-lo)})
		lo = hi
	}
	return tasks
}

// panelPass takes a task's examples through the network and, where told to, back.
func (t *Tape) panelPass(p *nn.PanelPass, task *Task, scratch []float32, backward bool) {
	lo, hi := task.Lo, task.Hi
	if backward {
		t.begin(lo, hi)
	}
	p.Begin(scratch, backend.Rows(t.Input[0], lo, hi))
	last := len(t.net.Layers) - 1
	for ℓ, layer := range t.net.Layers {
		p.Forward(scratch, layer.Weights(), ℓ, hi-lo)
		if ℓ == last || !t.leavesA {
			p.ToA(backend.Rows(t.A[ℓ], lo, hi), scratch, ℓ)
		}
		if ℓ < last {
			p.ToInput(backend.Rows(t.Input[ℓ+1], lo, hi), scratch, ℓ+1)
		}
	}
	a, y := t.Output(lo, hi)
	t.kernels.Apply(y, a, t.net.Last().Transfer())
	t.lossOf(task.ID, lo, hi, backward)
	if !backward {
		return
	}
	p.BeginBackward(scratch, backend.Rows(t.D[last], lo, hi))
	for ℓ := last; ℓ > 0; ℓ-- {
		p.Backward(scratch, t.net.Layers[ℓ].Weights(), ℓ, hi-lo)
		p.ToD(backend.Rows(t.D[ℓ-1], lo, hi), scratch, ℓ-1)
	}
}
