package catalog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// MaxCount bounds epochs, batches, warm-up steps and the like: beyond all use, and low
// enough that products of two of them stay exact.
const MaxCount = 1_000_000_000

// setting is one key of flags and configuration files: how its text changes an
// experiment, and which text stands for what an experiment holds.
type setting struct {
	key    string
	set    func(e *Experiment, text string) error
	get    func(e *Experiment) string
	toggle bool   // it is true or false
	off    string // the text of a setting that is off, which files leave out; "": none
	// conditions under which the key means something in an experiment.
	conditions []condition
}

// condition is one that a setting has; needs says what would fulfil it.
type condition struct {
	holds func(e *Experiment) bool
	needs string // {method} stands for the experiment's
}

// text says what is needed in an experiment.
func (c condition) text(e *Experiment) string {
	return strings.ReplaceAll(c.needs, "{method}", e.Method)
}

// missing says why a setting means nothing in an experiment, "" where it does.
func (s setting) missing(e *Experiment) string {
	for _, c := range s.conditions {
		if !c.holds(e) {
			return c.text(e)
		}
	}
	return ""
}

// settings are all keys of a run, each after those that its meaning depends on.
var settings = slices.Concat([]setting{
	{key: "preset", set: nothing, get: func(e *Experiment) string { return e.Preset }},
	name("dataset", "data set", Datasets, func(e *Experiment) *string { return &e.Dataset }),
	setting{
		key: "data",
		set: func(e *Experiment, text string) error {
			if text == "" {
				return errors.New("must be a folder")
			}
			e.Data = text
			return nil
		},
		get: func(e *Experiment) string { return e.Data },
	}.onlyIf(fromFiles, "data set curves is generated; name another with --dataset, or leave this out"),
	setting{
		key: "data-prefix",
		set: func(e *Experiment, text string) error { e.DataPrefix = text; return nil },
		get: func(e *Experiment) string { return e.DataPrefix },
	}.onlyIf(func(e *Experiment) bool { return e.Dataset == "idx" }, "it picks files of --dataset idx"),
	seed("data-seed", func(e *Experiment) *uint32 { return &e.DataSeed }).
		onlyIf(func(e *Experiment) bool { return !fromFiles(e) || isTable(e) },
			"it generates data set curves, and picks test examples of csv and npy; no other data set has any use for it"),
}, tableSettings, []setting{
	parsed("target", ParseTarget, func(e *Experiment, v model.Target) { e.Target = v }, func(e *Experiment) string { return e.Target.String() }),
	parsed("loss", ParseLoss, func(e *Experiment, v loss.Loss) { e.Loss = v }, func(e *Experiment) string { return e.Loss.String() }),
	parsed("arch", ParseLayout, func(e *Experiment, v Layout) { e.Arch, e.FreeArch = v, false }, archText),
	parsed("activation", ParseTransfer, func(e *Experiment, v transfer.Func) { e.Activation = v }, func(e *Experiment) string { return e.Activation.String() }),
	parsed("init", ParseInit, func(e *Experiment, v nn.Init) { e.Init = v }, func(e *Experiment) string { return e.Init.String() }),
	{
		key: "method",
		set: func(e *Experiment, text string) error {
			method, keys, err := ParseMethod(text)
			if err == nil {
				e.Method, e.MethodKeys = method, keys
			}
			return err
		},
		get: (*Experiment).MethodText,
	},
}, localSettings, []setting{
	orOff("correction", func(e *Experiment) *float64 { return &e.Correction }).onlyIf(local, localOnly),
	below1("d-momentum", func(e *Experiment) *float64 { return &e.DMomentum }).onlyIf(local, localOnly),
	count("d-momentum-limit", 1, MaxCount, func(e *Experiment) *int { return &e.DLimit }).onlyIf(local, localOnly).
		onlyIf(func(e *Experiment) bool { return e.DMomentum > 0 }, "it bounds the memory of d-momentum, which is off"),
	count("batch", 1, MaxCount, func(e *Experiment) *int { return &e.Batch }),
	{
		key: "drop-last", toggle: true,
		set: func(e *Experiment, text string) error {
			v, err := parseBool(text)
			e.KeepLast = err == nil && !v
			return err
		},
		get: func(e *Experiment) string { return strconv.FormatBool(!e.KeepLast) },
	},
	parsed("schedule", ParseSchedule, func(e *Experiment, v schedule.Kind) { e.Schedule = v }, func(e *Experiment) string { return e.Schedule.String() }),
	count("warmup-steps", 0, MaxCount, func(e *Experiment) *int { return &e.WarmupSteps }),
	count("schedule-epochs", 1, MaxCount, func(e *Experiment) *int { return &e.ScheduleEpochs }).
		as(func(e *Experiment) string { return strconv.Itoa(e.PlannedEpochs()) }).
		onlyIf(func(e *Experiment) bool { return e.PlannedSteps() == 0 }, "the schedule's length is in steps; give one of the two"),
	count("schedule-steps", 1, MaxCount, func(e *Experiment) *int { return &e.ScheduleSteps }).
		as(func(e *Experiment) string { return positiveText(e.PlannedSteps()) }),
	count("epochs", 0, MaxCount, func(e *Experiment) *int { return &e.Epochs }).
		onlyIf(func(e *Experiment) bool { return e.Steps == 0 }, "steps says where the run stops; give one of the two"),
	count("steps", 1, MaxCount, func(e *Experiment) *int { return &e.Steps }).
		as(func(e *Experiment) string { return positiveText(e.Steps) }),
	parsed("time-limit", parseTimeLimit, func(e *Experiment, v time.Duration) { e.TimeLimit = v }, timeLimitText),
	count("eval-every", 1, MaxCount, func(e *Experiment) *int { return &e.EvalEvery }),
	count("eval-steps", 0, MaxCount, func(e *Experiment) *int { return &e.EvalSteps }).
		as(func(e *Experiment) string { return positiveText(e.EvalSteps) }),
	parsed("checkpoint-every", schedule.ParseInterval, func(e *Experiment, v schedule.Interval) { e.CheckpointEvery = v },
		func(e *Experiment) string { return e.CheckpointEvery.String() }),
	count("keep", 1, MaxCount, func(e *Experiment) *int { return &e.Keep }),
	parsed("on-divergence", parseRollback, func(e *Experiment, v bool) { e.Rollback = v }, rollbackText),
	seed("seed", func(e *Experiment) *uint32 { return &e.Seed }),
	count("shuffle-window", 0, MaxCount, func(e *Experiment) *int { return &e.Window }).as(func(e *Experiment) string { return positiveText(e.Window) }),
	count("workers", 1, MaxCount, func(e *Experiment) *int { return &e.Workers }).as(func(e *Experiment) string { return positiveText(e.Workers) }),
	count("block", 1, nn.MaxWidth, func(e *Experiment) *int { return &e.Block }).onlyIf(local, localOnly),
	count("diagnose", 0, MaxCount, func(e *Experiment) *int { return &e.Diagnose }).as(func(e *Experiment) string { return positiveText(e.Diagnose) }).onlyIf(local, localOnly),
	{
		key: "backend", // which there are is known to the program only
		set: func(e *Experiment, text string) error { e.Backend = text; return nil },
		get: func(e *Experiment) string { return e.Backend },
	},
})

