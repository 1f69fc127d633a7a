package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/pelletier/go-toml/v2"
)

// Run is what the files of a run's folder tell.
type Run struct {
	Dir      string
	Name     string            // for people; see [Read]
	Config   map[string]string // settings by their keys, those of layer K as layers.K.KEY
	Metrics  []train.Metrics
	Layers   []plan.LayerReport
	Machines []Machine
}

// batches is the number of batches in an epoch, 0 where nothing tells. Without a line of
// machine.jsonl that has it, it is the least ratio of steps to completed epochs, which an
// evaluation at an epoch's end has.
func (r *Run) batches() int {
	for _, m := range r.Machines {
		if m.Batches > 0 {
			return m.Batches
		}
	}
	least := 0
	for _, m := range r.Metrics {
		if m.Epoch > 0 && (least == 0 || m.Step/m.Epoch < least) {
			least = m.Step / m.Epoch
		}
	}
	return least
}

// epochs are those that were done by an evaluation, with the part of one that wasn't
// completed.
func (r *Run) epochs(m train.Metrics) float64 {
	if b := r.batches(); b > 0 {
		return float64(m.Step) / float64(b)
	}
	return float64(m.Epoch)
}

// Read reads the folders of runs, also while they go on: last lines that aren't whole are
// left out. A run is named after its folder, or by its path where two have the same
// name. For a folder without a run, and for damaged files, errors.Is(err,
// dataset.ErrData) holds.
func Read(dirs ...string) ([]*Run, error) {
	var runs []*Run
	count := map[string]int{}
	for _, dir := range dirs {
		r, err := readRun(dir)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
		count[r.Name]++
	}
	for _, r := range runs {
		if count[r.Name] > 1 {
			r.Name = filepath.Clean(r.Dir)
		}
	}
	return runs, nil
}

func readRun(dir string) (*Run, error) {
	refuse := func(reason string) (*Run, error) { return nil, &dataset.Error{Path: dir, Reason: reason} }
	if info, err := os.Stat(dir); err != nil {
		return refuse("no such folder")
	} else if !info.IsDir() {
		return refuse("not a folder; a run is one")
	}
	if !train.HoldsRun(dir) {
		return refuse(fmt.Sprintf("holds no run: there is none of %s, %s, %s, %s", train.ConfigName, train.MetricsName, train.ModelName, train.CheckpointName))
	}
	r := &Run{Dir: dir, Name: folderName(dir)}
	var errs [4]error
	r.Config, errs[0] = readConfig(filepath.Join(dir, train.ConfigName))
	r.Metrics, errs[1] = train.ReadMetrics(dir)
	r.Layers, errs[2] = train.ReadLayers(dir)
	r.Machines, errs[3] = readMachines(dir)
	return r, errors.Join(errs[:]...)
}

// folderName is the last element of a path, also where that is written as . or ..
func folderName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Base(dir)
}

// readConfig reads any TOML file as keys and values in text; a missing one is empty.
func readConfig(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // a nil map is an empty one
	}
	if err != nil {
		return nil, &dataset.Error{Path: path, Err: err}
	}
	var tree map[string]any
	if err := toml.Unmarshal(content, &tree); err != nil {
		return nil, &dataset.Error{Path: path, Err: err}
	}
	flat := map[string]string{}
	flatten(flat, "", tree)
	return flat, nil
}

func flatten(to map[string]string, prefix string, tree map[string]any) {
	for key, value := range tree {
		if table, ok := value.(map[string]any); ok {
			flatten(to, prefix+key+".", table)
			continue
		}
		to[prefix+key] = fmt.Sprint(value)
	}
}
