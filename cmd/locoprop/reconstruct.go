package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

// sheetColumns is the most pictures in a row of a sheet, mostPictures the most in all.
const sheetColumns, mostPictures = 10, 1000

func reconstructCommand() *cli.Command {
	return &cli.Command{
		Name:      "reconstruct",
		Usage:     "draw images above what an autoencoder makes of them",
		UsageText: "locoprop reconstruct --model FILE [data flags] --output FILE.png [--count NUMBER]",
		Description: "The images are the first of the test split, or of the training split where there is none, of the data set that\n" +
			"the data flags name.",
		Flags: append([]cli.Flag{
			modelFlag(), pictureFlag(), shapeFlag("the data set's, where its examples are images"),
			&cli.IntFlag{Name: "count", Value: pictureCount, Usage: fmt.Sprintf("`NUMBER` of images, 1 to %d", mostPictures)},
		}, flagsFor(append([]string{"workers", "backend"}, dataKeys...)...)...),
		Action: reconstruct,
	}
}

func pictureFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Usage: "`FILE` to write, .png or .svg", DefaultText: "none: it must be given"}
}

func shapeFlag(usual string) cli.Flag {
	return &cli.StringFlag{Name: "shape", Usage: "`HEIGHTxWIDTH` of the images, as in 28x28", DefaultText: usual}
}

// checkPictures refuses an --output that is no picture's name, and a --count out of range.
func checkPictures(c *cli.Context) error {
	if err := checkPicture(c, "output"); err != nil {
		return err
	}
	if n := c.Int("count"); n < 1 || n > mostPictures {
		return usagef("--count %d: must be 1 to %d", n, mostPictures)
	}
	return nil
}

func reconstruct(c *cli.Context) error {
	if err := checkPictures(c); err != nil {
		return err
	}
	m, err := loadModel(c)
	if err != nil {
		return err
	}
	if m.Target != model.Input {
		return usagef("--model %s: a classifier, trained for target label; only an autoencoder, of train --target input, reconstructs", c.String("model"))
	}
	compute, err := computeOf(c)
	if err != nil {
		return err
	}
	defer closeBackend(compute.Backend)
	if err := checkWritable(c.String("output")); err != nil {
		return err
	}
	e, err := dataOf(c, m)
	if err != nil {
		return err
	}
	d, err := e.LoadDataFor(c.Context, m)
	if err != nil {
		return err
	}
	defer d.Close()
	if d.Height, d.Width, err = shapeOf(c, d.Height, d.Width, d.Dim(), "examples of data set "+d.Name+" have"); err != nil {
		return err
	}
	images, err := reconstructions(c.Context, d, m, c.Int("count"), compute)
	if err != nil {
		return err
	}
	return writePicture(c, "output", images)
}

// checkPicture checks the name of a file for a picture, which may be missing where it
// isn't called output.
func checkPicture(c *cli.Context, flag string) error {
	switch path := c.String(flag); {
	case path == "":
		return usagef("%s needs --%s FILE.png", c.Command.HelpName, flag)
	case !strings.HasSuffix(path, ".png") && !strings.HasSuffix(path, ".svg"):
		return usagef("--%s %s: must end in .png or .svg, the formats that are written", flag, path)
	}
	return nil
}

// writePicture writes a picture in the format that the file's name asks for.
func writePicture(c *cli.Context, flag string, d drawing) error {
	path, write := c.String(flag), d.writePNG
	if strings.HasSuffix(path, ".svg") {
		write = d.writeSVG
	}
	if err := train.WriteFile(path, func(w io.Writer) error { return write(w) }); err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "%s: %s\n", path, d.caption())
	return nil
}

// shapeOf is the height and width of images of so many values: those that --shape says,
// or else usual ones, 0 where there are none. have begins the message about it.
func shapeOf(c *cli.Context, height, width, values int, have string) (h, w int, err error) {
	text := c.String("shape")
	if text == "" {
		if height*width != values {
			return 0, 0, usagef("%s %d values and no shape of an image; --shape HEIGHTxWIDTH gives them one", have, values)
		}
		return height, width, nil
	}
	if n, err := fmt.Sscanf(text+"\n", "%dx%d\n", &h, &w); n != 2 || err != nil || h < 1 || w < 1 {
		return 0, 0, usagef("--shape %s: must be HEIGHTxWIDTH, as in 28x28", text)
	}
	if h > values || w > values || h*w != values {
		return 0, 0, usagef("--shape %s: %s %d values; must be HEIGHTxWIDTH with that product", text, have, values)
	}
	return h, w, nil
}

// reconstructions are the first test images (training images where there are none) above
// the network's outputs for them.
func reconstructions(ctx context.Context, d *dataset.Data, m *model.Model, count int, compute train.Compute) (sheet, error) {
	split, name := d.Test, "test"
	if split.Len() == 0 {
		split, name = d.Train, "training"
	}
	n := min(count, split.Len())
	index := make([]int, n)
	for i := range index {
		index[i] = i
	}
	x, y := backend.NewMat(n, split.Dim()), backend.NewMat(n, split.Dim())
	if err := split.Rows(x, index); err != nil {
		return sheet{}, err
	}
	if err := train.Predict(ctx, m, train.Matrix(x), y, compute); err != nil {
		return sheet{}, err
	}
	s := sheet{title: fmt.Sprintf("%d %s images of %s above their reconstructions", n, name, d.Name), stem: "reconstructions"}
	originals, outputs := pictures(d.Height, d.Width, x), pictures(d.Height, d.Width, y)
	for lo := 0; lo < n; lo += sheetColumns {
		hi := min(lo+sheetColumns, n)
		s.rows = append(s.rows, originals[lo:hi], outputs[lo:hi])
	}
	return s, nil
}

// pictures are the rows of a matrix as images.
func pictures(height, width int, m backend.Mat) []picture {
	var list []picture
	for i := range m.Rows {
		list = append(list, picture{height, width, m.Data[i*m.Stride : i*m.Stride+m.Cols]})
	}
	return list
}
