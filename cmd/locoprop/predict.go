package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
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
		Description: "Inputs are those of --input, or else the test split of the data set that the data flags name. The output is an .npy\n" +
			"file of float32, a row per example: outputs of the last layer, after its transfer function.\n" + inputHelp,
		Flags: append([]cli.Flag{
			modelFlag(),
			inputFlag("the test split that the data flags name"),
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
	if err := checkInput(c); err != nil {
		return err
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
	if c.IsSet("input") {
		d, err := inputData(c, m, false)
		if err != nil {
			return nil, "", err
		}
		return d.Train, d.Name, nil
	}
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
