package main

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/bench"
)

// formsPage is what `bench forms` measured, in Markdown: a summary, then a table for each
// kind of problem, with a row for each layer and a column for each form.
func formsPage(r *formsReport) string {
	var b bytes.Buffer
	b.WriteString(r.heading(backend.Info{Detail: r.Detail, Compiler: r.Compiler}, r.Rounds))
	fmt.Fprintf(&b, "Square products beside them, %d by %[1]d: %s GF/s.\n", r.SgemmSize, spreadText(r.Sgemm, 1e-9))
	problems := byProblem(r.Layers)
	choiceText(&b, r.FormsReport, problems)
	fastestText(&b, problems)
	b.WriteString("\n### Tables\n\nA cell is the rate of a form's own flops over that of square products. Bold is what `auto` picks; × tells how many times as long\n" +
		"another form takes that makes the same steps. Forms without × make other steps. – is not measured: a batch was expected to take\n" +
		"longer than the limit on one core.\n")
	for _, p := range problems {
		p.write(&b)
	}
	return b.String()
}

// problemForms is what was measured of a kind of problem.
type problemForms struct {
	name   string
	same   []string // forms that make the same steps
	layers []bench.LayerForms
}

// byProblem sorts what was measured by kinds of problems, in their order.
func byProblem(layers []bench.LayerForms) []problemForms {
	var all []problemForms
	for _, p := range bench.Problems(1) {
		one := problemForms{name: p.Name}
		for _, o := range p.Same {
			one.same = append(one.same, o.Form.String())
		}
		for _, l := range layers {
			if l.Problem == p.Name {
				one.layers = append(one.layers, l)
			}
		}
		if len(one.layers) > 0 {
			all = append(all, one)
		}
	}
	return all
}

// choiceText tells how good what auto picks is, and how far measurements are apart.
func choiceText(b *bytes.Buffer, r *bench.FormsReport, problems []problemForms) {
	b.WriteString("\n### What `auto` picks\n\nTime of the form that `auto` picks over that of the fastest that was measured among those that make the same steps:\n\n")
	columns := []string{"problem", "layers", "`auto` is the fastest", "worst", "on inputs x units x batch", "geometric mean"}
	var rows [][]string
	row := func(name string, layers []bench.LayerForms) {
		worst, best, compared, logs := bench.LayerForms{}, 0, 0, 0.0
		for _, l := range layers {
			if l.Ratio == 0 {
				continue
			}
			compared++
			logs += math.Log(l.Ratio)
			if l.Ratio <= 1 {
				best++
			}
			if l.Ratio > worst.Ratio {
				worst = l
			}
		}
		if compared == 0 {
			rows = append(rows, []string{name, "0", "–", "–", "–", "–"})
			return
		}
		rows = append(rows, []string{
			name, fmt.Sprint(compared), fmt.Sprint(best), fmt.Sprintf("%.3f", worst.Ratio), worst.Shape.String(),
			fmt.Sprintf("%.3f", math.Exp(logs/float64(compared))),
		})
	}
	for _, p := range problems {
		row(p.name, p.layers)
	}
	row("**all**", r.Layers)
	markdown(b, columns, rows)
	measured, left := 0, 0
	var spreads []float64
	for _, l := range r.Layers {
		for _, f := range l.Forms {
			if f.Skipped != "" {
				left++
				continue
			}
			measured++
			spreads = append(spreads, f.Seconds.Max/f.Seconds.Min)
		}
	}
	fmt.Fprintf(b, "\n%d times were measured, %d not.", measured, left)
	if measured > 0 {
		slices.Sort(spreads)
		fmt.Fprintf(b, " The largest time of a form and layer over the least: %.2f in the middle, up to %.2f in nine of ten, %.2f at most.",
			spreads[measured/2], spreads[measured*9/10], spreads[measured-1])
	}
	b.WriteByte('\n')
	if len(r.Skipped) > 0 {
		fmt.Fprintf(b, "\nNot begun, as the budget was spent, %d: %s.\n", len(r.Skipped), strings.Join(r.Skipped, ", "))
	}
}

