package train

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// layerLine is a plan.LayerReport as a line of layers.jsonl; a number that isn't finite
// is null. Condition is there only where the form factors a matrix.
type layerLine struct {
	Step         int     `json:"step"`
	Layer        int     `json:"layer"`
	Form         string  `json:"form"`
	Iterations   int     `json:"iterations"`
	LossStart    number  `json:"loss_start"`
	LossEnd      number  `json:"loss_end"`
	GradientNorm number  `json:"gradient_norm"`
	UpdateNorm   number  `json:"update_norm"`
	Cosine       number  `json:"cosine"`
	Condition    *number `json:"condition,omitempty"`
}

// recordLayers tells what a step told about its layers, and writes it.
func (t *Trainer) recordLayers(reports []plan.LayerReport) error {
	if len(reports) == 0 {
		return nil
	}
	if t.c.OnLayers != nil {
		t.c.OnLayers(slices.Clone(reports))
	}
	if t.folder == nil {
		return nil
	}
	t.layerLines += len(reports)
	if err := t.carryOn(t.folder.appendLayers(reports)); err != nil {
		t.failed = err // the file no longer matches the run
		return err
	}
	return nil
}

func (f *Folder) appendLayers(reports []plan.LayerReport) error {
	var text []byte
	for _, r := range reports {
		l := layerLine{
			Step: r.Step, Layer: r.Layer, Form: r.Form, Iterations: r.Iterations,
			LossStart: number(r.LossStart), LossEnd: number(r.LossEnd),
			GradientNorm: number(r.GradientNorm), UpdateNorm: number(r.UpdateNorm), Cosine: number(r.Cosine),
		}
		if r.Condition != 0 {
			c := number(r.Condition)
			l.Condition = &c
		}
		b, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.layers.path, err)
		}
		text = append(append(text, b...), '\n')
	}
	return f.layers.add(text)
}
