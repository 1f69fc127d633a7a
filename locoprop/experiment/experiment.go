// Package experiment turns an experiment of the catalog, which is all names and numbers,
// into the configuration of a trainer:
//
//	e, err := catalog.Preset("fast-curves")
//	…
//	d, err := e.LoadData(ctx)
//	…
//	c, err := experiment.Config(&e, d, nil)
//	…
//	t, err := train.New(ctx, c)
//
// The command line trains, tunes and compares with it, so that all three mean the same by
// the same settings.
package experiment

import (
	"fmt"
	"slices"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// Config is the configuration of a trainer of an experiment on its data, with a network
// that has its initial weights. k is the backend; nil is that of pure Go. Callbacks are
// the caller's to set.
//
// The architecture of e is made to fit the data, as [catalog.Experiment.FitArch] does. An
// architecture or a batch that doesn't suit the data gives a *[train.ConfigError].
func Config(e *catalog.Experiment, d *dataset.Data, k backend.Kernels) (train.Config, error) {
	wrong := func(err error) (train.Config, error) { return train.Config{}, &train.ConfigError{Err: err} }
	arch, err := e.FitArch(d)
	if err != nil {
		return wrong(err)
	}
	if n := d.Train.Len(); e.Batch > n {
		return wrong(fmt.Errorf("--batch %d: must be 1 to %d, the number of training examples", e.Batch, n))
	}
	net, err := nn.New(arch)
	if err != nil {
		return wrong(err)
	}
	net.Init(e.Init, e.Seed)
	method, err := e.BuildMethod()
	if err != nil {
		return wrong(err)
	}
	course, err := e.BuildSchedule()
	if err != nil {
		return wrong(err)
	}
	return train.Config{
		Network: net, Loss: e.Loss, Method: method, Backend: k, Data: d, Target: e.Target,
		Batch: e.Batch, KeepLast: e.KeepLast, Epochs: e.Epochs, Steps: e.Steps, TimeLimit: e.TimeLimit,
		EvalEvery: e.EvalEvery, EvalSteps: e.EvalSteps, Schedule: course,
		Seed: e.Seed, Window: e.Window, Workers: e.Workers, Settings: settings(e),
		CheckpointEvery: e.CheckpointEvery, Keep: e.Keep, Rollback: e.Rollback,
	}, nil
}

// settings are those of the method's settings that a checkpoint depends on: all of local
// problems, of the run and of single layers. The run's rate is in the trainer's own
// record.
func settings(e *catalog.Experiment) map[string]string {
	list := map[string]string{}
	own := append(catalog.LayerKeys(), "block", "init", "correction", "d-momentum")
	if catalog.MethodKeysOf(e.Method) != nil { // the trainer's record has the name alone
		own = append(own, "method")
	}
	for key, text := range e.Values() {
		_, _, ofLayer := catalog.SplitLayerKey(key)
		if ofLayer || key != "lr" && slices.Contains(own, key) {
			list[key] = text
		}
	}
	return list
}
