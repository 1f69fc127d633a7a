package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// ReadMetrics reads the metrics of a run's folder, also while the run goes on; none
// where there is no file of them. A last line that isn't whole, because it is being
// written or its writer was killed, is left out. For a damaged line
// errors.Is(err, dataset.ErrData) holds.
func ReadMetrics(dir string) ([]Metrics, error) {
	return ReadLines[Metrics](filepath.Join(dir, MetricsName))
}

// ReadLayers reads what a run recorded of its layers, as [ReadMetrics] does.
func ReadLayers(dir string) ([]plan.LayerReport, error) {
	lines, err := ReadLines[layerLine](filepath.Join(dir, LayersName))
	if err != nil {
		return nil, err
	}
	var reports []plan.LayerReport
	for _, l := range lines {
		r := plan.LayerReport{
			Step: l.Step, Layer: l.Layer, Form: l.Form, Iterations: l.Iterations,
			LossStart: float64(l.LossStart), LossEnd: float64(l.LossEnd),
			GradientNorm: float64(l.GradientNorm), UpdateNorm: float64(l.UpdateNorm), Cosine: float64(l.Cosine),
		}
		if l.Condition != nil {
			r.Condition = float64(*l.Condition)
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// ReadLines reads a file of JSON values, one a line, as those of a run's folder are. It
// is nil where there is no such file; a last line that isn't whole is left out, and
// empty lines count as none. For other errors errors.Is(err, dataset.ErrData) holds.
func ReadLines[T any](path string) ([]T, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &dataset.Error{Path: path, Err: err}
	}
	var list []T
	lines := bytes.SplitAfter(content, []byte("\n"))
	for i, text := range lines {
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var value T
		if err := json.Unmarshal(text, &value); err != nil {
			if i == len(lines)-1 { // without its line feed
				break
			}
			return nil, &dataset.Error{Path: path, Reason: fmt.Sprintf("line %d: %v", i+1, err)}
		}
		list = append(list, value)
	}
	return list, nil
}
