package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/pelletier/go-toml/v2"
)

// configFile is an experiment in TOML: a key per flag, text in the flags' grammar, and a
// table for each layer of the network that has settings of its own.
type configFile struct {
	Preset     *string `toml:"preset,omitempty" comment:"made by locoprop train; locoprop train --config FILE repeats the run"`
	Dataset    *string `toml:"dataset,omitempty"`
	Data       *string `toml:"data,omitempty"`
	DataPrefix *string `toml:"data-prefix,omitempty"`
	DataSeed   *int64  `toml:"data-seed,omitempty"`
	tableConfig
	Scale      *textOrNumber `toml:"scale,omitempty"`
	Target     *string       `toml:"target,omitempty"`
	Loss       *string       `toml:"loss,omitempty"`
	Arch       *string       `toml:"arch,omitempty"`
	Activation *string       `toml:"activation,omitempty"`
	Init       *string       `toml:"init,omitempty"`
	Method     *string       `toml:"method,omitempty"`
	localConfig
	Correction      *float64 `toml:"correction,omitempty"`
	DMomentum       *float64 `toml:"d-momentum,omitempty"`
	DMomentumLimit  *int64   `toml:"d-momentum-limit,omitempty"`
	Batch           *int64   `toml:"batch,omitempty"`
	DropLast        *bool    `toml:"drop-last,omitempty"`
	Schedule        *string  `toml:"schedule,omitempty"`
	WarmupSteps     *int64   `toml:"warmup-steps,omitempty"`
	ScheduleEpochs  *int64   `toml:"schedule-epochs,omitempty"`
	ScheduleSteps   *int64   `toml:"schedule-steps,omitempty"`
	Epochs          *int64   `toml:"epochs,omitempty"`
	Steps           *int64   `toml:"steps,omitempty"`
	TimeLimit       *string  `toml:"time-limit,omitempty"`
	EvalEvery       *int64   `toml:"eval-every,omitempty"`
	EvalSteps       *int64   `toml:"eval-steps,omitempty"`
	CheckpointEvery *string  `toml:"checkpoint-every,omitempty"`
	Keep            *int64   `toml:"keep,omitempty"`
	OnDivergence    *string  `toml:"on-divergence,omitempty"`
	Seed            *int64   `toml:"seed,omitempty"`
	ShuffleWindow   *int64   `toml:"shuffle-window,omitempty"`
	Workers         *int64   `toml:"workers,omitempty"`
	Block           *int64   `toml:"block,omitempty"`
	Diagnose        *int64   `toml:"diagnose,omitempty"`
	Backend         *string  `toml:"backend,omitempty"`
	Arithmetic      *string  `toml:"arithmetic,omitempty" comment:"not a setting: what the last bits depend on besides those"`

	// Layers holds settings of layers by their number. They are read as part of the file
	// and written one by one, to stand in order.
	Layers map[string]*localConfig `toml:"layers,omitempty"`
}

// tableConfig are the settings of data sets csv and npy.
type tableConfig struct {
	TestData    *string       `toml:"test-data,omitempty"`
	TestShare   *float64      `toml:"test-share,omitempty"`
	LabelColumn *textOrNumber `toml:"label-column,omitempty"`
	Header      *string       `toml:"header,omitempty"`
}

