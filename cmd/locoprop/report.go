package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/report"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

// reportName is the page's file where --out names none.
const reportName = "report.html"

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "write an HTML page about runs",
		ArgsUsage: "RUN...",
		UsageText: "locoprop report RUN... [--out FILE] [--pictures DIR]",
		Description: "RUN is the folder of a run, finished or not. The page is one file that opens without a network: curves of all\n" +
			"runs over each other, by epoch, seconds or steps; what --diagnose recorded of the layers; settings, what differs\n" +
			"between the runs first; where they ran; and of each model, on the data that its configuration names, images\n" +
			"above their reconstructions, or for a classifier its confusion matrix.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Usage: "`FILE` to write", DefaultText: "RUN/" + reportName + " of one run, " + reportName + " of several"},
			&cli.StringFlag{Name: "pictures", Usage: "`FOLDER` for every chart and picture as PNG and SVG", DefaultText: "none: they aren't written"},
		}, flagsFor("workers", "backend")...),
		Action: reportAction,
	}
}

func reportAction(c *cli.Context) error {
	dirs := c.Args().Slice()
	if len(dirs) == 0 {
		return usagef("%s needs the folder of a run, as in runs/fast-curves-1", c.Command.HelpName)
	}
	out := c.String("out")
	if out == "" {
		out = reportName
		if len(dirs) == 1 {
			out = filepath.Join(dirs[0], reportName)
		}
	}
	compute, err := computeOf(c)
	if err != nil {
		return err
	}
	defer closeBackend(compute.Backend)
	runs, err := report.Read(dirs...)
	if err != nil {
		return err
	}
	if err := checkWritable(out); err != nil {
		return err
	}
	shown, err := picturesOf(c, runs, compute)
	if err != nil {
		return err
	}
	pictures := map[int][]report.Picture{}
	for i, p := range shown {
		if p != nil {
			var b bytes.Buffer
			if err := p.writePNG(&b); err != nil {
				return err
			}
			pictures[i] = []report.Picture{{Caption: p.caption(), PNG: b.Bytes()}}
		}
	}
	if err := train.WriteFile(out, report.Of(runs, pictures).Write); err != nil {
		return err
	}
	fmt.Fprintln(c.App.Writer, out)
	if dir := c.String("pictures"); dir != "" {
		return writePictures(c.App.Writer, dir, runs, shown)
	}
	return nil
}

// drawing is a picture that both formats can hold.
type drawing interface {
	writePNG(w io.Writer) error
	writeSVG(w io.Writer) error
	name() string // of its files, without what follows the dot
	caption() string
}

// picturesOf draws what each run's model does; nil where there is no model, or data
// can't be had, of which it tells.
func picturesOf(c *cli.Context, runs []*report.Run, compute train.Compute) ([]drawing, error) {
	list := make([]drawing, len(runs))
	for i, r := range runs {
		var err error
		if list[i], err = pictureOf(c.Context, r.Dir, compute); err != nil {
			if c.Context.Err() != nil {
				return nil, err
			}
			fmt.Fprintf(c.App.ErrWriter, "locoprop: no picture of %s: %v\n", r.Dir, err)
		}
	}
	return list, nil
}

func pictureOf(ctx context.Context, dir string, compute train.Compute) (drawing, error) {
	path := filepath.Join(dir, train.ModelName)
	if _, err := os.Stat(path); err != nil {
		return nil, nil //nolint:nilnil // a run without a model yet has no picture
	}
	m, err := model.Load(path)
	if err != nil {
		return nil, err
	}
	settings, err := readConfig(filepath.Join(dir, train.ConfigName))
	if err != nil {
		return nil, err
	}
	e, _, err := catalog.Resolve(settings)
	if err != nil {
		return nil, err
	}
	if err := locateData(&e); err != nil {
		return nil, err
	}
	d, err := e.LoadDataFor(ctx, m)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	switch {
	case m.Target == model.Label:
		return confusionOf(ctx, d, m, compute)
	case d.Height > 0 && d.Height*d.Width == m.Network.Outputs():
		return reconstructions(ctx, d, m, pictureCount, compute)
	}
	return nil, nil //nolint:nilnil // examples that aren't images
}

// writePictures writes every chart and picture into a folder, in both formats.
func writePictures(w io.Writer, dir string, runs []*report.Run, shown []drawing) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("folder of the pictures: %w", err)
	}
	count := 0
	taken := map[string]bool{}
	write := func(name string, png, svg func(io.Writer) error) error {
		count += 2
		for stem, k := name, 2; taken[name]; k++ { // names of runs may differ in signs alone
			name = fmt.Sprintf("%s-%d", stem, k)
		}
		taken[name] = true
		if err := train.WriteFile(filepath.Join(dir, name+".png"), png); err != nil {
			return err
		}
		return train.WriteFile(filepath.Join(dir, name+".svg"), svg)
	}
	for _, plot := range append([]report.Plot{report.Curves(runs)}, report.LayerPlots(runs)...) {
		for _, chart := range plot.Charts {
			name := strings.Join([]string{plot.Title, chart.Y, "by", chart.X}, " ")
			if err := write(fileName(name), chart.WritePNG, chart.WriteSVG); err != nil {
				return err
			}
		}
	}
	for i, p := range shown {
		if p == nil {
			continue
		}
		if err := write(fileName(runs[i].Name+" "+p.name()), p.writePNG, p.writeSVG); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%d pictures in %s\n", count, dir)
	return nil
}

// fileName makes a name for a file of words: small letters, digits and hyphens.
func fileName(text string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}
