package catalog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/method/adafactor"
	"github.com/locoprop/locoprop-go/locoprop/method/foof"
	"github.com/locoprop/locoprop-go/locoprop/method/kbfgs"
	"github.com/locoprop/locoprop-go/locoprop/method/kfac"
	"github.com/locoprop/locoprop-go/locoprop/method/muon"
	"github.com/locoprop/locoprop-go/locoprop/method/proxprop"
	"github.com/locoprop/locoprop-go/locoprop/method/shampoo"
	"github.com/locoprop/locoprop-go/locoprop/method/sm3"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// baseline is a method with settings of its own, which its name carries along:
// NAME[:KEY=VALUE,…].
type baseline struct {
	name     string
	keys     []string
	variants []string // values of key variant
	steps    bool     // hands an optimiser something in place of the gradient: has --optimizer
	// settings spells values out, every default included.
	settings func(values Values) (Values, error)
	build    func(e *Experiment) (plan.Method, error)
}

// baselines are the methods besides LocoProp and plain back-propagation.
var baselines = []baseline{
	newBaseline("kfac", []option[kfac.Options]{
		flag("variant", "plain", func(o *kfac.Options) *bool { return &o.Plain }),
		choice("fisher", []string{"sampled", "empirical"}, func(o *kfac.Options) int { return index(o.Empirical) }, func(o *kfac.Options, i int) { o.Empirical = i == 1 }),
		number("damping", func(o *kfac.Options) *float64 { return &o.Damping }),
		numberOrNone("l2", func(o *kfac.Options) (*float64, *bool) { return &o.L2, &o.NoL2 }),
		number("average", func(o *kfac.Options) *float64 { return &o.Average }),
		whole("refresh", func(o *kfac.Options) *int { return &o.Refresh }),
	}, kfac.New, func(o *kfac.Options, e *Experiment) { o.Eta, o.Block, o.Seed = e.Eta, e.Block, e.Seed }),
	newBaseline("shampoo", []option[shampoo.Options]{
		flag("variant", "original", func(o *shampoo.Options) *bool { return &o.Original }),
		choice("graft", shampoo.Grafts, func(o *shampoo.Options) int { return int(o.Graft) }, func(o *shampoo.Options, i int) { o.Graft = shampoo.Graft(i) }),
		number("beta2", func(o *shampoo.Options) *float64 { return &o.Beta2 }),
		numberOrNone("momentum", func(o *shampoo.Options) (*float64, *bool) { return &o.Momentum, &o.NoMomentum }),
		number("epsilon", func(o *shampoo.Options) *float64 { return &o.Epsilon }),
		whole("tile", func(o *shampoo.Options) *int { return &o.Tile }),
		whole("refresh", func(o *shampoo.Options) *int { return &o.Refresh }),
	}, shampoo.New, func(o *shampoo.Options, e *Experiment) { o.Eta, o.Block = e.Eta, e.Block }),
	newBaseline("kbfgs", []option[kbfgs.Options]{
		flag("variant", "limited", func(o *kbfgs.Options) *bool { return &o.Limited }),
		number("damping", func(o *kbfgs.Options) *float64 { return &o.Damping }),
		numberOrNone("l2", func(o *kbfgs.Options) (*float64, *bool) { return &o.L2, &o.NoL2 }),
		whole("memory", func(o *kbfgs.Options) *int { return &o.Memory }),
	}, kbfgs.New, func(o *kbfgs.Options, e *Experiment) { o.Eta, o.Block = e.Eta, e.Block }),
	newBaseline("muon", []option[muon.Options]{
		number("adam-lr", func(o *muon.Options) *float64 { return &o.AdamEta }),
		numberOrNone("momentum", func(o *muon.Options) (*float64, *bool) { return &o.Momentum, &o.NoMomentum }),
		number("weight-decay", func(o *muon.Options) *float64 { return &o.WeightDecay }),
	}, muon.New, func(o *muon.Options, e *Experiment) { o.Eta, o.Block = e.Eta, e.Block }),
	newBaseline("sm3", []option[sm3.Options]{
		numberOrNone("momentum", func(o *sm3.Options) (*float64, *bool) { return &o.Momentum, &o.NoMomentum }),
	}, sm3.New, func(o *sm3.Options, e *Experiment) { o.Eta, o.Block = e.Eta, e.Block }),
	newBaseline("adafactor", []option[adafactor.Options]{
		flag("variant", "fixed", func(o *adafactor.Options) *bool { return &o.Fixed }),
	}, adafactor.New, func(o *adafactor.Options, e *Experiment) { o.Eta, o.Block = e.Eta, e.Block }),
	stepping(newBaseline("foof", []option[foof.Options]{
		number("damping", func(o *foof.Options) *float64 { return &o.Damping }),
		number("relative-damping", func(o *foof.Options) *float64 { return &o.Relative }),
		numberOrNone("average", func(o *foof.Options) (*float64, *bool) { return &o.Average, &o.NoAverage }),
		whole("refresh", func(o *foof.Options) *int { return &o.Refresh }),
	}, foof.New, func(o *foof.Options, e *Experiment) { o.Eta, o.Block, o.Optimizer = e.Eta, e.Block, e.Optimizer })),
	stepping(newBaseline("proxprop", []option[proxprop.Options]{
		flag("variant", "exact", func(o *proxprop.Options) *bool { return &o.Exact }),
		number("tau", func(o *proxprop.Options) *float64 { return &o.Tau }),
		whole("steps", func(o *proxprop.Options) *int { return &o.Steps }),
	}, proxprop.New, func(o *proxprop.Options, e *Experiment) { o.Eta, o.Block, o.Optimizer = e.Eta, e.Block, e.Optimizer })),
}

