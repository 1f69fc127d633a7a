package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
)

// Layer is a set of explicit settings from one place.
type Layer struct {
	Source string // names the place in errors: a file; "" for flags
	Values Values
	// Named is how errors name a key of the place; nil: by Source.
	Named func(key string) string

	prefix string // of its keys: layers.3. in what a source says about one layer of the network
}

// name is how errors name a key of the layer: --batch, or runs/a/config.toml: batch, or what
// Named says.
func (l Layer) name(key string) string {
	switch {
	case l.Named != nil:
		return l.Named(l.prefix + key)
	case l.Source != "":
		return l.Source + ": " + l.prefix + key
	case l.prefix != "":
		return l.prefix + key
	}
	return "--" + key
}

// Resolve makes an experiment: the preset that the last layer with one names (or
// [DefaultPreset]), then the settings of each layer, later ones over earlier ones.
//
// What a layer leaves open follows from what it says: another target brings its loss,
// another method its form of the optimiser, another solver its bound of iterations,
// schedule paper no warm-up steps, form metric its own number of local steps, and a
// setting that this form lacks, such as the optimiser, form auto in its place; and another
// combination of method and optimiser without --lr takes the documented rate of that pair,
// which is returned. In form metric lr is 1 unless it is named, and gamma what [FastGamma]
// says.
//
// Settings for single layers of the network go over those of the run, whichever source
// they come from, and by the same rules. The error lists all that is wrong, a line each.
func Resolve(layers ...Layer) (e Experiment, fromPair *Rate, err error) {
	return resolveAll(layers, func(*Experiment, *Layer, *Rate) {})
}

// resolveAll is Resolve that shows the experiment to see as it was before any layer, after
// each of them, and at the end.
func resolveAll(layers []Layer, see func(*Experiment, *Layer, *Rate)) (e Experiment, fromPair *Rate, err error) {
	if e, err = basis(layers); err != nil {
		return Experiment{}, nil, err
	}
	see(&e, nil, nil)
	r := resolver{e: &e, needGamma: inMetric(&e), tables: map[int]table{}}
	for i, l := range layers {
		run, tables := r.split(l)
		r.apply(run)
		r.note(tables)
		see(&e, &layers[i], nil)
	}
	if len(r.errs) == 0 {
		r.finish()
		see(&e, nil, r.rate)
	}
	if len(r.errs) > 0 {
		return Experiment{}, nil, errors.Join(r.errs...)
	}
	return e, r.rate, nil
}

// basis is the preset to start from.
func basis(layers []Layer) (Experiment, error) {
	name, where := DefaultPreset, ""
	for _, l := range layers {
		if v, ok := l.Values["preset"]; ok {
			name, where = v, l.name("preset")+": "
		}
	}
	e, err := Preset(name)
	if err != nil {
		return Experiment{}, fmt.Errorf("%s%w", where, err)
	}
	return e, nil
}

type resolver struct {
	e         *Experiment
	errs      []error
	needEta   bool // what η belongs to changed, and nobody has named one since
	needGamma bool
	rate      *Rate
	tables    map[int]table // by layer of the network
}

// bases are what an experiment's η and γ belong to: where these differ, a rate of the
// one means nothing to the other.
type bases struct {
	pair     Pair
	metric   bool // the form is metric
	rateless bool // there is no η
	fixed    bool // the form is metric, and γ is fixed
}

func (e *Experiment) bases() bases {
	metric := inMetric(e)
	return bases{e.Pair(), metric, !usesRate(e), metric && e.GammaRule == locoprop.GammaFixed}
}

func (b bases) otherEta(c bases) bool {
	return b.pair != c.pair || b.metric != c.metric || b.rateless != c.rateless
}

// otherGamma looks at the pair in a run only: in a layer of it γ is the run's as long as
// it means the same.
func (b bases) otherGamma(c bases, layer bool) bool {
	return b.metric != c.metric || b.fixed != c.fixed || !layer && b.pair != c.pair
}

