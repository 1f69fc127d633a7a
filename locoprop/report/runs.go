package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// Of makes a page about runs: what they reached, their curves over each other, what
// their layers did, how they were set and where they ran. pictures are of single runs,
// by the place of the run; they may be missing.
func Of(runs []*Run, pictures map[int][]Picture) Page {
	p := Page{Title: title(runs), Sections: []Section{
		{Title: "Reached", Tables: []Table{reached(runs)}},
		{Title: "Curves", Plots: []Plot{Curves(runs)}},
	}}
	shown := Section{Title: "Pictures"}
	for i, r := range runs {
		for _, picture := range pictures[i] {
			if len(runs) > 1 {
				picture.Caption = r.Name + ": " + picture.Caption
			}
			shown.Pictures = append(shown.Pictures, picture)
		}
	}
	if len(shown.Pictures) > 0 {
		p.Sections = append(p.Sections, shown)
	}
	if plots := LayerPlots(runs); len(plots) > 0 {
		p.Sections = append(p.Sections, Section{
			Title: "Layers", Plots: plots,
			Text: "What sampled batches did to each layer's local problem; layers are counted from 0, the input's.",
		})
	}
	p.Sections = append(p.Sections, settings(runs))
	if t := machines(runs); len(t.Rows) > 0 {
		p.Sections = append(p.Sections, Section{Title: "Machine", Tables: []Table{t}})
	}
	return p
}

func title(runs []*Run) string {
	if len(runs) == 1 {
		return "Run " + runs[0].Name
	}
	return fmt.Sprintf("%d runs", len(runs))
}

// figure writes a number for a table.
func figure(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "–"
	}
	return strconv.FormatFloat(x, 'g', 6, 64)
}

// epochFigure writes epochs: whole ones as such.
func epochFigure(x float64) string { return strconv.FormatFloat(math.Round(100*x)/100, 'f', -1, 64) }

func percent(share *float64) string {
	if share == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f %%", 100**share)
}

// reached is a table of the last evaluation of each run, and of its best.
func reached(runs []*Run) Table {
	t := Table{Numbers: true, Head: []string{"run", "epochs", "steps", "training", "train loss", "test loss", "train excess", "test excess"}}
	labels := slices.ContainsFunc(runs, func(r *Run) bool { return len(r.Metrics) > 0 && r.Metrics[0].TestAccuracy != nil })
	if labels {
		t.Head = append(t.Head, "train accuracy", "test accuracy")
	}
	t.Head = append(t.Head, "best test loss", "in epoch")
	for _, r := range runs {
		row := []string{r.Name}
		if len(r.Metrics) == 0 {
			t.Rows = append(t.Rows, Row{Cells: append(row, "not evaluated yet")})
			continue
		}
		last, best := r.Metrics[len(r.Metrics)-1], r.Metrics[0]
		for _, m := range r.Metrics {
			if m.TestLoss < best.TestLoss || math.IsNaN(best.TestLoss) {
				best = m
			}
		}
		row = append(row, epochFigure(r.epochs(last)), strconv.Itoa(last.Step), fmt.Sprintf("%.1f s", last.Seconds),
			figure(last.TrainLoss), figure(last.TestLoss), figure(last.TrainExcess), figure(last.TestExcess))
		if labels {
			row = append(row, percent(last.TrainAccuracy), percent(last.TestAccuracy))
		}
		t.Rows = append(t.Rows, Row{Cells: append(row, figure(best.TestLoss), epochFigure(r.epochs(best)))})
	}
	return t
}

// Curves are the metrics of runs by epoch, by seconds of training and by step, a line
// for each run. Accuracies are there if a run has them.
func Curves(runs []*Run) Plot {
	optional := func(x *float64) float64 {
		if x == nil {
			return math.NaN()
		}
		return *x
	}
	p := Plot{Log: true}
	for _, y := range []struct {
		name     string
		of       func(train.Metrics) float64
		optional bool // left out where no run has it
	}{
		{"test loss", func(m train.Metrics) float64 { return m.TestLoss }, false},
		{"train loss", func(m train.Metrics) float64 { return m.TrainLoss }, false},
		{"test excess", func(m train.Metrics) float64 { return m.TestExcess }, false},
		{"train excess", func(m train.Metrics) float64 { return m.TrainExcess }, false},
		{"test accuracy", func(m train.Metrics) float64 { return optional(m.TestAccuracy) }, true},
		{"train accuracy", func(m train.Metrics) float64 { return optional(m.TrainAccuracy) }, true},
		{"learning rate", func(m train.Metrics) float64 { return m.LR }, false},
	} {
		for _, x := range []struct {
			name string
			of   func(*Run, train.Metrics) float64
		}{
			{"epoch", (*Run).epochs},
			{"seconds of training", func(_ *Run, m train.Metrics) float64 { return m.Seconds }},
			{"step", func(_ *Run, m train.Metrics) float64 { return float64(m.Step) }},
		} {
			c := Chart{Title: y.name, X: x.name, Y: y.name, Log: !y.optional}
			found := false
			for _, r := range runs {
				s := Series{Name: r.Name}
				for _, m := range r.Metrics {
					s.X, s.Y = append(s.X, x.of(r, m)), append(s.Y, y.of(m))
					found = found || !math.IsNaN(y.of(m))
				}
				c.Series = append(c.Series, s)
			}
			if found || !y.optional {
				p.Charts = append(p.Charts, c)
			}
		}
	}
	return p
}

