package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/urfave/cli/v2"
)

// standing is a step whose speed is kept an eye on: settings over preset paper.
type standing struct {
	name     string
	settings catalog.Values
}

// standings are the steps of `bench figures`, those that are compared next to each other.
func standings() []standing {
	return []standing{
		{"locoprop-m, direct", catalog.Values{"form": "direct"}},
		{"locoprop-s, direct", catalog.Values{"method": "locoprop-s", "optimizer": "rmsprop", "form": "direct"}},
		{"locoprop-s, gram", catalog.Values{"method": "locoprop-s", "optimizer": "rmsprop", "form": "gram"}},
		{"locoprop-m, momentum, direct", catalog.Values{"optimizer": "momentum", "batch": "100", "form": "direct"}},
		{"locoprop-m, momentum, kernel", catalog.Values{"optimizer": "momentum", "batch": "100", "form": "kernel"}},
		{"preset fast", catalog.Values{"preset": "fast"}},
		{"backprop, adam", catalog.Values{"method": "backprop", "optimizer": "adam", "batch": "100"}},
		{"backprop, adam", catalog.Values{"method": "backprop", "optimizer": "adam", "batch": "1000"}},
		{"small: 64-32-64", catalog.Values{"arch": "64,32,64", "batch": "32", "form": "direct", "workers": "1"}},
	}
}

func benchFiguresCommand() *cli.Command {
	return &cli.Command{
		Name:      "figures",
		Usage:     "measure the steps that this program's speed is judged by",
		UsageText: "locoprop bench figures [--workers NUMBER] [--backend NAME] [--rounds NUMBER] [--json]",
		Description: "Measures, as bench does, one step of each: the paper's experiment by LocoProp-M and -S, the kernel\n" +
			"form, preset fast, BackProp with Adam, and a problem so small that what surrounds the products\n" +
			"shows (always on one worker). products to waiting are shares of a step made by single kernels.",
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: "rounds", Category: groupMachine, Usage: "rounds of measurements, `NUMBER` from 1", Value: defaultRounds},
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print one JSON object"},
		}, flagsFor("workers", "backend")...),
		Action: runBenchFigures,
	}
}

// standingReport is the measurement of a standing step.
type standingReport struct {
	Name string `json:"name"`
	*bench.Report
}

func runBenchFigures(c *cli.Context) error {
	rounds, err := roundsOf(c)
	if err != nil {
		return err
	}
	compute, err := computeOf(c)
	if err != nil {
		return err
	}
	defer closeBackend(compute.Backend)
	var figures []standingReport
	for _, s := range standings() {
		config, workers, err := stepConfig(s.settings)
		if err != nil {
			return err
		}
		config.Backends, config.Rounds, config.Workers = []backend.Kernels{compute.Backend}, rounds, compute.Workers
		if workers > 0 {
			config.Workers = workers
		}
		fmt.Fprintf(c.App.ErrWriter, "%s, batch %d\n", s.name, config.Batch)
		r, err := bench.Run(c.Context, config)
		if err != nil {
			return err
		}
		figures = append(figures, standingReport{s.name, r})
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, struct {
			Version string           `json:"version"`
			Machine bench.Machine    `json:"machine"`
			Figures []standingReport `json:"figures"`
		}{version(), bench.ThisMachine(), figures})
	}
	return printFigures(c.App.Writer, figures)
}

func printFigures(w io.Writer, figures []standingReport) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "step\tbatch\tworkers\tGF\tms\tmin\tmax\tGF/s\tof ceiling\tof sgemm\tof FMA\tproducts\ttransfer\tupdate\tGo\twaiting\tallocations\t\n")
	for _, f := range figures {
		s, share := f.Steps[0], f.Waterfall.Share
		fmt.Fprintf(table, "%s\t%d\t%d\t%.4g\t%.4g\t%.4g\t%.4g\t%.1f\t%.3f\t%.3f\t%s\t", f.Name, f.Batch, f.Workers, f.Flops/1e9,
			1e3*s.Seconds.Median, 1e3*s.Seconds.Min, 1e3*s.Seconds.Max, s.Rate/1e9, s.OfCeiling.Median, s.OfSgemm.Median, medianOrDash("%.3f", s.OfFMA))
		fmt.Fprintf(table, "%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.0f\t\n", share(bench.PartProducts, bench.PartFactors), share(bench.PartTransfer),
			share(bench.PartUpdate), share(bench.PartTasks, bench.PartSerial), share(bench.PartWaiting), s.Allocations)
	}
	return table.Flush()
}
