package catalog

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
)

// Optimizers lists the names of optimisers.
var Optimizers = []string{
	"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw",
	"amsgrad", "nadamw", "schedule-free", "egu", "egu-gd", "p-norm",
}

// OptimizerKeys lists all keys of the optimiser grammar; which of them an optimiser
// takes is told by [OptimizerKeysOf].
var OptimizerKeys = []string{"variant", "momentum", "rho", "beta1", "beta2", "epsilon", "weight-decay", "beta", "p"}

// optimizerForms gives, per name, the keys and the rule of each variant; "" is the
// variant of optimisers that have only one.
var optimizerForms = map[string]struct {
	keys  []string
	kinds map[string]optimizer.Kind
}{
	"sgd": {nil, map[string]optimizer.Kind{"": optimizer.SGD}},
	"momentum": {
		[]string{"variant", "momentum"},
		map[string]optimizer.Kind{"": optimizer.Momentum, "lr-in-buffer": optimizer.MomentumBuffer},
	},
	"nesterov": {[]string{"momentum"}, map[string]optimizer.Kind{"": optimizer.Nesterov}},
	"adagrad":  {[]string{"epsilon"}, map[string]optimizer.Kind{"": optimizer.AdaGrad}},
	"rmsprop": {
		[]string{"variant", "rho", "momentum", "epsilon"},
		map[string]optimizer.Kind{"tf1": optimizer.RMSPropTF1, "torch": optimizer.RMSPropTorch},
	},
	"adam": {
		[]string{"variant", "beta1", "beta2", "epsilon"},
		map[string]optimizer.Kind{"tf1": optimizer.AdamTF1, "torch": optimizer.AdamTorch},
	},
	"adamw":         {[]string{"beta1", "beta2", "epsilon", "weight-decay"}, map[string]optimizer.Kind{"": optimizer.AdamW}},
	"amsgrad":       {[]string{"beta1", "beta2", "epsilon"}, map[string]optimizer.Kind{"": optimizer.AMSGrad}},
	"nadamw":        {[]string{"beta1", "beta2", "epsilon", "weight-decay"}, map[string]optimizer.Kind{"": optimizer.NadamW}},
	"schedule-free": {[]string{"beta1", "beta2", "epsilon", "weight-decay"}, map[string]optimizer.Kind{"": optimizer.ScheduleFree}},
	"egu":           {[]string{"beta"}, map[string]optimizer.Kind{"": optimizer.EGU}},
	"egu-gd":        {[]string{"beta"}, map[string]optimizer.Kind{"": optimizer.EGUGD}},
	"p-norm":        {[]string{"p"}, map[string]optimizer.Kind{"": optimizer.PNorm}},
}

// OptimizerKeysOf lists the keys that an optimiser takes, in the order in which
// [FormatOptimizer] writes them.
func OptimizerKeysOf(name string) []string { return optimizerForms[name].keys }

// defaultVariant is the variant that an optimiser takes unless one is named: rmsprop
// is tf1 in LocoProp's local problems, as in the paper, and torch as a baseline; adam
// is torch.
func defaultVariant(name string, local bool) string {
	switch {
	case name == "rmsprop" && local:
		return "tf1"
	case name == "rmsprop", name == "adam":
		return "torch"
	}
	return ""
}

// ParseOptimizer returns the rule of an optimiser in the form
//
//	NAME[:key=value,…]      rmsprop:variant=torch,rho=0.95
//
// with the defaults of [optimizer.New] for keys that aren't given; beta and p may be
// auto, their default, which takes them from each layer's size. local tells whether
// it solves LocoProp's local problems or is a baseline under back-propagation, which
// decides rmsprop's default variant.
func ParseOptimizer(text string, local bool) (optimizer.Rule, error) {
	name, list, listed := strings.Cut(text, ":")
	if _, err := choose("optimizer", name, Optimizers); err != nil {
		return optimizer.Rule{}, err
	}
	values := map[string]string{}
	if listed {
		for item := range strings.SplitSeq(list, ",") {
			key, value, ok := strings.Cut(item, "=")
			if !ok {
				return optimizer.Rule{}, fmt.Errorf("optimizer %s: %q isn't of the form key=value", name, item)
			}
			if err := checkKey(name, key); err != nil {
				return optimizer.Rule{}, err
			}
			if _, twice := values[key]; twice {
				return optimizer.Rule{}, fmt.Errorf("optimizer %s: key %s is given twice", name, key)
			}
			values[key] = value
		}
	}
	form := optimizerForms[name]
	variant, given := values["variant"]
	if !given {
		variant = defaultVariant(name, local)
	}
	kind, ok := form.kinds[variant]
	if !ok || given && variant == "" {
		known := slices.DeleteFunc(slices.Sorted(maps.Keys(form.kinds)), func(v string) bool { return v == "" })
		return optimizer.Rule{}, fmt.Errorf("optimizer %s: %w", name, &UnknownError{What: "variant", Name: variant, Known: known})
	}
	rule := optimizer.New(kind)
	for key, value := range values {
		if key == "variant" {
			continue
		}
		if value == auto && byLayer(key) {
			*ruleField(&rule, key) = 0
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(v) {
			return optimizer.Rule{}, fmt.Errorf("optimizer %s: %s is %q; must be a number", name, key, value)
		}
		*ruleField(&rule, key) = v
	}
	return rule, rule.Check()
}

// auto is the value of keys whose number follows from each layer's size.
const auto = "auto"

func byLayer(key string) bool { return key == "beta" || key == "p" }

// checkKey returns an error where an optimiser doesn't take a key.
func checkKey(name, key string) error {
	keys := OptimizerKeysOf(name)
	switch {
	case slices.Contains(keys, key):
		return nil
	case len(keys) == 0:
		return fmt.Errorf("optimizer %s takes no keys, but %q is given", name, key)
	case slices.Contains(OptimizerKeys, key):
		return fmt.Errorf("optimizer %s has no key %s; its keys are %s", name, key, strings.Join(keys, ", "))
	}
	return fmt.Errorf("optimizer %s: %w", name, &UnknownError{What: "key", Name: key, Known: keys})
}

func ruleField(r *optimizer.Rule, key string) *float64 {
	switch key {
	case "momentum":
		return &r.Momentum
	case "rho":
		return &r.Rho
	case "beta1":
		return &r.Beta1
	case "beta2":
		return &r.Beta2
	case "epsilon":
		return &r.Epsilon
	case "weight-decay":
		return &r.WeightDecay
	case "beta":
		return &r.Beta
	case "p":
		return &r.P
	}
	panic("catalog: optimizer key without a field")
}

// FormatOptimizer writes a rule so that [ParseOptimizer] gives it back, local or not:
// every key spelled out, each number in the shortest form that stands for it exactly.
func FormatOptimizer(r optimizer.Rule) string {
	var items []string
	for _, key := range OptimizerKeysOf(r.Name()) {
		value := r.Variant()
		if key != "variant" {
			value = formatFloat(*ruleField(&r, key))
		}
		switch {
		case value == "": // the form without a name
			continue
		case value == "0" && byLayer(key):
			value = auto
		}
		items = append(items, key+"="+value)
	}
	if items == nil {
		return r.Name()
	}
	return r.Name() + ":" + strings.Join(items, ",")
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
