package locoprop

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Work is how much of what takes time a form's local solve does for a layer and batch,
// as the cost model counts it.
type Work struct {
	Product  float64 // floating-point operations in products of two matrices
	Square   float64 // in products of a matrix with its own transpose
	Operand  float64 // elements that products read and write, once for each call
	Element  float64 // elements that other kernels read and write
	Transfer float64 // values of f
	Call     float64 // calls of kernels
}

// Costs are the constants of the cost model: the seconds that one core takes for a unit
// of each of the fields of [Work].
type Costs struct{ Product, Square, Operand, Element, Transfer, Call float64 }

// DefaultCosts are compiled in and never measured at run time: FormAuto's choice, and
// with it the bits of a run, must not depend on the machine or on what else it does.
// Fitted by `locoprop bench forms --fit`, with one worker on a machine at rest.
var DefaultCosts = Costs{Product: 9.9e-12, Square: 1.16e-11, Operand: 4.55e-10, Element: 0, Transfer: 8.67e-10, Call: 0}

// Seconds is the predicted time of some work on one core:
//
//	Product·F + Square·S + Operand·P + Element·Q + Transfer·V + Call·N
//
// with the work's fields for F to N.
func (c Costs) Seconds(w Work) float64 {
	return c.Product*w.Product + c.Square*w.Square + c.Operand*w.Operand + c.Element*w.Element + c.Transfer*w.Transfer + c.Call*w.Call
}

// check returns an error unless every cost is a finite number from 0 and products of
// two matrices aren't free.
func (c Costs) check() error {
	for _, x := range []float64{c.Product, c.Square, c.Operand, c.Element, c.Transfer, c.Call} {
		if !(x >= 0) || math.IsInf(x, 0) {
			return fmt.Errorf("locoprop: costs %+v; each must be a finite number from 0", c)
		}
	}
	if c.Product == 0 {
		return fmt.Errorf("locoprop: costs %+v; Product must be above 0", c)
	}
	return nil
}

// workload is all that the cost of a layer's local solve depends on.
type workload struct {
	batch, cols, units int // rows of X̃, n+1, m
	steps, block       int // T, units per task
	optimizer          optimizer.Kind
	matching           bool // M: the transfer function is evaluated
	coupled            bool // a row-coupled M: all units in one task
	carried            bool // a velocity lasts from batch to batch
	panels, panelsGram bool // direct, or Gram, is solved in panels, as on native
}

func (l *layer) workload() workload { return l.o.workload(l.f, l.x.Rows, l.x.Cols, l.w.Rows) }

// workload is that of a layer with transfer function f of the local problem.
func (o Options) workload(f transfer.Func, batch, cols, units int) workload {
	return workload{
		batch: batch, cols: cols, units: units, steps: o.Steps, block: o.Block,
		optimizer: o.Optimizer.Kind, matching: f != transfer.Identity, coupled: f.RowCoupled(), carried: o.carries(),
		panels: o.inPanels(f, batch), panelsGram: o.inPanels(f, cols),
	}
}

// Work is what the cost model counts where a layer is solved in the form of the
// settings, FormDirect, FormGram or FormKernel: a layer of inputs × units with transfer
// function f, for a batch of examples. It returns an error where there is no such form
// or no prediction.
func (m *Method) Work(f transfer.Func, batch, inputs, units int) (Work, error) {
	o := m.o
	switch o.Form {
	case FormDirect, FormGram, FormKernel:
	default:
		return Work{}, fmt.Errorf("locoprop: the cost model covers forms direct, gram and kernel, not %v", o.Form)
	}
	if batch < 1 || inputs < 1 || units < 1 {
		return Work{}, fmt.Errorf("locoprop: layer of %d × %d with a batch of %d; each must be 1 or more", inputs, units, batch)
	}
	f = o.Loss.transfer(f)
	if err := o.valid(o.Form, f); err != nil {
		return Work{}, fmt.Errorf("locoprop: %w", err)
	}
	return predict(o.Form, o.workload(f, batch, inputs+1, units)), nil
}

