package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/compare"
)

// writePage writes the page of a study and, into the folder images beside it, its charts.
func (s *study) writePage(results []studied) error {
	for i := range results {
		x := &results[i]
		if err := writeChart(s.page, chartName(x.Name, "seconds"), x.result.ChartBySeconds()); err != nil {
			return err
		}
		if err := writeChart(s.page, chartName(x.Name, "epochs"), x.result.ChartByEpoch()); err != nil {
			return err
		}
	}
	return writeBytes(s.page, s.pageText(results))
}

func chartName(problem, by string) string { return fmt.Sprintf("comparison-%s-%s.svg", problem, by) }

// pageText is the page on a study.
func (s *study) pageText(results []studied) []byte {
	var b bytes.Buffer
	f := &s.file
	fmt.Fprintf(&b, "# Comparison\n\n"+
		"Written by `%s`. %s\n\n"+
		"Every contender was tuned on every problem with the same budget: %d trials, the default point among them, spread\n"+
		"evenly over its search space (`locoprop tune --list`), with the batch of the default point, and successive halving. A full run\n"+
		"of a trial has as many steps as fit into the planned time of the problem, and so have the runs compared, whose schedules\n"+
		"end with them. The runs compared have seeds %s; tuning had another. Numbers are mean ± standard\n"+
		"deviation over seeds; times are of training alone. Target losses were fixed beforehand.\n\n",
		f.Command, f.Title, f.Trials, strings.Trim(fmt.Sprint(f.Seeds), "[]"))
	if len(results) > 0 {
		b.WriteString("| machine | |\n|---|---|\n")
		machine := results[0].result.Machine
		for _, key := range sortedKeys(machine) {
			fmt.Fprintf(&b, "| %s | %s |\n", key, machine[key])
		}
		fmt.Fprintf(&b, "| workers | %s |\n", results[0].result.Problem["workers"])
	}
	for i := range results {
		s.problemText(&b, &results[i])
	}
	if f.Larger != "" {
		fmt.Fprintf(&b, "\n## A larger version\n\n%s\n", f.Larger)
	}
	return b.Bytes()
}

func (s *study) problemText(b *bytes.Buffer, x *studied) {
	fmt.Fprintf(b, "\n## %s\n\nPlanned training time of a run: %g s.\n\n", x.Title, x.Seconds)
	columns, rows := x.result.Table()
	markdown(b, columns, rows)
	for _, note := range x.result.Warnings {
		fmt.Fprintf(b, "\nWarning: %s.\n", note)
	}
	fmt.Fprintf(b, "\n![Test loss of %s over seconds of training](images/%s)\n\n![Test loss of %s over epochs](images/%s)\n",
		x.Name, chartName(x.Name, "seconds"), x.Name, chartName(x.Name, "epochs"))
	s.verdicts(b, x)
	s.tuning(b, x)
}

// verdicts says where LocoProp wins, ties and loses.
func (s *study) verdicts(b *bytes.Buffer, x *studied) {
	b.WriteString("\n### Where LocoProp wins, ties and loses\n\n" +
		"A win is a mean that is better by more than the spread of either, a loss one that is worse by as much;\n" +
		"what has a run that diverged doesn't win. By the clock: the\n" +
		"loss at the end, after the same planned time. By the epoch: the loss after the epochs that the one with fewer made; the\n" +
		"other's rate has not come down by then.\n\n")
	local, others := s.sides()
	columns := []string{"", "against", "by the clock", "", "by the epoch", ""}
	var rows [][]string
	for _, a := range local {
		for _, other := range others {
			sa, sb := x.result.Contender(a), x.result.Contender(other)
			epochs, la, lb := x.result.ByEpoch(sa, sb)
			clock := []Stat{sa.Loss(x.result), sb.Loss(x.result)}
			rows = append(rows, []string{
				a, other, verdictText(clock[0].Verdict(clock[1])), lossesText(clock[0], clock[1]),
				verdictText(la.Verdict(lb)), fmt.Sprintf("%s after %s", lossesText(la, lb), epochsText(epochs)),
			})
		}
	}
	markdown(b, columns, rows)
}

