package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

var splitNames = []string{"train", "test"}

func encodeCommand() *cli.Command {
	return &cli.Command{
		Name:      "encode",
		Usage:     "write what a model's code layer makes of examples",
		UsageText: "locoprop encode --model FILE (--input FILE | data flags) --output FILE.npy [--layer NUMBER] [--split NAME] [--scatter FILE.png]",
		Description: "The code layer is the narrowest of those before the last. An .npy file holds an array of float32, a row per\n" +
			"example; a .csv file has a line per example, and the label in the last column where the data have labels. A scatter\n" +
			"shows codes of two values as they are, and of longer ones the first two principal components.\n" +
			"Examples are those of --input, with labels where --label-column names a column of a .csv file, or else those of the\n" +
			"data set that the data flags name. " + inputHelp,
		Flags: append([]cli.Flag{
			modelFlag(),
			inputFlag("the data set that the data flags name"),
			&cli.StringFlag{Name: "output", Usage: "`FILE` to write, .npy or .csv", DefaultText: "none: it must be given"},
			&cli.StringFlag{Name: "layer", Usage: "`NUMBER` of the layer, from 0", DefaultText: "the narrowest before the last"},
			&cli.StringFlag{Name: "split", Value: splitNames[1], Usage: "`NAME` of the split: " + strings.Join(splitNames, ", ")},
			&cli.StringFlag{Name: "scatter", Usage: "`FILE` for a chart of the codes by label, .png or .svg", DefaultText: "none: it isn't drawn"},
		}, flagsFor(append([]string{"workers", "backend"}, dataKeys...)...)...),
		Action: encode,
	}
}

func encode(c *cli.Context) error {
	if err := checkEncodeFlags(c); err != nil {
		return err
	}
	m, err := loadModel(c)
	if err != nil {
		return err
	}
	layer, err := codeLayer(c.String("layer"), m)
	if err != nil {
		return err
	}
	units := m.Network.Layers[layer].Weights().Rows
	if c.String("scatter") != "" && units < 2 {
		return usagef("--scatter: codes of layer %d have one value; a scatter needs two at least", layer)
	}
	compute, err := computeOf(c)
	if err != nil {
		return err
	}
	defer closeBackend(compute.Backend)
	for _, flag := range []string{"output", "scatter"} {
		if path := c.String(flag); path != "" {
			if err := checkWritable(path); err != nil {
				return err
			}
		}
	}
	d, split, from, err := toEncode(c, m)
	if err != nil {
		return err
	}
	defer d.Close()
	codes := backend.NewMat(split.Len(), units)
	if err := train.Encode(c.Context, m, layer, split, codes, compute); err != nil {
		return err
	}
	if err := train.WriteFile(c.String("output"), func(w io.Writer) error {
		if strings.HasSuffix(c.String("output"), ".npy") {
			return dataset.WriteNPY(w, codes)
		}
		return writeCodes(w, codes, labelNames(d, split))
	}); err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "%s: codes of layer %d, %d values each, for %d %s\n", c.String("output"), layer, units, split.Len(), from)
	if c.String("scatter") == "" {
		return nil
	}
	return writePicture(c, "scatter", scatterOf(d, split, codes, layer))
}

func checkEncodeFlags(c *cli.Context) error {
	out := c.String("output")
	switch {
	case out == "":
		return usagef("%s needs --output FILE.npy or FILE.csv", c.Command.HelpName)
	case !strings.HasSuffix(out, ".npy") && !strings.HasSuffix(out, ".csv"):
		return usagef("--output %s: must end in .npy or .csv, the formats that are written", out)
	case c.IsSet("input") && c.IsSet("split"):
		return usagef("--input with --split: a file of examples has no splits")
	case c.String("split") != splitNames[0] && c.String("split") != splitNames[1]:
		return &usageError{fmt.Errorf("--split: %w", &catalog.UnknownError{What: "split", Name: c.String("split"), Known: splitNames})}
	case c.IsSet("scatter"):
		if err := checkPicture(c, "scatter"); err != nil {
			return err
		}
	}
	return checkInput(c)
}

