package locoprop

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// solver is a form: how one layer's local problem is solved. All its memory is made
// with it.
type solver interface {
	// stages lists the solver's jobs. Jobs of a stage are independent of each other and of
	// all other layers'; they run once those of the stage before, of every layer, have
	// ended; see plan.Stages. Weights move in the last stage only.
	stages() [][]plan.Job
	// begin prepares a batch, after the layer's own begin and before any task.
	begin()
	// state lists what the solver carries from batch to batch; the weights aren't its own.
	state() []plan.Tensor
	// explain fills in what is the form's in the plan: all from Form on, but the passes'
	// flops and ScratchBytes.
	explain(p *plan.LayerPlan)
}

// What the jobs of several forms make, for errors.
const (
	madeFactor   = "factor of the local problem's matrix"
	madeSolution = "local solution"
)

// layer is one layer's local problem: what every form sees.
type layer struct {
	index   int
	tape    *plan.Tape // whose passes keep makes leave panels
	o       Options
	kernels backend.Kernels
	f       transfer.Func // of the local problem: identity under Squared

	x          backend.Mat // X̃, the design: rows × (n+1)
	ahat, yhat backend.Mat // Â and Ŷ, rows × m; ahat, as d, empty where passes keep it in panels
	d          backend.Mat // ∂L/∂A, rows × m
	w          backend.Mat // W̃, m × (n+1)
	batch      int         // B, examples; rows is B times the layer's positions
	gamma      float64     // factor of d in the target: γ, or 1 where d holds γD already
	given      backend.Mat // ∂L/∂A as the backward pass left it; d differs where a variant changes it
	before     backend.Mat // copy of W̃ₖ, where something needs one

	// This batch's, set by begin.
	scale float64   // the schedule's factor s
	rates []float64 // ηₜ
	prox  float64   // 1/λ; 0 without a proximal term
}

func newLayer(o Options, ℓ int, t *plan.Tape, n *nn.Network, k backend.Kernels) *layer {
	l := n.Layers[ℓ]
	w := l.Weights()
	o.Optimizer = o.Optimizer.ForLayer(w.Cols-1, w.Rows)
	o.Gamma = o.gamma(t.Batch)
	return &layer{
		index: ℓ, tape: t, o: o, kernels: k, f: o.Loss.transfer(l.Transfer()),
		x: t.Design[ℓ], ahat: t.A[ℓ], yhat: t.Y[ℓ], d: t.D[ℓ], w: w, batch: t.Batch, gamma: o.Gamma,
		rates: make([]float64, o.Steps),
	}
}

// begin sets the rates of a batch.
func (l *layer) begin(scale float64) {
	l.scale = scale
	sum := 0.0
	for t := range l.rates {
		l.rates[t] = l.o.eta(scale, t)
		sum += l.rates[t]
	}
	switch {
	case l.o.Prox == ProxOff:
	case l.o.Prox != ProxAuto:
		l.prox = 1 / l.o.Prox
	case sum > 0:
		l.prox = 1 / sum
	default:
		l.prox = 0 // all rates are 0: no form moves a weight
	}
}

// units cuts the layer's units into blocks, a row-coupled problem into one.
func (l *layer) units(costPerUnit float64) []plan.Task {
	return plan.UnitTasks(l.index, l.w.Rows, l.o.Block, l.f.RowCoupled(), costPerUnit)
}

// keep has the passes leave what blocks in panels read, with Â where values is set, as panels,
// unless something else reads the matrices. It returns nothing kept then; where it keeps, ahat, d
// and given are empty from then on.
func (l *layer) keep(values bool) backend.Kept {
	o := l.o
	if o.Correction > 0 || o.Momentum.Factor > 0 || o.Diagnose > 0 || o.Safety != (Safety{}) || l.clips() {
		return backend.Kept{}
	}
	kept := l.tape.Keep(l.index, o.Block, float32(l.gamma), values)
	if kept.E != nil {
		l.ahat, l.d, l.given = backend.Mat{}, backend.Mat{}, backend.Mat{}
	}
	return kept
}

// block views what a task on units lo ≤ u < hi works on.
func (l *layer) block(lo, hi int, slots []backend.Mat) backend.Block {
	b := backend.Block{X: l.x, W: backend.Rows(l.w, lo, hi), Slots: slots, F: l.f, Gamma: float32(l.gamma)}
	if l.d.Data != nil { // nothing is kept in panels
		b.Ahat, b.Yhat, b.D = backend.Cols(l.ahat, lo, hi), backend.Cols(l.yhat, lo, hi), backend.Cols(l.d, lo, hi)
	}
	return b
}

// updates sets u to the optimiser's updates of this batch, the first of which is number
// done + 1.
func (l *layer) updates(u []optimizer.Update, done int64) {
	for t := range u {
		u[t] = l.o.Optimizer.At(l.rates[t], done+int64(t)+1)
		u[t].Prox = float32(l.prox)
	}
}