func (r *resolver) fail(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// apply puts the settings of a layer over the experiment.
func (r *resolver) apply(l Layer) {
	before := *r.e
	if inMetric(r.e) && l.asksToIterate() {
		r.e.Form = locoprop.FormAuto
	}
	for _, s := range settings {
		text, given := l.Values[s.key]
		if !given {
			continue
		}
		if err := s.set(r.e, text); err != nil {
			r.fail("%s %s: %w", l.name(s.key), text, err)
		}
		r.follow(s.key, l, &before)
	}
	for _, s := range settings {
		if _, given := l.Values[s.key]; given && s.missing(r.e) != "" {
			r.fail("%s: %s", l.name(s.key), s.missing(r.e))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.Values)) {
		if !slices.Contains(Keys(), key) {
			r.errs = append(r.errs, fmt.Errorf("%s: %w", l.name(key), &UnknownError{What: "key", Name: key, Known: Keys()}))
		}
	}
	_, eta := l.Values["lr"]
	_, gamma := l.Values["gamma"]
	_, per := l.Values["gamma-per-example"]
	per = per && r.e.GammaPerExample != 0
	if per && gamma {
		r.fail("%s and %s: both say how far targets lie from activations; give one of them", l.name("gamma"), l.name("gamma-per-example"))
	}
	gamma = gamma || per
	_, steps := l.Values["local-steps"]
	was, is := before.bases(), r.e.bases()
	r.needEta = (r.needEta || was.otherEta(is)) && !eta
	r.needGamma = (r.needGamma || was.otherGamma(is, l.prefix != "")) && !gamma
	if is.metric != was.metric && !steps {
		r.e.LocalSteps = locoprop.DefaultSteps
		if is.metric {
			r.e.LocalSteps = locoprop.DefaultMetricSteps
		}
	}
}

// asksToIterate reports whether a layer that names no form has settings that form metric
// lacks and form auto has.
func (l Layer) asksToIterate() bool {
	named := func(key string) bool { _, given := l.Values[key]; return given }
	return !named("form") && slices.ContainsFunc([]string{
		"optimizer", "prox", "reset-state", "local-floor", "armijo", "tolerance", "update-cap", "reject", "clip-targets",
	}, named)
}

// follow sets what follows from a key that a layer has just set, where the layer
// itself leaves it open.
func (r *resolver) follow(key string, l Layer, before *Experiment) {
	e := r.e
	open := func(other string) bool { _, given := l.Values[other]; return !given }
	switch {
	case key == "dataset" && e.Dataset != before.Dataset && open("data-prefix"):
		e.DataPrefix = ""
	case key == "target" && e.Target != before.Target && open("loss"):
		e.Loss = loss.SigmoidCE
		if e.Target == model.Label {
			e.Loss = loss.SoftmaxCE
		}
	case key == "method" && open("optimizer") && baselineOf(e.Method) != nil:
		if e.Method != before.Method && usesOptimizer(e) { // what steps along another direction is a choice of its own
			e.Optimizer = optimizer.New(optimizer.SGD)
		}
	case key == "method" && open("optimizer"):
		// A rule that is all default, rmsprop's tf1 form, becomes the other method's default.
		name := e.Optimizer.Name()
		if usual, err := ParseOptimizer(name, IsLocal(before.Method)); err == nil && usual == e.Optimizer {
			e.Optimizer, _ = ParseOptimizer(name, IsLocal(e.Method))
		}
	case key == "epochs" && open("steps"):
		e.Steps = 0
	case key == "schedule-epochs" && open("schedule-steps"):
		e.ScheduleSteps = 0
	case key == "schedule-steps" && open("schedule-epochs"):
		e.ScheduleEpochs = 0
	case key == "solver" && e.Implicit.Solver != before.Implicit.Solver && open("solver-iterations"):
		e.Implicit.Iterations = implicitDefaults(e.Implicit.Solver).Iterations
	case key == "schedule" && e.Schedule == schedule.Paper && open("warmup-steps"):
		e.WarmupSteps = 0
	}
}

// finish takes the rates that are needed, and checks what single settings can't tell.
func (r *resolver) finish() {
	r.settle()
	rateless := r.finishRate()
	if rateless != nil {
		r.e.Eta = 1 // so that the rest can be checked
	}
	r.check()
	if rateless != nil {
		r.errs = append(r.errs, rateless)
	}
}

// check looks at the settings together, and settles those of single layers.
func (r *resolver) check() {
	e := r.e
	if e.Dataset == "curves" {
		e.Data = ""
		if e.Target == model.Label {
			r.fail("target label: data set curves has no labels; use target input, or another data set")
		}
	}
	if _, err := e.BuildSchedule(); err != nil {
		r.errs = append(r.errs, err)
	}
	arch, err := e.Arch.Arch(e.Activation, e.Loss)
	if err != nil {
		r.fail("arch %v: %w", e.Arch, err)
	}
	if len(r.errs) == 0 {
		r.finishLayers()
	}
	if len(r.errs) > 0 {
		return
	}
	if err := e.checkMethod(arch); err != nil {
		r.errs = append(r.errs, err)
	}
}

// settle gives settings that mean nothing in the experiment their defaults: an earlier
// layer may have named them for another method or form.
func (r *resolver) settle() {
	e, usual := r.e, common()
	if !local(e) {
		e.Block, e.Diagnose = usual.Block, usual.Diagnose
		e.Correction, e.DMomentum = usual.Correction, usual.DMomentum
	}
	e.settleLocal()
}

// settleLocal is settle for what single layers may have.
func (e *Experiment) settleLocal() {
	usual := common()
	for _, s := range localSettings {
		if s.missing(e) == "" || s.key == "lr" {
			continue
		}
		if err := s.set(e, s.get(&usual)); err != nil {
			panic(fmt.Sprintf("catalog: %s: %v", s.key, err)) // can't happen: it is a default
		}
	}
}

// finishRate takes the rates that nobody named. The error tells of a pair that has none.
func (r *resolver) finishRate() error {
	e := r.e
	rate, err := RateOf(e.Pair())
	switch {
	case inMetric(e) && r.needEta, !usesRate(e):
		e.Eta = 1
	case r.needEta && err != nil:
		return err
	case r.needEta:
		e.Eta, r.rate = rate.Eta, &rate
	}
	if !r.needGamma || !local(e) {
		return nil
	}
	e.GammaPerExample = 0
	switch {
	case inMetric(e) && e.GammaRule == locoprop.GammaFisher:
		e.Gamma = FastGamma(e)
	case !inMetric(e) && err == nil:
		e.Gamma = rate.Gamma
	default:
		e.Gamma = locoprop.DefaultGamma
	}
	return nil
}
