package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/urfave/cli/v2"
)

const (
	benchPreset   = "paper"
	defaultRounds = 5
)

// benchKeys are the settings that make a step.
var benchKeys = []string{
	"arch", "activation", "loss", "method", "optimizer", "form", "solver", "prox", "local-steps", "batch", "block", "workers",
}

func benchCommand() *cli.Command {
	e, err := catalog.Preset(benchPreset)
	if err != nil {
		panic(err) // can't happen: the catalog has it
	}
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure a training step against what this machine can do",
		UsageText: "locoprop bench [--preset NAME] [settings of the step] [--json]",
		Description: "Measures in turn, several rounds long, the peak of fused multiply-adds, the rate of square\n" +
			"matrix products and one training step on each backend, all with the same number of workers;\n" +
			"no data set is needed. Rates count the mathematics' matrix products only. Figures are medians\n" +
			"over rounds; ratios are formed within a round.",
		Flags: append(flagsOf(e, benchKeys...),
			&cli.StringFlag{Name: "preset", Category: groupExperiment, Usage: "`NAME` of the experiment whose step is measured: " + strings.Join(catalog.Presets(), ", "), DefaultText: benchPreset},
			&cli.StringFlag{Name: "backends", Category: groupMachine, Usage: "`NAMES` with commas between; the first is what the others are compared with", DefaultText: "all in this build"},
			&cli.IntFlag{Name: "rounds", Category: groupMachine, Usage: "rounds of measurements, `NUMBER` from 1", Value: defaultRounds},
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print one JSON object"}),
		Action:      runBench,
		Subcommands: []*cli.Command{benchFormsCommand()},
	}
}

// benchReport is what `bench --json` prints.
type benchReport struct {
	Version string        `json:"version"`
	Machine bench.Machine `json:"machine"`
	*bench.Report
}

func runBench(c *cli.Context) error {
	config, err := benchConfig(c)
	if err != nil {
		return err
	}
	defer func() {
		for _, k := range config.Backends {
			closeBackend(k)
		}
	}()
	config.OnRound = func(done int) { fmt.Fprintf(c.App.ErrWriter, "round %d of %d\n", done, config.Rounds) }
	r, err := bench.Run(c.Context, config)
	if err != nil {
		return err
	}
	full := benchReport{version(), bench.ThisMachine(), r}
	if c.Bool("json") {
		return printJSON(c.App.Writer, full)
	}
	return printBench(c.App.Writer, full)
}

func benchConfig(c *cli.Context) (bench.Config, error) {
	layer := flagLayer(c)
	if c.String("preset") == "" {
		layer.Values["preset"] = benchPreset
	}
	e, _, err := catalog.Resolve(layer)
	if err != nil {
		return bench.Config{}, &usageError{err}
	}
	arch, err := e.Arch.Arch(e.Activation, e.Loss)
	if err != nil {
		return bench.Config{}, &usageError{err}
	}
	method, err := e.BuildMethod()
	if err != nil {
		return bench.Config{}, &usageError{err}
	}
	rounds := c.Int("rounds")
	if rounds < 1 || rounds > 1000 {
		return bench.Config{}, usagef("--rounds %d: must be 1 to 1000", rounds)
	}
	backends, err := openBackends(c.String("backends"))
	if err != nil {
		return bench.Config{}, err
	}
	workers, err := workersFor(e.Workers, backends[0])
	if err != nil {
		return bench.Config{}, err
	}
	return bench.Config{
		Arch: arch, Loss: e.Loss, Method: method, Batch: e.Batch,
		Workers: workers, Rounds: rounds, Backends: backends,
	}, nil
}

// openBackends opens the backends of a list, "" for all in this build.
func openBackends(list string) ([]backend.Kernels, error) {
	names := strings.Split(list, ",")
	if list == "" {
		names = nil
		for _, name := range []string{"native", "netlib", "gonum"} {
			if openers[name] != nil {
				names = append(names, name)
			}
		}
	}
	var all []backend.Kernels
	for _, name := range names {
		k, err := openBackend(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

func printBench(w io.Writer, r benchReport) error {
	fmt.Fprintf(w, "locoprop %s, %s, %s\n", r.Version, r.Machine.CPU, r.Machine.Go)
	fmt.Fprintf(w, "%s, %s, batch %d, %d workers: %.2f GF a step\n\n", r.Method, r.Arch, r.Batch, r.Workers, r.Flops/1e9)
	if r.FMA != nil {
		fmt.Fprintf(w, "FMA peak           %7.1f GF/s  (%.1f to %.1f)\n", r.FMA.Median/1e9, r.FMA.Min/1e9, r.FMA.Max/1e9)
	}
	fmt.Fprintf(w, "sgemm, %4d square %7.1f GF/s  (%.1f to %.1f)\n\n", r.SgemmSize, r.Sgemm.Median/1e9, r.Sgemm.Min/1e9, r.Sgemm.Max/1e9)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "backend\tseconds\tmin\tmax\tGF/s\tof sgemm\tof FMA\ttime ratio\tallocations\t\n")
	for _, s := range r.Steps {
		fma := "-"
		if s.OfFMA > 0 {
			fma = fmt.Sprintf("%.3f", s.OfFMA)
		}
		fmt.Fprintf(table, "%s\t%.4f\t%.4f\t%.4f\t%.1f\t%.3f\t%s\t%.2f\t%.0f\t\n", s.Backend, s.Seconds.Median, s.Seconds.Min, s.Seconds.Max,
			s.Rate/1e9, s.OfSgemm, fma, s.Ratio, s.Allocations)
	}
	return table.Flush()
}
