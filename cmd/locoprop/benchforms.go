package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/urfave/cli/v2"
)

func benchFormsCommand() *cli.Command {
	return &cli.Command{
		Name:      "forms",
		Usage:     "measure the forms of the local solve against their flops, and what auto picks",
		UsageText: "locoprop bench forms [--shapes LIST] [--budget TIME] [--page FILE] [--json]",
		Description: "Measures the local solve alone, on single layers: every form that is valid for locoprop-s with\n" +
			"sgd, momentum and rmsprop and for locoprop-m with momentum. of sgemm is the rate over that of\n" +
			"square matrix products beside it; predicted is the cost model's time on one core; auto over is the\n" +
			"time of the form that auto picks over this one's. Forms without auto over make other steps than\n" +
			"those three; statistics and metric make their factors anew in every batch here. Figures are\n" +
			"medians over rounds; ratios are formed within a round.\n" +
			aboutPages("bench forms"),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "shapes", Category: groupNetwork, Usage: "layers, `INPUTSxUNITSxBATCH` with commas between", DefaultText: "all of 30, 250, 1000, 4000 inputs and units, batch 64, 256, 1000, 4096"},
			&cli.StringFlag{Name: "problems", Category: groupLocal, Usage: "kinds of local problems, `NAMES` with commas between: " + strings.Join(problemNames(), ", "), DefaultText: "all"},
			&cli.BoolFlag{Name: "candidates", Category: groupLocal, Usage: "measure direct, gram and kernel alone, which auto picks from"},
			&cli.IntFlag{Name: "local-steps", Category: groupLocal, Usage: "local iterations per batch, `NUMBER` from 1 to 10000", Value: locoprop.DefaultSteps},
			&cli.IntFlag{Name: "rounds", Category: groupMachine, Usage: "rounds of measurements, `NUMBER` from 1", Value: defaultRounds},
			&cli.DurationFlag{Name: "limit", Category: groupMachine, Usage: "`TIME` on one core above which a form isn't measured on a layer, 0 for none", Value: 5 * time.Second},
			&cli.DurationFlag{Name: "budget", Category: groupMachine, Usage: "`TIME` after which no further layer is begun, 0 for none", DefaultText: "0"},
			&cli.BoolFlag{Name: "fit", Category: groupOutput, Usage: "print the constants of the cost model that fit the times best; needs --workers 1"},
			pageFlag(),
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print one JSON object"},
		}, flagsFor("workers", "backend")...),
		Action: runBenchForms,
	}
}

func problemNames() []string {
	var names []string
	for _, p := range bench.Problems(1) {
		names = append(names, p.Name)
	}
	return names
}

func runBenchForms(c *cli.Context) error {
	compute, err := computeOf(c)
	if err != nil {
		return err
	}
	defer closeBackend(compute.Backend)
	config := bench.FormsConfig{
		Kernels: compute.Backend, Workers: compute.Workers, Shapes: bench.AllShapes(),
		Limit: c.Duration("limit"), Budget: c.Duration("budget"),
		OnLayer: func(done, all int, l *bench.LayerForms) {
			fmt.Fprintf(c.App.ErrWriter, "%d of %d: %s, %v, auto %s, over best %s\n", done, all, l.Problem, l.Shape, l.Auto, orDash("%.2f", l.Ratio))
		},
	}
	if config.Rounds, err = roundsOf(c); err != nil {
		return err
	}
	if c.Bool("fit") && config.Workers != 1 {
		return usagef("--fit with %d workers: the cost model is of one core, use --workers 1", config.Workers)
	}
	if steps := c.Int("local-steps"); steps < 1 || steps > locoprop.MaxSteps {
		return usagef("--local-steps %d: must be 1 to %d", steps, locoprop.MaxSteps)
	}
	if config.Problems, err = problemsOf(c.String("problems"), c.Int("local-steps")); err != nil {
		return err
	}
	if c.Bool("candidates") {
		for i := range config.Problems {
			config.Problems[i].Others = nil
		}
	}
	if list := c.String("shapes"); list != "" {
		if config.Shapes, err = parseShapes(list); err != nil {
			return err
		}
	}
	if err := checkPage(c); err != nil {
		return err
	}
	r := formsReport{origin: originOf(c, compute.Backend, compute.Workers), Compiler: compute.Backend.Info().Compiler}
	if r.FormsReport, err = bench.Forms(c.Context, config); err != nil {
		return err
	}
	var unfitted error // keeps nothing that was measured back
	if c.Bool("fit") {
		costs, err := r.Fit()
		if unfitted = err; err == nil {
			r.Fitted = &costs
		}
	}
	err = deliver(c, r, func(w io.Writer) error { return printForms(w, r.FormsReport) }, func() (string, error) { return formsPage(&r), nil })
	return errors.Join(err, unfitted)
}

