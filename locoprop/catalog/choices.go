package catalog

import (
	"slices"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// choices are the names that the value of a setting is, or begins with.
var choices = map[string]func() []string{
	"preset":               Presets,
	"dataset":              Datasets,
	"header":               func() []string { return dataset.HeaderNames },
	"scale":                func() []string { return dataset.ScaleNames },
	"target":               func() []string { return model.TargetNames },
	"loss":                 loss.Known,
	"activation":           transfer.Known,
	"init":                 func() []string { return nn.InitNames },
	"method":               Methods,
	"optimizer":            func() []string { return Optimizers },
	"form":                 func() []string { return locoprop.Forms },
	"solver":               func() []string { return locoprop.ImplicitSolvers },
	"prox":                 func() []string { return []string{"off", "auto"} },
	"gamma-rule":           GammaRules,
	"statistics-structure": func() []string { return precond.Structures },
	"schedule":             func() []string { return schedule.Names },
	"on-divergence":        func() []string { return divergencePolicies },
}

// Choices are the names that a setting's value may be, for completion; nil for a setting
// whose values are numbers, files or the like. Where names take arguments, or numbers stand
// beside them, the names alone are listed. Which backends there are is known to a
// program only.
func Choices(key string) []string {
	if list := choices[key]; list != nil {
		return slices.Clone(list())
	}
	return nil
}