// localConfig are the settings of local problems: the run's, or those of one layer.
type localConfig struct {
	Form                *string       `toml:"form,omitempty"`
	Solver              *string       `toml:"solver,omitempty"`
	SolverTolerance     *float64      `toml:"solver-tolerance,omitempty"`
	SolverIterations    *int64        `toml:"solver-iterations,omitempty"`
	SolverMemory        *int64        `toml:"solver-memory,omitempty"`
	SolverRelax         *textOrNumber `toml:"solver-relax,omitempty"`
	Prox                *textOrNumber `toml:"prox,omitempty"`
	Optimizer           *string       `toml:"optimizer,omitempty"`
	LR                  *float64      `toml:"lr,omitempty"`
	Gamma               *float64      `toml:"gamma,omitempty"`
	GammaPerExample     *float64      `toml:"gamma-per-example,omitempty"`
	WeightDecay         *float64      `toml:"weight-decay,omitempty"`
	GammaRule           *string       `toml:"gamma-rule,omitempty"`
	LocalSteps          *int64        `toml:"local-steps,omitempty"`
	LocalFloor          *float64      `toml:"local-floor,omitempty"`
	ResetState          *bool         `toml:"reset-state,omitempty"`
	MetricDamping       *float64      `toml:"metric-damping,omitempty"`
	MetricStep          *float64      `toml:"metric-step,omitempty"`
	MetricAverage       *float64      `toml:"metric-average,omitempty"`
	MetricEvery         *int64        `toml:"metric-every,omitempty"`
	MetricRefresh       *int64        `toml:"metric-refresh,omitempty"`
	OuterMomentum       *float64      `toml:"outer-momentum,omitempty"`
	StatisticsStructure *string       `toml:"statistics-structure,omitempty"`
	StatisticsColumns   *int64        `toml:"statistics-columns,omitempty"`
	StatisticsAverage   *float64      `toml:"statistics-average,omitempty"`
	StatisticsRefresh   *int64        `toml:"statistics-refresh,omitempty"`
	StatisticsDamping   *float64      `toml:"statistics-damping,omitempty"`
	StatisticsRelative  *float64      `toml:"statistics-relative,omitempty"`
	StatisticsIterate   *bool         `toml:"statistics-iterate,omitempty"`
	Armijo              *bool         `toml:"armijo,omitempty"`
	Tolerance           *float64      `toml:"tolerance,omitempty"`
	UpdateCap           *float64      `toml:"update-cap,omitempty"`
	Reject              *bool         `toml:"reject,omitempty"`
	ClipTargets         *bool         `toml:"clip-targets,omitempty"`
}

// Keys that no flag has: of the tables of layers, and of what a run was computed with.
const (
	layersKey     = "layers"
	arithmeticKey = "arithmetic"
)

// textOrNumber is a string that a file may also give as a number.
type textOrNumber string

// UnmarshalText takes a value as the file spells it.
func (t *textOrNumber) UnmarshalText(b []byte) error { //nolint:unparam // the interface has it
	*t = textOrNumber(b)
	return nil
}

