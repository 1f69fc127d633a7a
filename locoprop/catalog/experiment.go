package catalog

import (
	"fmt"
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Experiment is a complete experiment: a field per flag of `locoprop train`. Start
// from a preset, or from [Resolve]; the zero value is not an experiment.
type Experiment struct {
	Preset string // the preset it came from

	Dataset    string // one of Datasets
	Data       string // the folder of the data set's files; unused by curves
	DataPrefix string // start of the files' names; idx only
	DataSeed   uint32 // curves: the data don't change with Seed; csv, npy: nor the examples for testing
	Table      Table  // csv and npy only
	Scale      dataset.Scale
	Target     model.Target

	Loss       loss.Loss
	Arch       Layout
	FreeArch   bool          // nobody chose the first and last width: they follow the data
	Activation transfer.Func // of hidden layers whose transfer function isn't named
	Init       nn.Init

	Method     string         // one of Methods
	MethodKeys Values         // settings of a method that has its own, every one spelled out; see ParseMethod
	Optimizer  optimizer.Rule // unused by forms that don't iterate one
	Eta        float64        // η, see the method
	Gamma      float64        // γ; LocoProp only, as is all up to Block
	// GammaPerExample is γ/B in place of γ; 0: Gamma says it.
	GammaPerExample float64
	LocalSteps      int     // T
	Floor           float64 // φ, least factor of the local rate's decay
	Reset           bool    // the optimiser's state starts anew at every batch
	Form            locoprop.Form
	Prox            float64            // λ, locoprop.ProxAuto or locoprop.ProxOff
	Implicit        locoprop.Implicit  // form implicit only
	GammaRule       locoprop.GammaRule // form metric only, as is the next
	Metric          locoprop.Metric
	Statistics      locoprop.Statistics // form statistics only; Average 0 stands for none
	Safety          locoprop.Safety
	Clip            bool           // clip targets into the range of f
	Correction      float64        // forward correction; 0: off
	DMomentum       float64        // momentum on D over an example's visits; 0: off
	DLimit          int            // megabytes that it may take
	Examples        int            // training examples, once FitArch has seen the data: it keeps a row of each
	Layers          map[int]Values // settings of single layers, from 0, by the keys that LayerKeys lists
	Block           int            // units per task
	Diagnose        int            // measure the local problems of every so many batches; 0: never
	Batch           int            // B
	KeepLast        bool           // train on a last, short batch of an epoch too
	// WeightDecay is wd of W ← (1 − η·s·wd)W before each batch; 0: none.
	WeightDecay float64

	Schedule       schedule.Kind
	WarmupSteps    int
	ScheduleEpochs int           // planned length of the schedule; 0 means Epochs, or Steps where that is set
	ScheduleSteps  int           // the same in steps, in place of it; 0: ScheduleEpochs says it
	Epochs         int           // where the run stops
	Steps          int           // the same in steps, in place of it; 0: Epochs says it
	TimeLimit      time.Duration // seconds of training after which it stops in any case; 0: none
	EvalEvery      int           // epochs from one evaluation to the next
	EvalSteps      int           // steps from one evaluation to the next, besides those; 0: none

	CheckpointEvery schedule.Interval
	Keep            int  // checkpoints kept, the best not counted
	Rollback        bool // return to a checkpoint where the run diverges

	Seed    uint32
	Window  int    // examples that are shuffled together; 0: all
	Workers int    // 0 means as many as Go runs at once
	Backend string // "" means the best there is
}

// methods are the ways to train.
var methods = []struct {
	name  string
	local bool // solves local problems: has γ, T and blocks of units to choose
}{
	{"locoprop-m", true},
	{"locoprop-s", true},
	{"backprop", false},
}

func (e *Experiment) locoprop(l locoprop.LocalLoss) (plan.Method, error) {
	o := e.options(l)
	o.Layers = make(map[int]locoprop.Options, len(e.Layers))
	for layer := range e.Layers {
		x := e.At(layer)
		o.Layers[layer] = x.options(l)
	}
	return asMethod(locoprop.New(o))
}

// asMethod keeps a nil pointer from becoming an interface that isn't nil.
func asMethod[M plan.Method](m M, err error) (plan.Method, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Methods lists the names of methods.
func Methods() []string {
	var names []string
	for _, m := range methods {
		names = append(names, m.name)
	}
	for _, b := range baselines {
		names = append(names, b.name)
	}
	return names
}

// IsLocal reports whether a method solves local problems, so that it has γ, T and a
// block size; under the others the optimiser is a first-order baseline.
func IsLocal(method string) bool {
	i, err := choose("method", method, Methods())
	return err == nil && i < len(methods) && methods[i].local
}

// BuildMethod returns the training method with its settings.
func (e *Experiment) BuildMethod() (plan.Method, error) {
	switch e.Method {
	case "locoprop-m":
		return e.locoprop(locoprop.Matching)
	case "locoprop-s":
		return e.locoprop(locoprop.Squared)
	case "backprop":
		return asMethod(backprop.New(backprop.Options{Eta: e.Eta, Optimizer: e.Optimizer, WeightDecay: e.WeightDecay, Block: e.Block}))
	}
	if b := baselineOf(e.Method); b != nil {
		return b.build(e)
	}
	return nil, &UnknownError{What: "method", Name: e.Method, Known: Methods()}
}

// BuildSchedule returns the course of the learning rate.
func (e *Experiment) BuildSchedule() (schedule.Schedule, error) {
	s := schedule.Schedule{Kind: e.Schedule, Warmup: e.WarmupSteps}
	if s.Steps = e.PlannedSteps(); s.Steps == 0 {
		s.Epochs = e.PlannedEpochs()
	}
	return s, s.Check()
}

// FullGamma is γ of a full batch, whichever way it was said.
func (e *Experiment) FullGamma() float64 {
	if e.GammaPerExample != 0 {
		return e.GammaPerExample * float64(e.Batch)
	}
	return e.Gamma
}

// Batches is the number of batches in an epoch of so many training examples.
func (e *Experiment) Batches(examples int) int {
	if e.KeepLast {
		return (examples + e.Batch - 1) / e.Batch
	}
	return examples / e.Batch
}

// PlannedSteps is the length that the schedule is made for where that is in steps, 0 where
// it is PlannedEpochs.
func (e *Experiment) PlannedSteps() int {
	if e.ScheduleSteps > 0 || e.ScheduleEpochs > 0 {
		return e.ScheduleSteps
	}
	return e.Steps
}

// RunEpochs is the number of epochs of so many training examples that the run begins.
func (e *Experiment) RunEpochs(examples int) int {
	if e.Steps == 0 {
		return e.Epochs
	}
	batches := max(e.Batches(examples), 1)
	return (e.Steps + batches - 1) / batches
}

// PlannedEpochs is the length in epochs that the schedule is made for; see PlannedSteps.
func (e *Experiment) PlannedEpochs() int {
	if e.ScheduleEpochs > 0 {
		return e.ScheduleEpochs
	}
	return max(e.Epochs, 1) // an untrained model still has a schedule
}

// DataInfo is what is known of the data set before it is loaded: its shape and size;
// known is false where they depend on the files.
func (e *Experiment) DataInfo() (info dataset.Info, known bool) {
	for _, d := range dataset.List() {
		if d.Name == e.Dataset {
			return d, d.Train > 0
		}
	}
	return dataset.Info{}, false
}

// FitArch makes the architecture fit the data where nobody chose it, checks it where
// somebody did, and returns it. Afterwards e.Arch is what the run uses, and fixed.
func (e *Experiment) FitArch(d *dataset.Data) (nn.Arch, error) {
	e.Examples = d.Train.Len()
	return e.FitShape(d.Dim(), d.Classes)
}

// FitShape is FitArch for data of which only the values per example and the number of
// classes are known.
func (e *Experiment) FitShape(dim, classes int) (nn.Arch, error) {
	outputs := dim
	if e.Target == model.Label {
		outputs = classes
	}
	if err := e.Arch.fit(dim, outputs, e.Target, e.FreeArch); err != nil {
		return nn.Arch{}, fmt.Errorf("arch %v: %w", e.Arch, err)
	}
	e.FreeArch = false
	a, err := e.Arch.Arch(e.Activation, e.Loss)
	if err != nil {
		return nn.Arch{}, fmt.Errorf("arch %v: %w", e.Arch, err)
	}
	return a, nil
}

// Pair is the experiment's combination of method and optimiser, which its rate belongs
// to. Forms that iterate no optimiser, but whose proximal term has the rates' sum for
// its λ, count as sgd.
func (e *Experiment) Pair() Pair {
	if baselineOf(e.Method) != nil && !usesOptimizer(e) {
		return Pair{Method: e.Method, Variant: e.MethodKeys["variant"]}
	}
	if !usesOptimizer(e) {
		return Pair{Method: e.Method, Optimizer: "sgd"}
	}
	return Pair{Method: e.Method, Optimizer: e.Optimizer.Name(), Variant: e.Optimizer.Variant()}
}

// Coasts reports whether weights go on moving where the rate has fallen to 0, because a
// buffer that outlasts the batch holds displacements and not gradients.
func (e *Experiment) Coasts() bool {
	layers := []Experiment{*e}
	for layer := range e.Layers {
		layers = append(layers, e.At(layer))
	}
	return slices.ContainsFunc(layers, func(x Experiment) bool {
		return inMetric(&x) || usesOptimizer(&x) && !x.Reset && x.Optimizer.Kind == optimizer.RMSPropTF1 && x.Optimizer.Momentum > 0
	})
}
