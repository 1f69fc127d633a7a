package catalog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/locoprop/locoprop-go/locoprop"
)

// localSettings are those of layers' local problems: keys of a run, and of the tables
// that give a layer settings of its own. Under back-propagation optimizer and lr are
// the baseline's.
var localSettings = []setting{
	parsed("form", parseForm, func(e *Experiment, v locoprop.Form) { e.Form = v }, func(e *Experiment) string { return e.Form.String() }).
		onlyIf(local, localOnly),
	parsed("solver", parseSolver, func(e *Experiment, v locoprop.ImplicitSolver) { e.Solver = v }, func(e *Experiment) string { return e.Solver.String() }).
		onlyIf(local, localOnly).onlyIf(func(e *Experiment) bool { return e.Form == locoprop.FormImplicit }, "only form implicit has a solver"),
	parsed("prox", parseProx, func(e *Experiment, v float64) { e.Prox = v }, proxText).onlyIf(local, localOnly),
	setting{
		key: "optimizer",
		set: func(e *Experiment, text string) error {
			rule, err := ParseOptimizer(text, IsLocal(e.Method))
			if err == nil {
				e.Optimizer = rule
			}
			return err
		},
		get: func(e *Experiment) string { return FormatOptimizer(e.Optimizer) },
	}.onlyIf(func(e *Experiment) bool { return !local(e) || usesOptimizer(e) }, "only forms auto, direct, gram, kernel and spectral have an optimizer").
		onlyIf(usesOptimizer, "method {method} makes steps of its own; only locoprop-m, locoprop-s, backprop, foof and proxprop have an optimizer"),
	positive("lr", func(e *Experiment) *float64 { return &e.Eta }).
		onlyIf(usesRate, "forms exact, implicit, mm and statistics use a rate with prox auto only"),
	positive("gamma", func(e *Experiment) *float64 { return &e.Gamma }).onlyIf(local, localOnly),
	parsed("gamma-rule", parseGammaRule, func(e *Experiment, v locoprop.GammaRule) { e.GammaRule = v },
		func(e *Experiment) string { return e.GammaRule.String() }).onlyIf(local, localOnly).onlyIf(inMetric, "only form metric has a rule for γ; elsewhere it is fixed"),
	count("local-steps", 1, locoprop.MaxSteps, func(e *Experiment) *int { return &e.LocalSteps }).onlyIf(local, localOnly).
		onlyIf(usesSteps, "forms exact, implicit and statistics count local steps with prox auto only"),
	fraction("local-floor", true, func(e *Experiment) *float64 { return &e.Floor }).onlyIf(local, localOnly).
		onlyIf(usesFloor, "only the rates of forms auto, direct, gram, kernel and spectral, and those that prox auto sums, decay over the local steps"),
	parsed("reset-state", parseBool, func(e *Experiment, v bool) { e.Reset = v }, func(e *Experiment) string { return strconv.FormatBool(e.Reset) }).
		onlyIf(local, localOnly).
		onlyIf(func(e *Experiment) bool { return iterates(e.Form) && e.Form != locoprop.FormSpectral }, "only forms auto, direct, gram and kernel keep an optimizer's state"),
	metricOnly(positive("metric-damping", func(e *Experiment) *float64 { return &e.Metric.Damping })),
	metricOnly(positive("metric-step", func(e *Experiment) *float64 { return &e.Metric.Step })),
	metricOnly(fraction("metric-average", false, func(e *Experiment) *float64 { return &e.Metric.Average })),
	metricOnly(count("metric-every", 1, MaxCount, func(e *Experiment) *int { return &e.Metric.Every })),
	metricOnly(count("metric-refresh", 1, MaxCount, func(e *Experiment) *int { return &e.Metric.Refresh })),
	metricOnly(fraction("outer-momentum", false, func(e *Experiment) *float64 { return &e.Metric.OuterMomentum })),
}

const localOnly = "method {method} has no local problems; only locoprop-m and locoprop-s take it"

func local(e *Experiment) bool { return IsLocal(e.Method) }

func inMetric(e *Experiment) bool { return local(e) && e.Form == locoprop.FormMetric }

func metricOnly(s setting) setting {
	return s.onlyIf(local, localOnly).onlyIf(inMetric, "only form metric has it")
}