// eachField calls f with the key and the (pointer) field of each setting of a struct.
func eachField(v reflect.Value, f func(key string, field reflect.Value) error) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		var err error
		switch {
		case field.Anonymous:
			err = eachField(v.Field(i), f)
		case key != layersKey && key != arithmeticKey:
			if err = f(key, v.Field(i)); err != nil {
				err = fmt.Errorf("%s: %w", key, err)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readConfig reads a configuration file as a layer of settings. Whatever is wrong with
// it is wrong usage.
func readConfig(path string) (catalog.Layer, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return catalog.Layer{}, usagef("configuration %s: %w", path, cause(err))
	}
	var c configFile
	if err := decodeStrictly(content, &c); err != nil {
		return catalog.Layer{}, &usageError{configError(path, err, knownOfRun)}
	}
	values := catalog.Values{}
	take(values, "", &c)
	for number, table := range c.Layers {
		prefix := layersKey + "." + number + "."
		if _, _, ok := catalog.SplitLayerKey(prefix); !ok {
			row, column := positionOf(content, number)
			return catalog.Layer{}, usagef("%s:%d:%d: %s.%s: a table of settings for one layer has its number for a name, from 0",
				path, row, column, layersKey, number)
		}
		take(values, prefix, table)
	}
	return catalog.Layer{Source: path, Values: values}, nil
}

// readArithmetic is what a configuration file says that its run was computed with, "" if
// nothing.
func readArithmetic(path string) string {
	var c struct{ Arithmetic string }
	if content, err := os.ReadFile(path); err != nil || toml.Unmarshal(content, &c) != nil {
		return "" // whoever needs the file complains
	}
	return c.Arithmetic
}

func decodeStrictly(content []byte, to any) error {
	return toml.NewDecoder(bytes.NewReader(content)).DisallowUnknownFields().Decode(to)
}

// positionOf tells where a file first names the table layers.NAME: where a reader to
// whom all such tables are unknown complains of it.
func positionOf(content []byte, name string) (row, column int) {
	var unknown *toml.StrictMissingError
	if errors.As(decodeStrictly(content, &struct{}{}), &unknown) {
		for i := range unknown.Errors {
			if key := unknown.Errors[i].Key(); len(key) > 1 && key[0] == layersKey && key[1] == name {
				return unknown.Errors[i].Position()
			}
		}
	}
	return 1, 1
}

// take adds to v each setting that a struct of a file holds, as a flag would give it.
func take(v catalog.Values, prefix string, from any) {
	_ = eachField(reflect.ValueOf(from).Elem(), func(key string, field reflect.Value) error { // no error to return
		if field.IsNil() {
			return nil
		}
		switch x := field.Elem().Interface().(type) {
		case string:
			v[prefix+key] = x
		case textOrNumber:
			v[prefix+key] = string(x)
		case bool:
			v[prefix+key] = strconv.FormatBool(x)
		case int64:
			v[prefix+key] = strconv.FormatInt(x, 10)
		case float64:
			v[prefix+key] = strconv.FormatFloat(x, 'g', -1, 64)
		}
		return nil
	})
}

// configError says where in a file the error lies and what would be right. known lists
// the keys that may stand where an unknown one does.
func configError(path string, err error, known func(key []string) []string) error {
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		var errs []error
		for i := range unknown.Errors {
			e := &unknown.Errors[i]
			row, column := e.Position()
			what := &catalog.UnknownError{What: "key", Name: strings.Join(e.Key(), "."), Known: known(e.Key())}
			for table := len(e.Key()) - 1; table > 0; table-- { // named apart where its keys are others than those outside
				if key := e.Key(); !slices.Equal(known(key), known(key[:table])) {
					what.What, what.Name = "key of "+strings.Join(key[:table], "."), strings.Join(key[table:], ".")
					break
				}
			}
			errs = append(errs, fmt.Errorf("%s:%d:%d: %w", path, row, column, what))
		}
		return errors.Join(errs...)
	case errors.As(err, &wrong):
		row, column := wrong.Position()
		return fmt.Errorf("%s:%d:%d: %s", path, row, column, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// knownOfRun lists the keys of a run's configuration.
func knownOfRun(key []string) []string {
	if len(key) > 2 && key[0] == layersKey {
		return catalog.LayerKeys()
	}
	return append(catalog.Keys(), layersKey)
}

// splitLayers takes settings apart into those of the run and those of single layers.
func splitLayers(values catalog.Values) (run catalog.Values, tables map[int]catalog.Values) {
	run, tables = catalog.Values{}, map[int]catalog.Values{}
	for key, text := range values {
		layer, name, ok := catalog.SplitLayerKey(key)
		switch {
		case !ok:
			run[key] = text
		case tables[layer] == nil:
			tables[layer] = catalog.Values{name: text}
		default:
			tables[layer][name] = text
		}
	}
	return run, tables
}

// encodeConfig writes an experiment as a configuration file, and what it is computed with,
// unless that is "".
func encodeConfig(e *catalog.Experiment, arithmetic string) ([]byte, error) {
	run, tables := splitLayers(e.Values())
	file := &configFile{}
	if arithmetic != "" {
		file.Arithmetic = &arithmetic
	}
	content, err := encodeStruct(file, run)
	for _, layer := range slices.Sorted(maps.Keys(tables)) {
		var table []byte
		if err == nil {
			table, err = encodeStruct(&localConfig{}, tables[layer])
		}
		content = fmt.Appendf(content, "\n[%s.%d]\n%s", layersKey, layer, table)
	}
	return content, err
}

// encodeStruct fills a struct of a file with settings and writes it.
func encodeStruct(to any, values catalog.Values) ([]byte, error) {
	err := eachField(reflect.ValueOf(to).Elem(), func(key string, field reflect.Value) error {
		value, found := values[key]
		if !found {
			return nil
		}
		field.Set(reflect.New(field.Type().Elem()))
		var err error
		switch x := field.Interface().(type) {
		case *string:
			*x = value
		case *textOrNumber:
			*x = textOrNumber(value)
		case *bool:
			*x, err = strconv.ParseBool(value)
		case *int64:
			*x, err = strconv.ParseInt(value, 10, 64)
		case *float64:
			*x, err = strconv.ParseFloat(value, 64)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return toml.Marshal(to)
}