// option is a key of a baseline with options O. get is "" for a value that means none, or
// that the form has not.
type option[O any] struct {
	key      string
	variants []string
	set      func(o *O, text string) error
	get      func(o *O) string
}

// configured is a library's method, which knows its options with defaults filled in.
type configured[O any] interface {
	plan.Method
	Options() O
}

func newBaseline[O any, M configured[O]](name string, options []option[O], build func(O) (M, error), complete func(*O, *Experiment)) baseline {
	b := baseline{name: name}
	for _, x := range options {
		b.keys = append(b.keys, x.key)
		b.variants = append(b.variants, x.variants...)
	}
	options = slices.Clip(options)
	read := func(values Values) (o O, err error) {
		var errs []error
		for _, x := range options {
			if text, given := values[x.key]; given {
				if err := x.set(&o, text); err != nil {
					errs = append(errs, fmt.Errorf("method %s: %s is %q; %w", name, x.key, text, err))
				}
			}
		}
		return o, errors.Join(errs...)
	}
	b.settings = func(values Values) (Values, error) {
		o, err := read(values)
		if err != nil {
			return nil, err
		}
		complete(&o, &Experiment{Eta: 1}) // a rate that is never wrong
		m, err := build(o)
		if err != nil {
			return nil, err
		}
		o = m.Options()
		all := Values{}
		for _, x := range options {
			if text := x.get(&o); text != "" {
				all[x.key] = text
			}
		}
		return all, nil
	}
	b.build = func(e *Experiment) (plan.Method, error) {
		o, err := read(e.MethodKeys)
		if err != nil {
			return nil, err
		}
		complete(&o, e)
		return asMethod(build(o))
	}
	return b
}

func stepping(b baseline) baseline {
	b.steps = true
	return b
}

func index(v bool) int {
	if v {
		return 1
	}
	return 0
}

// flag is a key with one value, which turns something on.
func flag[O any](key, value string, field func(*O) *bool) option[O] {
	return option[O]{
		key,
		[]string{value},
		func(o *O, text string) error {
			if text != value {
				return fmt.Errorf("must be %s, or left out", value)
			}
			*field(o) = true
			return nil
		},
		func(o *O) string {
			if *field(o) {
				return value
			}
			return ""
		},
	}
}

func choice[O any](key string, names []string, get func(*O) int, set func(*O, int)) option[O] {
	return option[O]{
		key, nil,
		func(o *O, text string) error {
			i := slices.Index(names, text)
			if i < 0 {
				return fmt.Errorf("must be %s", strings.Join(names, " or "))
			}
			set(o, i)
			return nil
		},
		func(o *O) string { return names[get(o)] },
	}
}

