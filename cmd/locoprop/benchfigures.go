package main

import (
	"fmt"
	"io"
	"maps"
	"os"
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
	rival    catalog.Values // what is changed in the step that it is compared with; nil: none
	backend  string         // "": the one that was asked for
	others   bool           // measured on the other backends too
}

// Names of the standing steps.
const (
	stepMatching  = "locoprop-m, direct"
	stepOne       = "locoprop-m, direct, one worker"
	stepSquared   = "locoprop-s, direct"
	stepLarge     = "layers of 500 and more, momentum, direct"
	stepFast      = "preset fast"
	stepAdam100   = "backprop, adam, batch 100"
	stepAdam1000  = "backprop, adam, batch 1000"
	stepSmall     = "small: 64-32-64"
	stepPure      = "locoprop-m, direct, pure Go"
	rivalGram     = "gram"
	rivalKernel   = "kernel"
	epochStanding = "an epoch of locoprop-m"
)

// standings are the steps of `bench figures`.
func standings() []standing {
	squared := catalog.Values{"method": "locoprop-s", "optimizer": "rmsprop", "form": "direct"}
	adam := func(batch string) catalog.Values {
		return catalog.Values{"method": "backprop", "optimizer": "adam", "batch": batch}
	}
	return []standing{
		{name: stepMatching, settings: catalog.Values{"form": "direct"}, others: true},
		{name: stepOne, settings: catalog.Values{"form": "direct", "workers": "1"}},
		{name: stepSquared, settings: squared, rival: catalog.Values{"form": rivalGram}},
		{
			name:     stepLarge,
			settings: catalog.Values{"arch": "784,1000,500,1000,784", "optimizer": "momentum", "batch": "100", "form": "direct"},
			rival:    catalog.Values{"form": rivalKernel},
		},
		{name: stepFast, settings: catalog.Values{"preset": "fast"}},
		{name: stepAdam100, settings: adam("100")},
		{name: stepAdam1000, settings: adam("1000")},
		{name: stepSmall, settings: catalog.Values{"arch": "64,32,64", "batch": "32", "form": "direct", "workers": "1"}},
		{name: stepPure, settings: catalog.Values{"form": "direct", "batch": "250"}, backend: "gonum"},
	}
}

func benchFiguresCommand() *cli.Command {
	return &cli.Command{
		Name:      "figures",
		Usage:     "measure the steps that this program's speed is judged by",
		UsageText: "locoprop bench figures [--workers NUMBER] [--backend NAME] [--rounds NUMBER] [--page FILE] [--json]",
		Description: "Measures, as bench does, one step of each: the paper's experiment by LocoProp-M and -S, the kernel\n" +
			"form, preset fast, BackProp with Adam, a problem so small that what surrounds the products shows\n" +
			"(always on one worker), pure Go; and an epoch. Prints the figures that speed is judged by, beside\n" +
			"what they ought to be, and the steps. Takes some minutes; a busy machine shows in the spread.\n" +
			aboutPages("bench figures"),
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: "rounds", Category: groupMachine, Usage: "rounds of measurements, `NUMBER` from 1", Value: defaultRounds},
			pageFlag(),
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

// figuresReport is what `bench figures --json` prints.
type figuresReport struct {
	origin
	Backend  backend.Info     `json:"backend"`
	Workers  int              `json:"workers"`
	Rounds   int              `json:"rounds"`
	Figures  []judgement      `json:"figures"`
	Standing []standingReport `json:"steps"`
	Epoch    *bench.Epoch     `json:"epoch"`
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
	if err := checkPage(c); err != nil {
		return err
	}
	r := figuresReport{
		origin: originOf(c, compute.Backend, compute.Workers), Backend: compute.Backend.Info(), Workers: compute.Workers, Rounds: rounds,
	}
	tell := func(name string) { fmt.Fprintln(c.App.ErrWriter, name) }
	for _, s := range standings() {
		tell(s.name)
		report, err := s.measure(c, compute.Backend, compute.Workers, rounds)
		if err != nil {
			return err
		}
		r.Standing = append(r.Standing, standingReport{s.name, report})
	}
	tell(epochStanding)
	if r.Epoch, err = measureEpoch(c, compute.Backend, compute.Workers, rounds); err != nil {
		return err
	}
	r.Figures = judge(&r)
	return deliver(c, r, func(w io.Writer) error { return printFigures(w, &r) }, func() (string, error) { return figuresPage(&r), nil })
}

// measure measures a standing step, on the given backend unless it has its own.
func (s standing) measure(c *cli.Context, k backend.Kernels, workers, rounds int) (*bench.Report, error) {
	config, wanted, err := stepConfig(maps.Clone(s.settings))
	if err != nil {
		return nil, err
	}
	config.Backends, config.Rounds, config.Workers = []backend.Kernels{k}, rounds, workers
	if wanted > 0 {
		config.Workers = wanted
	}
	if s.rival != nil {
		settings := maps.Clone(s.settings)
		maps.Copy(settings, s.rival)
		other, _, err := stepConfig(settings)
		if err != nil {
			return nil, err
		}
		config.Rivals = []bench.Rival{{Name: s.rival["form"], Method: other.Method}}
	}
	open := func(name string) error {
		other, err := openBackend(name)
		if err == nil {
			config.Backends = append(config.Backends, other)
		}
		return err
	}
	defer func() {
		for _, other := range config.Backends {
			if other != k {
				closeBackend(other)
			}
		}
	}()
	if s.backend != "" {
		config.Backends = nil
		if err := open(s.backend); err != nil {
			return nil, err
		}
	}
	for _, name := range backendNames {
		if s.others && openers[name] != nil && name != k.Info().Name {
			if err := open(name); err != nil {
				return nil, err
			}
		}
	}
	return bench.Run(c.Context, config)
}

func measureEpoch(c *cli.Context, k backend.Kernels, workers, rounds int) (*bench.Epoch, error) {
	config, _, err := stepConfig(catalog.Values{"form": "direct"})
	if err != nil {
		return nil, err
	}
	config.Backends, config.Rounds, config.Workers = []backend.Kernels{k}, rounds, workers
	dir, err := os.MkdirTemp("", "locoprop-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return bench.MeasureEpoch(c.Context, config, dir)
}

func printFigures(w io.Writer, r *figuresReport) error {
	fmt.Fprintf(w, "locoprop %s, %s, %s, %s\n\n", r.Version, r.Machine.CPU, r.Machine.Go, r.Backend.Detail)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "figure\tmedian\tmin\tmax\tought to be\t")
	for _, f := range r.Figures {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t\n", f.Name, f.text(f.Median), f.text(f.Min), f.text(f.Max), f.verdict())
	}
	fmt.Fprintln(table)
	if err := table.Flush(); err != nil {
		return err
	}
	table = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, row := range stepRows(r) {
		if i == 0 {
			row[0] = "step"
		}
		for _, cell := range row {
			fmt.Fprintf(table, "%s\t", cell)
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}