// Stat is a mean and its spread.
type Stat = compare.Stat

// sides are the contenders that solve local problems, and the others.
func (s *study) sides() (local, others []string) {
	for _, c := range s.contenders {
		method, _, _ := strings.Cut(c.Settings["method"], ":")
		if catalog.IsLocal(method) {
			local = append(local, c.Name)
		} else {
			others = append(others, c.Name)
		}
	}
	return local, others
}

func verdictText(verdict int) string {
	return map[int]string{-1: "**wins**", 0: "ties", 1: "loses"}[verdict]
}

func lossesText(a, b Stat) string { return fmt.Sprintf("%s : %s", meanText(a), meanText(b)) }

func meanText(x Stat) string {
	if x.Count == 0 {
		return "diverged"
	}
	text := fmt.Sprintf("%.2f", float64(x.Mean))
	if x.Diverged > 0 {
		text += fmt.Sprintf(" (%d of %d diverged)", x.Diverged, x.Count+x.Diverged)
	}
	return text
}

func epochsText(epochs float64) string {
	if math.IsInf(epochs, 1) {
		return "none"
	}
	return fmt.Sprintf("%.1f", epochs)
}

// tuning shows what tuning found, and what it and the rate are worth.
func (s *study) tuning(b *bytes.Buffer, x *studied) {
	fmt.Fprintf(b, "\n### Tuning\n\nLosses of one run each, on the seed of tuning. Settings were chosen by the same test loss that the\n"+
		"runs compared report: there are no other examples to choose by, and all contenders have that advantage alike.\n\n")
	columns := []string{"contender", "steps", "best settings", "default point", "tuned", "half the rate", "double the rate", "full runs' length"}
	var rows [][]string
	var warnings []string
	for i := range x.tuned {
		t := &x.tuned[i]
		row := []string{t.Contender, fmt.Sprint(x.steps[t.Contender]), settingsText(t.Best.Settings), lossText(t.Default.Loss), lossText(t.Best.Loss)}
		for k := range 2 { // half and double
			text := "–"
			if k < len(t.Beside) {
				text = lossText(t.Beside[k].Loss)
				if t.RateKey != "lr" {
					text += " (" + t.RateKey + ")"
				}
			}
			row = append(row, text)
		}
		rows = append(rows, append(row, t.Runs()))
		for _, w := range t.Warnings {
			warnings = append(warnings, t.Contender+": "+w)
		}
	}
	markdown(b, columns, rows)
	for _, w := range warnings {
		fmt.Fprintf(b, "\nWarning: %s.\n", w)
	}
	s.spaces(b, x)
}

// spaces shows what was searched, and from where.
func (s *study) spaces(b *bytes.Buffer, x *studied) {
	b.WriteString("\n### Search spaces\n\n")
	var rows [][]string
	for i := range x.tuned {
		t := &x.tuned[i]
		rows = append(rows, []string{t.Contender, settingsText(t.Default.Settings), strings.Join(t.Space, ", "), t.Source})
	}
	markdown(b, []string{"contender", "default point", "space", "source of both"}, rows)
}

// settingsText is a list of settings: lr 0.1, optimizer beta2 0.99.
func settingsText(settings map[string]string) string {
	var list []string
	for _, key := range sortedKeys(settings) {
		list = append(list, fmt.Sprintf("%s %s", strings.ReplaceAll(key, ":", " "), settings[key]))
	}
	return strings.Join(list, ", ")
}

// markdown writes a table.
func markdown(b *bytes.Buffer, columns []string, rows [][]string) {
	write := func(cells []string) {
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
	write(columns)
	b.WriteString("|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, row := range rows {
		write(row)
	}
}
