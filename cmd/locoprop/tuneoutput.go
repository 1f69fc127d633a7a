package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/tune"
)

// printContenders shows every contender with its default point, its space and their
// source.
func printContenders(w io.Writer) {
	for _, c := range catalog.Contenders() {
		fmt.Fprintf(w, "%s: %s\n", c.Name, c.Title)
		var items []string
		for _, key := range catalog.Keys() {
			if text, named := c.Settings[key]; named {
				items = append(items, key+" "+text)
			}
		}
		var space []string
		for _, d := range c.Space {
			space = append(space, d.String())
		}
		fmt.Fprintf(w, "  default  %s\n  space    %s\n  source   %s\n", strings.Join(items, ", "), strings.Join(space, ", "), c.Source)
	}
}

// writeConfigTo writes a run's configuration into its folder.
func writeConfigTo(dir string, e *catalog.Experiment) error {
	return writeExperiment(filepath.Join(dir, train.ConfigName), e)
}

func writeExperiment(path string, e *catalog.Experiment) error {
	content, err := encodeConfig(e, "")
	if err != nil {
		return err
	}
	return writeBytes(path, content)
}

func (r *tuningRun) writeFiles(dir string, tuned *experiment.Tuned, report *experiment.TuneReport) error {
	if err := writeExperiment(filepath.Join(dir, bestConfig), &tuned.Experiment); err != nil {
		return err
	}
	err := train.WriteFile(filepath.Join(dir, trialsTable), func(w io.Writer) error {
		return report.WriteCSV(w, keysOf(tuned.Contender.Space))
	})
	if err != nil {
		return err
	}
	return train.WriteFile(filepath.Join(dir, tuneReport), func(w io.Writer) error { return encodeReport(w, report, "  ") })
}

func encodeReport(w io.Writer, report *experiment.TuneReport, indent string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(report)
}

func keysOf(space []tune.Dimension) []string {
	var keys []string
	for _, d := range space {
		keys = append(keys, d.Key)
	}
	return keys
}

// describeResult is a line on a trial: trial 3 (batch 100, lr 0.002), 33 % of the run: 58.1234.
func describeResult(res tune.Result, full int) string {
	var items []string
	for _, key := range slices.Sorted(maps.Keys(res.Trial.Point)) {
		items = append(items, key+" "+res.Trial.Point[key])
	}
	return fmt.Sprintf("%s (%s), %d %% of the run: %s", trialName(res.Trial), strings.Join(items, ", "), 100*res.Length/max(full, 1), lossText(experiment.Point(res).Loss))
}

func trialName(t tune.Trial) string {
	switch {
	case t.Number == 0:
		return "default point"
	case t.Label != "":
		return t.Label
	}
	return fmt.Sprintf("trial %d", t.Number)
}

func lossText(loss *float64) string {
	if loss == nil {
		return "diverged"
	}
	return fmt.Sprintf("%.4f", *loss)
}

// printTuned shows the best trials, what tuning gave, and what the rate is worth.
func printTuned(out io.Writer, dir string, space []tune.Dimension, r *experiment.TuneReport) error {
	fmt.Fprintf(out, "\n%s (%s), by %s, %d trials and %d beside the best, %s full runs' length in all:\n",
		r.Contender, r.Title, r.Metric, r.Budget.Trials, r.Budget.Probes, r.Runs())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	keys := keysOf(space)
	fmt.Fprintf(w, "trial\t%s\t%s\t\n", strings.Join(keys, "\t"), r.Metric)
	line := func(name string, p experiment.TunePoint) {
		fmt.Fprintf(w, "%s\t", name)
		for _, key := range keys {
			fmt.Fprintf(w, "%s\t", p.Settings[key])
		}
		text := lossText(p.Loss)
		if p.Length < r.Budget.Full {
			text += fmt.Sprintf(" at %d %%", 100*p.Length/r.Budget.Full)
		}
		fmt.Fprintf(w, "%s\t\n", text)
	}
	for i, p := range r.Trials {
		name := strconv.Itoa(p.Trial)
		if p.Trial == 0 {
			name = "default"
		}
		if i < shownTrials || p.Trial == 0 {
			line(name, p)
		}
	}
	for _, p := range r.Beside {
		line(p.Label, p)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if hidden := len(r.Trials) - shownTrials; hidden > 0 {
		fmt.Fprintf(out, "all %d trials are in %s\n", len(r.Trials), filepath.Join(dir, trialsTable))
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(out, "warning: %s\n", text)
	}
	fmt.Fprintf(out, "train with the best: locoprop train --config %s\n", quote(filepath.Join(dir, bestConfig)))
	return nil
}
