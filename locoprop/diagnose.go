package locoprop

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// diagnosis measures what a solver did to a layer, from the weights before and after:
// it asks nothing of the form. It costs two products over the batch and a copy of the
// weights, in the batches that are sampled only; in all, passes leave the matrices that it reads.
type diagnosis struct {
	*layer
	solver solver
	form   string
	sums   []sums // of each task, so that workers don't change the order of addition
}

type sums struct{ loss, gradient, update, product float64 }

func newDiagnosis(l *layer, s solver) *diagnosis {
	var p plan.LayerPlan
	s.explain(&p)
	return &diagnosis{layer: l, solver: s, form: p.Form}
}

// work makes the tasks that measure.
func (d *diagnosis) work() []plan.Job {
	var tasks []plan.Job
	rows, cols := d.x.Rows, d.x.Cols
	for i, t := range d.units(4 * float64(rows) * float64(cols)) {
		units := t.Hi - t.Lo
		b := d.block(t.Lo, t.Hi, nil)
		before, given := backend.Rows(d.before, t.Lo, t.Hi), backend.Cols(d.given, t.Lo, t.Hi)
		d.sums = append(d.sums, sums{})
		tasks = append(tasks, plan.Job{
			Task: t, Scratch: 2*roundLine(units*cols) + 2*roundLine(rows*units) + roundLine(units),
			Do: func(scratch []float32) error {
				d.sums[i] = d.measure(&b, before, given, scratch)
				return nil
			},
		})
	}
	return tasks
}

func (d *diagnosis) measure(b *backend.Block, before, given backend.Mat, scratch []float32) (s sums) {
	rows, units := b.D.Rows, b.D.Cols
	delta, scratch := carve(scratch, units, b.X.Cols)
	grad, scratch := carve(scratch, units, b.X.Cols)
	da, scratch := carve(scratch, rows, units)
	e, scratch := carve(scratch, rows, units)
	gamma := b.Gamma
	if m, ok := d.solver.(interface{ targetGamma() float64 }); ok { // set anew for every batch
		gamma = float32(m.targetGamma())
	}
	gradientGamma := gamma
	if d.clips() { // b.D holds γD, clipped; b.Gamma is 1
		gradientGamma = float32(d.o.Gamma)
	}
	subtract(delta, b.W, before)
	d.kernels.Affine(da, b.X, delta)
	// BackProp's gradient is that of D as the backward pass left it; momentum on D and
	// clipping change what the target is made of.
	d.kernels.Scale(e, given, gradientGamma)
	d.kernels.Grad(grad, e, b.X)
	d.kernels.Scale(e, b.D, gamma)
	loss := localLoss{f: b.F, ahat: b.Ahat, e: e, da: da, row: scratch[:units]}
	s.loss, _ = loss.at(0, units, 0)
	s.gradient, s.update = sumSquares(grad), sumSquares(delta)
	s.loss += d.prox / 2 * s.update
	for j, g := range grad.Data {
		s.product -= float64(g) * float64(delta.Data[j])
	}
	return s
}

// report adds up the tasks' sums.
func (d *diagnosis) report(step int) plan.LayerReport {
	var all sums
	for _, s := range d.sums {
		all.loss += s.loss
		all.gradient += s.gradient
		all.update += s.update
		all.product += s.product
	}
	r := plan.LayerReport{
		Step: step, Layer: d.index, Form: d.form, LossEnd: all.loss,
		GradientNorm: math.Sqrt(all.gradient), UpdateNorm: math.Sqrt(all.update),
	}
	if all.gradient > 0 && all.update > 0 {
		r.Cosine = all.product / (r.GradientNorm * r.UpdateNorm)
	}
	switch s := d.solver.(type) {
	case interface{ iterations() int }:
		r.Iterations = s.iterations()
	default:
		r.Iterations = d.o.Steps
	}
	if s, ok := d.solver.(interface{ condition() float64 }); ok {
		r.Condition = s.condition()
	}
	return r
}

// condition estimates, from below, the condition number of C̄ + ρI as it was inverted
// last: a diagonal element lies between the eigenvalues. P is state, so that a resumed run
// reports the same.
func (s *metric) condition() float64 {
	least, most := math.Inf(1), 0.0
	for j := range s.inverse.Rows {
		v := float64(s.inverse.Data[j*s.inverse.Stride+j])
		least, most = math.Min(least, v), math.Max(most, v)
	}
	return most / least
}

// Forms that solve in one go have no iterations.
func (s *exact) iterations() int    { return 0 }
func (s *spectral) iterations() int { return 0 }
