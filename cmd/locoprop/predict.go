package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

func predictCommand() *cli.Command {
	return &cli.Command{
		Name:      "predict",
		Usage:     "write a model's outputs for a file or a test split",
		UsageText: "locoprop predict --model FILE (--input FILE | data flags) --output FILE.npy",
		Description: "Inputs are those of --input, or else the test split of the data set that the data flags name. Bytes are\n" +
			"scaled as the model says; numbers in .npy and .csv files are taken as they are, and then scaled as the model's\n" +
			"training data were (train --scale). The output is an .npy file of\n" +
			"float32, a row per example: outputs of the last layer, after its transfer function.",
		Flags: append([]cli.Flag{
			modelFlag(),
			&cli.StringFlag{
				Name: "input", DefaultText: "the test split that the data flags name",
				Usage: "`FILE` of examples: .npy (<f4, <f8 or |u1, examples first), .csv[.gz] (see --label-column), else IDX bytes, plain or gzip",
			},
			&cli.StringFlag{Name: "output", Usage: "`FILE.npy` to write", DefaultText: "none: it must be given"},
		}, flagsFor(append([]string{"workers", "backend"}, dataKeys...)...)...),
		Action: predict,
	}
}

func predict(c *cli.Context) error {
	out := c.String("output")
	switch {
	case out == "":
		return usagef("%s needs --output FILE.npy", c.Command.HelpName)
	case !strings.HasSuffix(out, ".npy"):
		return usagef("--output %s: must end in .npy, the format that is written", out)
	}
	if c.IsSet("input") {
		for _, key := range dataKeys {
			if c.IsSet(key) && !slices.Contains(csvKeys, key) {
				return usagef("--input with --%s: give a file of examples or a data set, not both", key)
			}
		}
	}
	m, err := loadModel(c)
	if err != nil {
		return err
	}
	compute, err := computeOf(c)
	if err != nil {
		return err
	}
	defer closeBackend(compute.Backend)
	if err := checkWritable(out); err != nil {
		return err
	}
	in, from, err := examplesOf(c, m)
	if err != nil {
		return err
	}
	y := backend.NewMat(in.Len(), m.Network.Outputs())
	if err := train.Predict(c.Context, m, in, y, compute); err != nil {
		return err
	}
	if err := train.WriteFile(out, func(w io.Writer) error { return dataset.WriteNPY(w, y) }); err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "%s: %d examples of %s, %d outputs each\n", out, y.Rows, from, y.Cols)
	return nil
}

// examplesOf reads the examples to predict for; from says for people what they are.
func examplesOf(c *cli.Context, m *model.Model) (in train.Examples, from string, err error) {
	path := c.String("input")
	if !c.IsSet("input") {
		e, err := dataOf(c, m)
		if err != nil {
			return nil, "", err
		}
		e.Target = model.Input // labels aren't needed
		d, err := e.LoadDataFor(c.Context, m)
		if err != nil {
			return nil, "", err
		}
		return d.Test, "data set " + d.Name + ", test split", nil
	}
	split, err := readExamples(c, path, m)
	if err != nil {
		return nil, "", err
	}
	if split.Dim() != m.Network.Inputs() {
		return nil, "", &dataset.Error{Path: path, Reason: fmt.Sprintf("%d values per example, the model reads %d", split.Dim(), m.Network.Inputs())}
	}
	if m.Scaling != nil {
		split = dataset.Scaled(split, m.Scaling)
	}
	return split, path, nil
}

// csvKeys are the data flags that say how a CSV file of examples is read.
var csvKeys = []string{"label-column", "header"}

// readExamples reads a file of examples as they are before the model's scaling.
func readExamples(c *cli.Context, path string, m *model.Model) (dataset.Split, error) {
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
		return dataset.ReadCSV(c.Context, path, e.TableOptions(nil))
	case len(values) > 1:
		return nil, usagef("--input %s: --%s are for a .csv file", path, strings.Join(csvKeys, " and --"))
	case strings.HasSuffix(path, ".npy"):
		return dataset.ReadNPY(c.Context, path)
	}
	return dataset.ReadExamples(c.Context, path, m.Scale)
}
