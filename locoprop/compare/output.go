package compare

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/report"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// Names of the files that [Result.WriteFiles] writes, relative to the folder.
const (
	CSVName  = "results.csv"
	JSONName = "results.json"
)

// WriteFiles writes results.csv, results.json and the pictures loss-by-epoch and
// loss-by-seconds (.svg and .png) to the folder, each whole or not at all, and returns
// their names.
func (r *Result) WriteFiles(dir string) ([]string, error) {
	epochs, seconds := r.ChartByEpoch(), r.ChartBySeconds()
	files := []struct {
		name  string
		write func(io.Writer) error
	}{
		{CSVName, r.WriteCSV},
		{JSONName, r.WriteJSON},
		{"loss-by-epoch.svg", epochs.WriteSVG},
		{"loss-by-epoch.png", epochs.WritePNG},
		{"loss-by-seconds.svg", seconds.WriteSVG},
		{"loss-by-seconds.png", seconds.WritePNG},
	}
	var names []string
	for _, f := range files {
		if err := train.WriteFile(filepath.Join(dir, f.name), f.write); err != nil {
			return nil, err
		}
		names = append(names, f.name)
	}
	return names, nil
}

// WriteJSON writes the result as one JSON object.
func (r *Result) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteCSV writes a row for each run, with a row of names above them. A number that isn't
// there is empty.
func (r *Result) WriteCSV(w io.Writer) error {
	names := []string{
		"contender", "seed", "batch", "steps", "epochs", "seconds", "eval_seconds", "step_seconds", "train_loss", "test_loss",
		"train_excess", "test_excess", "best_train_loss", "best_test_loss", "state_bytes", "diverged",
	}
	for _, t := range r.Targets {
		names = append(names, "epochs_to_"+text(t), "seconds_to_"+text(t))
	}
	c := csv.NewWriter(w)
	if err := c.Write(names); err != nil {
		return err
	}
	for i := range r.Runs {
		x := &r.Runs[i]
		row := []string{x.Contender, strconv.FormatUint(uint64(x.Seed), 10), x.Batch, strconv.Itoa(x.Steps)}
		for _, n := range []Number{
			x.Epochs, Number(x.Seconds), Number(x.EvalSeconds), x.StepSeconds, x.TrainLoss, x.TestLoss, x.TrainExcess, x.TestExcess, x.BestTrain, x.BestTest,
		} {
			row = append(row, text(float64(n)))
		}
		row = append(row, strconv.FormatInt(x.StateBytes, 10), x.Diverged)
		for _, hit := range x.Targets {
			if x.Diverged != "" { // what it reached on the way doesn't count
				hit.Epochs, hit.Seconds = Number(math.NaN()), Number(math.NaN())
			}
			row = append(row, text(float64(hit.Epochs)), text(float64(hit.Seconds)))
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// text is a number as CSV has it: empty where it isn't finite.
func text(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// Table is the result as rows of cells under names of columns.
func (r *Result) Table() (columns []string, rows [][]string) {
	columns = []string{"contender", "test loss", "best", "train loss", "best", "test excess", "epochs", "s", "ms/step", "state MB"}
	if !r.Tested {
		columns = []string{"contender", "train loss", "best", "train excess", "epochs", "s", "ms/step", "state MB"}
	}
	for _, t := range r.Targets {
		columns = append(columns, fmt.Sprintf("epochs to %g", t), fmt.Sprintf("s to %g", t))
	}
	for i := range r.Contenders {
		s := &r.Contenders[i]
		row := []string{s.Name}
		losses := []Stat{s.TestLoss, s.BestTest, s.TrainLoss, s.BestTrain, s.TestExcess}
		if !r.Tested {
			losses = []Stat{s.TrainLoss, s.BestTrain, s.TrainExcess}
		}
		for j, l := range losses {
			row = append(row, s.cell(l, j == 0, 2))
		}
		row = append(row, figure(float64(s.Epochs), 1), s.cell(s.Seconds, false, 1), figure(1000*float64(s.StepSeconds.Mean), 2), figure(float64(s.StateBytes)/1e6, 1))
		for _, t := range s.Targets {
			row = append(row, t.cell(t.Epochs, 1), t.cell(t.Seconds, 1))
		}
		rows = append(rows, row)
	}
	return columns, rows
}

// cell is a mean with its spread. The first of a row tells of runs that diverged or are
// missing too.
func (s *Summary) cell(x Stat, first bool, digits int) string {
	if s.Runs == 0 {
		return "not run"
	}
	if s.Diverged == s.Runs {
		return "diverged"
	}
	cell := figure(float64(x.Mean), digits)
	if x.Count > 1 {
		cell += " ± " + figure(float64(x.Spread), digits)
	}
	if first && s.Diverged > 0 {
		cell += fmt.Sprintf(" (%d of %d diverged)", s.Diverged, s.Runs)
	}
	if first && s.Rollbacks > 0 {
		cell += fmt.Sprintf(" (rolled back: %d)", s.Rollbacks)
	}
	return cell
}

// cell is a mean over the runs that reached the target.
func (t *TargetStat) cell(x Stat, digits int) string {
	switch {
	case t.Reached == 0:
		return "not reached"
	case t.Reached < t.Runs:
		return fmt.Sprintf("%s (%d of %d)", figure(float64(x.Mean), digits), t.Reached, t.Runs)
	}
	return figure(float64(x.Mean), digits)
}

// figure writes a number for people.
func figure(x float64, digits int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "–"
	}
	if math.Abs(x) >= 1e6 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

// WriteTable writes the table for a terminal, and the warnings below it.
func (r *Result) WriteTable(w io.Writer) error {
	columns, rows := r.Table()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, line := range r.Notes() {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// Notes are lines that belong below a table of the result: what was compared, and what to
// keep in mind.
func (r *Result) Notes() []string {
	loss := "test loss"
	if !r.Tested {
		loss = "training loss"
	}
	spread := "Mean ± standard deviation over seeds"
	if len(r.Seeds) == 1 {
		spread = "One seed"
	}
	notes := []string{fmt.Sprintf("%s, length %s; in the order of the %s at the end; times are of training alone.", spread, r.Length, loss)}
	if len(r.Targets) > 0 {
		notes = append(notes, fmt.Sprintf("Targets: the first evaluation at or below that %s.", loss))
	}
	if !r.Complete {
		notes = append(notes, "Some runs are missing: the comparison isn't finished.")
	}
	for _, w := range r.Warnings {
		notes = append(notes, "Warning: "+w+".")
	}
	return notes
}

// ChartByEpoch shows the loss over epochs, each contender's mean over seeds with a band
// from the least to the largest. Where seeds diverged, its name says how many are left out.
func (r *Result) ChartByEpoch() report.Chart {
	return r.chart("epochs", func(x *RunResult, m *train.Metrics) float64 { return float64(m.Step) / float64(x.Batches) })
}

// ChartBySeconds shows it over seconds of training.
func (r *Result) ChartBySeconds() report.Chart {
	return r.chart("seconds of training", func(_ *RunResult, m *train.Metrics) float64 { return m.Seconds })
}

func (r *Result) chart(x string, at func(*RunResult, *train.Metrics) float64) report.Chart {
	c := report.Chart{X: x, Y: "test loss", Log: true}
	if !r.Tested {
		c.Y = "training loss"
	}
	for i := range r.Contenders {
		s := report.Series{Name: r.Contenders[i].Name}
		var runs []*RunResult
		points := math.MaxInt
		for k := range r.Runs {
			if run := &r.Runs[k]; run.Contender == s.Name && run.Diverged == "" {
				runs, points = append(runs, run), min(points, len(run.History))
			}
		}
		if len(runs) == 0 {
			continue
		}
		if d := r.Contenders[i].Diverged; d > 0 {
			s.Name += fmt.Sprintf(" (without %d of %d that diverged)", d, r.Contenders[i].Runs)
		}
		for p := range points {
			var place float64
			var losses []float64
			low, high := math.Inf(1), math.Inf(-1)
			for _, run := range runs {
				m := &run.History[p]
				loss := m.TestLoss
				if !r.Tested {
					loss = m.TrainLoss
				}
				place += at(run, m) / float64(len(runs))
				losses = append(losses, loss)
				low, high = min(low, loss), max(high, loss)
			}
			s.X, s.Y = append(s.X, place), append(s.Y, float64(statOf(losses).Mean))
			if len(runs) > 1 {
				s.Low, s.High = append(s.Low, low), append(s.High, high)
			}
		}
		c.Series = append(c.Series, s)
	}
	return c
}