// batchRatios bound what fastestText counts together: examples over inputs.
var batchRatios = []struct {
	name  string
	below float64
}{{"B/n < ¼", 0.25}, {"¼ ≤ B/n < 1", 1}, {"1 ≤ B/n < 4", 4}, {"B/n ≥ 4", math.Inf(1)}}

// fastestText tells where each form is the fastest of those that make the same steps.
func fastestText(b *bytes.Buffer, problems []problemForms) {
	b.WriteString("\n### Where which form is the fastest\n\nOf the forms that make the same steps: on how many layers each is the fastest, of those on which all were measured, by examples B over inputs n:\n\n")
	columns := []string{"problem", "form"}
	for _, r := range batchRatios {
		columns = append(columns, r.name)
	}
	var rows [][]string
	for _, p := range problems {
		wins, of := p.fastest()
		for _, form := range p.same {
			row := []string{p.name, form}
			won, all := 0, 0
			for i := range batchRatios {
				won, all = won+wins[form][i], all+of[i]
				row = append(row, fmt.Sprintf("%d of %d", wins[form][i], of[i]))
			}
			rows = append(rows, append(row, fmt.Sprintf("%d of %d", won, all)))
		}
	}
	markdown(b, append(columns, "all"), rows)
}

// fastest counts, for each of batchRatios, the layers on which each form is the fastest,
// and those counted.
func (p *problemForms) fastest() (wins map[string][]int, of []int) {
	wins, of = map[string][]int{}, make([]int, len(batchRatios))
	for _, form := range p.same {
		wins[form] = make([]int, len(batchRatios))
	}
	for _, l := range p.layers {
		best, least, measured := "", math.Inf(1), 0
		for _, f := range l.Forms {
			if !slices.Contains(p.same, f.Form) || f.Skipped != "" {
				continue
			}
			measured++
			if f.Seconds.Median < least {
				best, least = f.Form, f.Seconds.Median
			}
		}
		if measured < len(p.same) {
			continue
		}
		ratio, at := float64(l.Batch)/float64(l.Inputs), 0
		for ratio >= batchRatios[at].below {
			at++
		}
		wins[best][at]++
		of[at]++
	}
	return wins, of
}

// write writes a problem's table.
func (p *problemForms) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n#### %s\n\n", p.name)
	columns := []string{"inputs", "units", "batch", "`auto`, ms"}
	for _, f := range p.layers[0].Forms {
		columns = append(columns, f.Form)
	}
	reasons := map[string]bool{}
	var rows [][]string
	for _, l := range p.layers {
		row := []string{fmt.Sprint(l.Inputs), fmt.Sprint(l.Units), fmt.Sprint(l.Batch), "–"}
		for _, f := range l.Forms {
			auto := f.Form == l.Auto
			if auto && f.Skipped == "" {
				row[3] = spreadText(f.Seconds, 1e3)
			}
			if f.Skipped != "" && f.Flops == 0 { // refused, not left out for its time
				reasons[f.Form+": "+f.Skipped] = true
			}
			row = append(row, formCell(f, auto))
		}
		rows = append(rows, row)
	}
	markdown(b, columns, rows)
	for _, text := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(b, "\nNot measured where it is –: %s.\n", text)
	}
}

// formCell is what was measured of a form: the rate of its own flops over that of square
// products; for what makes the same steps as what auto picks, which is bold, how many
// times as long it takes.
func formCell(f bench.FormTime, auto bool) string {
	text := "–"
	if f.Skipped == "" {
		text = fmt.Sprintf("%.2f", f.OfSgemm)
	}
	switch {
	case auto:
		text = "**" + text + "**"
	case f.Over > 0:
		text += " ×" + threeDigits(1/f.Over)
	}
	return text
}
