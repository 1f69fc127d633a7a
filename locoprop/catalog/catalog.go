// Package catalog gives names to everything that an experiment is made of: transfer
// functions, losses, optimisers with their keys, methods, schedules, initialisations,
// data sets, presets, and the default rates of (method, optimiser) pairs.
//
// An [Experiment] is a complete set of choices, one per flag of `locoprop train`.
// [Resolve] makes one from a preset and layers of explicit settings in the grammar
// that flags and configuration files share; its methods then build the library's
// values. What a program prints or reads stays outside.
package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Datasets lists the names of data sets.
func Datasets() []string {
	var names []string
	for _, d := range dataset.List() {
		names = append(names, d.Name)
	}
	return names
}

// UnknownError tells of a name that isn't known.
type UnknownError struct {
	What  string   // what was looked for: optimizer, preset, …
	Name  string   // the name that was given
	Known []string // the names there are
}

// Error names what was given, the nearest known name if one is near, and all names.
func (e *UnknownError) Error() string {
	near := ""
	if s := Suggest(e.Name, e.Known); s != "" {
		near = fmt.Sprintf("; did you mean %s?", s)
	}
	return fmt.Sprintf("unknown %s %q%s (known: %s)", e.What, e.Name, near, strings.Join(e.Known, ", "))
}

// choose returns the place of name among known, or an *UnknownError.
func choose(what, name string, known []string) (int, error) {
	if i := slices.Index(known, name); i >= 0 {
		return i, nil
	}
	return 0, &UnknownError{What: what, Name: name, Known: known}
}

// ParseTransfer returns the transfer function of a name, as transfer.Parse has them.
func ParseTransfer(name string) (transfer.Func, error) {
	base, _, _ := strings.Cut(name, "(")
	if _, err := choose("transfer function", base, transfer.Known()); err != nil {
		return transfer.Func{}, err
	}
	return transfer.Parse(name)
}

// ParseLoss returns the loss of a name.
func ParseLoss(name string) (loss.Loss, error) {
	base, _, _ := strings.Cut(name, "(")
	if _, err := choose("loss", base, loss.Known()); err != nil {
		return loss.Loss{}, err
	}
	return loss.Parse(name)
}

// ParseTarget returns what a network learns to give, by name.
func ParseTarget(name string) (model.Target, error) {
	i, err := choose("target", name, model.TargetNames)
	return model.Target(i), err
}

// ParseSchedule returns the kind of schedule of a name.
func ParseSchedule(name string) (schedule.Kind, error) {
	i, err := choose("schedule", name, schedule.Names)
	return schedule.Kind(i), err
}

// ParseInit returns the initialisation of a name.
func ParseInit(name string) (nn.Init, error) {
	i, err := choose("initialisation", name, nn.InitNames)
	return nn.Init(i), err
}
