package catalog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

// localSettings are those of layers' local problems: keys of a run, and of the tables
// that give a layer settings of its own. Under back-propagation optimizer and lr are
// the baseline's.
var localSettings = []setting{
	parsed("form", parseForm, func(e *Experiment, v locoprop.Form) { e.Form = v }, func(e *Experiment) string { return e.Form.String() }).
		onlyIf(local, localOnly),
	implicitOnly(parsed("solver", parseSolver, func(e *Experiment, v locoprop.ImplicitSolver) { e.Implicit.Solver = v },
		func(e *Experiment) string { return e.Implicit.Solver.String() })),
	implicitOnly(fraction("solver-tolerance", false, func(e *Experiment) *float64 { return &e.Implicit.Tolerance })),
	implicitOnly(count("solver-iterations", 1, locoprop.MaxSteps, func(e *Experiment) *int { return &e.Implicit.Iterations })),
	implicitOnly(count("solver-memory", 1, locoprop.MaxMemory, func(e *Experiment) *int { return &e.Implicit.Memory })).
		onlyIf(func(e *Experiment) bool { return e.Implicit.Solver == locoprop.SolverAnderson }, "only solver anderson combines iterates"),
	implicitOnly(parsed("solver-relax", parseRelax, func(e *Experiment, v float64) { e.Implicit.Relax = v }, relaxText)).
		onlyIf(func(e *Experiment) bool { return e.Implicit.Solver != locoprop.SolverNewton }, "solver newton finds the length of its steps by itself"),
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
		onlyIf(usesRate, "forms exact, implicit, mm and statistics use a rate with prox auto, statistics-iterate or weight-decay only"),
	parsed("gamma", parsePositive, func(e *Experiment, v float64) { e.Gamma, e.GammaPerExample = v, 0 }, gammaText).onlyIf(local, localOnly),
	orOff("gamma-per-example", func(e *Experiment) *float64 { return &e.GammaPerExample }).onlyIf(local, localOnly).
		onlyIf(func(e *Experiment) bool { return !inMetric(e) || e.GammaRule == locoprop.GammaFixed },
			"gamma of form metric under rule fisher is per example already; give gamma, or gamma-rule fixed"),
	orOff("weight-decay", func(e *Experiment) *float64 { return &e.WeightDecay }).
		onlyIf(notBaseline, "method {method} doesn't take it; only locoprop-m, locoprop-s and backprop do"),
	parsed("gamma-rule", parseGammaRule, func(e *Experiment, v locoprop.GammaRule) { e.GammaRule = v },
		func(e *Experiment) string { return e.GammaRule.String() }).onlyIf(local, localOnly).onlyIf(inMetric, "only form metric has a rule for γ; elsewhere it is fixed"),
	count("local-steps", 1, locoprop.MaxSteps, func(e *Experiment) *int { return &e.LocalSteps }).onlyIf(local, localOnly).
		onlyIf(usesSteps, "forms exact, implicit and statistics count local steps with prox auto or statistics-iterate only"),
	fraction("local-floor", true, func(e *Experiment) *float64 { return &e.Floor }).onlyIf(local, localOnly).
		onlyIf(usesFloor, "only the rates of forms auto, direct, gram, kernel and spectral, those of statistics-iterate and those that prox auto sums decay over the local steps"),
	toggle("reset-state", func(e *Experiment) *bool { return &e.Reset }).
		onlyIf(local, localOnly).
		onlyIf(func(e *Experiment) bool { return iterates(e.Form) && e.Form != locoprop.FormSpectral }, "only forms auto, direct, gram and kernel keep an optimizer's state"),
	metricOnly(positive("metric-damping", func(e *Experiment) *float64 { return &e.Metric.Damping })),
	metricOnly(positive("metric-step", func(e *Experiment) *float64 { return &e.Metric.Step })),
	metricOnly(shown(below1("metric-average", func(e *Experiment) *float64 { return &e.Metric.Average }))),
	metricOnly(count("metric-every", 1, MaxCount, func(e *Experiment) *int { return &e.Metric.Every })),
	metricOnly(count("metric-refresh", 1, MaxCount, func(e *Experiment) *int { return &e.Metric.Refresh })),
	metricOnly(shown(below1("outer-momentum", func(e *Experiment) *float64 { return &e.Metric.OuterMomentum }))),
	statisticsOnly(parsed("statistics-structure", parseStructure, func(e *Experiment, v precond.Structure) { e.Statistics.Structure = v },
		func(e *Experiment) string { return e.Statistics.Structure.String() })),
	statisticsOnly(count("statistics-columns", 1, precond.MaxBlock, func(e *Experiment) *int { return &e.Statistics.Columns })).
		onlyIf(func(e *Experiment) bool { return e.Statistics.Structure == precond.BlockDiagonal }, "only statistics-structure block-diagonal has blocks of columns"),
	statisticsOnly(shown(below1("statistics-average", func(e *Experiment) *float64 { return &e.Statistics.Average }))),
	statisticsOnly(count("statistics-refresh", 1, MaxCount, func(e *Experiment) *int { return &e.Statistics.Refresh })),
	statisticsOnly(orOff("statistics-damping", func(e *Experiment) *float64 { return &e.Statistics.Damping })),
	statisticsOnly(orOff("statistics-relative", func(e *Experiment) *float64 { return &e.Statistics.Relative })),
	statisticsOnly(extra("statistics-iterate", func(e *Experiment) *bool { return &e.Statistics.Iterate })),
	extra("armijo", func(e *Experiment) *bool { return &e.Safety.Armijo }).onlyIf(local, localOnly).onlyIf(formIn(single...)),
	below1("tolerance", func(e *Experiment) *float64 { return &e.Safety.Tolerance }).onlyIf(local, localOnly).onlyIf(formIn(single...)),
	orOff("update-cap", func(e *Experiment) *float64 { return &e.Safety.Cap }).onlyIf(local, localOnly).onlyIf(notMetric, notMetricNeeds),
	extra("reject", func(e *Experiment) *bool { return &e.Safety.Reject }).onlyIf(local, localOnly).onlyIf(notMetric, notMetricNeeds),
	extra("clip-targets", func(e *Experiment) *bool { return &e.Clip }).onlyIf(local, localOnly).
		onlyIf(func(e *Experiment) bool { return e.Method == "locoprop-m" }, "only locoprop-m has targets with a range").
		onlyIf(formIn(locoprop.FormAuto, locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel, locoprop.FormImplicit, locoprop.FormMajorised)),
}

