package catalog

import (
	"fmt"
	"math"
	"strconv"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
)

// The rule by which γ₀ of the metric form follows the planned length of a run.
const (
	fastDecay = 0.63 // exponent
	fastLeast = 0.001
	fastMost  = 0.01
)

// FastGamma is γ₀ of the metric form for a run that names none. It falls as the planned
// length grows, from what a preset was tuned with:
//
//	γ₀ = γ₁ · (E₁/E)^0.63, within 0.001 and 0.01, to two digits
//
// E being the planned epochs, and E₁ and γ₁ those of the run's preset if its form is
// metric, else of preset fast: 3 epochs of MNIST and 0.005.
func FastGamma(e *Experiment) float64 {
	tuned, err := Preset(e.Preset)
	if err != nil || !inMetric(&tuned) {
		tuned = fastPreset()
	}
	ratio := float64(tuned.PlannedEpochs()) / float64(e.PlannedEpochs())
	gamma := min(max(tuned.Gamma*math.Pow(ratio, fastDecay), fastLeast), fastMost)
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
	e.useMetric(0.005, 3)
	return e
}

// fastCurvesPreset is the same on the network and data of preset curves.
func fastCurvesPreset() Experiment {
	e := curvesPreset()
	e.useMetric(0.01, 12)
	return e
}

// useMetric sets the metric form as it was tuned, for a run of some epochs.
func (e *Experiment) useMetric(gamma float64, epochs int) {
	e.Form, e.GammaRule = locoprop.FormMetric, locoprop.GammaFisher
	e.Eta, e.Gamma, e.LocalSteps = 1, gamma, locoprop.DefaultMetricSteps
	e.Batch, e.Schedule, e.WarmupSteps, e.Epochs = 200, schedule.Linear, 100, epochs
}