func fromFiles(e *Experiment) bool { return e.Dataset != "curves" }

// archText leaves the layout of a preset out until it was made to fit the data.
func archText(e *Experiment) string {
	if e.FreeArch {
		return ""
	}
	return e.Arch.String()
}

// positiveText leaves out a number that is 0: what nobody chose, or what is off.
func positiveText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// parseTimeLimit reads a time, or off.
func parseTimeLimit(text string) (time.Duration, error) {
	if text == "off" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, errors.New("must be a time above 0 (45s, 10m, 1h30m), or off")
	}
	return d, nil
}

func timeLimitText(e *Experiment) string {
	if e.TimeLimit == 0 {
		return ""
	}
	return schedule.Interval{Time: e.TimeLimit}.String()
}

// divergencePolicies are the values of on-divergence: whether the run is rolled back.
var divergencePolicies = []string{"stop", "rollback"}

func parseRollback(text string) (bool, error) {
	i, err := choose("policy", text, divergencePolicies)
	return i == 1, err
}

func rollbackText(e *Experiment) string {
	if e.Rollback {
		return divergencePolicies[1]
	}
	return divergencePolicies[0]
}

// nothing sets nothing: Resolve has started from the preset.
func nothing(*Experiment, string) error { return nil }

// onlyIf restricts a setting further to experiments in which it means something.
func (s setting) onlyIf(holds func(*Experiment) bool, needs string) setting {
	s.conditions = append(slices.Clip(s.conditions), condition{holds, needs})
	return s
}