// single are the forms that look at the local loss at each step; auto becomes direct where
// that is asked for.
var single = []locoprop.Form{locoprop.FormAuto, locoprop.FormDirect}

// formIn is the condition that the form is one of a list.
func formIn(forms ...locoprop.Form) (holds func(*Experiment) bool, needs string) {
	var names []string
	for _, f := range forms {
		names = append(names, f.String())
	}
	return func(e *Experiment) bool { return slices.Contains(forms, e.Form) }, "only with form " + strings.Join(names, ", ")
}

func notMetric(e *Experiment) bool { return e.Form != locoprop.FormMetric }

const notMetricNeeds = "not with form metric, whose momentum moves the weights beside the batch's update"

func inStatistics(e *Experiment) bool { return local(e) && e.Form == locoprop.FormStatistics }

func statisticsOnly(s setting) setting {
	return s.onlyIf(local, localOnly).onlyIf(inStatistics, "only form statistics has it")
}

func implicitOnly(s setting) setting {
	return s.onlyIf(local, localOnly).onlyIf(func(e *Experiment) bool { return e.Form == locoprop.FormImplicit }, "only form implicit has a solver")
}

func parseStructure(name string) (precond.Structure, error) {
	i, err := choose("structure", name, precond.Structures)
	return precond.Structure(i), err
}

// gammaText leaves γ out where it is said per example.
func gammaText(e *Experiment) string {
	if e.GammaPerExample != 0 {
		return ""
	}
	return formatFloat(e.Gamma)
}

const localOnly = "method {method} has no local problems; only locoprop-m and locoprop-s take it"

func local(e *Experiment) bool { return IsLocal(e.Method) }

func notBaseline(e *Experiment) bool { return baselineOf(e.Method) == nil }

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

// usesRate reports whether η matters.
func usesRate(e *Experiment) bool {
	return !local(e) || e.options(locoprop.Matching).UsesRate() // the local loss makes no difference
}

func usesSteps(e *Experiment) bool {
	return iterates(e.Form) || e.Form == locoprop.FormMetric || e.Prox == locoprop.ProxAuto || e.Form == locoprop.FormMajorised ||
		e.Statistics.Iterate && inStatistics(e)
}

func usesFloor(e *Experiment) bool {
	return iterates(e.Form) || e.Form != locoprop.FormMetric && e.Prox == locoprop.ProxAuto || e.Statistics.Iterate && inStatistics(e)
}

func parseForm(name string) (locoprop.Form, error) {
	i, err := choose("form", name, locoprop.Forms)
	return locoprop.Form(i), err
}

func parseSolver(name string) (locoprop.ImplicitSolver, error) {
	i, err := choose("solver", name, locoprop.ImplicitSolvers)
	return locoprop.ImplicitSolver(i), err
}

