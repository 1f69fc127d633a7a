package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/urfave/cli/v2"
)

// inputFlag names a file of examples that a model is applied to, in place of a data set.
func inputFlag(otherwise string) cli.Flag {
	return &cli.StringFlag{
		Name: "input", DefaultText: otherwise,
		Usage: "`FILE` of examples: .npy (<f4, <f8 or |u1, examples first), .csv[.gz] (see --label-column), else IDX bytes, plain or gzip",
	}
}

// inputHelp tells what becomes of the values in such a file.
const inputHelp = "Bytes are scaled as the model says; numbers in .npy and .csv files are taken as they are, and then scaled as the\n" +
	"model's training data were (train --scale)."

// csvKeys are the data flags that say how a CSV file of examples is read.
var csvKeys = []string{"label-column", "header"}

// checkInput refuses flags of a data set beside --input.
func checkInput(c *cli.Context) error {
	if !c.IsSet("input") {
		return nil
	}
	for _, key := range dataKeys {
		if c.IsSet(key) && !slices.Contains(csvKeys, key) {
			return usagef("--input with --%s: give a file of examples or a data set, not both", key)
		}
	}
	return nil
}

// inputData reads the file that --input names as a model takes it: all its examples are
// training examples, as those of a file alone are. labels asks for those of the column
// that --label-column names, if it names one.
func inputData(c *cli.Context, m *model.Model, labels bool) (*dataset.Data, error) {
	path := c.String("input")
	d, err := readInput(c, path, m, labels)
	if err != nil {
		return nil, err
	}
	d.Name = path
	switch {
	case d.Dim() != m.Network.Inputs():
		err = &dataset.Error{Path: path, Reason: fmt.Sprintf("%d values per example, the model reads %d", d.Dim(), m.Network.Inputs())}
	case m.Target == model.Label && d.Classes > m.Network.Outputs():
		err = &dataset.Error{Path: path, Reason: fmt.Sprintf("%d classes, the model has %d", d.Classes, m.Network.Outputs())}
	default:
		err = d.Rescale(m.Scaling)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// readInput reads a file of examples as they are before the model's scaling.
func readInput(c *cli.Context, path string, m *model.Model, labels bool) (*dataset.Data, error) {
	values := catalog.Values{"dataset": "csv"}
	for _, key := range csvKeys {
		if c.IsSet(key) {
			values[key] = c.String(key)
		}
	}
	switch csv := strings.HasSuffix(strings.TrimSuffix(path, ".gz"), ".csv"); {
	case csv:
		e, _, err := catalog.Resolve(catalog.Layer{Values: values})
		if err != nil {
			return nil, &usageError{err}
		}
		o := e.TableOptions(catalog.ClassesOf(m))
		if o.Labels = labels && o.LabelColumn != ""; o.Labels {
			o.TestShare = 0
			return dataset.LoadCSV(c.Context, path, o)
		}
		return allOf(dataset.ReadCSV(c.Context, path, o))
	case len(values) > 1:
		return nil, usagef("--input %s: --%s are for a .csv file", path, strings.Join(csvKeys, " and --"))
	case strings.HasSuffix(path, ".npy"):
		return allOf(dataset.ReadNPY(c.Context, path))
	}
	return allOf(dataset.ReadExamples(c.Context, path, m.Scale))
}

// allOf are data whose training examples are all there are.
func allOf[S dataset.Split](split S, err error) (*dataset.Data, error) {
	if err != nil {
		return nil, err
	}
	return &dataset.Data{Train: split}, nil
}
