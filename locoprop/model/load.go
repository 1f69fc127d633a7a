package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/tensorfile"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Load reads a model file. It refuses a file that is cut or damaged, of another format
// or a newer version, whose arrays aren't those of its architecture, or that holds a
// NaN or an infinity. Every error names the file, and errors.Is(err, dataset.ErrData)
// holds. Weights of the result is nil: they are Network's own.
func Load(path string) (*Model, error) {
	f, err := tensorfile.Read(path)
	if err != nil {
		return nil, err
	}
	m, err := decode(f)
	if err != nil {
		return nil, &dataset.Error{Path: path, Err: err}
	}
	return m, nil
}

func decode(f *tensorfile.File) (*Model, error) {
	if got := f.Meta["format"]; got != format {
		return nil, fmt.Errorf("not a model file: format is %q, must be %q", got, format)
	}
	if got := f.Meta["version"]; got != version && got != scaledVersion {
		return nil, fmt.Errorf("model file of version %q; this program reads versions %s and %s", got, version, scaledVersion)
	}
	arch, err := parseArch(f.Meta["architecture"], f.Meta["transfer"])
	if err != nil {
		return nil, err
	}
	if err := checkTensors(f, arch); err != nil {
		return nil, err
	}
	m := new(Model)
	if m.Network, err = nn.New(arch); err != nil {
		return nil, err
	}
	if m.Loss, err = loss.Parse(f.Meta["loss"]); err != nil {
		return nil, err
	}
	if m.Target, err = ParseTarget(f.Meta["target"]); err != nil {
		return nil, err
	}
	if m.Scale, err = strconv.ParseFloat(f.Meta["scale"], 64); err != nil {
		return nil, fmt.Errorf("scale is %q; must be a positive number", f.Meta["scale"])
	}
	for ℓ, w := range m.Network.Weights() {
		weight, _ := f.Lookup(weightName(ℓ))
		bias, _ := f.Lookup(biasName(ℓ))
		inputs := w.Cols - 1
		for u := range w.Rows {
			row := w.Data[u*w.Stride : u*w.Stride+w.Cols]
			copy(row, weight.F32[u*inputs:(u+1)*inputs])
			row[inputs] = bias.F32[u]
		}
	}
	if err := m.decodeInputs(f); err != nil {
		return nil, err
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	return m, nil
}

// decodeInputs reads what a file of version 2 says of inputs and classes.
func (m *Model) decodeInputs(f *tensorfile.File) error {
	if f.Meta["version"] == version {
		return nil
	}
	if shift, found := f.Lookup(shiftName); found {
		divisor, _ := f.Lookup(divisorName)
		m.Scaling = &dataset.Scaling{Shift: shift.F64, Divisor: divisor.F64, Clip: f.Meta["clip"] == "true"}
	}
	text, found := f.Meta["classes"]
	if !found {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &m.Classes); err != nil {
		return fmt.Errorf("classes are %.100q; must be a JSON array of names", text)
	}
	return nil
}

func parseArch(widths, transfers string) (nn.Arch, error) {
	var arch nn.Arch
	if n := strings.Count(widths, ","); n > maxLayers {
		return nn.Arch{}, fmt.Errorf("architecture of %d layers; the limit is %d", n, maxLayers)
	}
	for s := range strings.SplitSeq(widths, ",") {
		w, err := strconv.Atoi(s)
		if err != nil {
			return nn.Arch{}, fmt.Errorf("architecture is %q; must be widths with commas between", widths)
		}
		arch.Widths = append(arch.Widths, w)
	}
	for s := range strings.SplitSeq(transfers, ",") {
		f, err := transfer.Parse(s)
		if err != nil {
			return nn.Arch{}, err
		}
		arch.Transfer = append(arch.Transfer, f)
	}
	return arch, arch.Check()
}

// checkTensors compares the file's arrays with the architecture before a network of
// that size is allocated.
func checkTensors(f *tensorfile.File, arch nn.Arch) error {
	layers := len(arch.Transfer)
	want := 2 * layers
	if _, found := f.Lookup(shiftName); found && f.Meta["version"] != version {
		want += 2
		for _, name := range []string{shiftName, divisorName} {
			if t, _ := f.Lookup(name); t.F64 == nil || len(t.Shape) != 1 {
				return fmt.Errorf("array %s must be of type F64 and have one dimension", name)
			}
		}
	}
	if len(f.Tensors) != want {
		return fmt.Errorf("%d arrays; an architecture of %d layers has %d", len(f.Tensors), layers, want)
	}
	for ℓ := range layers {
		inputs, units := arch.Widths[ℓ], arch.Widths[ℓ+1]
		if err := checkTensor(f, weightName(ℓ), units, inputs); err != nil {
			return err
		}
		if err := checkTensor(f, biasName(ℓ), units); err != nil {
			return err
		}
	}
	return nil
}

func checkTensor(f *tensorfile.File, name string, shape ...int) error {
	t, found := f.Lookup(name)
	switch {
	case !found:
		return fmt.Errorf("array %s is missing", name)
	case t.F32 == nil:
		return fmt.Errorf("array %s isn't of type F32", name)
	case !slices.Equal(t.Shape, shape):
		return fmt.Errorf("array %s has shape %v; the architecture needs %v", name, t.Shape, shape)
	}
	return nil
}
