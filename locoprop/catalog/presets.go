package catalog

import (
	"maps"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// DefaultPreset is the preset that `locoprop train` takes unless one is named.
const DefaultPreset = "fast-curves"

// presets make experiments anew at every call, so that nobody changes another's. against
// is what docs/benchmarks.md measured the preset against, where it did.
var presets = []struct {
	name, about string
	make        func() Experiment
	against     string
}{
	{"curves", "deep autoencoder of generated curves, about a minute on two cores", curvesPreset, ""},
	{"fast", "the paper's autoencoder of MNIST by LocoProp-M in the metric of running statistics, 3 epochs", fastPreset, againstAdam},
	{"fast-curves", "the network and data of curves by the method of fast", fastCurvesPreset, againstAdam},
	{"paper", "the LocoProp paper's deep autoencoder of MNIST", func() Experiment { return paperPreset(paperLayout()) }, ""},
	{"paper-wide", "the same with hidden layers twice as wide", func() Experiment { return paperPreset(widen(paperLayout())) }, ""},
	{"paper-deep", "the same with three layers of 500 units on each side", func() Experiment { return paperPreset(deepLayout()) }, ""},
}

// Presets lists the names of presets.
func Presets() []string {
	var names []string
	for _, p := range presets {
		names = append(names, p.name)
	}
	return names
}

// AboutPreset is one line on a preset, "" for an unknown one.
func AboutPreset(name string) string {
	for _, p := range presets {
		if p.name == name {
			return p.about
		}
	}
	return ""
}

const againstAdam = "Adam at its documented rate (batch 100, linear, 200 warm-up steps): docs/benchmarks.md"

// MeasuredAgainst says what the experiment's preset was measured against, "" where it
// wasn't or where the experiment differs from it in more than seed and machine.
func (e *Experiment) MeasuredAgainst() string {
	own, err := Preset(e.Preset)
	if err != nil {
		return ""
	}
	if e.Arch.String() != own.Arch.String() { // Values has it only once it is settled
		return ""
	}
	mine, preset := e.Values(), own.Values()
	for _, key := range []string{"arch", "seed", "data", "workers", "backend", "eval-every", "eval-steps", "checkpoint-every", "keep", "diagnose", "schedule-epochs"} {
		delete(mine, key)
		delete(preset, key)
	}
	if !maps.Equal(mine, preset) {
		return ""
	}
	i, _ := choose("preset", e.Preset, Presets())
	return presets[i].against
}

// Preset returns the experiment of a name.
func Preset(name string) (Experiment, error) {
	i, err := choose("preset", name, Presets())
	if err != nil {
		return Experiment{}, err
	}
	e := presets[i].make()
	e.Preset = name
	e.Arch.Named = maps.Clone(e.Arch.Named)
	return e, nil
}

// common is what all presets share: a tanh autoencoder trained by LocoProp-M with the
// optimiser of its paper (Amid, Anil, Warmuth, AISTATS 2022).
func common() Experiment {
	return Experiment{
		DataSeed: 1, Table: Table{TestShare: dataset.DefaultTestShare}, Target: model.Input, Loss: loss.SigmoidCE, FreeArch: true,
		Activation: transfer.Tanh, Init: nn.Glorot,
		Method: "locoprop-m", Optimizer: optimizer.New(optimizer.RMSPropTF1),
		Gamma: locoprop.DefaultGamma, LocalSteps: locoprop.DefaultSteps, Floor: locoprop.DefaultFloor, Block: plan.DefaultBlock,
		GammaRule: locoprop.GammaFisher, Metric: metricDefaults(), Statistics: statisticsDefaults(), Implicit: implicitDefaults(locoprop.SolverAnderson),
		DLimit:    locoprop.DefaultMomentumLimit >> 20,
		EvalEvery: 1, CheckpointEvery: schedule.Interval{Epochs: 1}, Keep: 2, Seed: 1,
	}
}

func curvesPreset() Experiment {
	e := common()
	e.Dataset = "curves"
	e.Arch = autoencoder(784, 400, 200, 100, 50, 25, 6)
	e.Eta, e.Batch = 1e-5, 250
	e.Schedule, e.WarmupSteps, e.Epochs = schedule.Linear, 50, 10
	return e
}

// paperPreset is the paper's reference experiment: a schedule of 100 epochs, the last
// of which would have rate 0 and isn't run.
func paperPreset(l Layout) Experiment {
	e := common()
	e.Dataset = "mnist"
	e.Arch = l
	e.Eta, e.Batch = 1e-5, 1000
	e.Schedule, e.ScheduleEpochs, e.Epochs = schedule.Paper, 100, 99
	return e
}

func paperLayout() Layout { return autoencoder(784, 1000, 500, 250, 30) }

func deepLayout() Layout { return autoencoder(784, 1000, 500, 500, 500, 250, 30) }

// autoencoder mirrors the encoder's widths; the code layer, the last one given, has
// the identity as its transfer function.
func autoencoder(encoder ...int) Layout {
	code := len(encoder) - 1
	l := Layout{Widths: append([]int(nil), encoder...), Named: map[int]transfer.Func{code: transfer.Identity}}
	for i := code - 1; i >= 0; i-- {
		l.Widths = append(l.Widths, encoder[i])
	}
	return l
}

// widen doubles all hidden widths.
func widen(l Layout) Layout {
	for i := 1; i < len(l.Widths)-1; i++ {
		l.Widths[i] *= 2
	}
	return l
}
