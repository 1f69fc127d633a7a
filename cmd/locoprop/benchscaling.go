package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/urfave/cli/v2"
)

// scalingAxis is a respect in which steps differ: change makes the settings of a value
// from those of the base.
type scalingAxis struct {
	name   string
	unit   string // what a value counts
	values []string
	change func(base catalog.Experiment, value string) catalog.Values
}

func scalingAxes(workers int) []scalingAxis {
	set := func(key string) func(catalog.Experiment, string) catalog.Values {
		return func(_ catalog.Experiment, value string) catalog.Values { return catalog.Values{key: value} }
	}
	return []scalingAxis{
		{"batch", "examples in a batch", []string{"32", "128", "512", "1000", "2048", "8192"}, set("batch")},
		{"width", "width of the hidden layers over the base's", []string{"0.25", "0.5", "1", "2", "4"}, widened},
		{"depth", "times that each hidden layer is there", []string{"1", "2", "4"}, deepened},
		{"local-steps", "local iterations", []string{"1", "2", "5", "10", "20", "40"}, set("local-steps")},
		{"block", "units in a task", []string{"32", "64", "128", "256", "512"}, set("block")},
		{"workers", "workers", upTo(workers), set("workers")},
	}
}

// upTo lists 1, 2, 4 … and most.
func upTo(most int) []string {
	var list []string
	for n := 1; n < most; n *= 2 {
		list = append(list, strconv.Itoa(n))
	}
	return append(list, strconv.Itoa(most))
}

// widened makes all hidden layers as much wider.
func widened(base catalog.Experiment, factor string) catalog.Values {
	by, _ := strconv.ParseFloat(factor, 64) // one of the values above
	return hidden(base, func(width int, rest string) []string {
		return []string{strconv.Itoa(max(1, int(by*float64(width)))) + rest}
	})
}

// deepened repeats each hidden layer.
func deepened(base catalog.Experiment, times string) catalog.Values {
	n, _ := strconv.Atoi(times) // one of the values above
	return hidden(base, func(width int, rest string) []string {
		return slices.Repeat([]string{strconv.Itoa(width) + rest}, n)
	})
}

// hidden replaces each hidden layer of an architecture, WIDTH[:TRANSFER], by others.
func hidden(base catalog.Experiment, by func(width int, rest string) []string) catalog.Values {
	layers := strings.Split(base.Arch.String(), ",") // its own where nobody named one
	last := len(layers) - 1
	arch := layers[:1:1]
	for _, l := range layers[1:last] {
		text, transfer, named := strings.Cut(l, ":")
		if named {
			transfer = ":" + transfer
		}
		width, _ := strconv.Atoi(text) // the catalog wrote it
		arch = append(arch, by(width, transfer)...)
	}
	return catalog.Values{"arch": strings.Join(append(arch, layers[last]), ",")}
}

