package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/tune"
)

// Contender is a way to train that takes part in comparisons, with the point where it
// starts and the space in which it is tuned. It says all about method, batch and course of
// the rate, and nothing about the problem: data, network, loss, length and seed.
type Contender struct {
	Name  string
	Title string // what it is, for people
	// Settings are the default point: settings of a run, to be put over those of the problem.
	Settings Values
	// Space has a dimension for each setting that tuning tries, by the key of a setting
	// of a run, or by that of one of its method's or optimizer's constants: method:damping,
	// optimizer:beta2.
	Space  []tune.Dimension
	Source string // where the default point and the space come from
}

// Contenders lists them, LocoProp first. The slice and its maps are the caller's.
//
// Every rate of a default point is that of the table of default rates, or where Source says so
// what tuning gave on both problems of docs/comparison.md; batch, schedule and warm-up are those
// of the search for that table where Source names no others. Every
// space has two or three dimensions: first that of the rate, over the logarithm of a range
// around the default, then a constant that the method's authors tune or name as sensitive,
// and the batch.
func Contenders() []Contender {
	list := make([]Contender, 0, len(contenders))
	for _, c := range contenders {
		c.Settings = maps.Clone(c.Settings)
		if _, named := c.Settings["lr"]; !named {
			c.Settings["lr"] = formatFloat(c.rate())
		}
		c.Space = slices.Clone(c.Space)
		list = append(list, c)
	}
	return list
}

// ContenderNamed returns the contender of a name, or an *[UnknownError].
func ContenderNamed(name string) (Contender, error) {
	list := Contenders()
	var known []string
	for i := range list {
		known = append(known, list[i].Name)
	}
	i, err := choose("contender", name, known)
	if err != nil {
		return Contender{}, err
	}
	return list[i], nil
}

// At returns the contender's settings at a point of its space: its default point where
// point says nothing. Other keys than those of the space are refused, and so are values
// out of their range.
func (c *Contender) At(point map[string]string) (Values, error) {
	v := maps.Clone(c.Settings)
	for _, key := range slices.Sorted(maps.Keys(point)) {
		i := slices.IndexFunc(c.Space, func(d tune.Dimension) bool { return d.Key == key })
		if i < 0 {
			var known []string
			for _, d := range c.Space {
				known = append(known, d.Key)
			}
			return nil, fmt.Errorf("contender %s: %w", c.Name, &UnknownError{What: "key", Name: key, Known: known})
		}
		if err := c.Space[i].Contains(point[key]); err != nil {
			return nil, fmt.Errorf("contender %s: %w", c.Name, err)
		}
		name, own, listed := strings.Cut(key, ":")
		if listed {
			v[name] = withKey(v[name], own, point[key])
			continue
		}
		v[name] = point[key]
	}
	return v, nil
}

// Default is the value at the default point of a key of the space, every constant spelled
// out; "" where it follows from the problem, as γ of the metric form does from its length.
func (c *Contender) Default(key string) string {
	name, own, listed := strings.Cut(key, ":")
	if !listed {
		return c.Settings[key]
	}
	text := c.Settings[name]
	if name == "optimizer" {
		rule, err := ParseOptimizer(text, IsLocal(c.method()))
		if err != nil {
			return ""
		}
		text = FormatOptimizer(rule)
	} else if _, keys, err := ParseMethod(text); err == nil {
		return keys[own]
	}
	_, list, _ := strings.Cut(text, ":")
	for item := range strings.SplitSeq(list, ",") {
		if k, v, _ := strings.Cut(item, "="); k == own {
			return v
		}
	}
	return ""
}

func (c *Contender) method() string {
	method, _, _ := strings.Cut(c.Settings["method"], ":")
	return method
}

// rate is the documented one of the contender's pair.
func (c *Contender) rate() float64 {
	method, keys, err := ParseMethod(c.Settings["method"])
	e := Experiment{Method: method, MethodKeys: keys}
	if text, named := c.Settings["optimizer"]; err == nil && named {
		e.Optimizer, err = ParseOptimizer(text, IsLocal(method))
	}
	rate, missing := RateOf(e.Pair())
	if err != nil || missing != nil {
		panic(fmt.Sprintf("catalog: contender %s has no rate: %v, %v", c.Name, err, missing)) // can't happen: the table is fixed
	}
	return rate.Eta
}

// withKey sets a key in a text of the form NAME[:KEY=VALUE,…].
func withKey(text, key, value string) string {
	name, list, listed := strings.Cut(text, ":")
	var items []string
	if listed {
		items = slices.DeleteFunc(strings.Split(list, ","), func(item string) bool { return strings.HasPrefix(item, key+"=") })
	}
	return name + ":" + strings.Join(append(items, key+"="+value), ",")
}

// Suited is the contender as it suits so many training examples and a run of so many
// epochs, or of steps where these aren't 0: no batch has more examples than there are, and
// no warm-up takes more than a fifth of the run.
func (c *Contender) Suited(examples, epochs, steps int) Contender {
	s := *c
	s.Settings, s.Space = maps.Clone(c.Settings), nil
	bound := func(text string, most int) string {
		if n, err := strconv.Atoi(text); err == nil && n > most {
			return strconv.Itoa(most)
		}
		return text
	}
	s.Settings["batch"] = bound(c.Settings["batch"], examples)
	if batch, err := strconv.Atoi(s.Settings["batch"]); err == nil && batch > 0 && steps == 0 {
		steps = epochs * (examples / batch)
	}
	s.Settings["warmup-steps"] = bound(c.Settings["warmup-steps"], steps/5)
	for _, d := range c.Space {
		if d.Key == "batch" {
			var choices []string
			for _, text := range d.Choices {
				choices = append(choices, bound(text, examples))
			}
			if d.Choices = slices.Compact(choices); len(d.Choices) == 1 {
				continue
			}
		}
		s.Space = append(s.Space, d)
	}
	return s
}

// ProblemKeys lists the settings of a run that say what is learnt and where it runs,
// which contenders leave alone.
func ProblemKeys() []string {
	own := []string{
		"preset", "dataset", "data", "data-prefix", "data-seed", "target", "loss", "arch", "activation", "init",
		"epochs", "steps", "time-limit", "schedule-epochs", "schedule-steps", "eval-every", "eval-steps", "checkpoint-every", "keep", "on-divergence", "seed", "shuffle-window", "workers", "backend",
	}
	for _, s := range tableSettings {
		own = append(own, s.key)
	}
	return slices.DeleteFunc(Keys(), func(key string) bool { return !slices.Contains(own, key) })
}
