package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

const formsSgemmTime = 30 * time.Millisecond

// layerTransfer is the transfer function of the layers that are measured.
var layerTransfer = transfer.Tanh

// formMeter measures forms, one layer after the other.
type formMeter struct {
	FormsConfig
	pool  *plan.Pool
	peaks *peaks
	rates []float64     // of sgemm
	local time.Duration // in the phases of local solves since it was set to 0
}

func (f *formMeter) observe(t plan.Timing) {
	if t.Phase != plan.PassPhase {
		f.local += t.Wall
	}
}

// formTrial is one form on one layer.
type formTrial struct {
	FormTime
	same    bool // makes the steps that auto may pick
	stepper plan.Stepper
	repeat  int // batches of a measurement
	seconds []float64
	ofSgemm []float64
}

// layer measures a problem's forms on one layer.
func (f *formMeter) layer(ctx context.Context, s Shape, p Problem) (*LayerForms, error) {
	net, err := nn.New(nn.Arch{Widths: []int{s.Inputs, s.Units}, Transfer: []transfer.Func{layerTransfer}})
	if err != nil {
		return nil, err
	}
	net.Init(nn.Glorot, 1)
	l := &LayerForms{Shape: s, Problem: p.Name}
	if l.Auto, err = pick(net, s.Batch, p.Same[0], f.Kernels); err != nil {
		return nil, err
	}
	x, t := backend.NewPadded(s.Batch, s.Inputs), backend.NewPadded(s.Batch, s.Units)
	fill(x, 1)
	fill(t, 2)
	var trials []*formTrial
	for i, o := range slices.Concat(p.Same, p.Others) {
		trial := &formTrial{same: i < len(p.Same)}
		trial.Form = o.Form.String()
		trials = append(trials, trial)
		if trial.stepper, err = planForm(net, s.Batch, o, f.Kernels); err != nil {
			trial.Skipped = err.Error()
			continue
		}
		if trial.Work, err = workOf(o, s); err != nil {
			return nil, err
		}
		if err := f.begin(trial, x, t); err != nil {
			return nil, fmt.Errorf("form %s: %w", trial.Form, err)
		}
	}
	for range f.Rounds {
		f.rates = append(f.rates, f.peaks.sgemm())
		for _, trial := range trials {
			if trial.Skipped != "" {
				continue
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err := f.measure(trial, x, t); err != nil {
				return nil, fmt.Errorf("form %s: %w", trial.Form, err)
			}
		}
	}
	l.sum(trials)
	return l, nil
}

// pick is the form that auto takes.
func pick(net *nn.Network, batch int, o locoprop.Options, k backend.Kernels) (string, error) {
	o.Form = locoprop.FormAuto
	s, err := planForm(net, batch, o, k)
	if err != nil {
		return "", err
	}
	return s.Explain()[0].Form, nil
}

func planForm(net *nn.Network, batch int, o locoprop.Options, k backend.Kernels) (plan.Stepper, error) {
	m, err := locoprop.New(o)
	if err != nil {
		return nil, err
	}
	return m.Plan(net, loss.Squared, batch, k)
}

// workOf is what the cost model counts, nil for forms that it doesn't cover.
func workOf(o locoprop.Options, s Shape) (*locoprop.Work, error) {
	switch o.Form {
	case locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel:
	default:
		return nil, nil
	}
	m, err := locoprop.New(o)
	if err != nil {
		return nil, err
	}
	w, err := m.Work(layerTransfer, s.Batch, s.Inputs, s.Units)
	return &w, err
}

// begin makes a form's first step, unless it would take too long, and finds how many
// batches fill a measurement.
func (f *formMeter) begin(t *formTrial, x, y backend.Mat) error {
	p := t.stepper.Explain()[0]
	t.Predicted = p.Seconds
	if limit := f.Limit.Seconds(); limit > 0 && p.Seconds > limit {
		t.Flops = p.LocalFlops
		t.Skipped = fmt.Sprintf("expected to take %.2g s for a batch, above the limit of %.2g s", p.Seconds, limit)
		t.stepper = nil
		return nil
	}
	t.repeat = 1
	for range 2 { // the first step touches memory for the first time
		f.local = 0
		if _, err := t.stepper.Step(f.pool, x, y, 1e-3); err != nil {
			return err
		}
		if f.local >= f.Sample {
			break
		}
		t.repeat = int(f.Sample/max(f.local, time.Microsecond)) + 1
	}
	t.Flops = t.stepper.Explain()[0].LocalFlops // of what the step did, where that depends on the data
	return nil
}

func (f *formMeter) measure(t *formTrial, x, y backend.Mat) error {
	f.local = 0
	for range t.repeat {
		if _, err := t.stepper.Step(f.pool, x, y, 1e-3); err != nil {
			return err
		}
	}
	seconds := f.local.Seconds() / float64(t.repeat)
	t.seconds = append(t.seconds, seconds)
	t.ofSgemm = append(t.ofSgemm, t.Flops/seconds/f.rates[len(f.rates)-1])
	return nil
}

// sum turns measurements into figures.
func (l *LayerForms) sum(trials []*formTrial) {
	i := slices.IndexFunc(trials, func(t *formTrial) bool { return t.same && t.Form == l.Auto })
	compared := 0
	for _, t := range trials {
		if t.Skipped == "" {
			t.Seconds = spread(t.seconds)
			t.Rate, t.OfSgemm = t.Flops/t.Seconds.Median, median(t.ofSgemm)
			if t.same && i >= 0 && trials[i].Skipped == "" {
				t.Over = median(ratios(trials[i].seconds, t.seconds))
				l.Ratio = max(l.Ratio, t.Over)
				compared++
			}
		}
		l.Forms = append(l.Forms, t.FormTime)
	}
	if compared < 2 {
		l.Ratio = 0 // of itself, which tells nothing
	}
}

// ratios divides element by element.
func ratios(a, b []float64) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return r
}
