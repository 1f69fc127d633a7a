package plan

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// planPanels plans passes by panels.
func (t *Tape) planPanels(p *nn.PanelPass) {
	phase := func(backward bool) []*Phase {
		return []*Phase{NewPhase(PassPhase, t.panelTasks(p), p.ScratchLen(), func(task *Task, scratch []float32) error {
			t.panelPass(p, task, scratch, backward)
			return nil
		})}
	}
	t.passes, t.forward = phase(true), phase(false)
	t.sums = make([]float64, len(t.passes[0].Tasks))
}

// cost is that of both passes of an example.
func (t *Tape) cost() (flops float64) {
	for _, c := range PassFlops(t.net, 1) {
		flops += c.ForwardFlops + c.BackwardFlops
	}
	return flops
}

// shared tells whether a batch's passes are worth a second worker: whether they take more than some
// ten microseconds.
func (t *Tape) shared() bool { return t.cost()*float64(t.Batch) >= 8*grain }

// panelTasks cuts the batch into passes.
func (t *Tape) panelTasks(p *nn.PanelPass) []Task {
	var tasks []Task
	cost := t.cost()
	for lo := 0; lo < t.Batch; {
		hi := lo + p.Size(t.Batch-lo)
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
		if a := t.kept[ℓ].Ahat; a != nil && backward {
			p.TurnA(a, t.Batch, lo, scratch, ℓ, hi-lo)
		}
		if t.A[ℓ].Data != nil {
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
		if kept := t.kept[ℓ-1]; kept.E != nil {
			p.TurnD(kept.E, t.Batch, lo, t.gamma[ℓ-1], scratch, ℓ-1, hi-lo)
		} else {
			p.ToD(backend.Rows(t.D[ℓ-1], lo, hi), scratch, ℓ-1)
		}
	}
}
