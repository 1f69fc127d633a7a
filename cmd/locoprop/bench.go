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
	"arch", "activation", "loss", "method", "optimizer", "form", "solver", "solver-tolerance", "solver-iterations", "solver-memory", "solver-relax", "prox", "local-steps", "batch", "block", "workers",
}

// benchExperiment is the experiment whose step is measured unless another is named.
func benchExperiment() catalog.Experiment {
	e, err := catalog.Preset(benchPreset)
	if err != nil {
		panic(err) // can't happen: the catalog has it
	}
	return e
}

func benchCommand() *cli.Command {
	e := benchExperiment()
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure a training step against what this machine can do",
		UsageText: "locoprop bench [--preset NAME] [settings of the step] [--json]\nlocoprop bench forms|figures|scaling|schedule [--help]",
		Description: "Measures in turn, several rounds long, the peak of fused multiply-adds, the rate of square\n" +
			"matrix products and one training step on each backend, all with the same number of workers;\n" +
			"no data set is needed. Rates count the mathematics' matrix products only. The ceiling is the rate\n" +
			"of the step's own products and factorisations, by single calls with nothing between them; a method\n" +
			"that works in cycles is measured over whole ones, and a step on panels, where no call packs, may be\n" +
			"above it. Figures are medians over rounds; ratios are formed\n" +
			"within a round.",
		Flags: append(stepFlags(e, benchKeys...),
			&cli.StringFlag{Name: "backends", Category: groupMachine, Usage: "`NAMES` with commas between; the first is what the others are compared with", DefaultText: "all in this build"},
			&cli.IntFlag{Name: "rounds", Category: groupMachine, Usage: "rounds of measurements, `NUMBER` from 1", Value: defaultRounds},
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print one JSON object"}),
		Action:      runBench,
		Subcommands: []*cli.Command{benchFormsCommand(), benchFiguresCommand(), benchScalingCommand(), benchScheduleCommand()},
	}
}

// stepFlags are the flags of settings that make a step.
func stepFlags(e catalog.Experiment, keys ...string) []cli.Flag {
	return append(flagsOf(e, keys...), &cli.StringFlag{
		Name: "preset", Category: groupExperiment,
		Usage: "`NAME` of the experiment whose step is measured: " + strings.Join(catalog.Presets(), ", "), DefaultText: benchPreset,
	})
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
	rounds, err := roundsOf(c)
	if err != nil {
		return bench.Config{}, err
	}
	config, workers, err := stepConfig(flagLayer(c).Values)
	if err != nil {
		return bench.Config{}, err
	}
	if config.Backends, err = openBackends(c.String("backends")); err != nil {
		return bench.Config{}, err
	}
	config.Rounds = rounds
	config.Workers, err = workersFor(workers, config.Backends[0])
	return config, err
}

func roundsOf(c *cli.Context) (int, error) {
	rounds := c.Int("rounds")
	if rounds < 1 || rounds > 1000 {
		return 0, usagef("--rounds %d: must be 1 to 1000", rounds)
	}
	return rounds, nil
}

// stepConfig is the step that settings make, in preset paper unless they name another,
// and the workers that they ask for, 0 for the default.
func stepConfig(v catalog.Values) (bench.Config, int, error) {
	e, err := stepExperiment(v)
	if err != nil {
		return bench.Config{}, 0, err
	}
	arch, err := e.Arch.Arch(e.Activation, e.Loss)
	if err != nil {
		return bench.Config{}, 0, &usageError{err}
	}
	method, err := e.BuildMethod()
	if err != nil {
		return bench.Config{}, 0, &usageError{err}
	}
	return bench.Config{Arch: arch, Loss: e.Loss, Method: method, Batch: e.Batch}, e.Workers, nil
}

// stepExperiment is the experiment whose step settings make.
func stepExperiment(v catalog.Values) (catalog.Experiment, error) {
	if v["preset"] == "" {
		v["preset"] = benchPreset
	}
	e, _, err := catalog.Resolve(catalog.Layer{Values: v})
	if err != nil {
		return catalog.Experiment{}, &usageError{err}
	}
	return e, nil
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
	fmt.Fprintf(w, "sgemm, %4d square %7.1f GF/s  (%.1f to %.1f)\n", r.SgemmSize, r.Sgemm.Median/1e9, r.Sgemm.Min/1e9, r.Sgemm.Max/1e9)
	fmt.Fprintf(w, "ceiling            %7.1f GF/s  (%.1f to %.1f)\n\n", r.Ceiling.Median/1e9, r.Ceiling.Min/1e9, r.Ceiling.Max/1e9)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "backend\tms\tmin\tmax\tGF/s\tof ceiling\tof sgemm\tof FMA\ttime ratio\tallocations\t\n")
	for _, s := range r.Steps {
		fmt.Fprintf(table, "%s\t%.4g\t%.4g\t%.4g\t%.1f\t%.3f\t%.3f\t%s\t%.2f\t%.0f\t\n", s.Backend, 1e3*s.Seconds.Median, 1e3*s.Seconds.Min,
			1e3*s.Seconds.Max, s.Rate/1e9, s.OfCeiling.Median, s.OfSgemm.Median, medianOrDash("%.3f", s.OfFMA), s.Ratio.Median, s.Allocations)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if t := r.Traffic; t != nil {
		fmt.Fprintf(w, "\nAn update of all weights and state moves %.4g MB, which takes %.4g ms at the %.1f GB/s that memory gives: %.1f %% of the step. All updates of a step take %.2f times that.\n",
			t.Bytes/1e6, 1e3*t.Seconds, t.Bandwidth.Median/1e9, 100*t.OfStep, t.Updates.Median)
	}
	if err := printAlone(w, r.Report); err != nil {
		return err
	}
	return printWaterfall(w, r.Steps[0].Backend, r.Waterfall)
}

// printAlone prints what most of the ceiling is made of.
func printAlone(w io.Writer, r *bench.Report) error {
	const most = 8
	fmt.Fprintf(w, "\nWhat takes most of the ceiling's time, alone, by calls of one worker (a step's work repeats every %d steps):\n", r.Cycle)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\tsize\ta step\tms each\tGF/s\t\n")
	for _, a := range r.Alone[:min(most, len(r.Alone))] {
		fmt.Fprintf(table, "%s\t%s\t%.4g\t%.4g\t%.1f\t\n", a.Op, a.Shape, a.Count, 1e3*a.Seconds.Median, a.Rate/1e9)
	}
	return table.Flush()
}

// medianOrDash prints the median of what could be measured.
func medianOrDash(format string, s *bench.Spread) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf(format, s.Median)
}

func printWaterfall(w io.Writer, name string, f *bench.Waterfall) error {
	fmt.Fprintf(w, "\nWhere the time of all workers goes in %s's step by single kernels, %.4g ms, %.2f times the step's own; %.0f calls:\n",
		name, 1e3*f.Seconds.Median, f.OverStep, f.Calls)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range f.Parts {
		fmt.Fprintf(table, "  %s\t%5.1f %%\n", p.Name, 100*p.Share)
	}
	return table.Flush()
}
