package report

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// marks of series where a chart in characters has several.
var marks = []rune("●+×○▲*◆#")

// leastWidth and leastHeight are what a chart in characters needs at least.
const leastWidth, leastHeight = 24, 6

// Text draws the chart in characters, for a terminal: lines of at most width columns,
// height of them without title and legend, but 24 columns and 6 lines at least. A chart
// of one series is drawn in Braille dots, several series in a mark each. Bands are left
// out. For a chart that Check refuses it is the error's text.
func (c Chart) Text(width, height int) string {
	if err := c.Check(); err != nil {
		return err.Error() + "\n"
	}
	width, height = max(width, leastWidth), max(height, leastHeight)
	low, high := c.frame()
	labels, left := c.yLabels(low, high, height-1)
	plane := newRaster(width-left-1, height-1, low, high, c.LogX, c.Log)
	for i, s := range c.Series {
		for _, run := range c.runs(s, s.Y, s.Y) {
			plane.draw(i, run)
		}
	}
	var b strings.Builder
	if c.Title != "" {
		fmt.Fprintln(&b, clip(line(c.Title), width))
	}
	for row := range plane.height {
		axis := "│"
		if labels[row] != "" {
			axis = "┤"
		}
		text := fmt.Sprintf("%*s%s%s", left, labels[row], axis, plane.row(row, len(c.Series) > 1))
		fmt.Fprintln(&b, strings.TrimRight(text, " "))
	}
	fmt.Fprintln(&b, strings.TrimRight(xLabels(low.x, high.x, c.LogX, left, width), " "))
	for _, text := range []string{c.axisNames(), c.legend()} {
		if text != "" {
			fmt.Fprintln(&b, clip(text, width))
		}
	}
	return b.String()
}

// yLabels are labels for some of so many rows, and the width of the longest.
func (c Chart) yLabels(low, high point, rows int) (labels []string, widest int) {
	labels = make([]string, rows)
	for _, t := range ticks(low.y, high.y, c.Log, max(2, (rows+1)/3)) {
		row := int(math.Round((1 - share(t.at, low.y, high.y, c.Log)) * float64(rows-1)))
		if t.label != "" && labels[row] == "" {
			labels[row] = t.label
			widest = max(widest, len(t.label))
		}
	}
	return labels, widest
}

// xLabels is the line below the plot: labels centred under their places.
func xLabels(low, high float64, log bool, left, width int) string {
	out := []byte(strings.Repeat(" ", width))
	free := left
	for _, t := range ticks(low, high, log, max(2, (width-left)/12)) {
		at := left + 1 + int(share(t.at, low, high, log)*float64(width-left-2)) - len(t.label)/2
		at = min(at, width-len(t.label))
		if at < free || t.label == "" {
			continue
		}
		copy(out[at:], t.label)
		free = at + len(t.label) + 1
	}
	return string(out)
}

// axisNames tells what the axes are.
func (c Chart) axisNames() string {
	switch {
	case c.X == "" && c.Y == "":
		return ""
	case c.X == "":
		return line(c.Y)
	case c.Y == "":
		return "over " + line(c.X)
	}
	return line(c.Y) + " over " + line(c.X)
}

// legend tells which mark is which series.
func (c Chart) legend() string {
	var parts []string
	for i, s := range c.Series {
		switch {
		case s.Name == "":
		case len(c.Series) == 1:
			parts = append(parts, line(s.Name))
		default:
			parts = append(parts, string(marks[i%len(marks)])+" "+line(s.Name))
		}
	}
	return strings.Join(parts, "   ")
}

// clip cuts a text to a number of characters.
func clip(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// share is where between low and high a number lies, from 0 to 1.
func share(x, low, high float64, log bool) float64 {
	if log {
		x, low, high = math.Log(x), math.Log(low), math.Log(high)
	}
	return min(max((x-low)/(high-low), 0), 1)
}

// raster is a plane of characters, each of 2 × 4 dots.
type raster struct {
	width, height int // in characters
	low, high     point
	logX, logY    bool
	dots          []uint8 // of each character, in the order of Braille patterns
	series        []int   // that drew last in it
}

func newRaster(width, height int, low, high point, logX, logY bool) *raster {
	return &raster{width, height, low, high, logX, logY, make([]uint8, width*height), make([]int, width*height)}
}

// draw draws a line through points for a series.
func (r *raster) draw(series int, run []point) {
	place := func(p point) (x, y float64) {
		return share(p.x, r.low.x, r.high.x, r.logX) * float64(2*r.width-1),
			(1 - share(p.y, r.low.y, r.high.y, r.logY)) * float64(4*r.height-1)
	}
	x0, y0 := place(run[0])
	r.set(series, x0, y0)
	for _, p := range run[1:] {
		x1, y1 := place(p)
		steps := int(math.Ceil(max(math.Abs(x1-x0), math.Abs(y1-y0), 1)))
		for i := range steps + 1 {
			t := float64(i) / float64(steps)
			r.set(series, x0+t*(x1-x0), y0+t*(y1-y0))
		}
		x0, y0 = x1, y1
	}
}

func (r *raster) set(series int, fx, fy float64) {
	x, y := int(math.Round(fx)), int(math.Round(fy))
	at := y/4*r.width + x/2
	// Unicode numbers the dots of a pattern down the columns, the lowest row last.
	bit := [4][2]uint8{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}[y%4][x%2]
	r.dots[at] |= bit
	r.series[at] = series
}

// row is a line of characters, of marks or of dots.
func (r *raster) row(row int, marked bool) string {
	var b strings.Builder
	for at := row * r.width; at < (row+1)*r.width; at++ {
		switch {
		case r.dots[at] == 0:
			b.WriteByte(' ')
		case marked:
			b.WriteRune(marks[r.series[at]%len(marks)])
		default:
			b.WriteRune(rune(0x2800) + rune(r.dots[at]))
		}
	}
	return b.String()
}