// formsReport is what `bench forms --json` prints.
type formsReport struct {
	origin
	Compiler string `json:"compiler,omitempty"`
	*bench.FormsReport
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// problemsOf picks problems by name, "" for all.
func problemsOf(list string, steps int) ([]bench.Problem, error) {
	all := bench.Problems(steps)
	if list == "" {
		return all, nil
	}
	var picked []bench.Problem
	for _, name := range strings.Split(list, ",") {
		before := len(picked)
		for _, p := range all {
			if p.Name == strings.TrimSpace(name) {
				picked = append(picked, p)
			}
		}
		if len(picked) == before {
			return nil, usagef("--problems %q: must be of %s", name, strings.Join(problemNames(), ", "))
		}
	}
	return picked, nil
}

// parseShapes reads a list such as 784x1000x1000,30x250x64.
func parseShapes(list string) ([]bench.Shape, error) {
	const most = 1 << 20
	var shapes []bench.Shape
	for _, item := range strings.Split(list, ",") {
		parts := strings.Split(strings.TrimSpace(item), "x")
		var n [3]int
		ok := len(parts) == len(n)
		for i := 0; ok && i < len(n); i++ {
			var err error
			n[i], err = strconv.Atoi(parts[i])
			ok = err == nil && n[i] >= 1 && n[i] <= most
		}
		if !ok {
			return nil, usagef("--shapes %q: must be INPUTSxUNITSxBATCH, whole numbers from 1 to %d, such as 784x1000x1000", item, most)
		}
		shapes = append(shapes, bench.Shape{Inputs: n[0], Units: n[1], Batch: n[2]})
	}
	return shapes, nil
}

func printForms(w io.Writer, r *bench.FormsReport) error {
	fmt.Fprintf(w, "%s, %d workers, %d rounds; sgemm, %d square %.1f GF/s (%.1f to %.1f)\n\n", r.Backend, r.Workers, r.Rounds,
		r.SgemmSize, r.Sgemm.Median/1e9, r.Sgemm.Min/1e9, r.Sgemm.Max/1e9)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "problem\tinputs\tunits\tbatch\tform\tGF\tms\tmin\tmax\tGF/s\tof sgemm\tpredicted ms\tauto over\t\n")
	var notes []string
	for _, l := range r.Layers {
		for _, f := range l.Forms {
			name := f.Form
			if name == l.Auto {
				name = "*" + name
			}
			fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%.4g\t", l.Problem, l.Inputs, l.Units, l.Batch, name, f.Flops/1e9)
			if f.Skipped != "" {
				notes = append(notes, fmt.Sprintf("%s, %v, %s: %s", l.Problem, l.Shape, f.Form, f.Skipped))
				fmt.Fprintf(table, "-\t-\t-\t-\t-\t%s\t-\t\n", orDash("%.4g", 1e3*f.Predicted))
				continue
			}
			fmt.Fprintf(table, "%.4g\t%.4g\t%.4g\t%.1f\t%.3f\t%s\t%s\t\n", 1e3*f.Seconds.Median, 1e3*f.Seconds.Min, 1e3*f.Seconds.Max,
				f.Rate/1e9, f.OfSgemm, orDash("%.4g", 1e3*f.Predicted), orDash("%.2f", f.Over))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\n* what auto picks")
	for _, n := range notes {
		fmt.Fprintf(w, "not measured: %s\n", n)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "not measured: %s, as the budget was spent\n", s)
	}
	if r.Compared > 0 {
		fmt.Fprintf(w, "auto over the best of direct, gram and kernel, where measured, on %d layers: at most %.3f, geometric mean %.3f\n",
			r.Compared, r.Worst, r.Mean)
	}
	if f := r.Fitted; f != nil {
		fmt.Fprintf(w, "costs that fit these times: Costs{Product: %.3g, Square: %.3g, Operand: %.3g, Element: %.3g, Transfer: %.3g, Call: %.3g}\n",
			f.Product, f.Square, f.Operand, f.Element, f.Transfer, f.Call)
	}
	return nil
}

// orDash formats a figure, 0 as a dash.
func orDash(format string, x float64) string {
	if x == 0 {
		return "-"
	}
	return fmt.Sprintf(format, x)
}
