package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/urfave/cli/v2"
)

// dataVariable names the folder of data where --data doesn't.
const dataVariable = "LOCOPROP_DATA"

const (
	groupExperiment = "1. Experiment"
	groupData       = "2. Data"
	groupNetwork    = "3. Network"
	groupMethod     = "4. Method"
	groupLocal      = "5. Local problems (locoprop-m, -s)"
	groupSchedule   = "6. Schedule"
	groupMachine    = "7. Machine"
	groupOutput     = "8. Output"
)

// settingFlag describes the flag of one of the catalog's settings. Its default is that
// of the default preset, or of the first preset that has the setting, unless it says
// something else.
type settingFlag struct {
	key, group, usage, fallback string
}

func settingFlags() []settingFlag {
	list := func(names []string) string { return strings.Join(names, ", ") }
	return []settingFlag{
		{"preset", groupExperiment, "`NAME` of an experiment, which sets all that follows; flags beside it override it: " + presetList(), ""},
		{"dataset", groupData, "`NAME`: " + list(catalog.Datasets()) + "; see locoprop data list", ""},
		{
			"data", groupData, "`FOLDER` with the files of mnist, fashion-mnist (which lie in a folder of that name in it) or idx; of csv and npy the folder, or the file of training examples",
			"the environment variable " + dataVariable,
		},
		{"data-prefix", groupData, "`START` of the names of the files to read, where --dataset idx finds several", "none"},
		{"data-seed", groupData, "whole `NUMBER` that generates data set curves, and picks the examples of --test-share", ""},
		{"test-data", groupData, "`FILE` of test examples of csv or npy", "test.csv or test.npy in the folder of --data; none where that is a file"},
		{
			"test-share", groupData, "share of the examples that are for testing where csv or npy have no file of them, `NUMBER` from 0 to below 1",
			fmt.Sprint(dataset.DefaultTestShare),
		},
		{"label-column", groupData, "`COLUMN` of labels of csv by name, by number from 1, or from the end, -1 the last; it isn't part of the inputs", "none"},
		{"header", groupData, "whether csv begins with names of columns, `auto|yes|no`; auto: yes if no name is a number, or one is the name in --label-column", "auto"},
		{
			"scale", groupData, "how inputs are scaled, recorded in the model, `none|unit|standard|NUMBER`: unit brings every input to 0 to 1, " +
				"standard to mean 0 and variance 1, over the training examples; a number divides all", "",
		},
		{"target", groupData, "what the network learns to give, `NAME`: input (the example itself), label (its class)", ""},
		{"loss", groupNetwork, "`NAME`: " + list(loss.Names) + "; bi-tempered(T1,T2) takes its temperatures", "sigmoid-ce for --target input, softmax-ce for label"},
		{
			"arch", groupNetwork, "`WIDTHS` in values per example, input to output, with commas between; WIDTH:NAME names the transfer function of " +
				"the layer that gives it (of the last one under --loss squared only)",
			curvesLayout() + " with preset " + catalog.DefaultPreset + ", first and last width following the data",
		},
		{"activation", groupNetwork, "transfer function of hidden layers, `NAME`: " + activations(), ""},
		{"init", groupNetwork, "initial weights, `NAME`: " + list(nn.InitNames), ""},
		{"method", groupMethod, "`NAME[:KEY=VALUE,...]`: " + methodList(), ""},
		{"optimizer", groupMethod, "of locoprop-m, -s, backprop, foof and proxprop, `NAME[:KEY=VALUE,...]`: " + list(catalog.Optimizers) + "; keys " + list(catalog.OptimizerKeys), ""},
		{
			"lr", groupMethod, "learning `RATE`: per local iteration, for gradients summed over the batch; in form metric a factor of the update; " +
				"under all other methods per step, for gradients of the mean loss",
			"the preset's; of another --method or --optimizer, that pair's in docs/rates.md; in form metric 1",
		},
		{"batch", groupMethod, "examples per step, `NUMBER` from 1 to the size of the training data", ""},
		{"drop-last", groupMethod, "leave the examples out that make no full batch at the end of an epoch; with --drop-last=false they are a short batch, with gamma in proportion", ""},
		{
			"form", groupLocal, "how they are solved, `NAME`: auto (the cheapest of the next three), direct, gram (locoprop-s), kernel (sgd, momentum, nesterov), " +
				"which make the same steps; exact, spectral, statistics (locoprop-s); implicit, mm (locoprop-m); metric (in the metric of running statistics)", "",
		},
		{"solver", groupLocal, "of form implicit, `NAME`: anderson, newton (few inputs or examples), fixed", "anderson"},
		{"solver-tolerance", groupLocal, "of form implicit: a unit's iterations end when its residual has fallen to this share, `NUMBER` between 0 and 1", implicitDefault("solver-tolerance")},
		{"solver-iterations", groupLocal, fmt.Sprintf("of form implicit: bound of the iterations per batch, `NUMBER` from 1 to %d", locoprop.MaxSteps), implicitDefault("solver-iterations") + "; of solver newton 20"},
		{"solver-memory", groupLocal, fmt.Sprintf("of solver anderson: iterates that are combined, `NUMBER` from 1 to %d", locoprop.MaxMemory), implicitDefault("solver-memory")},
		{
			"solver-relax", groupLocal, "of solvers anderson and fixed: share of the residual that an iteration adds, `auto|NUMBER` below 2, " +
				"auto for one that is sure to lower it", implicitDefault("solver-relax"),
		},
		{
			"prox", groupLocal, "pull towards the weights before the batch, |change|²/2λ: `off|auto|λ`, λ above 0, auto for the sum of the local rates; " +
				"forms exact, implicit, mm and statistics need one, metric takes none", "",
		},
		{
			"gamma", groupLocal, "activation learning `RATE`: how far targets lie from activations, per unit of the mean loss's gradient; in form metric see --gamma-rule",
			"10, or the pair's in docs/rates.md; in form metric what the planned epochs ask for, " + fastGammas(),
		},
		{
			"gamma-rule", groupLocal, "of form metric, `NAME`: fisher (gamma over the layer's mean squared gradient, per example), fixed (gamma itself)", "",
		},
		{
			"gamma-per-example", groupLocal, "gamma/batch, `RATE`, in place of --gamma: what stays as it is where the batch changes",
			"none: --gamma says it",
		},
		{
			"weight-decay", groupMethod, "share of the weights, times the rate, that is taken off before each batch, `NUMBER` from 0: W becomes (1 - lr*NUMBER)W, " +
				"biases stay; for optimizers without a decay of their own", "0, none",
		},
		{"local-steps", groupLocal, "local iterations per batch, `NUMBER` from 1 to 10000", "10; in form metric 4"},
		{"local-floor", groupLocal, "least factor of the local rate, which falls evenly over the local steps, `NUMBER` from 0 to 1", ""},
		{"reset-state", groupLocal, "start the optimizer's state anew at every batch", ""},
		{"metric-damping", groupLocal, "of form metric: what is added to the inputs' second moment, in units of its mean diagonal, `NUMBER` above 0", ""},
		{"metric-step", groupLocal, "of form metric: local rate in units of the largest that its first estimate allows, `NUMBER` above 0", ""},
		{"metric-average", groupLocal, "of form metric: share that the running second moment keeps at an update, `NUMBER` from 0, which takes none, to below 1", ""},
		{"metric-every", groupLocal, "of form metric: batches from one update of the second moment to the next, `NUMBER` from 1", ""},
		{"metric-refresh", groupLocal, "of form metric: batches from one inverse to the next, once a hundred are done, `NUMBER` from 1", ""},
		{"outer-momentum", groupLocal, "of form metric: momentum of the step that takes a batch's update, `NUMBER` from 0, which takes none, to below 1", ""},
		{"statistics-structure", groupLocal, "of form statistics: what is kept of the inputs' second moment, `NAME`: " + list(precond.Structures), precond.Full.String()},
		{"statistics-columns", groupLocal, "of form statistics: columns of a block of block-diagonal, `NUMBER` from 1", strconv.Itoa(precond.DefaultBlock)},
		{"statistics-average", groupLocal, "of form statistics: share that the second moment keeps at each batch, `NUMBER` from 0, which takes none, to below 1", fmt.Sprint(precond.DefaultAverage)},
		{"statistics-refresh", groupLocal, "of form statistics: batches from one factorisation to the next, `NUMBER` from 1", strconv.Itoa(precond.DefaultRefresh)},
		{"statistics-damping", groupLocal, "of form statistics: what is added to the second moment, `NUMBER` above 0, in place of what --prox says", "0, as --prox says"},
		{"statistics-relative", groupLocal, "of form statistics: the same in units of the second moment's mean diagonal, `NUMBER` above 0", "0, as --prox says"},
		{"statistics-iterate", groupLocal, "of form statistics: local steps of gradient descent in place of the converged update", "false"},
		{"armijo", groupLocal, "safety: shorten each local step until the unit's local loss falls (form direct)", "false"},
		{"tolerance", groupLocal, "safety: a unit's local steps end when its gradient has fallen to this share, `NUMBER` below 1 (form direct)", "0, off"},
		{"update-cap", groupLocal, "safety: bound of a unit's update per batch, in units of the norm of its weights, `NUMBER` above 0 (not form metric)", "0, off"},
		{"reject", groupLocal, "safety: undo a unit's update that raises its local loss (not form metric)", "false"},
		{"clip-targets", groupLocal, "keep targets within the range of the transfer function (locoprop-m; forms auto, direct, gram, kernel, implicit, mm)", "false"},
		{
			"correction", groupLocal, "solve layers in turn, each with an input that moves toward what the layer before gives now, by at most `NUMBER` per value and example", "0, off",
		},
		{"d-momentum", groupLocal, "average of an example's backward signal over its visits, share that the past keeps, `NUMBER` below 1. Takes memory per example", "0, off"},
		{"d-momentum-limit", groupLocal, "megabytes that --d-momentum may take, `NUMBER` from 1", strconv.Itoa(locoprop.DefaultMomentumLimit >> 20)},
		{"block", groupLocal, "units per task, `NUMBER` from 1; part of what fixes the result's last bits", ""},
		{"schedule", groupSchedule, "course of the rate over the run, `NAME`: " + list(schedule.Names), ""},
		{"warmup-steps", groupSchedule, "batches over which the rate rises at the start, `NUMBER` from 0", ""},
		{"schedule-epochs", groupSchedule, "epochs that the schedule is made for, `NUMBER` from 1", "--epochs; 100 with the paper presets"},
		{"schedule-steps", groupSchedule, "the same in steps, in place of --schedule-epochs, `NUMBER` from 1 (not with schedule paper)", "--steps where that is given"},
		{"epochs", groupSchedule, "epochs to train, `NUMBER` from 0, which writes the untrained model", ""},
		{"steps", groupSchedule, "steps to train, in place of --epochs, within an epoch too, `NUMBER` from 1; the schedule is made for as many", "none: --epochs says it"},
		{
			"time-limit", groupSchedule, "end the run at the first step after so much time of training, evaluation not counted: `TIME` (45s, 10m, 1h30m) or off; " +
				"the schedule stays as it is planned", "off",
		},
		{"eval-every", groupSchedule, "epochs from one evaluation to the next, `NUMBER` from 1; epoch 0 and the end are always evaluated", ""},
		{"eval-steps", groupSchedule, "steps from one evaluation to the next, besides --eval-every, within epochs too, `NUMBER` from 0, which is never", "0"},
		{
			"checkpoint-every", groupExperiment, "how often the run is saved, besides at its start and end and after the best epoch so far: " +
				"`INTERVAL` in epochs (1epoch), steps (500steps) or time (10m, 1h30m)", "",
		},
		{"keep", groupExperiment, "checkpoints that are kept, the newest counted and the best not, `NUMBER` from 1", ""},
		{
			"on-divergence", groupExperiment, "what follows where a loss or weight isn't finite, `NAME`: stop (exit code 4), " +
				"rollback (to the newest checkpoint, going on at half the rate, up to 8 times)", "",
		},
		{"diagnose", groupExperiment, "measure every layer's local problem in batches 0, N, 2N, ..., into layers.jsonl, `NUMBER` from 0 (locoprop-m, -s)", "0, never"},
		{
			"shuffle-window", groupMachine, "examples that are shuffled together, `NUMBER` from 0, which is all; fewer read large files in pieces; part of what fixes the result",
			"0",
		},
		{"seed", groupExperiment, "whole `NUMBER` that fixes initial weights and order of examples", ""},
		{
			"workers", groupMachine, fmt.Sprintf("threads, `NUMBER` from 1 to %d or what OpenBLAS was built for; doesn't change the result", mostWorkers),
			"as many as Go would run at once (GOMAXPROCS)",
		},
		{"backend", groupMachine, "who does the arithmetic, `NAME`: " + list(backendNames), "native where it is built in, else gonum"},
	}
}