// toEncode reads the examples to encode, and the data that they are part of; from says for
// people what they are.
func toEncode(c *cli.Context, m *model.Model) (d *dataset.Data, split dataset.Split, from string, err error) {
	if c.IsSet("input") {
		if d, err = inputData(c, m, true); err != nil {
			return nil, nil, "", err
		}
		return d, d.Train, "examples of " + d.Name, nil
	}
	if d, err = labelledData(c, m); err != nil {
		return nil, nil, "", err
	}
	name := c.String("split")
	if split = d.Test; name == splitNames[0] {
		split = d.Train
	}
	if split.Len() == 0 {
		return nil, nil, "", errors.Join(usagef("--split %s: the data set has no examples there", name), d.Close())
	}
	return d, split, fmt.Sprintf("%s examples of %s", name, d.Name), nil
}

// codeLayer is the layer that --layer names, or else the model's code layer.
func codeLayer(text string, m *model.Model) (int, error) {
	layers := m.Network.Layers
	if text != "" {
		k, err := strconv.Atoi(text)
		if err != nil || k < 0 || k >= len(layers) {
			return 0, usagef("--layer %s: must be 0 to %d, the last of the model's layers", text, len(layers)-1)
		}
		return k, nil
	}
	return model.CodeLayer(m.Network), nil
}

// labelledData loads the data with labels where there are some, although an autoencoder
// needs none. Where a column of labels is named, it is an error if they can't be had.
func labelledData(c *cli.Context, m *model.Model) (*dataset.Data, error) {
	e, err := dataOf(c, m)
	if err != nil {
		return nil, err
	}
	if m.Target == model.Input && e.Dataset != "curves" && (e.Dataset != "csv" || e.Table.LabelColumn != "") {
		labelled := *e
		labelled.Target = model.Label
		d, err := labelled.LoadDataFor(c.Context, m)
		if err == nil || e.Table.LabelColumn != "" || !errors.Is(err, dataset.ErrData) {
			return d, err
		}
		fmt.Fprintf(c.App.ErrWriter, "locoprop: no labels: %v\n", err)
	}
	return e.LoadDataFor(c.Context, m)
}

// labelNames are the names of the examples' classes, nil where they have none.
func labelNames(d *dataset.Data, split dataset.Split) []string {
	var names []string
	for _, l := range split.Labels() {
		names = append(names, className(d, int(l)))
	}
	return names
}

func className(d *dataset.Data, label int) string {
	if label < len(d.ClassNames) {
		return d.ClassNames[label]
	}
	return strconv.Itoa(label)
}

// writeCodes writes a line per example: its code, and its label where there are labels.
func writeCodes(w io.Writer, codes backend.Mat, labels []string) error {
	lines := csv.NewWriter(w)
	line := make([]string, 0, codes.Cols+1)
	for j := range codes.Cols {
		line = append(line, fmt.Sprintf("code%d", j))
	}
	if labels != nil {
		line = append(line, "label")
	}
	if err := lines.Write(line); err != nil {
		return err
	}
	for i := range codes.Rows {
		line = line[:0]
		for _, v := range codes.Data[i*codes.Stride : i*codes.Stride+codes.Cols] {
			line = append(line, strconv.FormatFloat(float64(v), 'g', -1, 32))
		}
		if labels != nil {
			line = append(line, labels[i])
		}
		if err := lines.Write(line); err != nil {
			return err
		}
	}
	lines.Flush()
	return lines.Error()
}

// confusionOf counts what a classifier makes of the test examples, or of the training
// examples where there are none.
func confusionOf(ctx context.Context, d *dataset.Data, m *model.Model, compute train.Compute) (drawing, error) {
	split, name := d.Test, "test"
	if split.Len() == 0 {
		split, name = d.Train, "training"
	}
	y := backend.NewMat(split.Len(), m.Network.Outputs())
	if err := train.Predict(ctx, m, split, y, compute); err != nil {
		return nil, err
	}
	return newConfusion(d, split, name, y), nil
}
