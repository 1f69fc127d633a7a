package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
)

// Table is what an experiment says of data sets csv and npy alone.
type Table struct {
	Test        string  // the file of test examples; "": that of the folder, or a share of the training examples
	TestShare   float64 // that share
	LabelColumn string  // csv only, as is Header
	Header      dataset.Header
}

// tableSettings are those of data sets csv and npy, and the scaling of any.
var tableSettings = []setting{
	setting{
		key: "test-data",
		set: func(e *Experiment, text string) error { e.Table.Test = text; return nil },
		get: func(e *Experiment) string { return e.Table.Test },
	}.onlyIf(isTable, tableOnly),
	setting{
		key: "test-share",
		set: func(e *Experiment, text string) error {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= 0 && v < 1) {
				return errors.New("must be a number from 0 to below 1")
			}
			e.Table.TestShare = v
			return nil
		},
		get: func(e *Experiment) string { return formatFloat(e.Table.TestShare) },
	}.onlyIf(isTable, tableOnly),
	setting{
		key: "label-column",
		set: func(e *Experiment, text string) error { e.Table.LabelColumn = text; return nil },
		get: func(e *Experiment) string { return e.Table.LabelColumn },
	}.onlyIf(isCSV, csvOnly),
	parsed("header", parseHeader, func(e *Experiment, v dataset.Header) { e.Table.Header = v }, func(e *Experiment) string { return e.Table.Header.String() }).
		onlyIf(isCSV, csvOnly),
	parsed("scale", dataset.ParseScale, func(e *Experiment, v dataset.Scale) { e.Scale = v }, func(e *Experiment) string { return e.Scale.String() }),
}

const (
	tableOnly = "it is for --dataset csv and npy; other data sets have files of test examples"
	csvOnly   = "it is for the lines of --dataset csv"
)

func isTable(e *Experiment) bool { return isCSV(e) || e.Dataset == "npy" }

func isCSV(e *Experiment) bool { return e.Dataset == "csv" }

func parseHeader(name string) (dataset.Header, error) {
	i, err := choose("header", name, dataset.HeaderNames)
	return dataset.Header(i), err
}

// LoadData generates or reads the data set, labels included where they are the target,
// and scales it. Errors that are the data's fault satisfy errors.Is(err,
// dataset.ErrData). Where ctx ends, so does the reading, with its error.
func (e *Experiment) LoadData(ctx context.Context) (*dataset.Data, error) {
	d, err := e.load(ctx, nil)
	if err != nil {
		return nil, err
	}
	scaling, err := e.Scale.Fit(ctx, d.Train)
	if err == nil {
		err = d.Rescale(scaling)
	}
	if err != nil {
		var wrong *dataset.Error
		if errors.As(err, &wrong) && wrong.Path == "" {
			wrong.Path = e.Data
		}
		return nil, errors.Join(fmt.Errorf("scale %v: %w", e.Scale, err), d.Close())
	}
	if e.Scale.Kind == dataset.ScaleStandard {
		d.Height, d.Width = 0, 0 // values of both signs are no picture
	}
	return d, nil
}

// LoadDataFor reads the data set as a model takes it: scaled as its training data were,
// with labels that number its classes. Data that it can't take are an error as those of
// LoadData are.
func (e *Experiment) LoadDataFor(ctx context.Context, m *model.Model) (*dataset.Data, error) {
	d, err := e.load(ctx, ClassesOf(m))
	if err != nil {
		return nil, err
	}
	refuse := func(format string, args ...any) (*dataset.Data, error) {
		wrong := &dataset.Error{Path: e.Data, Reason: fmt.Sprintf("data set "+e.Dataset+" "+format, args...)}
		return nil, errors.Join(wrong, d.Close())
	}
	switch {
	case d.Dim() != m.Network.Inputs():
		return refuse("has %d values per example, the model reads %d", d.Dim(), m.Network.Inputs())
	case m.Target == model.Label && d.Classes > m.Network.Outputs():
		return refuse("has %d classes, the model %d", d.Classes, m.Network.Outputs())
	case d.Scale != m.Scale:
		return refuse("has values divided by %v, the model reads values divided by %v", d.Scale, m.Scale)
	}
	if err := d.Rescale(m.Scaling); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// ClassesOf are the classes of a model as [dataset.TableOptions] takes them. An autoencoder
// knows of none, so that any will do.
func ClassesOf(m *model.Model) []string {
	if m.Classes == nil && m.Target == model.Label {
		return []string{}
	}
	return m.Classes
}

// load reads the data set as it is. classes are those of a model, nil for training.
func (e *Experiment) load(ctx context.Context, classes []string) (*dataset.Data, error) {
	labels := e.Target == model.Label
	o := dataset.Options{Labels: labels}
	switch e.Dataset {
	case "curves":
		return dataset.Curves(e.DataSeed, dataset.CurvesTrain, dataset.CurvesTest), ctx.Err()
	case "idx":
		return dataset.LoadDir(ctx, e.Data, e.DataPrefix, o)
	case "csv":
		return dataset.LoadCSV(ctx, e.Data, e.TableOptions(classes))
	case "npy":
		return dataset.LoadNPY(ctx, e.Data, e.TableOptions(classes))
	}
	return dataset.LoadNamed(ctx, e.Data, e.Dataset, o)
}

// TableOptions are those of data sets csv and npy. classes are those of a model, nil for
// training.
func (e *Experiment) TableOptions(classes []string) dataset.TableOptions {
	return dataset.TableOptions{
		Labels: e.Target == model.Label, Test: e.Table.Test, TestShare: e.Table.TestShare, Seed: e.DataSeed,
		LabelColumn: e.Table.LabelColumn, Header: e.Table.Header, Classes: slices.Clone(classes),
	}
}
