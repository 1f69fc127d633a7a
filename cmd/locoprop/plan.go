package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/urfave/cli/v2"
)

// runPlan is one plan as `train --plan --json` prints it.
type runPlan struct {
	Preset     string      `json:"preset"`
	Method     string      `json:"method"`
	Backend    string      `json:"backend"`
	Arch       string      `json:"arch"`
	Parameters int         `json:"parameters"`
	Batch      int         `json:"batch"`
	Layers     []layerPlan `json:"layers"`
	Total      planTotal   `json:"total"`
}

type layerPlan struct {
	Layer         int      `json:"layer"`
	Inputs        int      `json:"inputs"`
	Units         int      `json:"units"`
	Transfer      string   `json:"transfer"`
	Form          string   `json:"form,omitempty"`
	Tasks         int      `json:"tasks"`
	ForwardFlops  float64  `json:"forward_flops"`
	BackwardFlops float64  `json:"backward_flops"`
	LocalFlops    float64  `json:"local_flops"`
	StateBytes    float64  `json:"state_bytes"`
	MemoryBytes   *float64 `json:"memory_bytes"`        // null: no local solve
	ScratchBytes  *float64 `json:"scratch_bytes"`       // of the largest task, for each worker; null: no local solve
	LocalBytes    *float64 `json:"local_traffic_bytes"` // null: no prediction
	LocalSeconds  *float64 `json:"local_seconds"`       // on one core; null: no prediction
}

type planTotal struct {
	Flops         float64  `json:"flops"`
	ForwardFlops  float64  `json:"forward_flops"`
	BackwardFlops float64  `json:"backward_flops"`
	LocalFlops    float64  `json:"local_flops"`
	StateBytes    float64  `json:"state_bytes"`
	MemoryBytes   *float64 `json:"memory_bytes"`        // null: no local solve
	ScratchBytes  *float64 `json:"scratch_bytes"`       // the most of a layer; null: no local solve
	LocalBytes    *float64 `json:"local_traffic_bytes"` // null where a layer has no prediction
	LocalSeconds  *float64 `json:"local_seconds"`       // the same
	StepsPerEpoch *int     `json:"steps_per_epoch"`
}

// checkPlanFlags refuses what means nothing to a plan.
func checkPlanFlags(c *cli.Context) error {
	for _, name := range []string{"out", "tensorboard"} {
		if c.IsSet(name) {
			return usagef("--plan with --%s: a plan trains nothing and writes no files", name)
		}
	}
	return nil
}