// parseRelax reads α of the implicit form's solvers; 0 stands for auto.
func parseRelax(text string) (float64, error) {
	if text == auto {
		return 0, nil
	}
	v, err := parsePositive(text)
	if err != nil || v >= 2 {
		return 0, errors.New("must be auto or a number above 0 and below 2")
	}
	return v, nil
}

func relaxText(e *Experiment) string {
	if e.Implicit.Relax == 0 {
		return auto
	}
	return formatFloat(e.Implicit.Relax)
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

// toggle is true or false.
func toggle(key string, field func(*Experiment) *bool) setting {
	s := parsed(key, parseBool, func(e *Experiment, v bool) { *field(e) = v }, func(e *Experiment) string { return strconv.FormatBool(*field(e)) })
	s.toggle = true
	return s
}

// extra is a toggle that is off unless asked for.
func extra(key string, field func(*Experiment) *bool) setting {
	s := toggle(key, field)
	s.off = "false"
	return s
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

// orOff is a finite number, 0 or more, 0 for off.
func orOff(key string, field func(*Experiment) *float64) setting {
	return setting{
		key: key, off: "0",
		set: func(e *Experiment, text string) error {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= 0) || math.IsInf(v, 0) {
				return errors.New("must be a finite number above 0, or 0 for none")
			}
			*field(e) = math.Abs(v) // no −0
			return nil
		},
		get: func(e *Experiment) string { return formatFloat(*field(e)) },
	}
}

// below1 is a number from 0, for none, to below 1.
func below1(key string, field func(*Experiment) *float64) setting {
	s := orOff(key, field)
	set := s.set
	s.set = func(e *Experiment, text string) error {
		var x Experiment
		if err := set(&x, text); err != nil || *field(&x) >= 1 {
			return errors.New("must be a number above 0 and below 1, or 0 for none")
		}
		*field(e) = *field(&x)
		return nil
	}
	return s
}

// shown is a setting whose 0 is a choice like others.
func shown(s setting) setting {
	s.off = ""
	return s
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
		Loss: l, Form: e.Form, Eta: e.Eta, Gamma: e.Gamma, WeightDecay: e.WeightDecay, Steps: e.LocalSteps, Floor: e.Floor, NoFloor: e.Floor == 0,
		Optimizer: e.Optimizer, Prox: e.Prox, Reset: e.Reset, Metric: e.Metric,
		Implicit: e.Implicit, Statistics: e.Statistics, Block: e.Block, Diagnose: e.Diagnose,
		Safety: e.Safety, Clip: e.Clip, Correction: e.Correction,
	}
	if e.GammaPerExample != 0 {
		o.Gamma, o.GammaPerExample = 0, e.GammaPerExample
	}
	switch e.Form {
	case locoprop.FormStatistics, locoprop.FormMetric:
		o.Optimizer = optimizer.Rule{} // their steps are plain ones
	}
	o.Statistics.NoAverage = e.Statistics.Average == 0
	if e.Statistics.Structure != precond.BlockDiagonal {
		o.Statistics.Columns = 0
	}
	if e.DMomentum > 0 { // before there are data, its checks have one example
		o.Momentum = locoprop.Momentum{Factor: e.DMomentum, Examples: max(e.Examples, 1), Limit: int64(e.DLimit) << 20}
	}
	if inMetric(e) {
		o.GammaRule = e.GammaRule
		o.Metric.NoAverage, o.Metric.NoMomentum = e.Metric.Average == 0, e.Metric.OuterMomentum == 0
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

// implicitDefaults are the library's settings of the implicit form with a solver.
func implicitDefaults(s locoprop.ImplicitSolver) locoprop.Implicit {
	m, err := locoprop.New(locoprop.Options{Form: locoprop.FormImplicit, Eta: 1, Prox: 1, Implicit: locoprop.Implicit{Solver: s}})
	if err != nil {
		panic(fmt.Sprintf("catalog: defaults of the implicit form: %v", err)) // can't happen: they are valid
	}
	return m.Options().Implicit
}

// statisticsDefaults are the library's settings of the statistics form.
func statisticsDefaults() locoprop.Statistics {
	m, err := locoprop.New(locoprop.Options{
		Form: locoprop.FormStatistics, Loss: locoprop.Squared, Eta: 1, Prox: 1, Statistics: locoprop.Statistics{Structure: precond.BlockDiagonal},
	})
	if err != nil {
		panic(fmt.Sprintf("catalog: defaults of the statistics form: %v", err)) // can't happen: they are valid
	}
	s := m.Options().Statistics
	s.Structure = precond.Full // blocks have their size for when they are asked for
	return s
}
