// Package model is a trained network as a file: all that evaluation and prediction
// need, and nothing that differs between two runs of the same training.
//
// The file has the safetensors format. Layer K, from 0, with n inputs and m units, is
// two arrays of float32:
//
//	layers.K.weight   m × n
//	layers.K.bias     m
//
// Its metadata, all of them strings:
//
//	format         locoprop-model
//	version        1
//	architecture   widths from input to output: 784,1000,30,784
//	transfer       functions of the layers: tanh,identity,sigmoid
//	loss           sigmoid-ce, softmax-ce or squared
//	target         input or label
//	scale          what stored numbers were divided by to get inputs: 255 for bytes
//	sha256         digest of the file; optional in files by other programs
//
// Where inputs are scaled further, or classes have names, the version is 2, and there are
//
//	input.shift, input.divisor   float64, n each: input = (stored/scale − shift)/divisor
//	clip                         true: inputs are then held in [0, 1]
//	classes                      names in the order of the outputs, a JSON array
//
// of which those that say nothing are left out.
package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/internal/tensorfile"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

const (
	format  = "locoprop-model"
	version = "1"
	// scaledVersion is that of files which earlier programs would misread.
	scaledVersion = "2"

	shiftName, divisorName = "input.shift", "input.divisor"

	maxLayers = 4096 // of a model file
)

// Target is what a network is trained to give for an example.
type Target uint8

// The targets.
const (
	Input Target = iota // the example itself: an autoencoder
	Label               // 1 for the example's class and 0 for all others: a classifier
)

// TargetNames are the names of the targets, in the order of their constants.
var TargetNames = []string{"input", "label"}

// String gives the name that the command line and model files use.
func (t Target) String() string {
	if int(t) < len(TargetNames) {
		return TargetNames[t]
	}
	return fmt.Sprintf("model.Target(%d)", uint8(t))
}

// ParseTarget returns the target of a name, the inverse of [Target.String].
func ParseTarget(name string) (Target, error) {
	for i, n := range TargetNames {
		if n == name {
			return Target(i), nil
		}
	}
	return 0, fmt.Errorf("unknown target %q; known are %s", name, strings.Join(TargetNames, ", "))
}

// Model is a network with what is needed to use it.
type Model struct {
	Network *nn.Network // of dense layers
	// Weights are saved in place of Network's own where they aren't nil: W̃ of every
	// layer, m × (n+1), as a training method evaluates it.
	Weights []backend.Mat
	Loss    loss.Loss // fits the last transfer function
	Target  Target
	Scale   float64 // > 0; value = stored / Scale
	// Scaling is what values are scaled by after that; nil: nothing.
	Scaling *dataset.Scaling
	// Classes are the names of the outputs of a classifier, nil where they have none.
	Classes []string
}

// Check returns an error where the parts of a model don't fit each other.
func (m *Model) Check() error {
	if m.Network == nil {
		return errors.New("model without a network")
	}
	arch, dense := m.Network.Arch()
	if !dense {
		return errors.New("only networks of dense layers can be a model file")
	}
	if len(arch.Transfer) > maxLayers {
		return fmt.Errorf("%d layers; a model file holds at most %d", len(arch.Transfer), maxLayers)
	}
	if err := m.Loss.CheckTransfer(arch.Transfer[len(arch.Transfer)-1]); err != nil {
		return err
	}
	if int(m.Target) >= len(TargetNames) {
		return fmt.Errorf("unknown target %d", m.Target)
	}
	if m.Target == Input && m.Network.Inputs() != m.Network.Outputs() {
		return fmt.Errorf("target is the input, but the network has %d inputs and %d outputs", m.Network.Inputs(), m.Network.Outputs())
	}
	if !(m.Scale > 0) || math.IsInf(m.Scale, 0) {
		return fmt.Errorf("scale is %v; must be positive and finite", m.Scale)
	}
	if m.Scaling != nil {
		if err := m.Scaling.Check(m.Network.Inputs()); err != nil {
			return err
		}
	}
	if m.Classes != nil && (m.Target != Label || len(m.Classes) != m.Network.Outputs()) {
		return fmt.Errorf("%d names of classes; the network has %d outputs, for target %v", len(m.Classes), m.Network.Outputs(), m.Target)
	}
	if m.Weights != nil && len(m.Weights) != len(m.Network.Layers) {
		return fmt.Errorf("weights of %d layers for a network of %d", len(m.Weights), len(m.Network.Layers))
	}
	if ℓ, v := plan.FirstNonFinite(m.EvalWeights()); ℓ >= 0 {
		return fmt.Errorf("layer %d has a weight that is %v", ℓ, v)
	}
	return nil
}

// EvalWeights are the weights that evaluation and files use: Weights, or Network's own.
func (m *Model) EvalWeights() []backend.Mat {
	if m.Weights != nil {
		return m.Weights
	}
	return m.Network.Weights()
}

// Save writes the model to a file, whole or not at all: at whatever moment the program
// ends, the file is the one before or the new one.
func Save(path string, m *Model) error {
	return atomicfile.Write(atomicfile.OS, path, func(w io.Writer) error { return Encode(w, m) })
}

// Encode writes the model's bytes: a function of the model alone. It refuses a model
// that [Model.Check] refuses.
func Encode(w io.Writer, m *Model) error {
	if err := m.Check(); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	arch, _ := m.Network.Arch()
	widths := []string{strconv.Itoa(arch.Widths[0])}
	var transfers []string
	var tensors []tensorfile.Tensor
	for ℓ, weights := range m.EvalWeights() {
		units, inputs := weights.Rows, weights.Cols-1
		widths = append(widths, strconv.Itoa(units))
		transfers = append(transfers, arch.Transfer[ℓ].String())
		matrix := backend.WithoutBias(weights)
		bias := make([]float32, units)
		for u := range bias {
			bias[u] = weights.Data[u*weights.Stride+inputs]
		}
		tensors = append(tensors,
			tensorfile.Tensor{Tensor: plan.Tensor{Name: weightName(ℓ), Shape: []int{units, inputs}, F32: matrix.Data}, Stride: matrix.Stride},
			tensorfile.Tensor{Tensor: plan.Tensor{Name: biasName(ℓ), Shape: []int{units}, F32: bias}})
	}
	meta := map[string]string{
		"format":       format,
		"version":      version,
		"architecture": strings.Join(widths, ","),
		"transfer":     strings.Join(transfers, ","),
		"loss":         m.Loss.String(),
		"target":       m.Target.String(),
		"scale":        strconv.FormatFloat(m.Scale, 'g', -1, 64),
	}
	if s := m.Scaling; s != nil {
		meta["version"] = scaledVersion
		if s.Clip {
			meta["clip"] = "true"
		}
		for _, t := range []plan.Tensor{{Name: shiftName, F64: s.Shift}, {Name: divisorName, F64: s.Divisor}} {
			t.Shape = []int{len(t.F64)}
			tensors = append(tensors, tensorfile.Tensor{Tensor: t})
		}
	}
	if m.Classes != nil {
		names, err := json.Marshal(m.Classes)
		if err != nil {
			return fmt.Errorf("model: names of classes: %w", err)
		}
		meta["version"], meta["classes"] = scaledVersion, string(names)
	}
	return tensorfile.Write(w, tensors, meta)
}

func weightName(layer int) string { return fmt.Sprintf("layers.%d.weight", layer) }

func biasName(layer int) string { return fmt.Sprintf("layers.%d.bias", layer) }
