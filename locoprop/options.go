package locoprop

import (
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Defaults of [Options].
const (
	DefaultGamma = 10
	DefaultSteps = 10
	DefaultFloor = 0.25
	MaxSteps     = 10000
)

// LocalLoss is what a layer's local problem minimises.
type LocalLoss uint8

// The local losses.
const (
	Matching LocalLoss = iota // LocoProp-M: Σ F(A) − Y*∘A, the Bregman loss of the transfer function
	Squared                   // LocoProp-S: ½‖A − A*‖²
)

// transfer is the f of a layer's local problem: the identity where the problem is
// LocoProp-S, or the same.
func (l LocalLoss) transfer(f transfer.Func) transfer.Func {
	if l == Squared {
		return transfer.Identity
	}
	return f
}

// Values of [Options].Prox that aren't a λ.
const (
	ProxOff  = 0  // no proximal term
	ProxAuto = -1 // λ = Σ ηₜ, the sum of this batch's local rates
)

// Options are the settings of LocoProp. Zero values are the defaults, but for Eta,
// which must be given unless the form is FormMetric.
type Options struct {
	Loss      LocalLoss // Matching
	Eta       float64   // local learning rate η > 0, for gradients summed over the batch; in the metric form a factor of Δ, 0 means 1
	Gamma     float64   // activation learning rate γ > 0; 0 means 10. In the metric form see Metric; 0 means 0.005 (under GammaFixed 10)
	GammaRule GammaRule // GammaAuto
	// GammaPerExample is γ/B, B the batch's examples, in place of Gamma: what stays as it
	// is where the batch changes. 0: Gamma says it. Not under GammaFisher, whose γ is per
	// example.
	GammaPerExample float64
	Steps           int            // local iterations T, 1 to 10000; 0 means 10, in the metric form 4
	Floor           float64        // φ in [0, 1]: least factor of the local rate's decay; 0 means 0.25; see NoFloor
	NoFloor         bool           // φ = 0
	Optimizer       optimizer.Rule // the zero rule is plain SGD; unused by forms that don't iterate it
	Prox            float64        // λ > 0 of the proximal term (1/2λ)‖Δ‖², ProxAuto, or ProxOff (the default)
	Reset           bool           // the optimiser's state starts anew at every batch, its count of updates too
	Form            Form           // FormAuto
	Metric          Metric         // constants of FormMetric, unused by the others
	Statistics      Statistics     // settings of FormStatistics, unused by the others
	Implicit        Implicit       // settings of FormImplicit, unused by the others
	Costs           Costs          // of the cost model by which FormAuto chooses; the zero value means DefaultCosts
	Block           int            // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
	// WeightDecay is wd ≥ 0 of W ← (1 − η·s·wd)W, s the schedule's factor, once per batch
	// and before its forward pass: no part of the local problem. Biases don't decay; η·wd
	// must be below 1. In every form η is Eta, in the metric form too. See plan.Decay.
	WeightDecay float64

	Safety     Safety  // guards of each unit's update, all off by default
	Clip       bool    // clip the targets Y* of LocoProp-M into the range of f; see transfer.Func.Clip
	Correction float64 // c of the forward correction, > 0; 0: off. See docs/method.md
	Momentum   Momentum

	// Diagnose measures every layer's local problem in batches 0, N, 2N, …; 0 (the
	// default): never. It changes no result, and has the passes of all batches leave matrices
	// for it, which takes up to a percent of a step. OnLayer, where given, gets each report, on
	// the goroutine that calls Step; plan.Report.Layers holds them too.
	Diagnose int
	OnLayer  func(plan.LayerReport)

	// Layers holds the settings of layers (from 0) that differ, each complete in itself;
	// their own Layers, Block, Correction, Momentum, Diagnose and OnLayer aren't used.
	Layers map[int]Options
}

// withDefaults replaces zero values by their defaults.
func (o Options) withDefaults() Options {
	gamma, steps := float64(DefaultGamma), DefaultSteps
	if o.Form == FormMetric {
		steps = DefaultMetricSteps
		setDefault(&o.GammaRule, GammaFisher)
		if o.GammaRule == GammaFisher {
			gamma = DefaultMetricGamma
		}
		o.Metric = o.Metric.withDefaults()
		setDefault(&o.Eta, 1)
	}
	if o.Form == FormStatistics {
		o.Statistics = o.Statistics.withDefaults()
	}
	if o.Form == FormImplicit {
		o.Implicit = o.Implicit.withDefaults()
	}
	if o.GammaPerExample == 0 {
		setDefault(&o.Gamma, gamma)
	}
	setDefault(&o.Steps, steps)
	setDefault(&o.Block, plan.DefaultBlock)
	setDefault(&o.Costs, DefaultCosts)
	if !o.NoFloor {
		setDefault(&o.Floor, DefaultFloor)
	}
	return o
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// check returns all that is wrong with settings that have their defaults.
func (o Options) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("locoprop: "+format, args...)) }
	if o.Loss > Squared {
		bad("unknown local loss %d", o.Loss)
	}
	if int(o.Form) >= len(Forms) {
		bad("unknown form %d", o.Form)
	}
	if !positive(o.Eta) {
		bad("learning rate is %v; must be a positive finite number", o.Eta)
	}
	switch perExample := o.GammaPerExample != 0; {
	case !perExample && !positive(o.Gamma):
		bad("gamma is %v; must be a positive finite number", o.Gamma)
	case perExample && !positive(o.GammaPerExample):
		bad("gamma per example is %v; must be a positive finite number", o.GammaPerExample)
	case perExample && o.Gamma != 0:
		bad("gamma is %v and gamma per example %v; give one of both", o.Gamma, o.GammaPerExample)
	case perExample && o.GammaRule == GammaFisher:
		bad("gamma rule fisher takes gamma, which is per example there; gamma per example is for the fixed rule")
	}
	errs = append(errs, o.checkDecay())
	if int(o.GammaRule) >= len(GammaRules) {
		bad("unknown gamma rule %d", o.GammaRule)
	}
	if o.GammaRule == GammaFisher && o.Form != FormMetric {
		bad("gamma rule fisher needs form metric, not %v; elsewhere the rule is fixed", o.Form)
	}
	if o.Steps < 1 || o.Steps > MaxSteps {
		bad("%d local steps; must be 1 to %d", o.Steps, MaxSteps)
	}
	if !(o.Floor >= 0 && o.Floor <= 1) {
		bad("floor of the local rate is %v; must be 0 to 1", o.Floor)
	}
	if o.Prox != ProxOff && o.Prox != ProxAuto && !positive(o.Prox) {
		bad("prox is %v; must be a positive finite number, ProxAuto or ProxOff", o.Prox)
	}
	if o.Block < 1 {
		bad("block of %d units; must be 1 or more", o.Block)
	}
	errs = append(errs, o.Costs.check(), o.Safety.check(), o.Momentum.check())
	if !(o.Correction >= 0) || math.IsInf(o.Correction, 0) {
		bad("forward correction is %v; must be a positive finite number, or 0 for none", o.Correction)
	}
	if o.Diagnose < 0 {
		bad("diagnostics every %d batches; must be 1 or more, or 0 for none", o.Diagnose)
	}
	if err := o.Optimizer.Check(); err != nil {
		errs = append(errs, err)
	}
	if o.Optimizer.Kind.Averages() && o.iterates() {
		bad("optimizer %s doesn't solve local problems: its average over iterates is of one objective, and local problems are new with every batch; use it under backprop, or adamw here",
			o.Optimizer.Name())
	}
	if o.Form == FormMetric {
		if err := o.Metric.check(); err != nil {
			errs = append(errs, err)
		}
	}
	if o.Form == FormImplicit {
		errs = append(errs, o.Implicit.check())
	}
	if o.Form == FormStatistics {
		if err := o.Statistics.check(o); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// iterates reports whether the form takes steps of the optimiser.
func (o Options) iterates() bool {
	switch o.Form {
	case FormAuto, FormDirect, FormGram, FormKernel:
		return true
	}
	return false
}

// UsesRate reports whether Eta changes a step: as the rate of an optimiser or of steps on
// statistics, as the factor of the metric form, in the λ that ProxAuto makes of it, or in
// the decay of weights. Else the form solves its problem whatever the rate is.
func (o Options) UsesRate() bool {
	return o.iterates() || o.Form == FormSpectral || o.Form == FormMetric || o.Prox == ProxAuto || o.WeightDecay != 0 ||
		o.Form == FormStatistics && o.Statistics.Iterate
}

// checkDecay checks the weight decay, given a valid η.
func (o Options) checkDecay() error {
	switch {
	case o.WeightDecay == 0:
		return nil
	case !positive(o.WeightDecay):
		return fmt.Errorf("locoprop: weight decay is %v; must be a positive finite number, or 0 for none", o.WeightDecay)
	case o.Eta*o.WeightDecay >= 1:
		return fmt.Errorf("locoprop: weight decay %v times learning rate %v is %v; must be below 1", o.WeightDecay, o.Eta, o.Eta*o.WeightDecay)
	case !o.iterates():
		return nil
	}
	if err := o.Optimizer.CheckDecay(); err != nil {
		return fmt.Errorf("locoprop: weight decay is %v, but %w", o.WeightDecay, err)
	}
	return nil
}

// gamma is γ for a batch of so many examples.
func (o Options) gamma(batch int) float64 {
	if o.GammaPerExample != 0 {
		return o.GammaPerExample * float64(batch)
	}
	return o.Gamma
}

func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }

// eta is ηₜ = η·s·max(1 − t/T, φ).
func (o Options) eta(scale float64, t int) float64 {
	decay := math.Max(1-float64(t)/float64(o.Steps), o.Floor)
	return float64(float64(o.Eta*scale) * decay)
}
