package tune

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Dimension is one setting of a search space: a range of numbers, or a list of choices.
type Dimension struct {
	Key       string   // the setting's name
	Low, High float64  // range, both ends in it; both 0 where there are choices
	Log       bool     // spread over the range's logarithm
	Choices   []string // in order, where there is one: those beside each other are near
}

// At is the value of the dimension at u of [0, 1): the number
//
//	low + u·(high − low), or low·(high/low)ᵘ on a logarithmic scale
//
// to three digits (all of them where that would leave the range), or choice ⌊u·len⌋.
func (d Dimension) At(u float64) string {
	if len(d.Choices) > 0 {
		return d.Choices[min(int(u*float64(len(d.Choices))), len(d.Choices)-1)]
	}
	v := d.Low + u*(d.High-d.Low)
	if d.Log {
		v = d.Low * math.Pow(d.High/d.Low, u)
	}
	v = min(max(v, d.Low), d.High)
	text := Number(v)
	if d.Contains(text) != nil { // rounded beyond an end
		text = strconv.FormatFloat(v, 'g', -1, 64)
	}
	return text
}

// Number writes a number to three digits, in the shortest form that stands for it.
func Number(v float64) string {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		return strconv.FormatFloat(v, 'g', -1, 64) // no number of three digits is near: NaN, the ends of float64
	}
	return strconv.FormatFloat(short, 'g', -1, 64)
}

// edge is the share of a range, at either end, that counts as its edge.
const edge = 0.1

// Edge tells which end of a range a value lies at, within a tenth of it (in logarithms,
// where these are searched): "low", "high", or "" for neither, for choices, of which the
// last may be the last there can be, and for what is no number.
func (d Dimension) Edge(value string) string {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || len(d.Choices) > 0 {
		return ""
	}
	u := (v - d.Low) / (d.High - d.Low)
	if d.Log {
		u = math.Log(v/d.Low) / math.Log(d.High/d.Low)
	}
	switch {
	case u <= edge:
		return "low"
	case u >= 1-edge:
		return "high"
	}
	return ""
}

// String describes the dimension: lr 0.0001 to 0.01 (log).
func (d Dimension) String() string {
	if len(d.Choices) > 0 {
		return d.Key + " " + strings.Join(d.Choices, " | ")
	}
	text := fmt.Sprintf("%s %v to %v", d.Key, d.Low, d.High)
	if d.Log {
		text += " (log)"
	}
	return text
}

// Check returns what is wrong with the dimension.
func (d Dimension) Check() error {
	ranged := d.Low != 0 || d.High != 0
	switch {
	case d.Key == "":
		return errors.New("a dimension has no key")
	case len(d.Choices) > 0 && (ranged || d.Log):
		return fmt.Errorf("dimension %s has a range and choices; must have one of both", d.Key)
	case len(d.Choices) == 1:
		return fmt.Errorf("dimension %s has one choice; must have two or more", d.Key)
	case len(d.Choices) > 0:
		if slices.Contains(d.Choices, "") {
			return fmt.Errorf("dimension %s has an empty choice", d.Key)
		}
		return nil
	case !(d.Low < d.High) || math.IsInf(d.Low, 0) || math.IsInf(d.High, 0):
		return fmt.Errorf("dimension %s goes from %v to %v; must be finite numbers, the lower one first", d.Key, d.Low, d.High)
	case d.Log && d.Low <= 0:
		return fmt.Errorf("dimension %s goes from %v on a logarithmic scale; must begin above 0", d.Key, d.Low)
	}
	return nil
}

// checkSpace returns all that is wrong with a space.
func checkSpace(space []Dimension) error {
	var errs []error
	seen := map[string]bool{}
	for _, d := range space {
		if err := d.Check(); err != nil {
			errs = append(errs, err)
		}
		if seen[d.Key] {
			errs = append(errs, fmt.Errorf("dimension %s is there twice", d.Key))
		}
		seen[d.Key] = true
	}
	return errors.Join(errs...)
}

// Contains returns an error where a value isn't one of the dimension's.
func (d Dimension) Contains(value string) error {
	if len(d.Choices) > 0 {
		if !slices.Contains(d.Choices, value) {
			return fmt.Errorf("%s is %q; must be one of %s", d.Key, value, strings.Join(d.Choices, ", "))
		}
		return nil
	}
	if v, err := strconv.ParseFloat(value, 64); err != nil || !(v >= d.Low && v <= d.High) {
		return fmt.Errorf("%s is %q; must be a number from %v to %v", d.Key, value, d.Low, d.High)
	}
	return nil
}
