package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/tensorboard"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// eventsName is the folder of a run's TensorBoard event files, in the run's folder.
const eventsName = "tensorboard"

// events writes a run's metrics for TensorBoard; the axis is the number of steps. What
// can't be written for now is warned of, and tried again with what follows. A nil *events
// writes nothing.
type events struct {
	w    *tensorboard.Writer
	warn func(error)
}

// openEvents begins a file of events where they are asked for, or the run had some before
// it was stopped; otherwise it returns nil. What the run's last evaluation told, and
// diagnostics after it, are written again: the process that ended may not have got that far.
func (r *training) openEvents() (*events, error) {
	dir := filepath.Join(r.folder.Dir(), eventsName)
	_, missing := os.Stat(dir)
	if had := r.resume != "" && missing == nil; !r.tensorboard && !had {
		return nil, nil //nolint:nilnil // no events are no error
	}
	at := r.trainer.Result().Step
	lines, err := train.ReadMetrics(r.folder.Dir())
	if err != nil {
		return nil, err
	}
	for len(lines) > 0 && lines[len(lines)-1].Step > at {
		lines = lines[:len(lines)-1] // after the checkpoint: they will be written anew
	}
	first := 0
	if len(lines) > 0 {
		lines = lines[len(lines)-1:]
		first = lines[0].Step
	}
	layers, err := train.ReadLayers(r.folder.Dir())
	if err != nil {
		return nil, err
	}
	w, err := tensorboard.Create(dir, int64(first))
	if err != nil {
		return nil, err
	}
	e := &events{w, r.warn}
	for _, m := range lines {
		e.epoch(m)
	}
	for _, l := range layers {
		if first <= l.Step && l.Step < at {
			e.layers([]plan.LayerReport{l})
		}
	}
	return e, nil
}

// epoch writes an evaluation.
func (e *events) epoch(m train.Metrics) {
	if e == nil {
		return
	}
	values := []tensorboard.Scalar{
		{Tag: "lr", Value: m.LR},
		{Tag: "seconds/training", Value: m.Seconds},
		{Tag: "seconds/evaluation", Value: m.EvalSeconds},
	}
	add := func(tag string, x float64) {
		if !math.IsNaN(x) { // there are no such examples
			values = append(values, tensorboard.Scalar{Tag: tag, Value: x})
		}
	}
	add("loss/train", m.TrainLoss)
	add("loss/test", m.TestLoss)
	add("excess/train", m.TrainExcess)
	add("excess/test", m.TestExcess)
	if m.TrainAccuracy != nil {
		add("accuracy/train", *m.TrainAccuracy)
		add("accuracy/test", *m.TestAccuracy)
	}
	e.add(m.Step, values)
}

// layers writes what a step told about its layers.
func (e *events) layers(reports []plan.LayerReport) {
	if e == nil {
		return
	}
	for _, r := range reports {
		values := make([]tensorboard.Scalar, 0, 6)
		add := func(name string, x float64) {
			values = append(values, tensorboard.Scalar{Tag: fmt.Sprintf("layer %d/%s", r.Layer, name), Value: x})
		}
		add("iterations", float64(r.Iterations))
		add("loss", r.LossEnd-r.LossStart)
		add("gradient norm", r.GradientNorm)
		add("update norm", r.UpdateNorm)
		add("cosine", r.Cosine)
		if r.Condition != 0 {
			add("condition", r.Condition)
		}
		e.add(r.Step, values)
	}
}

func (e *events) add(step int, values []tensorboard.Scalar) {
	if err := e.w.Add(int64(step), values...); err != nil {
		e.warn(err)
	}
}

func (e *events) close() error {
	if e == nil {
		return nil
	}
	return e.w.Close()
}
