package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
)

// describeMethod sums up how a run's method is set. Settings with their usual values are
// left out where they say little; config.toml has them all.
func describeMethod(e *catalog.Experiment) string {
	v := e.Values()
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if form := v["form"]; form != "" && form != locoprop.FormAuto.String() {
		add("form %s", form)
	}
	for _, key := range []string{"solver", "optimizer", "lr"} {
		if v[key] != "" {
			add("%s %s", key, v[key])
		}
	}
	if catalog.IsLocal(e.Method) {
		add("%s", describeGamma(e))
		if v["local-steps"] != "" {
			add("%d local steps", e.LocalSteps)
		}
	}
	for _, key := range catalog.LayerKeys() {
		if !slices.Contains(shownKeys, key) && v[key] != "" && !e.IsUsual(key) {
			add("%s %s", key, v[key])
		}
	}
	for _, key := range []string{"correction", "d-momentum"} {
		if v[key] != "" && v[key] != "0" {
			add("%s %s", key, v[key])
		}
	}
	return strings.Join(parts, ", ")
}

// shownKeys are those that describeMethod shows in any case.
var shownKeys = []string{"form", "solver", "optimizer", "lr", "gamma", "gamma-per-example", "gamma-rule", "local-steps"}

func describeGamma(e *catalog.Experiment) string {
	if e.Form != locoprop.FormMetric || e.GammaRule != locoprop.GammaFisher {
		gamma := e.FullGamma()
		per := gamma / float64(e.Batch)
		if e.GammaPerExample != 0 {
			per = e.GammaPerExample // as it was given
		}
		return fmt.Sprintf("gamma %v (gamma/batch %v)", gamma, per)
	}
	text := fmt.Sprintf("gamma %v over each layer's gradient scale", e.Gamma)
	if e.Gamma == catalog.FastGamma(e) {
		text += fmt.Sprintf(" (the default for %s as planned)", lengthText(e.PlannedEpochs(), e.PlannedSteps()))
	}
	return text
}

// describeLayers has a line for each layer with settings of its own.
func describeLayers(e *catalog.Experiment) []string {
	var lines []string
	for _, layer := range slices.Sorted(maps.Keys(e.Layers)) {
		var parts []string
		for _, key := range catalog.LayerKeys() {
			if text, given := e.Layers[layer][key]; given {
				parts = append(parts, key+" "+text)
			}
		}
		lines = append(lines, fmt.Sprintf("layer %d: %s", layer, strings.Join(parts, ", ")))
	}
	return lines
}

func describeSchedule(s schedule.Schedule) string {
	text := s.Kind.String()
	if s.Kind != schedule.Constant {
		text += " over " + lengthText(s.Epochs, s.Steps)
	}
	if s.Warmup > 0 {
		text += fmt.Sprintf(" with %d warm-up steps", s.Warmup)
	}
	return text
}

// lengthText is a length in steps, or in epochs where that is 0.
func lengthText(epochs, steps int) string {
	if steps > 0 {
		return fmt.Sprintf("%d steps", steps)
	}
	return fmt.Sprintf("%d epochs", epochs)
}

// describeForms counts the forms that layers got, in the order in which they first
// occur: gram ×3, kernel ×5. It is "" for a method without them.
func describeForms(layers []plan.LayerPlan) string {
	counts := map[string]int{}
	var order []string
	for _, l := range layers {
		if l.Form == "" {
			continue
		}
		if counts[l.Form] == 0 {
			order = append(order, l.Form)
		}
		counts[l.Form]++
	}
	for i, form := range order {
		order[i] = fmt.Sprintf("%s ×%d", form, counts[form])
	}
	return strings.Join(order, ", ")
}