// methodList has every method with the keys that it takes.
func methodList() string {
	var items []string
	for _, name := range catalog.Methods() {
		if keys := catalog.MethodKeysOf(name); keys != nil {
			name += " (" + strings.Join(keys, ", ") + ")"
		}
		items = append(items, name)
	}
	return strings.Join(items, ", ")
}

func presetList() string {
	var items []string
	for _, name := range catalog.Presets() {
		items = append(items, fmt.Sprintf("%s (%s)", name, catalog.AboutPreset(name)))
	}
	return strings.Join(items, "; ")
}

func defaultExperiment() catalog.Experiment {
	e, err := catalog.Preset(catalog.DefaultPreset)
	if err != nil {
		panic(err) // can't happen: the catalog has its own default
	}
	return e
}

func curvesLayout() string {
	e := defaultExperiment()
	return e.Arch.String()
}

// flagsFor makes the flags of some settings, all of them where no key is given. Values
// are text, so that the catalog alone decides what is allowed, for flags and files
// alike.
func flagsFor(keys ...string) []cli.Flag {
	return flagsOf(defaultExperiment(), keys...)
}

// flagsOf is flagsFor where the defaults are those of another experiment.
func flagsOf(e catalog.Experiment, keys ...string) []cli.Flag {
	defaults := e.Values()
	wanted := map[string]bool{}
	for _, k := range keys {
		wanted[k] = true
	}
	var flags []cli.Flag
	for _, s := range settingFlags() {
		if len(keys) > 0 && !wanted[s.key] {
			continue
		}
		text := s.fallback
		if text == "" || e.Preset != catalog.DefaultPreset && defaults[s.key] != "" {
			text = defaults[s.key]
		}
		if text == "" {
			text = usualValue(s.key)
		}
		if catalog.IsToggle(s.key) {
			flags = append(flags, &cli.BoolFlag{Name: s.key, Category: s.group, Usage: s.usage, DefaultText: text})
			continue
		}
		flags = append(flags, &cli.StringFlag{Name: s.key, Category: s.group, Usage: s.usage, DefaultText: text})
	}
	return flags
}