// predict is the cost model of the forms direct, Gram and kernel: it counts the work
// of each kernel that the form calls, over all blocks of units. Activations count on their way into
// panels, although passes leave those of layers before the last there.
func predict(form Form, w workload) Work {
	b, n, m, t := float64(w.batch), float64(w.cols), float64(w.units), float64(w.steps)
	again := t - 1                                          // iterations with Δ ≠ 0
	slots := float64(w.optimizer.NumSlots())                // matrices of state
	blocks := math.Ceil(m / float64(min(w.block, w.units))) // tasks
	if w.coupled {
		blocks = 1
	}
	residual, update := 3.0, 3+2*slots // elements in and out, per one of R or Δ
	if w.matching {
		residual = 5
	}
	panels := form == FormDirect && w.panels || form == FormGram && w.panelsGram
	if panels {
		blocks = float64(w.panelParts(form))
	}
	var c Work
	// product counts calls that all blocks make on a shared operand, and on parts of others.
	product := func(count, flops, shared, parts float64) {
		c.Product += count * flops
		c.Operand += count * (blocks*shared + parts)
		c.Call += count * blocks
	}
	// kernel counts calls of other kernels on parts.
	kernel := func(count, elements float64) {
		c.Element += count * elements
		c.Call += count * blocks
	}
	batch := 2 * b * n * m // a product with X̃
	switch form {
	case FormGram:
		c.square(w.cols, b)
		if panels { // X̃ and C are read while they are multiplied
			c.Operand += 2*b*m + 2*(1+2*slots)*n*m // into panels and back
			c.Call += blocks * (2 + 2*slots)
			product(1, batch, 0, b*m+n*m)
			product(again, 2*n*n*m, 0, 2*n*m)
			kernel(again, 3*n*m) // γG is added
			break
		}
		product(1, batch, b*n, b*m+n*m)
		product(again, 2*n*n*m, n*n, 2*n*m)
		c.Element += again * 2 * n * m // copies of γG
	case FormKernel:
		c.square(w.batch, n)
		product(again, 2*b*b*m, b*b, 2*b*m)
		product(1, batch, b*n, b*m+n*m)
		kernel(again, residual*b*m)
		if w.carried {
			product(2, batch, b*n, b*m+n*m)
			kernel(again, 2*b*m)
			kernel(1, 2*n*m)
		}
	default:
		shared := b * n
		if panels {
			shared = 0                             // X̃ is read while it is multiplied
			c.Operand += 2*b*m + 2*(2*slots+1)*n*m // E, weights and state into panels and back
			c.Call += blocks * (2 + 2*slots)
			if w.matching { // Â, and Ŷ = f(Â)
				c.Operand += 2 * b * m
				c.Call += blocks
				kernel(1, 2*b*m)
				c.Transfer = b * m
			}
		}
		product(2*t-1, batch, shared, b*m+n*m)
		kernel(again, residual*b*m)
	}
	if form == FormKernel {
		kernel(t, update*b*m) // of Z and U
	} else {
		kernel(t, update*n*m)
	}
	if !panels { // else they are counted above
		if form != FormGram {
			kernel(1, 2*b*m) // E = γD
		}
		kernel(1, 3*n*m) // W̃ + Δ
	}
	if w.matching {
		c.Transfer += again * b * m
	}
	return c
}

// panelParts is how many parts all blocks of units are solved in by panels.
func (w workload) panelParts(form Form) int {
	shared := w.batch * w.cols
	if form == FormGram {
		shared = w.cols * w.cols
	}
	parts := func(units int) int {
		step := backend.PanelStep(units, shared)
		return (units + step - 1) / step
	}
	return w.units/w.block*parts(w.block) + parts(w.units%w.block)
}

// flops are those of matrix products.
func (w Work) flops() float64 { return w.Product + w.Square }

// explain fills in what a form is predicted to take.
func (l *layer) explain(form Form, p *plan.LayerPlan) {
	work := predict(form, l.workload())
	p.LocalFlops = work.flops()
	l.tell(work, p)
}

// cheapest is what FormAuto stands for: of direct, Gram and kernel, which give the
// same iterates, the valid one with the least predicted time, the first of equals.
func (l *layer) cheapest() Form {
	best, least := FormDirect, math.Inf(1)
	for _, form := range []Form{FormDirect, FormGram, FormKernel} {
		if l.o.valid(form, l.f) != nil {
			continue
		}
		if s := l.o.Costs.Seconds(predict(form, l.workload())); s < least {
			best, least = form, s
		}
	}
	return best
}
