package report

import (
	"fmt"
	"math"
	"strings"
	"unicode"
)

// Chart is a line chart. The zero value is an empty one.
type Chart struct {
	Title  string // above it; "": none
	X, Y   string // names of the axes
	Log    bool   // the vertical axis is logarithmic
	LogX   bool   // the horizontal axis is logarithmic
	Series []Series
}

// Series is a line of a chart through points (X[i], Y[i]), in their order. A point that
// can't be drawn, because a coordinate isn't finite or is beyond 1e150, or because
// one isn't above 1e-150 on a logarithmic axis, is left out, and the line broken there.
type Series struct {
	Name string // in the legend; "": not in it
	X, Y []float64
	// Low and High, both as long as X or both nil, bound a band around the line, such as
	// the spread over seeds. It is left out where either can't be drawn.
	Low, High []float64
}

// Check returns an error where a series has lists of unequal length.
func (c Chart) Check() error {
	for i, s := range c.Series {
		n := len(s.X)
		band := len(s.Low) == len(s.High) && (len(s.Low) == 0 || len(s.Low) == n)
		if len(s.Y) != n || !band {
			return fmt.Errorf("chart %q: series %d (%q) has %d x, %d y, %d low and %d high; must be equally many, or no low and high",
				c.Title, i, s.Name, n, len(s.Y), len(s.Low), len(s.High))
		}
	}
	return nil
}

// point is a point of a chart.
type point struct{ x, y float64 }

// most bounds the numbers that are drawn, so that their differences and ratios are
// finite.
const most = 1e150

// drawable tells whether a number has a place on an axis.
func drawable(x float64, log bool) bool {
	return math.Abs(x) <= most && (!log || x >= 1/most)
}

// runs cuts a series at the points that aren't drawn; y are its Y, Low or High, and
// each point must also be drawable in the other list.
func (c Chart) runs(s Series, y, other []float64) [][]point {
	var all [][]point
	var run []point
	for i, x := range s.X {
		if drawable(x, c.LogX) && drawable(y[i], c.Log) && drawable(other[i], c.Log) {
			run = append(run, point{x, y[i]})
			continue
		}
		if len(run) > 0 {
			all, run = append(all, run), nil
		}
	}
	if len(run) > 0 {
		all = append(all, run)
	}
	return all
}

// bounds are the least and the largest coordinates of what is drawn; ok is false where
// nothing is.
func (c Chart) bounds() (low, high point, ok bool) {
	low, high = point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	take := func(runs [][]point) {
		for _, run := range runs {
			for _, p := range run {
				low = point{min(low.x, p.x), min(low.y, p.y)}
				high = point{max(high.x, p.x), max(high.y, p.y)}
			}
		}
	}
	for _, s := range c.Series {
		take(c.runs(s, s.Y, s.Y))
		if s.Low != nil {
			take(c.runs(s, s.Low, s.High))
			take(c.runs(s, s.High, s.Low))
		}
	}
	return low, high, low.x <= high.x
}

// frame is the part of the plane that a chart shows: bounds with a margin, and never
// without width or height.
func (c Chart) frame() (low, high point) {
	low, high, ok := c.bounds()
	if !ok {
		low, high = point{0, 0}, point{1, 1}
		if c.LogX {
			low.x = 0.1
		}
		if c.Log {
			low.y = 0.1
		}
	}
	low.x, high.x = spread(low.x, high.x, 0, c.LogX)
	low.y, high.y = spread(low.y, high.y, 0.03, c.Log)
	return low, high
}

// spread moves two bounds apart by a share of their distance, equal ones by a tenth; on
// a logarithmic axis by a share of their logarithms' distance, equal ones by a factor.
func spread(low, high, share float64, log bool) (below, above float64) {
	if log {
		factor := math.Pow(high/low, share)
		if low == high {
			factor = 2
		}
		return low / factor, high * factor
	}
	d := share * (high - low)
	if low == high {
		d = math.Abs(low) / 10
		if low == 0 {
			d = 0.5
		}
	}
	return low - d, high + d
}

// line makes one line of text of any text: what isn't printable, such as line feeds and
// control characters, becomes a space.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
