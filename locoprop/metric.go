package locoprop

import (
	"errors"
	"fmt"
)

// Defaults of [Options] in the metric form.
const (
	DefaultMetricGamma = 0.005
	DefaultMetricSteps = 4
)

// GammaRule is what γ of [Options] is to a layer.
type GammaRule uint8

// The rules.
const (
	GammaAuto   GammaRule = iota // GammaFisher in the metric form, elsewhere GammaFixed
	GammaFixed                   // γ itself, the same for every layer and batch: E = γD
	GammaFisher                  // γ over the layer's own gradient scale; see Metric. In the metric form only
)

// GammaRules are the names of the rules, in the order of their constants.
var GammaRules = []string{"auto", "fixed", "fisher"}

// String gives the name that the command line uses.
func (r GammaRule) String() string {
	if int(r) < len(GammaRules) {
		return GammaRules[r]
	}
	return fmt.Sprintf("locoprop.GammaRule(%d)", uint8(r))
}

// Metric holds the constants of the metric form: LocoProp in the metric of the running
// second moment. Every zero value means the default.
//
// A layer keeps C̄, a running average of X̃ᵀX̃/B, and P = (C̄ + ρI)⁻¹ with
// ρ = Damping·tr(C̄)/(n+1), and takes its local gradient in the metric P,
// Δ ← Δ − η·∂W̃·P, in dual form:
//
//	K′ = X̃PX̃ᵀ,  A = Â + K′Z,  Δ = ZᵀX̃P
//	Z ← Z − ηR, T times, from Z = 0, η = Step/λ, λ an estimate of ‖K′‖₂
//
// followed by a Nesterov step on Δ: V ← μV + αΔ, W̃ ← W̃ + μV + αΔ, α the schedule's
// factor times Options.Eta. Under GammaFisher γ is set per layer and batch by the layer's own gradient
// scale, the isotropic Fisher information: with d = B·D and e a running mean of d²,
// γ_ℓ = γ/(1.001·max(e, mean d² of this batch, 1e-30)).
type Metric struct {
	Damping       float64 // > 0; default 0.3
	Step          float64 // > 0; default 0.7
	Average       float64 // β of C̄'s running average, in (0, 1); default 0.95; see NoAverage
	NoAverage     bool    // β = 0: C̄ is that of the last batch taken in
	Every         int     // C̄ takes in every Every-th batch; default 4
	Refresh       int     // P is made anew every Refresh-th batch, more often in the first 100; default 20
	OuterMomentum float64 // μ in (0, 1); default 0.9; see NoMomentum
	NoMomentum    bool    // μ = 0: W̃ ← W̃ + αΔ
}

func (m Metric) withDefaults() Metric {
	setDefault(&m.Damping, 0.3)
	setDefault(&m.Step, 0.7)
	if !m.NoAverage {
		setDefault(&m.Average, 0.95)
	}
	setDefault(&m.Every, 4)
	setDefault(&m.Refresh, 20)
	if !m.NoMomentum {
		setDefault(&m.OuterMomentum, 0.9)
	}
	return m
}

func (m Metric) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("locoprop: metric: "+format, args...))
	}
	if !positive(m.Damping) {
		bad("damping is %v; must be a positive finite number", m.Damping)
	}
	if !positive(m.Step) {
		bad("step is %v; must be a positive finite number", m.Step)
	}
	share := func(name string, v float64, none bool) {
		switch {
		case none && v != 0:
			bad("%s is %v, but none is to be taken; give one of both", name, v)
		case !none && !(v > 0 && v < 1):
			bad("%s is %v; must be above 0 and below 1", name, v)
		}
	}
	share("average", m.Average, m.NoAverage)
	share("outer momentum", m.OuterMomentum, m.NoMomentum)
	if m.Every < 1 {
		bad("statistics every %d batches; must be 1 or more", m.Every)
	}
	if m.Refresh < 1 {
		bad("refresh every %d batches; must be 1 or more", m.Refresh)
	}
	return errors.Join(errs...)
}

// refreshes reports whether P is to be made anew at batch i, given that C̄ has changed.
// A stale P at the start is unsafe, when activations move most.
func (m Metric) refreshes(i int64) bool {
	return i < 20 || i < settled && i%3 == 0 || i%int64(m.Refresh) == 0
}

// settled is the batch from which on P is made anew every Refresh-th batch only.
const settled = 100
