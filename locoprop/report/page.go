package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the parts of a page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/locoprop/locoprop-go/third_party/uplot"
)

// Page is an HTML page that is one file: it opens from a disk, asks for nothing else,
// and suits light and dark screens and narrow ones. The zero value is an empty page.
type Page struct {
	Title    string
	About    string // a sentence or two under it
	Sections []Section
}

// Section is a part of a page: text, then plots, tables and pictures, each of them if
// there are any.
type Section struct {
	Title    string
	Text     string
	Plots    []Plot
	Tables   []Table
	Pictures []Picture
}

// Plot is an interactive chart of which one of several is shown. Where they differ in Y
// or in X, controls choose among them by these names; another one switches the
// logarithmic vertical axis, which Log sets at first in place of the charts' own.
type Plot struct {
	Title  string // above it; "": none. The titles of Charts aren't shown
	Log    bool
	Charts []Chart
}

// Table is a table with a row of titles. The first cell of a row is its title.
type Table struct {
	Head    []string
	Rows    []Row
	Numbers bool // all but the first column are set to the right
}

// Row is a row of a table.
type Row struct {
	Cells  []string
	Marked bool // set off from the others
}

// Picture is an image in a page.
type Picture struct {
	Caption string // below it, and for those who don't see it
	PNG     []byte
}

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageStyle string

//go:embed page/page.js
var pageScript string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// Write writes the page. It refuses charts that [Chart.Check] refuses, and two charts of
// a plot that the controls couldn't tell apart.
func (p Page) Write(w io.Writer) error {
	plots := [][]jsonChart{} // of the page, in its order
	logs := []bool{}
	for _, s := range p.Sections {
		for _, plot := range s.Plots {
			charts, err := encodeCharts(plot)
			if err != nil {
				return err
			}
			plots, logs = append(plots, charts), append(logs, plot.Log)
		}
	}
	data, err := json.Marshal(map[string]any{"plots": plots, "log": logs})
	if err != nil {
		return err
	}
	script, style := uplot.Script+"\n"+pageScript, uplot.Style+"\n"+pageStyle
	var b bytes.Buffer
	err = pageTemplate.Execute(&b, map[string]any{
		"Page": p,
		// What may run is named by its digest: nothing that a name or a value smuggles in does.
		"Policy": "default-src 'none'; img-src data:; script-src " + digest(script) + "; style-src " + digest(style),
		"Script": template.JS(script),                                                                                //nolint:gosec // our own
		"Style":  template.CSS(style),                                                                                //nolint:gosec // our own
		"Data":   template.JS(data),                                                                                  //nolint:gosec // encoding/json escapes what HTML would take for markup
		"Notice": template.HTML("<!--\nuPlot 1.6.32, https://github.com/leeoniya/uPlot\n\n" + uplot.License + "-->"), //nolint:gosec // a constant
	})
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// digest is a source of a content security policy.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Source is the picture as the address that the page shows it from.
func (p Picture) Source() template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(p.PNG)) //nolint:gosec // letters and digits
}

// jsonChart is a chart as the page's script reads it.
type jsonChart struct {
	X      string       `json:"x"`
	Y      string       `json:"y"`
	LogX   bool         `json:"logX"`
	Series []jsonSeries `json:"series"`
}

type jsonSeries struct {
	Name   string    `json:"name"`
	Colour string    `json:"colour"`
	Dash   []float64 `json:"dash"`
	X      []float64 `json:"x"` // ascending
	Y      []number  `json:"y"`
	Low    []number  `json:"low,omitempty"`
	High   []number  `json:"high,omitempty"`
}

// number is null in JSON where it can't be drawn.
type number float64

// MarshalJSON writes the number.
func (n number) MarshalJSON() ([]byte, error) {
	if !drawable(float64(n), false) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func encodeCharts(p Plot) ([]jsonChart, error) {
	list := []jsonChart{}
	for i, c := range p.Charts {
		if err := c.Check(); err != nil {
			return nil, err
		}
		for _, other := range p.Charts[:i] {
			if other.X == c.X && other.Y == c.Y {
				return nil, fmt.Errorf("plot %q: two charts of %q over %q; must differ in one of them", p.Title, c.Y, c.X)
			}
		}
		e := jsonChart{X: c.X, Y: c.Y, LogX: c.LogX, Series: []jsonSeries{}}
		for k, s := range c.Series {
			e.Series = append(e.Series, encodeSeries(k, s, c.LogX))
		}
		list = append(list, e)
	}
	return list, nil
}

// encodeSeries sorts a series by X; of points with the same X the last one counts.
func encodeSeries(k int, s Series, logX bool) jsonSeries {
	colour, dash := styleOf(k)
	e := jsonSeries{
		Name: line(s.Name), Dash: dash, X: []float64{}, Y: []number{},
		Colour: fmt.Sprintf("#%02x%02x%02x", colour.R, colour.G, colour.B),
	}
	var order []int
	for i, x := range s.X {
		if drawable(x, logX) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.X[a], s.X[b]) })
	for n, i := range order {
		if n+1 < len(order) && s.X[order[n+1]] == s.X[i] {
			continue
		}
		e.X, e.Y = append(e.X, s.X[i]), append(e.Y, number(s.Y[i]))
		if s.Low != nil {
			e.Low, e.High = append(e.Low, number(s.Low[i])), append(e.High, number(s.High[i]))
		}
	}
	return e
}
