package catalog_test

import (
	"strconv"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type values = catalog.Values

// curves is preset curves, whose local problems are solved by an optimiser.
var curves = flags(values{"preset": "curves"})

// resolve puts layers over preset curves, unless they name another.
func resolve(t *testing.T, layers ...catalog.Layer) (catalog.Experiment, *catalog.Rate) {
	t.Helper()
	e, rate, err := catalog.Resolve(append([]catalog.Layer{curves}, layers...)...)
	require.NoError(t, err)
	return e, rate
}

func flags(v values) catalog.Layer { return catalog.Layer{Values: v} }

func file(v values) catalog.Layer { return catalog.Layer{Source: "a.toml", Values: v} }

func TestResolveNothingIsTheDefaultPreset(t *testing.T) {
	e, rate, err := catalog.Resolve()
	require.NoError(t, err)
	want, err := catalog.Preset(catalog.DefaultPreset)
	require.NoError(t, err)
	assert.Equal(t, want, e)
	assert.Nil(t, rate)
}

func TestResolveSetsEveryKey(t *testing.T) {
	v := values{
		"preset": "paper", "dataset": "idx", "data": "/d", "data-prefix": "emnist", "target": "label", "loss": "squared",
		"arch": "784,20:identity,47:tanh", "activation": "relu", "init": "he", "method": "locoprop-s",
		"optimizer": "adam:variant=tf1,beta1=0.8,beta2=0.99,epsilon=1e-07", "lr": "0.003", "gamma": "2.5",
		"local-steps": "3", "form": "direct", "prox": "0.5", "local-floor": "0.1", "reset-state": "true", "batch": "17", "schedule": "cosine", "warmup-steps": "4", "schedule-epochs": "9",
		"epochs": "6", "eval-every": "2", "checkpoint-every": "500steps", "keep": "5", "on-divergence": "rollback", "seed": "5", "scale": "unit", "shuffle-window": "8", "workers": "3", "block": "64", "diagnose": "10", "backend": "gonum",
		"armijo": "true", "tolerance": "0.1", "update-cap": "0.5", "reject": "true", "weight-decay": "0.02", "correction": "0.3",
		"d-momentum": "0.4", "d-momentum-limit": "77", "drop-last": "false",
	}
	e, rate := resolve(t, flags(v))
	assert.Nil(t, rate)
	assert.Equal(t, v, e.Values())
	assert.Equal(t, loss.Squared, e.Loss)
	assert.Equal(t, transfer.ReLU, e.Activation)
	assert.Equal(t, 0.003, e.Eta)
	assert.Equal(t, schedule.Cosine, e.Schedule)
	assert.False(t, e.FreeArch)

	v = values{
		"dataset": "csv", "data": "/d.csv", "test-data": "/t.csv", "test-share": "0.25", "label-column": "-1", "header": "yes", "data-seed": "4", "scale": "255",
	}
	e, _ = resolve(t, flags(v))
	for key, text := range v {
		assert.Equal(t, text, e.Values()[key], key)
	}

	v = values{
		"preset": "fast", "form": "metric", "gamma-rule": "fixed", "gamma": "3", "lr": "0.5", "local-steps": "2", "metric-damping": "0.1", "metric-step": "0.5",
		"metric-average": "0.8", "metric-every": "2", "metric-refresh": "7", "outer-momentum": "0.6",
	}
	e, _ = resolve(t, flags(v))
	for key, text := range v {
		assert.Equal(t, text, e.Values()[key], key)
	}
	v = values{
		"method": "locoprop-s", "form": "statistics", "statistics-structure": "block-diagonal", "statistics-columns": "9", "statistics-average": "0",
		"statistics-refresh": "3", "statistics-relative": "0.2", "gamma-per-example": "0.1",
	}
	e, _ = resolve(t, flags(v))
	for key, text := range v {
		assert.Equal(t, text, e.Values()[key], key)
	}
	assert.NotContains(t, e.Values(), "gamma")
	e, _ = resolve(t, flags(values{"form": "implicit", "prox": "0.1", "solver": "newton"}))
	assert.Equal(t, locoprop.SolverNewton, e.Implicit.Solver)

	e, _ = resolve(t, flags(values{"data-seed": "7"}))
	assert.Equal(t, uint32(7), e.DataSeed)
}

// Writing an experiment out and reading it again changes nothing.
func TestValuesRoundTrip(t *testing.T) {
	for _, v := range []values{
		{},
		{"preset": "paper"},
		{"preset": "paper-deep", "data": "/d", "seed": "4294967295"},
		{"method": "backprop", "optimizer": "adam"},
		{"optimizer": "sgd", "lr": "0.1"},
		{"loss": "squared", "arch": "784,10:relu,784:sigmoid"},
		{"preset": "fast", "seed": "3"},
		{"preset": "fast", "gamma-rule": "fixed", "epochs": "7"},
		{"preset": "fast-curves", "epochs": "24", "metric-average": "0.5"},
		{"preset": "fast", "form": "auto"},
		{"preset": "fast", "method": "backprop", "optimizer": "adam"},
		{"method": "locoprop-s", "form": "exact", "prox": "0.01"},
		{"method": "locoprop-s", "form": "statistics", "prox": "auto", "lr": "0.1", "local-floor": "0", "local-steps": "3"},
		{"form": "implicit", "prox": "1e-05", "solver": "fixed"},
		{"form": "implicit", "prox": "1e-05", "solver-tolerance": "0.01", "solver-iterations": "30", "solver-memory": "7", "solver-relax": "1.5", "layers.1.solver": "newton"},
		{"form": "implicit", "prox": "1", "solver": "newton", "layers.2.solver": "fixed", "layers.2.solver-relax": "0.1"},
		{"form": "kernel", "optimizer": "sgd", "lr": "0.1", "reset-state": "true", "layers.0.lr": "0.5", "layers.11.form": "metric"},
		{"epochs": "0"},
		{"gamma-per-example": "0.05", "layers.1.gamma": "3", "weight-decay": "0.1", "layers.2.armijo": "true", "layers.0.update-cap": "0.1"},
		{"gamma": "2", "layers.1.gamma-per-example": "0.5", "tolerance": "0.1", "layers.0.tolerance": "0", "drop-last": "false"},
		{"gamma-per-example": "0.05", "layers.1.form": "metric", "clip-targets": "true", "correction": "0.2", "d-momentum": "0.9", "d-momentum-limit": "9"},
		{"method": "locoprop-s", "form": "statistics", "statistics-damping": "0.1", "statistics-structure": "diagonal", "layers.2.statistics-iterate": "true", "layers.2.statistics-damping": "0", "layers.2.lr": "0.1"},
		{"method": "backprop", "optimizer": "adam", "weight-decay": "0.1", "drop-last": "false"},
	} {
		e, _ := resolve(t, flags(v))
		again, rate := resolve(t, file(e.Values()))
		if e.ScheduleEpochs == 0 {
			e.ScheduleEpochs = e.PlannedEpochs() // written out
		}
		if e.Dataset != "curves" {
			again.DataSeed = e.DataSeed // not written
		}
		assert.Equal(t, e, again, v)
		assert.Nil(t, rate)
	}
}

func TestLaterLayersWin(t *testing.T) {
	e, _ := resolve(t, file(values{"preset": "paper", "lr": "1e-3", "batch": "10"}), flags(values{"batch": "20"}))
	assert.Equal(t, "mnist", e.Dataset)
	assert.Equal(t, 1e-3, e.Eta)
	assert.Equal(t, 20, e.Batch)
}

func TestRateFollowsThePair(t *testing.T) {
	preset, err := catalog.Preset("curves")
	require.NoError(t, err)
	for _, c := range []struct {
		about     string
		layers    []catalog.Layer
		eta       float64
		defaulted bool
	}{
		{"a preset has its own", nil, preset.Eta, false},
		{"the same pair by name", []catalog.Layer{flags(values{"optimizer": "rmsprop"})}, preset.Eta, false},
		{"other constants, same pair", []catalog.Layer{flags(values{"optimizer": "rmsprop:momentum=0.9"})}, preset.Eta, false},
		{"another pair", []catalog.Layer{flags(values{"method": "backprop", "optimizer": "adam"})}, 1.5e-3, true},
		{"with a rate", []catalog.Layer{flags(values{"method": "backprop", "optimizer": "sgd", "lr": "0.5"})}, 0.5, false},
		{"file's rate goes when flags change the pair", []catalog.Layer{
			file(values{"lr": "7"}), flags(values{"method": "backprop", "optimizer": "adam"}),
		}, 1.5e-3, true},
		{"file's rate stays when they don't", []catalog.Layer{
			file(values{"method": "backprop", "optimizer": "adam", "lr": "7"}), flags(values{"seed": "2"}),
		}, 7, false},
		{"a later rate will do", []catalog.Layer{
			file(values{"method": "backprop", "optimizer": "sgd"}), flags(values{"lr": "0.1"}),
		}, 0.1, false},
	} {
		e, rate := resolve(t, c.layers...)
		assert.Equal(t, c.eta, e.Eta, c.about)
		assert.Equal(t, c.defaulted, rate != nil, c.about)
	}
	_, rate := resolve(t, flags(values{"method": "backprop", "optimizer": "adam"}))
	assert.Equal(t, "backprop with adam torch", rate.Pair.String())
}

// A setting that form metric lacks takes form auto, unless a form is named beside it.
func TestOptimizerLeavesMetric(t *testing.T) {
	for _, c := range []struct {
		v    values
		form string
	}{
		{values{"seed": "2", "local-steps": "3"}, "metric"},
		{values{"optimizer": "rmsprop"}, "auto"},
		{values{"prox": "auto"}, "auto"},
		{values{"reset-state": "true"}, "auto"},
		{values{"local-floor": "0.5"}, "auto"},
		{values{"prox": "1", "form": "mm"}, "mm"},
	} {
		e, rate, err := catalog.Resolve(flags(c.v))
		require.NoError(t, err, c.v)
		assert.Equal(t, c.form, e.Values()["form"], c.v)
		assert.Equal(t, c.form == "auto", rate != nil, c.v)
	}
	_, _, err := catalog.Resolve(flags(values{"optimizer": "adam", "form": "metric"}))
	assert.ErrorContains(t, err, "--optimizer: only forms auto, direct, gram, kernel and spectral have an optimizer")
}

func TestMethodBringsItsFormOfTheOptimizer(t *testing.T) {
	e, _ := resolve(t, flags(values{"method": "backprop", "lr": "1"}))
	assert.Equal(t, optimizer.New(optimizer.RMSPropTorch), e.Optimizer)
	e, _ = resolve(t, flags(values{"method": "locoprop-s", "lr": "1"}))
	assert.Equal(t, optimizer.New(optimizer.RMSPropTF1), e.Optimizer)
	// Constants that somebody chose stay.
	chosen := "rmsprop:variant=tf1,rho=0.5,momentum=0,epsilon=0.1"
	e, _ = resolve(t, file(values{"optimizer": chosen}), flags(values{"method": "backprop", "lr": "1"}))
	assert.Equal(t, chosen, catalog.FormatOptimizer(e.Optimizer))
}

// A file's block size means nothing under another method: what is written for the run
// doesn't name it, so the run mustn't use it.
func TestMethodWithoutBlocksTakesTheDefault(t *testing.T) {
	e, _ := resolve(t, file(values{"block": "7"}), flags(values{"method": "backprop", "lr": "1"}))
	assert.Equal(t, plan.DefaultBlock, e.Block)
	assert.NotContains(t, e.Values(), "block")
}

func TestTargetBringsItsLoss(t *testing.T) {
	e, _ := resolve(t, flags(values{"preset": "paper", "target": "label"}))
	assert.Equal(t, loss.SoftmaxCE, e.Loss)
	e, _ = resolve(t, flags(values{"preset": "paper", "target": "label", "loss": "squared"}))
	assert.Equal(t, loss.Squared, e.Loss)
	e, _ = resolve(t, file(values{"preset": "paper", "target": "label"}), flags(values{"target": "input"}))
	assert.Equal(t, loss.SigmoidCE, e.Loss)
	e, _ = resolve(t, file(values{"preset": "paper", "target": "label", "loss": "squared"}), flags(values{"target": "label"}))
	assert.Equal(t, loss.Squared, e.Loss)
}

func TestScheduleLength(t *testing.T) {
	e, _ := resolve(t, flags(values{"epochs": "7"}))
	assert.Equal(t, 7, e.PlannedEpochs())
	e, _ = resolve(t, flags(values{"preset": "paper", "epochs": "7"}))
	assert.Equal(t, 100, e.PlannedEpochs())
	e, _ = resolve(t, flags(values{"epochs": "0"}))
	s, err := e.BuildSchedule()
	require.NoError(t, err)
	assert.Equal(t, 1, s.Epochs)
	e, _ = resolve(t, flags(values{"schedule": "paper"}))
	assert.Zero(t, e.WarmupSteps, "the preset's warm-up goes")
}

// Steps and epochs replace one another, in the order of the sources, and what a
// configuration file records gives the same run again.
func TestResolveSteps(t *testing.T) {
	planned := func(e catalog.Experiment) schedule.Schedule {
		s, err := e.BuildSchedule()
		require.NoError(t, err)
		return s
	}
	e, _ := resolve(t, flags(values{"steps": "500", "time-limit": "90m", "eval-steps": "7"}))
	assert.Equal(t, [4]int{500, 500, 7, 11}, [4]int{e.Steps, planned(e).Steps, e.EvalSteps, e.RunEpochs(12000)})
	v := e.Values()
	assert.Equal(t, []string{"500", "500", "1h30m", "7", "", ""},
		[]string{v["steps"], v["schedule-steps"], v["time-limit"], v["eval-steps"], v["epochs"], v["schedule-epochs"]})
	again, _ := resolve(t, flags(v))
	assert.Equal(t, v, again.Values())

	longer, _ := resolve(t, file(v), flags(values{"steps": "800", "time-limit": "off"}))
	assert.Equal(t, [3]int{800, 500, 0}, [3]int{longer.Steps, planned(longer).Steps, int(longer.TimeLimit)}, "the schedule stays")
	epochs, _ := resolve(t, file(v), flags(values{"epochs": "3", "schedule-epochs": "4"}))
	assert.Equal(t, [4]int{0, 3, 0, 4}, [4]int{epochs.Steps, epochs.Epochs, planned(epochs).Steps, planned(epochs).Epochs})
	steps, _ := resolve(t, flags(values{"schedule-epochs": "4"}), flags(values{"schedule-steps": "70"}))
	assert.Equal(t, 70, planned(steps).Steps)
	paper, _ := resolve(t, flags(values{"preset": "paper", "steps": "500"}))
	assert.Equal(t, [3]int{500, 0, 100}, [3]int{paper.Steps, planned(paper).Steps, planned(paper).Epochs}, "that preset plans 100 epochs")

	a, _ := resolve(t, flags(values{"preset": "fast-curves", "epochs": "12"}))
	b, _ := resolve(t, flags(values{"preset": "fast-curves", "steps": strconv.Itoa(12 * a.Batches(dataset.CurvesTrain))}))
	assert.Equal(t, a.Gamma, b.Gamma, "gamma of form metric follows the planned steps")
}

func TestResolveRefuses(t *testing.T) {
	for _, c := range []struct {
		v    values
		want string
	}{
		{values{"preset": "papr"}, `--preset: unknown preset "papr"; did you mean paper? (known: curves, fast, fast-curves, paper, paper-wide, paper-deep)`},
		{values{"dataset": "mnits"}, `--dataset mnits: unknown data set "mnits"; did you mean mnist? (known: curves, mnist, fashion-mnist, idx, csv, npy)`},
		{values{"data": "/d"}, `--data: data set curves is generated; name another with --dataset, or leave this out`},
		{values{"dataset": "mnist", "data": ""}, `--data : must be a folder`},
		{values{"data-prefix": "a"}, `--data-prefix: it picks files of --dataset idx`},
		{values{"dataset": "mnist", "data-seed": "1"}, `--data-seed: it generates data set curves, and picks test examples of csv and npy; no other data set has any use for it`},
		{values{"target": "labels"}, `--target labels: unknown target "labels"; did you mean label? (known: input, label)`},
		{values{"target": "label"}, `target label: data set curves has no labels; use target input, or another data set`},
		{values{"method": "bakprop"}, `--method bakprop: unknown method "bakprop"; did you mean backprop? (known: locoprop-m, locoprop-s, backprop, kfac, shampoo, kbfgs, muon, sm3, adafactor, foof, proxprop)`},
		{values{"method": "backprop", "lr": "1", "gamma": "2"}, `--gamma: method backprop has no local problems; only locoprop-m and locoprop-s take it`},
		{values{"method": "backprop", "lr": "1", "local-steps": "2"}, `--local-steps: method backprop has no local problems; only locoprop-m and locoprop-s take it`},
		{values{"method": "backprop", "lr": "1", "block": "2"}, `--block: method backprop has no local problems; only locoprop-m and locoprop-s take it`},
		{values{"lr": "0"}, `--lr 0: must be a finite number above 0`},
		{values{"lr": "NaN"}, `--lr NaN: must be a finite number above 0`},
		{values{"gamma": "-1"}, `--gamma -1: must be a finite number above 0`},
		{values{"gamma": "inf"}, `--gamma inf: must be a finite number above 0`},
		{values{"local-steps": "0"}, `--local-steps 0: must be a whole number from 1 to 10000`},
		{values{"batch": "0"}, `--batch 0: must be a whole number from 1 to 1000000000`},
		{values{"batch": "ten"}, `--batch ten: must be a whole number from 1 to 1000000000`},
		{values{"epochs": "-1"}, `--epochs -1: must be a whole number from 0 to 1000000000`},
		{values{"steps": "0"}, `--steps 0: must be a whole number from 1 to 1000000000`},
		{values{"steps": "5", "epochs": "2"}, `--epochs: steps says where the run stops; give one of the two`},
		{values{"schedule-steps": "5", "schedule-epochs": "2"}, `--schedule-epochs: the schedule's length is in steps; give one of the two`},
		{values{"schedule": "paper", "steps": "5000"}, `schedule paper goes by epochs; it takes no planned length in steps (got 5000)`},
		{values{"eval-steps": "-1"}, `--eval-steps -1: must be a whole number from 0 to 1000000000`},
		{values{"time-limit": "0s"}, `--time-limit 0s: must be a time above 0 (45s, 10m, 1h30m), or off`},
		{values{"time-limit": "45"}, `--time-limit 45: must be a time above 0 (45s, 10m, 1h30m), or off`},
		{values{"eval-every": "0"}, `--eval-every 0: must be a whole number from 1 to 1000000000`},
		{values{"seed": "4294967296"}, `--seed 4294967296: must be a whole number from 0 to 4294967295`},
		{values{"workers": "0"}, `--workers 0: must be a whole number from 1 to 1000000000`},
		{values{"block": "0"}, `--block 0: must be a whole number from 1 to 1048576`},
		{values{"schedule": "paper", "warmup-steps": "5"}, `schedule paper warms up over its first five epochs; it takes no warm-up steps (got 5)`},
		{values{"schedule": "paper", "epochs": "3"}, `schedule paper needs a planned length of at least 6 epochs, not 3`},
		{values{"arch": "784"}, `--arch 784: one width only; there must be at least 2, input and output`},
		{values{"arch": "784,5,784:tanh"}, `arch 784,5,784:tanh: the last width names tanh; loss sigmoid-ce sets it (sigmoid), only loss squared leaves it open`},
		{values{"arch": "4,4:softmax,4"}, `arch 4,4:softmax,4: architecture: softmax in hidden layer 0; it can only be the last transfer function`},
		{values{"optimizer": "rmsprop:rho=2"}, `--optimizer rmsprop:rho=2: optimizer rmsprop: rho is 2; must be at least 0 and below 1`},
		{values{"lerning-rate": "2"}, `--lerning-rate: unknown key "lerning-rate" (known: preset, dataset, data, data-prefix, data-seed, test-data, test-share, label-column, header, scale, target, loss, arch, activation, init, method, form, solver, solver-tolerance, solver-iterations, solver-memory, solver-relax, prox, optimizer, lr, gamma, gamma-per-example, weight-decay, gamma-rule, local-steps, local-floor, reset-state, metric-damping, metric-step, metric-average, metric-every, metric-refresh, outer-momentum, statistics-structure, statistics-columns, statistics-average, statistics-refresh, statistics-damping, statistics-relative, statistics-iterate, armijo, tolerance, update-cap, reject, clip-targets, correction, d-momentum, d-momentum-limit, batch, drop-last, schedule, warmup-steps, schedule-epochs, schedule-steps, epochs, steps, time-limit, eval-every, eval-steps, checkpoint-every, keep, on-divergence, seed, shuffle-window, workers, block, diagnose, backend)`},
		{values{"batch": "0", "lr": "-1"}, "--lr -1: must be a finite number above 0\n--batch 0: must be a whole number from 1 to 1000000000"},
	} {
		_, _, err := catalog.Resolve(flags(c.v))
		assert.EqualError(t, err, c.want, c.v)
	}
	_, _, err := catalog.Resolve(file(values{"batch": "0"}))
	assert.EqualError(t, err, "a.toml: batch 0: must be a whole number from 1 to 1000000000")
	_, _, err = catalog.Resolve(file(values{"preset": "x"}))
	assert.ErrorContains(t, err, `a.toml: preset: unknown preset "x"`)
}

func TestPairWithoutARate(t *testing.T) {
	for _, p := range catalog.Pairs() {
		if _, err := catalog.RateOf(p); err == nil {
			continue
		}
		e, _ := resolve(t)
		require.NoError(t, e.SetPair(p))
		v := values{"method": e.MethodText()}
		if p.Optimizer != "" {
			v["optimizer"] = catalog.FormatOptimizer(e.Optimizer)
		}
		_, _, err := catalog.Resolve(flags(v))
		assert.EqualError(t, err, "no default rate is known for "+p.String()+"; name one with --lr")
		v["lr"] = "0.25"
		e, _ = resolve(t, flags(v))
		assert.Equal(t, p, e.Pair())
	}
}

func TestFitArch(t *testing.T) {
	small := &dataset.Data{Train: split(t, 6), Test: split(t, 6), Classes: 3}
	e, _ := resolve(t)
	a, err := e.FitArch(small)
	require.NoError(t, err)
	assert.Equal(t, 6, a.Widths[0])
	assert.Equal(t, 6, a.Widths[len(a.Widths)-1])
	assert.Equal(t, "6,400,200,100,50,25,6:identity,25,50,100,200,400,6", e.Values()["arch"])

	e, _ = resolve(t, flags(values{"preset": "paper", "target": "label"}))
	a, err = e.FitArch(small)
	require.NoError(t, err)
	assert.Equal(t, 3, a.Widths[len(a.Widths)-1])

	for _, c := range []struct{ arch, target, want string }{
		{"5,6", "input", "arch 5,6: the first width is 5; the data have 6 values per example"},
		{"6,5", "input", "arch 6,5: the last width is 5; target input needs 6, the values of an example"},
		{"6,5", "label", "arch 6,5: the last width is 5; target label needs 3, the largest label + 1"},
	} {
		e, _ := resolve(t, flags(values{"dataset": "mnist", "arch": c.arch, "target": c.target}))
		_, err := e.FitArch(small)
		assert.EqualError(t, err, c.want)
	}
}

func split(t *testing.T, dim int) dataset.Split {
	t.Helper()
	s, err := dataset.NewBytes(make([]byte, 2*dim), []int{dim}, 255, nil)
	require.NoError(t, err)
	return s
}
