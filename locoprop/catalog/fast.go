package catalog

import (
	"fmt"
	"strconv"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
)

// Bounds of γ₀ of the metric form for a run that names none.
const (
	fastLeast = 0.001
	fastMost  = 0.02
)

// FastGamma is γ₀ of the metric form for a run that names none. It is inverse to the
// planned number of steps, and anchored where a preset was tuned:
//
//	γ₀ = γ₁ · N₁/N, within 0.001 and 0.02, to two digits;  N = examples · epochs / batch
//
// N being planned, and N₁ and γ₁ those of the run's preset if its form is metric, else of
// preset fast: 900 steps and 0.0075. Where the number of examples isn't known before the
// files are read, the preset's stands in. Measured in docs/choosing.md.
func FastGamma(e *Experiment) float64 {
	tuned, err := Preset(e.Preset)
	if err != nil || !inMetric(&tuned) {
		tuned = fastPreset()
	}
	usual, _ := tuned.DataInfo()
	examples := float64(usual.Train)
	if own, known := e.DataInfo(); known {
		examples = float64(own.Train)
	}
	planned := float64(e.PlannedSteps())
	if planned == 0 {
		planned = examples * float64(e.PlannedEpochs()) / float64(e.Batch)
	}
	ratio := float64(usual.Train) * float64(tuned.PlannedEpochs()) / float64(tuned.Batch) / planned
	gamma := min(max(tuned.Gamma*ratio, fastLeast), fastMost)
	gamma, err = strconv.ParseFloat(fmt.Sprintf("%.2g", gamma), 64)
	if err != nil {
		panic("catalog: " + err.Error()) // can't happen: it was just written
	}
	return gamma
}

// fastPreset is LocoProp-M in the metric of running statistics on the paper's network.
func fastPreset() Experiment {
	e := common()
	e.Dataset, e.Arch = "mnist", paperLayout()
	e.useMetric(0.0075, 3)
	return e
}

// fastCurvesPreset is the same on the network and data of preset curves.
func fastCurvesPreset() Experiment {
	e := curvesPreset()
	e.useMetric(0.0065, 24)
	return e
}

// useMetric sets the metric form as it was tuned, for a run of some epochs.
func (e *Experiment) useMetric(gamma float64, epochs int) {
	e.Form, e.GammaRule = locoprop.FormMetric, locoprop.GammaFisher
	e.Eta, e.Gamma, e.LocalSteps = 1, gamma, locoprop.DefaultMetricSteps
	e.Batch, e.Schedule, e.WarmupSteps, e.Epochs = 200, schedule.Linear, 100, epochs
}