// number is a number above 0, 0 being that of an option that is off.
func number[O any](key string, field func(*O) *float64) option[O] {
	return numberOrNone(key, func(o *O) (*float64, *bool) { return field(o), nil })
}

// numberOrNone is a number of which 0 has to be said in another way.
func numberOrNone[O any](key string, field func(*O) (*float64, *bool)) option[O] {
	return option[O]{
		key, nil,
		func(o *O, text string) error {
			v, err := strconv.ParseFloat(text, 64)
			value, none := field(o)
			switch {
			case err != nil || math.IsNaN(v) || math.IsInf(v, 0):
				return errors.New("must be a finite number")
			case v == 0 && none != nil:
				*none = true
			case v == 0:
				return errors.New("must be above 0; leave it out for its default")
			}
			*value = v
			return nil
		},
		func(o *O) string {
			value, none := field(o)
			if *value == 0 && none == nil {
				return ""
			}
			return formatFloat(*value)
		},
	}
}

func whole[O any](key string, field func(*O) *int) option[O] {
	return option[O]{
		key, nil,
		func(o *O, text string) error {
			v, err := strconv.ParseInt(text, 10, 32)
			if err != nil || v < 1 {
				return errors.New("must be a whole number from 1")
			}
			*field(o) = int(v)
			return nil
		},
		func(o *O) string {
			if *field(o) == 0 {
				return ""
			}
			return strconv.Itoa(*field(o))
		},
	}
}

// baselineOf is the baseline of a method's name, nil for LocoProp and back-propagation.
func baselineOf(method string) *baseline {
	for i := range baselines {
		if baselines[i].name == method {
			return &baselines[i]
		}
	}
	return nil
}

// MethodKeysOf lists the keys that a method takes, in the order in which they are written.
func MethodKeysOf(method string) []string {
	if b := baselineOf(method); b != nil {
		return b.keys
	}
	return nil
}

// ParseMethod reads a method in the form NAME[:KEY=VALUE,…] and spells out every setting.
func ParseMethod(text string) (method string, keys Values, err error) {
	name, list, listed := strings.Cut(text, ":")
	if _, err := choose("method", name, Methods()); err != nil {
		return "", nil, err
	}
	b := baselineOf(name)
	if b == nil {
		if listed {
			return "", nil, fmt.Errorf("method %s takes no keys, but %q is given", name, list)
		}
		return name, nil, nil
	}
	values := Values{}
	if listed {
		for item := range strings.SplitSeq(list, ",") {
			key, value, ok := strings.Cut(item, "=")
			if !ok {
				return "", nil, fmt.Errorf("method %s: %q isn't of the form key=value", name, item)
			}
			if _, err := choose("key", key, b.keys); err != nil {
				return "", nil, fmt.Errorf("method %s: %w", name, err)
			}
			if _, twice := values[key]; twice {
				return "", nil, fmt.Errorf("method %s: key %s is given twice", name, key)
			}
			values[key] = value
		}
	}
	keys, err = b.settings(values)
	return name, keys, err
}

// MethodText is the method with its settings, so that [ParseMethod] gives it back.
func (e *Experiment) MethodText() string {
	var items []string
	for _, key := range MethodKeysOf(e.Method) {
		if text, given := e.MethodKeys[key]; given {
			items = append(items, key+"="+text)
		}
	}
	if items == nil {
		return e.Method
	}
	return e.Method + ":" + strings.Join(items, ",")
}

// SetPair gives an experiment the method and optimiser of a pair, all else about them at
// its default.
func (e *Experiment) SetPair(p Pair) error {
	method, optimizer := p.Method, p.Optimizer
	variant := ":variant=" + p.Variant
	switch {
	case p.Variant == "":
	case optimizer == "":
		method += variant
	default:
		optimizer += variant
	}
	var err error
	if e.Method, e.MethodKeys, err = ParseMethod(method); err != nil || optimizer == "" {
		return err
	}
	e.Optimizer, err = ParseOptimizer(optimizer, IsLocal(p.Method))
	return err
}
