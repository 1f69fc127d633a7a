package train

import (
	"encoding/json"
	"fmt"

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

// recordLayers writes what a step told about its layers.
func (t *Trainer) recordLayers(reports []plan.LayerReport) error {
	if t.folder == nil || len(reports) == 0 {
		return nil
	}
	if err := t.folder.appendLayers(reports, t.layerLines); err != nil {
		t.failed = err // the file no longer matches the run
		return err
	}
	t.layerLines += len(reports)
	return nil
}

// appendLayers writes lines after the first before ones.
func (f *Folder) appendLayers(reports []plan.LayerReport, before int) (err error) {
	if f.layers == nil {
		if f.layers, err = f.openLines(LayersName, before); err != nil {
			return err
		}
	}
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
			return fmt.Errorf("writing %s: %w", f.path(LayersName), err)
		}
		text = append(append(text, b...), '\n')
	}
	if _, err := f.layers.Write(text); err != nil {
		return fmt.Errorf("writing %s: %w", f.path(LayersName), err)
	}
	return nil
}
