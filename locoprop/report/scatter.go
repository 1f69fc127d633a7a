package report

import (
	"fmt"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Scatter is a chart of points in groups, told apart by colours and shapes. Points that
// aren't finite or are beyond 1e150 are left out.
type Scatter struct {
	Title  string
	X, Y   string  // names of the axes
	Groups []Group // drawn in their order
}

// Group is points of one kind.
type Group struct {
	Name string // in the legend; "": not in it
	X, Y []float64
}

// shapes of points, for groups that have the same colour.
var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.CrossGlyph{}}

// WriteSVG writes the chart as an SVG drawing on white.
func (s Scatter) WriteSVG(w io.Writer) error {
	p, legend, err := s.plot()
	if err != nil {
		return err
	}
	return writeSVG(w, chartWidth, chartWidth, func(c draw.Canvas) { drawBeside(p, legend, c) })
}

// WritePNG writes the chart as a PNG image on white.
func (s Scatter) WritePNG(w io.Writer) error {
	p, legend, err := s.plot()
	if err != nil {
		return err
	}
	return writePNG(w, chartWidth, chartWidth, func(c draw.Canvas) { drawBeside(p, legend, c) })
}

// drawBeside draws a plot and its legend at the right of it.
func drawBeside(p *plot.Plot, legend plot.Legend, c draw.Canvas) {
	c = draw.Crop(c, 6, -12, 6, -6)
	beside := legend.Rectangle(c).Size().X
	if beside > 0 {
		beside += 12
	}
	legend.Draw(draw.Crop(c, 0, 0, 0, -20))
	p.Draw(draw.Crop(c, 0, -beside, 0, 0))
}

func (s Scatter) plot() (p *plot.Plot, legend plot.Legend, err error) {
	// A chart of the same points knows their frame.
	c := Chart{Title: s.Title, X: s.X, Y: s.Y}
	for _, g := range s.Groups {
		if len(g.X) != len(g.Y) {
			return nil, legend, fmt.Errorf("scatter %q: group %q has %d x and %d y; must be equally many", s.Title, g.Name, len(g.X), len(g.Y))
		}
		c.Series = append(c.Series, Series{X: g.X, Y: g.Y})
	}
	p, legend = plot.New(), plot.NewLegend()
	c.axes(p)
	legend.Top, legend.ThumbnailWidth, legend.Padding = true, 12, 3
	legend.TextStyle.Font = sans(10)
	for i, g := range s.Groups {
		colour, _ := styleOf(i)
		style := draw.GlyphStyle{Color: colour, Radius: vg.Points(1.8), Shape: shapes[i/len(colours)%len(shapes)]}
		var points plotter.XYs
		for _, run := range c.runs(c.Series[i], g.Y, g.Y) {
			for _, at := range run {
				points = append(points, plotter.XY{X: at.x, Y: at.y})
			}
		}
		dots := &plotter.Scatter{XYs: points, GlyphStyle: style}
		p.Add(dots)
		if g.Name != "" {
			legend.Add(clip(line(g.Name), 24), dots)
		}
	}
	return p, legend, nil
}
