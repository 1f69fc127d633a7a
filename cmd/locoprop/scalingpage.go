package main

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/report"
)

// scalingPage is what `bench scaling` measured, in Markdown: a table for each axis, and
// its chart where charts has the file, as seen from the page.
func scalingPage(r *scalingReport, charts map[string]string) string {
	var b bytes.Buffer
	b.WriteString(r.heading(r.Backend, r.Rounds))
	fmt.Fprintf(&b, "The base, %d workers: %s. It takes %s ms for %s GF, which is %s GF/s.\n",
		r.Base.Workers, r.Step, spreadText(r.Base.Seconds, 1e3), threeDigits(r.Base.Flops/1e9), threeDigits(r.Base.Rate/1e9))
	for _, a := range scalingAxes(1) {
		points := onAxis(r.ScalingReport, a.name)
		if len(points) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n", a.name)
		var rows [][]string
		for _, p := range points {
			row := []string{p.Value, threeDigits(p.Flops / 1e9), "–", "–", threeDigits(1e3 * p.Predicted), "–"}
			if p.Skipped == "" {
				row[2], row[3] = spreadText(p.Seconds, 1e3), threeDigits(p.Rate/1e9)
				row[5] = spreadText(p.Ratio, 1)
			}
			rows = append(rows, row)
		}
		markdown(&b, []string{a.unit, "GF", "ms", "GF/s", "predicted ms", "over predicted"}, rows)
		if charts[a.name] != "" {
			fmt.Fprintf(&b, "\n![Seconds of a step over %s, measured and predicted](%s)\n", a.unit, charts[a.name])
		}
	}
	return b.String()
}

// onAxis are the points of an axis.
func onAxis(r *bench.ScalingReport, axis string) (points []bench.PointTime) {
	for _, p := range r.Points {
		if p.Axis == axis {
			points = append(points, p)
		}
	}
	return points
}

// writeScalingCharts draws each axis that has several values, and returns where each
// chart lies, as seen from the page.
func writeScalingCharts(page string, r *bench.ScalingReport) (map[string]string, error) {
	charts := map[string]string{}
	for _, a := range scalingAxes(1) {
		points := onAxis(r, a.name)
		if len(points) < 2 {
			continue
		}
		name := "scaling-" + a.name + ".svg"
		if err := writeChart(page, name, scalingChart(a, points)); err != nil {
			return nil, err
		}
		charts[a.name] = "images/" + name
	}
	return charts, nil
}

// scalingChart draws times over the values of an axis, measured and predicted: on
// logarithmic axes, where what grows in proportion is a straight line.
func scalingChart(a scalingAxis, points []bench.PointTime) report.Chart {
	predicted, measured := report.Series{Name: "predicted by flops"}, report.Series{Name: "measured, median and spread"}
	for _, p := range points {
		x, _ := strconv.ParseFloat(p.Value, 64) // values of axes are numbers
		predicted.X, predicted.Y = append(predicted.X, x), append(predicted.Y, p.Predicted)
		if p.Skipped == "" {
			measured.X, measured.Y = append(measured.X, x), append(measured.Y, p.Seconds.Median)
			measured.Low, measured.High = append(measured.Low, p.Seconds.Min), append(measured.High, p.Seconds.Max)
		}
	}
	return report.Chart{Title: a.name, X: a.unit, Y: "seconds of a step", Log: true, LogX: true, Series: []report.Series{predicted, measured}}
}

// schedulePage is what `bench schedule` found, in Markdown: a row for each block size, the
// fastest on each number of workers in bold.
func schedulePage(r *scheduleReport) string {
	var b bytes.Buffer
	b.WriteString(r.heading(r.Backend, r.Rounds))
	fmt.Fprintf(&b, "The step: %s. Its tasks were timed on one worker; times on more are simulated, efficiency in brackets.\n\n", r.Step)
	columns := []string{"block", "tasks", "phases", "longest task, ms", "all tasks, ms"}
	least := map[int]float64{}
	for i, s := range r.Blocks {
		for _, x := range s.Simulated {
			if i == 0 {
				columns = append(columns, fmt.Sprintf("on %d, ms", x.Workers))
			}
			if l, found := least[x.Workers]; !found || x.Seconds < l {
				least[x.Workers] = x.Seconds
			}
		}
	}
	var rows [][]string
	for _, s := range r.Blocks {
		row := []string{fmt.Sprint(s.Block), fmt.Sprint(s.Tasks), fmt.Sprint(s.Phases), threeDigits(1e3 * s.Longest), spreadText(s.Work, 1e3)}
		for _, x := range s.Simulated {
			text := threeDigits(1e3 * x.Seconds)
			if x.Seconds <= least[x.Workers] {
				text = "**" + text + "**"
			}
			row = append(row, fmt.Sprintf("%s (%.2f)", text, x.Efficiency))
		}
		rows = append(rows, row)
	}
	markdown(&b, columns, rows)
	return b.String()
}
