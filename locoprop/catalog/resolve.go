package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
)

// Layer is a set of explicit settings from one place.
type Layer struct {
	Source string // names the place in errors: a file; "" for flags
	Values Values
}

// name is how errors name a key of the layer: --batch, or runs/a/config.toml: batch.
func (l Layer) name(key string) string {
	if l.Source == "" {
		return "--" + key
	}
	return l.Source + ": " + key
}

// Resolve makes an experiment: the preset that the last layer with one names (or
// [DefaultPreset]), then the settings of each layer, later ones over earlier ones.
//
// What a layer leaves open follows from what it says: another target brings its loss,
// another method its form of the optimiser, schedule paper no warm-up steps; and
// another combination of method and optimiser without --lr takes the documented rate
// of that pair, which is returned. The error lists all that is wrong, a line each.
func Resolve(layers ...Layer) (e Experiment, fromPair *Rate, err error) {
	if e, err = basis(layers); err != nil {
		return Experiment{}, nil, err
	}
	r := resolver{e: &e}
	for _, l := range layers {
		r.apply(l)
	}
	if len(r.errs) == 0 {
		r.finish()
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
	needEta   bool // the pair changed, and nobody has named a rate since
	needGamma bool
	rate      *Rate
}

func (r *resolver) fail(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// apply puts the settings of a layer over the experiment.
func (r *resolver) apply(l Layer) {
	before := *r.e
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
		if _, given := l.Values[s.key]; given && s.applies != nil && !s.applies(r.e) {
			r.fail("%s: %s", l.name(s.key), s.needs)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.Values)) {
		if !slices.Contains(Keys(), key) {
			r.errs = append(r.errs, fmt.Errorf("%s: %w", l.name(key), &UnknownError{What: "key", Name: key, Known: Keys()}))
		}
	}
	_, eta := l.Values["lr"]
	_, gamma := l.Values["gamma"]
	changed := r.e.Pair() != before.Pair()
	r.needEta = (r.needEta || changed) && !eta
	r.needGamma = (r.needGamma || changed) && !gamma
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
	case key == "method" && open("optimizer"):
		// A rule that is all default, rmsprop's tf1 form, becomes the other method's default.
		name := e.Optimizer.Name()
		if usual, err := ParseOptimizer(name, IsLocal(before.Method)); err == nil && usual == e.Optimizer {
			e.Optimizer, _ = ParseOptimizer(name, IsLocal(e.Method))
		}
	case key == "schedule" && e.Schedule == schedule.Paper && open("warmup-steps"):
		e.WarmupSteps = 0
	}
}

// finish takes the pair's rate where one is needed, and checks what single settings
// can't tell.
func (r *resolver) finish() {
	e := r.e
	if !IsLocal(e.Method) { // not a setting of such a method, so not what an earlier layer said
		e.Block, e.Diagnose = plan.DefaultBlock, 0
	}
	if e.Dataset == "curves" {
		e.Data = ""
		if e.Target == model.Label {
			r.fail("target label: data set curves has no labels; use target input, or another data set")
		}
	}
	r.finishRate()
	if _, err := e.BuildSchedule(); err != nil {
		r.errs = append(r.errs, err)
	}
	if _, err := e.Arch.Arch(e.Activation, e.Loss); err != nil {
		r.fail("arch %v: %w", e.Arch, err)
	}
	if len(r.errs) > 0 {
		return
	}
	if _, err := e.BuildMethod(); err != nil {
		r.errs = append(r.errs, err)
	}
}

func (r *resolver) finishRate() {
	if !r.needEta && !r.needGamma {
		return
	}
	rate, err := RateOf(r.e.Pair())
	if r.needEta {
		if err != nil {
			r.errs = append(r.errs, err)
			return
		}
		r.e.Eta, r.rate = rate.Eta, &rate
	}
	if r.needGamma && IsLocal(r.e.Method) && rate.Gamma > 0 {
		r.e.Gamma = rate.Gamma
	}
}