// printPlan says what a step of the run would do, in place of running.
func (r *training) printPlan(ctx context.Context) error {
	defer closeBackend(r.kernels)
	p, err := r.makePlan(ctx)
	if err != nil {
		return err
	}
	if r.json {
		encoder := json.NewEncoder(r.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(p)
	}
	e := &r.e
	r.sayRate()
	fmt.Fprintf(r.stdout, "preset %s: %s, batch %d, backend %s, %s\n", e.Preset, e.MethodText(), e.Batch, p.Backend, describeMethod(e))
	for _, line := range describeLayers(e) {
		fmt.Fprintln(r.stdout, line)
	}
	return p.print(r.stdout)
}

func (r *training) makePlan(ctx context.Context) (*runPlan, error) {
	arch, examples, err := r.planArch(ctx)
	if err != nil {
		return nil, err
	}
	r.e.Examples = examples
	if examples > 0 && r.e.Batch > examples {
		return nil, batchError(r.e.Batch, examples)
	}
	net, err := nn.New(arch)
	if err != nil {
		return nil, &usageError{err}
	}
	method, err := r.e.BuildMethod()
	if err != nil {
		return nil, &usageError{err}
	}
	stepper, err := method.Plan(net, r.e.Loss, r.e.Batch, r.kernels)
	if err != nil {
		return nil, &usageError{err}
	}
	p := newRunPlan(stepper.Explain())
	p.Preset, p.Method, p.Backend, p.Batch = r.e.Preset, r.e.MethodText(), r.e.Backend, r.e.Batch
	p.Arch, p.Parameters = arch.String(), net.Params()
	if examples > 0 {
		steps := r.e.Batches(examples)
		p.Total.StepsPerEpoch = &steps
	}
	return p, nil
}

// planArch is the architecture and the number of training examples, 0 where it isn't
// known. Files are read only where the shape of the data isn't known and decides on the
// architecture.
func (r *training) planArch(ctx context.Context) (nn.Arch, int, error) {
	e := &r.e
	if info, known := e.DataInfo(); known {
		arch, err := e.FitShape(info.Height*info.Width, info.Classes)
		return arch, info.Train, usage(err)
	}
	if !e.FreeArch && e.DMomentum == 0 {
		arch, err := e.Arch.Arch(e.Activation, e.Loss)
		return arch, 0, usage(err)
	}
	d, err := e.LoadData(ctx)
	if err != nil {
		return nn.Arch{}, 0, err
	}
	arch, err := e.FitArch(d)
	return arch, d.Train.Len(), usage(err)
}

func newRunPlan(layers []plan.LayerPlan) *runPlan {
	p := &runPlan{}
	bytes, seconds, predicted := 0.0, 0.0, len(layers) > 0
	memory, scratch := 0.0, 0.0
	for _, l := range layers {
		layer := layerPlan{
			Layer: l.Layer, Inputs: l.Inputs, Units: l.Units, Transfer: l.Transfer, Form: l.Form, Tasks: l.Tasks,
			ForwardFlops: l.ForwardFlops, BackwardFlops: l.BackwardFlops, LocalFlops: l.LocalFlops,
			StateBytes: l.StateBytes, LocalBytes: predictionOf(l.Bytes), LocalSeconds: predictionOf(l.Seconds),
		}
		if l.ScratchBytes > 0 {
			layer.MemoryBytes, layer.ScratchBytes = &l.MemoryBytes, &l.ScratchBytes
		}
		p.Layers = append(p.Layers, layer)
		t := &p.Total
		t.ForwardFlops += l.ForwardFlops
		t.BackwardFlops += l.BackwardFlops
		t.LocalFlops += l.LocalFlops
		t.StateBytes += l.StateBytes
		memory += l.MemoryBytes
		scratch = max(scratch, l.ScratchBytes)
		bytes += l.Bytes
		seconds += l.Seconds
		predicted = predicted && l.Seconds > 0
	}
	p.Total.Flops = plan.Flops(layers)
	if scratch > 0 {
		p.Total.MemoryBytes, p.Total.ScratchBytes = &memory, &scratch
	}
	if predicted {
		p.Total.LocalBytes, p.Total.LocalSeconds = &bytes, &seconds
	}
	return p
}

// predictionOf points to a prediction, nil for 0, which stands for none.
func predictionOf(x float64) *float64 {
	if x == 0 {
		return nil
	}
	return &x
}

func (p *runPlan) print(out io.Writer) error {
	times := func(scale float64, x *float64) string {
		if x == nil {
			return "-"
		}
		return fmt.Sprintf("%.2f", scale**x)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "layer\tinputs\tunits\ttransfer\tform\ttasks\tforward GF\tbackward GF\tlocal GF\tlocal MB\tlocal ms\tstate MB\tmemory MB\t\n")
	for _, l := range p.Layers {
		form := l.Form
		if form == "" {
			form = "-"
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%s\t%s\t%d\t%.4f\t%.4f\t%.4f\t%s\t%s\t%.3f\t%s\t\n", l.Layer, l.Inputs, l.Units, l.Transfer, form, l.Tasks,
			l.ForwardFlops/1e9, l.BackwardFlops/1e9, l.LocalFlops/1e9, times(1e-6, l.LocalBytes), times(1e3, l.LocalSeconds), l.StateBytes/1e6, times(1e-6, l.MemoryBytes))
	}
	t := &p.Total
	fmt.Fprintf(w, "total\t\t\t\t\t\t%.4f\t%.4f\t%.4f\t%s\t%s\t%.3f\t%s\t\n",
		t.ForwardFlops/1e9, t.BackwardFlops/1e9, t.LocalFlops/1e9, times(1e-6, t.LocalBytes), times(1e3, t.LocalSeconds), t.StateBytes/1e6, times(1e-6, t.MemoryBytes))
	if err := w.Flush(); err != nil {
		return err
	}
	epoch := ""
	if t.StepsPerEpoch != nil {
		epoch = fmt.Sprintf(", %d steps an epoch", *t.StepsPerEpoch)
	}
	scratch := ""
	if t.ScratchBytes != nil {
		scratch = fmt.Sprintf(",\nand %.2f MB of scratch for every worker", *t.ScratchBytes/1e6)
	}
	fmt.Fprintf(out, "\n%.3f GF a step%s; %d parameters. GF: billions of operations in matrix products; local MB, ms: what the\n"+
		"local solve is predicted to read and write, and its time on one core, where there are predictions; state MB: what\n"+
		"the method carries on beside the weights; memory MB: what the local solve keeps beside that%s.\n",
		t.Flops/1e9, epoch, p.Parameters, scratch)
	return nil
}

// usage makes an error one of wrong usage, nil stays nil.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

func batchError(batch, examples int) error {
	return usagef("--batch %d: must be 1 to %d, the number of training examples", batch, examples)
}