// as replaces a setting's text.
func (s setting) as(get func(*Experiment) string) setting {
	s.get = get
	return s
}

// name is a setting whose value is one of a list of names.
func name(key, what string, known func() []string, field func(*Experiment) *string) setting {
	return setting{
		key: key,
		set: func(e *Experiment, text string) error {
			if _, err := choose(what, text, known()); err != nil {
				return err
			}
			*field(e) = text
			return nil
		},
		get: func(e *Experiment) string { return *field(e) },
	}
}

// parsed is a setting with a grammar of its own.
func parsed[T any](key string, parse func(string) (T, error), put func(*Experiment, T), get func(*Experiment) string) setting {
	return setting{key: key, get: get, set: func(e *Experiment, text string) error {
		v, err := parse(text)
		if err == nil {
			put(e, v)
		}
		return err
	}}
}

// count is a whole number from low to high.
func count(key string, low, high int, field func(*Experiment) *int) setting {
	return setting{
		key: key,
		set: func(e *Experiment, text string) error {
			v, err := strconv.ParseInt(text, 10, 64)
			if err != nil || v < int64(low) || v > int64(high) {
				return fmt.Errorf("must be a whole number from %d to %d", low, high)
			}
			*field(e) = int(v)
			return nil
		},
		get: func(e *Experiment) string { return strconv.Itoa(*field(e)) },
	}
}

// seed is a whole number of 32 bits.
func seed(key string, field func(*Experiment) *uint32) setting {
	return setting{
		key: key,
		set: func(e *Experiment, text string) error {
			v, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return fmt.Errorf("must be a whole number from 0 to %d", uint32(math.MaxUint32))
			}
			*field(e) = uint32(v)
			return nil
		},
		get: func(e *Experiment) string { return strconv.FormatUint(uint64(*field(e)), 10) },
	}
}

// positive is a finite number above 0.
func positive(key string, field func(*Experiment) *float64) setting {
	return setting{
		key: key,
		set: func(e *Experiment, text string) error {
			v, err := parsePositive(text)
			if err == nil {
				*field(e) = v
			}
			return err
		},
		get: func(e *Experiment) string { return formatFloat(*field(e)) },
	}
}

func parsePositive(text string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return 0, errors.New("must be a finite number above 0")
	}
	return v, nil
}

// Keys lists the keys of all settings of a run in the order of configuration files.
func Keys() []string { return keysOf(settings) }

// IsToggle reports whether a setting of a run is true or false.
func IsToggle(key string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return s.key == key && s.toggle })
}

// IsUsual reports whether a setting has the value that it has where nobody names it,
// given the others. Presets don't count.
func (e *Experiment) IsUsual(key string) bool {
	usual := common()
	usual.Implicit.Iterations = implicitDefaults(e.Implicit.Solver).Iterations
	for _, s := range settings {
		if s.key == key {
			return s.get(e) == s.get(&usual)
		}
	}
	return false
}

func keysOf(list []setting) []string {
	var keys []string
	for _, s := range list {
		keys = append(keys, s.key)
	}
	return keys
}

// Values are settings by key, in the grammar of flags. Settings for one layer of the
// network have keys as [LayerKey] makes them.
type Values map[string]string

// Values writes an experiment out, every default spelled out, so that [Resolve] makes
// the same experiment of it. Keys without meaning in the experiment are left out, and
// so are those with nothing chosen, an architecture that follows the data, the number
// of workers, a backend, and extras that are off, such as weight decay.
func (e *Experiment) Values() Values {
	v := Values{}
	for _, s := range settings {
		if s.missing(e) != "" {
			continue
		}
		if text := s.get(e); text != "" && text != s.off {
			v[s.key] = text
		}
	}
	for layer, table := range e.Layers {
		for key, text := range table {
			v[LayerKey(layer, key)] = text
		}
	}
	return v
}
