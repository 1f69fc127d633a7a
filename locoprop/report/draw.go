package report

import (
	"bytes"
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	chartWidth  = 7 * vg.Inch
	chartHeight = 4 * vg.Inch // without the legend
	chartDPI    = 144
	lineWidth   = 1.5
)

// WriteSVG writes the chart as an SVG drawing on white.
func (c Chart) WriteSVG(w io.Writer) error {
	p, legend, height, err := c.plot()
	if err != nil {
		return err
	}
	return writeSVG(w, chartWidth, height, func(c draw.Canvas) { drawAbove(p, legend, c) })
}

// WritePNG writes the chart as a PNG image on white.
func (c Chart) WritePNG(w io.Writer) error {
	p, legend, height, err := c.plot()
	if err != nil {
		return err
	}
	return writePNG(w, chartWidth, height, func(c draw.Canvas) { drawAbove(p, legend, c) })
}

// writeSVG writes what a function draws on white.
func writeSVG(w io.Writer, width, height vg.Length, paint func(draw.Canvas)) error {
	canvas := vgsvg.New(width, height)
	paint(white(draw.New(canvas)))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	// The font isn't in the file, and few systems have it: name others of its measures.
	_, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte(`"font-family:Liberation Sans;`), []byte(`"font-family:Liberation Sans,Arial,Helvetica,sans-serif;`)))
	return err
}

// writePNG writes what a function draws on white.
func writePNG(w io.Writer, width, height vg.Length, paint func(draw.Canvas)) error {
	canvas := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(chartDPI))
	paint(white(draw.New(canvas)))
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

func white(c draw.Canvas) draw.Canvas {
	c.FillPolygon(color.White, []vg.Point{c.Min, {X: c.Min.X, Y: c.Max.Y}, c.Max, {X: c.Max.X, Y: c.Min.Y}})
	return c
}

// drawAbove draws a plot above its legend, which covers no line there.
func drawAbove(p *plot.Plot, legend plot.Legend, c draw.Canvas) {
	c = draw.Crop(c, 6, -12, 6, -6)
	below := legend.Rectangle(c).Size().Y
	legend.Draw(draw.Crop(c, 40, 0, 0, 0))
	if below > 0 {
		below += 8
	}
	p.Draw(draw.Crop(c, 0, 0, below, 0))
}

// plot is the chart for gonum's drawing, its legend and the height of both.
func (c Chart) plot() (p *plot.Plot, legend plot.Legend, height vg.Length, err error) {
	if err := c.Check(); err != nil {
		return nil, legend, 0, err
	}
	p, legend = plot.New(), plot.NewLegend()
	c.axes(p)
	legend.Left, legend.ThumbnailWidth, legend.Padding = true, 24, 3
	legend.TextStyle.Font = sans(10)
	height = chartHeight
	for i, s := range c.Series {
		thumb, err := c.addSeries(p, i, s)
		if err != nil {
			return nil, legend, 0, fmt.Errorf("chart %q: series %q: %w", c.Title, s.Name, err)
		}
		if s.Name != "" {
			legend.Add(line(s.Name), thumb)
			height += legend.TextStyle.Height(line(s.Name)) + legend.Padding
		}
	}
	return p, legend, height, nil
}

func sans(points float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(points)}
}

// axes sets titles, ranges, ticks and a grid.
func (c Chart) axes(p *plot.Plot) {
	low, high := c.frame()
	styleAxes(p, c.Title, c.X, c.Y)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = low.x, high.x, low.y, high.y
	if c.LogX {
		p.X.Scale = plot.LogScale{}
	}
	if c.Log {
		p.Y.Scale = plot.LogScale{}
	}
	marks := func(log bool, count int) plot.TickerFunc {
		return func(low, high float64) []plot.Tick {
			var list []plot.Tick
			for _, t := range ticks(low, high, log, count) {
				list = append(list, plot.Tick{Value: t.at, Label: t.label})
			}
			return list
		}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = marks(c.LogX, 8), marks(c.Log, 6)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{Y: 0xdd}, color.Gray{Y: 0xdd}
	p.Add(grid)
}

// styleAxes sets the names of a plot and its axes, and the fonts.
func styleAxes(p *plot.Plot, title, x, y string) {
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = line(title), line(x), line(y)
	p.Title.TextStyle.Font, p.Title.Padding = sans(13), 6
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font, axis.Tick.Label.Font = sans(11), sans(10)
	}
}

// addSeries adds band, line and lone points of series i and returns what stands for it
// in the legend.
func (c Chart) addSeries(p *plot.Plot, i int, s Series) (plot.Thumbnailer, error) {
	colour, dash := styleOf(i)
	style := draw.LineStyle{Color: colour, Width: lineWidth}
	for _, d := range dash {
		style.Dashes = append(style.Dashes, vg.Points(d))
	}
	if s.Low != nil {
		low, high := c.runs(s, s.Low, s.High), c.runs(s, s.High, s.Low)
		for r := range low {
			band, err := plotter.NewPolygon(outline(low[r], high[r]))
			if err != nil {
				return nil, err
			}
			band.Color, band.LineStyle.Width = color.NRGBA{colour.R, colour.G, colour.B, 0x30}, 0
			p.Add(band)
		}
	}
	for _, run := range c.runs(s, s.Y, s.Y) {
		xys := make(plotter.XYs, len(run))
		for k, at := range run {
			xys[k] = plotter.XY{X: at.x, Y: at.y}
		}
		if len(run) == 1 { // a line of one point shows nothing
			dot, err := plotter.NewScatter(xys)
			if err != nil {
				return nil, err
			}
			dot.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: 2.5, Shape: draw.CircleGlyph{}}
			p.Add(dot)
			continue
		}
		l, err := plotter.NewLine(xys)
		if err != nil {
			return nil, err
		}
		l.LineStyle = style
		p.Add(l)
	}
	return &plotter.Line{LineStyle: style}, nil
}

// outline goes along low and back along high.
func outline(low, high []point) plotter.XYs {
	var list plotter.XYs
	for _, p := range low {
		list = append(list, plotter.XY{X: p.x, Y: p.y})
	}
	for k := len(high) - 1; k >= 0; k-- {
		list = append(list, plotter.XY{X: high[k].x, Y: high[k].y})
	}
	return list
}