// iterates reports whether a form makes the steps of an optimiser.
func iterates(f locoprop.Form) bool {
	return slices.Contains([]locoprop.Form{
		locoprop.FormAuto, locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel, locoprop.FormSpectral,
	}, f)
}

func usesOptimizer(e *Experiment) bool {
	if b := baselineOf(e.Method); b != nil {
		return b.steps
	}
	return !local(e) || iterates(e.Form)
}

// usesRate reports whether η matters: as the rate of an optimiser, as the factor of the
// metric form, or in the λ that prox auto makes of it.
func usesRate(e *Experiment) bool {
	return !local(e) || iterates(e.Form) || e.Form == locoprop.FormMetric || e.Prox == locoprop.ProxAuto
}

func usesSteps(e *Experiment) bool { return usesRate(e) || e.Form == locoprop.FormMajorised }

func usesFloor(e *Experiment) bool {
	return iterates(e.Form) || e.Form != locoprop.FormMetric && e.Prox == locoprop.ProxAuto
}

func parseForm(name string) (locoprop.Form, error) {
	i, err := choose("form", name, locoprop.Forms)
	return locoprop.Form(i), err
}

func parseSolver(name string) (locoprop.ImplicitSolver, error) {
	i, err := choose("solver", name, locoprop.ImplicitSolvers)
	return locoprop.ImplicitSolver(i), err
}

// GammaRules lists the names of the rules for γ in the metric form.
func GammaRules() []string {
	return []string{locoprop.GammaFixed.String(), locoprop.GammaFisher.String()}
}

func parseGammaRule(name string) (locoprop.GammaRule, error) {
	if _, err := choose("gamma rule", name, GammaRules()); err != nil {
		return 0, err
	}
	return locoprop.GammaRule(slices.Index(locoprop.GammaRules, name)), nil
}

func parseBool(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, errors.New("must be true or false")
	}
	return text == "true", nil
}

func parseProx(text string) (float64, error) {
	switch text {
	case "off":
		return locoprop.ProxOff, nil
	case "auto":
		return locoprop.ProxAuto, nil
	}
	λ, err := parsePositive(text)
	if err != nil {
		return 0, errors.New("must be off, auto or λ, a finite number above 0")
	}
	return λ, nil
}

func proxText(e *Experiment) string {
	switch e.Prox {
	case locoprop.ProxOff:
		return "off"
	case locoprop.ProxAuto:
		return "auto"
	}
	return formatFloat(e.Prox)
}

// fraction is a number from 0 to 1, its ends included or not.
func fraction(key string, ends bool, field func(*Experiment) *float64) setting {
	return setting{
		key: key,
		set: func(e *Experiment, text string) error {
			v, err := strconv.ParseFloat(text, 64)
			switch {
			case err == nil && (v > 0 && v < 1 || ends && (v == 0 || v == 1)):
				*field(e) = math.Abs(v) // no −0
				return nil
			case ends:
				return errors.New("must be a number from 0 to 1")
			}
			return errors.New("must be a number above 0 and below 1")
		},
		get: func(e *Experiment) string { return formatFloat(*field(e)) },
	}
}

// options are the settings of the library's method for the local problems.
func (e *Experiment) options(l locoprop.LocalLoss) locoprop.Options {
	o := locoprop.Options{
		Loss: l, Form: e.Form, Eta: e.Eta, Gamma: e.Gamma, Steps: e.LocalSteps, Floor: e.Floor, NoFloor: e.Floor == 0,
		Optimizer: e.Optimizer, Prox: e.Prox, Reset: e.Reset, Metric: e.Metric,
		Implicit: locoprop.Implicit{Solver: e.Solver}, Block: e.Block, Diagnose: e.Diagnose,
	}
	if inMetric(e) {
		o.GammaRule = e.GammaRule
	}
	return o
}

// metricDefaults are the library's constants of the metric form.
func metricDefaults() locoprop.Metric {
	m, err := locoprop.New(locoprop.Options{Form: locoprop.FormMetric})
	if err != nil {
		panic(fmt.Sprintf("catalog: defaults of the metric form: %v", err)) // can't happen: they are valid
	}
	return m.Options().Metric
}