// mostPoints bounds the points of a layer's line; of more, every k-th is taken.
const mostPoints = 1000

// LayerPlots are what runs recorded of their layers, a plot for each such run and a line
// for each layer.
func LayerPlots(runs []*Run) []Plot {
	var plots []Plot
	for _, r := range runs {
		layers := map[int][]plan.LayerReport{}
		for _, l := range r.Layers {
			layers[l.Layer] = append(layers[l.Layer], l)
		}
		if len(layers) == 0 {
			continue
		}
		p := Plot{Title: r.Name}
		for _, y := range []struct {
			name string
			of   func(plan.LayerReport) float64
		}{
			{"change of the local loss", func(l plan.LayerReport) float64 { return l.LossEnd - l.LossStart }},
			{"norm of the gradient", func(l plan.LayerReport) float64 { return l.GradientNorm }},
			{"norm of the update", func(l plan.LayerReport) float64 { return l.UpdateNorm }},
			{"cosine of update and −gradient", func(l plan.LayerReport) float64 { return l.Cosine }},
			{"local iterations", func(l plan.LayerReport) float64 { return float64(l.Iterations) }},
			{"condition of the factored matrix", func(l plan.LayerReport) float64 { return l.Condition }},
		} {
			c := Chart{Title: r.Name + ": " + y.name, X: "step", Y: y.name}
			told := false // a form without it says 0
			for _, layer := range slices.Sorted(maps.Keys(layers)) {
				s := Series{Name: fmt.Sprintf("layer %d", layer)}
				every := (len(layers[layer]) + mostPoints - 1) / mostPoints
				for i := 0; i < len(layers[layer]); i += every {
					l := layers[layer][i]
					s.X, s.Y = append(s.X, float64(l.Step)), append(s.Y, y.of(l))
					told = told || y.of(l) != 0
				}
				c.Series = append(c.Series, s)
			}
			if told {
				p.Charts = append(p.Charts, c)
			}
		}
		plots = append(plots, p)
	}
	return plots
}

// settings is a table of the configurations: what differs first, set off.
func settings(runs []*Run) Section {
	t := Table{Head: []string{"setting"}}
	keys := map[string]bool{}
	for _, r := range runs {
		t.Head = append(t.Head, r.Name)
		for key := range r.Config {
			keys[key] = true
		}
	}
	var same []Row
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		row := Row{Cells: []string{key}}
		for _, r := range runs {
			value, given := r.Config[key]
			if !given {
				value = "–"
			}
			row.Cells = append(row.Cells, value)
			row.Marked = row.Marked || value != row.Cells[1]
		}
		if row.Marked {
			t.Rows = append(t.Rows, row)
		} else {
			same = append(same, row)
		}
	}
	s := Section{Title: "Settings"}
	if n := len(t.Rows); len(runs) > 1 {
		s.Text = fmt.Sprintf("%d of %d settings differ between the runs; they come first.", n, len(keys))
	}
	t.Rows = append(t.Rows, same...)
	s.Tables = []Table{t}
	return s
}

// machines is a table of the processes that worked on the runs.
func machines(runs []*Run) Table {
	t := Table{Head: []string{"run", "begun", "program", "processor", "workers", "backend", "training", "evaluating", "steps", "memory"}}
	for _, r := range runs {
		open := false // the last row waits for its end
		for _, m := range r.Machines {
			switch {
			case m.Event == EventStart:
				t.Rows = append(t.Rows, Row{Cells: []string{
					r.Name, m.Time.UTC().Format(time.DateTime) + " UTC",
					fmt.Sprintf("%s, %s %s/%s", m.Version, m.Go, m.OS, m.Arch), fmt.Sprintf("%s, %d threads", m.CPU, m.CPUs),
					strconv.Itoa(m.Workers), fmt.Sprintf("%s (%s)", m.Backend, m.Detail), "–", "–", "–", "–",
				}})
				open = true
			case m.Event == EventEnd && open:
				cells := t.Rows[len(t.Rows)-1].Cells
				memory := "–"
				if m.PeakMemory > 0 {
					memory = fmt.Sprintf("%.0f MB", float64(m.PeakMemory)/1e6)
				}
				copy(cells[6:], []string{fmt.Sprintf("%.1f s", m.Seconds), fmt.Sprintf("%.1f s", m.EvalSeconds), strconv.Itoa(m.Steps), memory})
				open = false
			}
		}
	}
	return t
}
