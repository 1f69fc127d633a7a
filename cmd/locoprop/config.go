package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/pelletier/go-toml/v2"
)

// configFile is an experiment in TOML: a key per flag, text in the flags' grammar.
type configFile struct {
	Preset         *string  `toml:"preset,omitempty" comment:"made by locoprop train; locoprop train --config FILE repeats the run"`
	Dataset        *string  `toml:"dataset,omitempty"`
	Data           *string  `toml:"data,omitempty"`
	DataPrefix     *string  `toml:"data-prefix,omitempty"`
	DataSeed       *int64   `toml:"data-seed,omitempty"`
	Target         *string  `toml:"target,omitempty"`
	Loss           *string  `toml:"loss,omitempty"`
	Arch           *string  `toml:"arch,omitempty"`
	Activation     *string  `toml:"activation,omitempty"`
	Init           *string  `toml:"init,omitempty"`
	Method         *string  `toml:"method,omitempty"`
	Optimizer      *string  `toml:"optimizer,omitempty"`
	LR             *float64 `toml:"lr,omitempty"`
	Gamma          *float64 `toml:"gamma,omitempty"`
	LocalSteps     *int64   `toml:"local-steps,omitempty"`
	Batch          *int64   `toml:"batch,omitempty"`
	Schedule       *string  `toml:"schedule,omitempty"`
	WarmupSteps    *int64   `toml:"warmup-steps,omitempty"`
	ScheduleEpochs *int64   `toml:"schedule-epochs,omitempty"`
	Epochs         *int64   `toml:"epochs,omitempty"`
	EvalEvery      *int64   `toml:"eval-every,omitempty"`
	Seed           *int64   `toml:"seed,omitempty"`
	Workers        *int64   `toml:"workers,omitempty"`
	Block          *int64   `toml:"block,omitempty"`
	Diagnose       *int64   `toml:"diagnose,omitempty"`
	Backend        *string  `toml:"backend,omitempty"`
}

// fields calls f with the key and the (pointer) field of each of the file's keys.
func (c *configFile) fields(f func(key string, field reflect.Value) error) error {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("toml"), ",")
		if err := f(key, v.Field(i)); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// readConfig reads a configuration file as a layer of settings. Whatever is wrong with
// it is wrong usage.
func readConfig(path string) (catalog.Layer, error) {
	f, err := os.Open(path)
	if err != nil {
		return catalog.Layer{}, usagef("configuration %s: %w", path, cause(err))
	}
	defer f.Close()
	var c configFile
	if err := toml.NewDecoder(f).DisallowUnknownFields().Decode(&c); err != nil {
		return catalog.Layer{}, &usageError{configError(path, err)}
	}
	return catalog.Layer{Source: path, Values: c.values()}, nil
}

// values writes each key that the file holds as a flag would give it.
func (c *configFile) values() catalog.Values {
	v := catalog.Values{}
	_ = c.fields(func(key string, field reflect.Value) error { // no error to return
		if field.IsNil() {
			return nil
		}
		switch x := field.Elem().Interface().(type) {
		case string:
			v[key] = x
		case int64:
			v[key] = strconv.FormatInt(x, 10)
		case float64:
			v[key] = strconv.FormatFloat(x, 'g', -1, 64)
		}
		return nil
	})
	return v
}

// configError says where in a file the error lies and what would be right.
func configError(path string, err error) error {
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		var errs []error
		for i := range unknown.Errors {
			e := &unknown.Errors[i]
			row, column := e.Position()
			key := strings.Join(e.Key(), ".")
			errs = append(errs, fmt.Errorf("%s:%d:%d: %w", path, row, column,
				&catalog.UnknownError{What: "key", Name: key, Known: catalog.Keys()}))
		}
		return errors.Join(errs...)
	case errors.As(err, &wrong):
		row, column := wrong.Position()
		return fmt.Errorf("%s:%d:%d: %s", path, row, column, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// encodeConfig writes an experiment as a configuration file.
func encodeConfig(e *catalog.Experiment) ([]byte, error) {
	values := e.Values()
	var c configFile
	err := c.fields(func(key string, field reflect.Value) error {
		text, found := values[key]
		if !found {
			return nil
		}
		field.Set(reflect.New(field.Type().Elem()))
		var err error
		switch x := field.Interface().(type) {
		case *string:
			*x = text
		case *int64:
			*x, err = strconv.ParseInt(text, 10, 64)
		case *float64:
			*x, err = strconv.ParseFloat(text, 64)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return toml.Marshal(&c)
}