func benchScalingCommand() *cli.Command {
	return &cli.Command{
		Name:      "scaling",
		Usage:     "measure how a step's time grows with batch, width, depth, local iterations, block and workers",
		UsageText: "locoprop bench scaling [--axes NAMES] [settings of the base] [--rounds NUMBER] [--limit TIME] [--page FILE [--charts]] [--json]",
		Description: "Measures steps that differ from a base in one respect, the base beside each of them. predicted is\n" +
			"the base's time, multiplied by the flops of the other step over its own and by its workers over the\n" +
			"other's; over predicted is 1 where only the amount of arithmetic counts. width multiplies all hidden\n" +
			"layers, depth repeats each. Figures are medians over rounds; ratios are formed within a round.\n" +
			aboutPages("bench scaling"),
		Flags: append(stepFlags(benchExperiment(), append(slices.Clone(benchKeys), "backend")...),
			&cli.StringFlag{Name: "axes", Category: groupMachine, Usage: "`NAMES` with commas between: " + strings.Join(axisNames(), ", "), DefaultText: "all that the method has"},
			&cli.IntFlag{Name: "rounds", Category: groupMachine, Usage: "rounds of measurements, `NUMBER` from 1", Value: defaultRounds},
			&cli.DurationFlag{Name: "limit", Category: groupMachine, Usage: "`TIME` above which a step isn't measured, 0 for none", Value: 10 * time.Second},
			pageFlag(),
			&cli.BoolFlag{Name: "charts", Category: groupOutput, Usage: "draw each axis with several values into the folder images beside the page (scaling-AXIS.svg), and show it there; needs --page"},
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print one JSON object"}),
		Action: runBenchScaling,
	}
}

func axisNames() []string {
	var names []string
	for _, a := range scalingAxes(1) {
		names = append(names, a.name)
	}
	return names
}

func runBenchScaling(c *cli.Context) error {
	rounds, err := roundsOf(c)
	if err != nil {
		return err
	}
	wanted, err := axesOf(c.String("axes"))
	if err != nil {
		return err
	}
	if c.Bool("charts") && c.String("page") == "" {
		return usagef("--charts needs --page: charts lie beside a page, in the folder images")
	}
	base, settings, err := stepBase(c, rounds)
	if err != nil {
		return err
	}
	defer closeBackend(base.Backends[0])
	if err := checkPage(c); err != nil {
		return err
	}
	points, err := pointsOf(wanted, base, settings)
	if err != nil {
		return err
	}
	r := scalingReport{origin: originOf(c, base.Backends[0], base.Workers), Backend: base.Backends[0].Info(), Rounds: rounds}
	if r.Step, err = describeStep(settings); err != nil {
		return err
	}
	done := 0
	r.ScalingReport, err = bench.Scaling(c.Context, base, points, c.Duration("limit"), func(p bench.PointTime) {
		done++
		fmt.Fprintf(c.App.ErrWriter, "%d of %d: %s %s\n", done, len(points), p.Axis, p.Value)
	})
	if err != nil {
		return err
	}
	return deliver(c, r, func(w io.Writer) error { return printScaling(w, r.ScalingReport) }, func() (string, error) {
		charts := map[string]string{}
		if c.Bool("charts") {
			if charts, err = writeScalingCharts(pageOf(c), r.ScalingReport); err != nil {
				return "", err
			}
		}
		return scalingPage(&r, charts), nil
	})
}

// scalingReport is what `bench scaling --json` prints.
type scalingReport struct {
	origin
	Backend backend.Info `json:"backend"`
	Rounds  int          `json:"rounds"`
	Step    string       `json:"step"` // settings of the base
	*bench.ScalingReport
}

// describeStep has the settings that make a step, without those in a list.
func describeStep(settings catalog.Values, without ...string) (string, error) {
	e, err := stepExperiment(maps.Clone(settings))
	if err != nil {
		return "", err
	}
	all := e.Values()
	all["arch"] = e.Arch.String() // also where nobody named one
	var parts []string
	for _, key := range benchKeys {
		if all[key] != "" && key != "workers" && !slices.Contains(without, key) {
			parts = append(parts, key+" "+all[key])
		}
	}
	return strings.Join(parts, ", "), nil
}

// axesOf checks a list of axes, "" for all.
func axesOf(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	names := strings.Split(list, ",")
	for i, n := range names {
		names[i] = strings.TrimSpace(n)
		if !slices.Contains(axisNames(), names[i]) {
			return nil, usagef("--axes %s: unknown axis %q; there are %s", list, names[i], strings.Join(axisNames(), ", "))
		}
	}
	return names, nil
}

// stepBase is the step that a command's flags make, with its backend open, and its
// settings.
func stepBase(c *cli.Context, rounds int) (bench.Config, catalog.Values, error) {
	settings := flagLayer(c).Values
	config, _, err := stepConfig(maps.Clone(settings))
	if err != nil {
		return bench.Config{}, nil, err
	}
	compute, err := computeOf(c)
	if err != nil {
		return bench.Config{}, nil, err
	}
	config.Backends, config.Workers, config.Rounds = []backend.Kernels{compute.Backend}, compute.Workers, rounds
	return config, settings, nil
}

// pointsOf makes the points of the named axes; nil stands for all that the method has.
func pointsOf(names []string, base bench.Config, settings catalog.Values) ([]bench.Point, error) {
	e, err := stepExperiment(maps.Clone(settings))
	if err != nil {
		return nil, err
	}
	var points []bench.Point
	for _, a := range scalingAxes(base.Workers) {
		if names != nil && !slices.Contains(names, a.name) {
			continue
		}
		for _, value := range a.values {
			v := maps.Clone(settings)
			maps.Copy(v, a.change(e, value))
			config, workers, err := stepConfig(v)
			if err != nil && names == nil {
				break // not an axis of this method
			}
			if err != nil {
				return nil, err
			}
			config.Backends, config.Rounds, config.Workers = base.Backends, base.Rounds, base.Workers
			if a.name == "workers" {
				config.Workers = workers
			}
			points = append(points, bench.Point{Axis: a.name, Value: value, Config: config})
		}
	}
	return points, nil
}

func printScaling(w io.Writer, r *bench.ScalingReport) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "axis\tvalue\tworkers\tGF\tms\tmin\tmax\tGF/s\tpredicted ms\tover predicted\tmin\tmax\t")
	for _, p := range append([]bench.PointTime{r.Base}, r.Points...) {
		fmt.Fprintf(table, "%s\t%s\t%d\t%.4g\t", p.Axis, p.Value, p.Workers, p.Flops/1e9)
		if p.Skipped != "" {
			fmt.Fprintf(table, "-\t-\t-\t-\t%.4g\t-\t-\t-\t\n", 1e3*p.Predicted)
			continue
		}
		fmt.Fprintf(table, "%.4g\t%.4g\t%.4g\t%.1f\t%.4g\t%.2f\t%.2f\t%.2f\t\n", 1e3*p.Seconds.Median, 1e3*p.Seconds.Min, 1e3*p.Seconds.Max,
			p.Rate/1e9, 1e3*p.Predicted, p.Ratio.Median, p.Ratio.Min, p.Ratio.Max)
	}
	return table.Flush()
}