// usualValue is what a setting is in the first preset that has it.
func usualValue(key string) string {
	for _, name := range catalog.Presets() {
		if e, err := catalog.Preset(name); err == nil && e.Values()[key] != "" {
			return e.Values()[key]
		}
	}
	return ""
}

// implicitDefault is what a setting of form implicit is unless it is named.
func implicitDefault(key string) string {
	e, _, err := catalog.Resolve(catalog.Layer{Values: catalog.Values{"form": locoprop.FormImplicit.String(), "prox": "1"}})
	if err != nil {
		panic(err) // can't happen: the form is valid
	}
	return e.Values()[key]
}

// fastGammas shows the rule for γ in the metric form at the lengths of the presets that
// have it.
func fastGammas() string {
	var items []string
	for _, name := range catalog.Presets() {
		if e, err := catalog.Preset(name); err == nil && e.Form == locoprop.FormMetric {
			items = append(items, fmt.Sprintf("%v with preset %s", catalog.FastGamma(&e), name))
		}
	}
	return strings.Join(items, ", ")
}

// flagLayer collects the settings that were given as flags.
func flagLayer(c *cli.Context) catalog.Layer {
	l := catalog.Layer{Values: catalog.Values{}}
	for _, key := range catalog.Keys() {
		if c.IsSet(key) {
			l.Values[key] = c.String(key)
		}
	}
	return l
}

// locateData completes an experiment's folder of data: the environment's where no
// other was named, and always absolute, so that the run can be repeated from anywhere.
func locateData(e *catalog.Experiment) error {
	if e.Dataset == "curves" {
		return nil
	}
	if e.Data == "" {
		e.Data = os.Getenv(dataVariable)
	}
	if e.Data == "" {
		return nil // the data set's own error says what is missing
	}
	for _, path := range []*string{&e.Data, &e.Table.Test} {
		if *path == "" {
			continue
		}
		full, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("data %s: %w", *path, err)
		}
		*path = full
	}
	return nil
}

// activations lists the transfer functions that a hidden layer may have.
func activations() string {
	var own []string
	for _, name := range transfer.Names {
		switch name {
		case "softmax", "tempered-softmax": // these couple a row: last layer only
		case "leaky-relu":
			own = append(own, "leaky-relu(SLOPE)")
		case "elu":
			own = append(own, "elu(ALPHA)")
		default:
			own = append(own, name)
		}
	}
	return strings.Join(own, ", ")
}
