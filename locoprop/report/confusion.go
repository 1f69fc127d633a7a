package report

import (
	"fmt"
	"image/color"
	"io"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Confusion counts what a classifier makes of examples: Counts[i][j] of class i were
// taken for class j.
type Confusion struct {
	Title   string
	Classes []string
	Counts  [][]int
}

// Check returns an error where the counts aren't those of the classes.
func (c Confusion) Check() error {
	if len(c.Classes) == 0 || len(c.Counts) != len(c.Classes) {
		return fmt.Errorf("confusion matrix has %d rows for %d classes; must be as many, and one at least", len(c.Counts), len(c.Classes))
	}
	for i, row := range c.Counts {
		if len(row) != len(c.Classes) {
			return fmt.Errorf("confusion matrix: row %d has %d counts for %d classes", i, len(row), len(c.Classes))
		}
	}
	return nil
}

// WriteSVG writes the matrix as an SVG drawing on white.
func (c Confusion) WriteSVG(w io.Writer) error {
	if err := c.Check(); err != nil {
		return err
	}
	width, height := c.size()
	return writeSVG(w, width, height, c.draw)
}

// WritePNG writes the matrix as a PNG image on white.
func (c Confusion) WritePNG(w io.Writer) error {
	if err := c.Check(); err != nil {
		return err
	}
	width, height := c.size()
	return writePNG(w, width, height, c.draw)
}

// Counts are written into the cells of at most mostCounted classes: of more they would
// be too small to read.
const mostCounted = 20

func (c Confusion) size() (width, height vg.Length) {
	const cell, least, largest = 28, 250, 700
	side := min(max(vg.Length(len(c.Classes))*cell, least), largest)
	return side + 110, side + 80
}

func (c Confusion) draw(canvas draw.Canvas) {
	p := plot.New()
	styleAxes(p, c.Title, "class found", "class")
	n := len(c.Classes)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(n), 0, float64(n)
	p.X.Padding, p.Y.Padding = 0, 0
	var xs, ys []plot.Tick
	every := (n + 39) / 40
	for i, name := range c.Classes {
		if i%every == 0 {
			xs = append(xs, plot.Tick{Value: float64(i) + 0.5, Label: clip(line(name), 12)})
			ys = append(ys, plot.Tick{Value: float64(n-i) - 0.5, Label: clip(line(name), 12)})
		}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.ConstantTicks(xs), plot.ConstantTicks(ys)
	p.X.Tick.Length, p.Y.Tick.Length = 0, 0
	if widest(c.Classes) > 3 {
		p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = 0.8, draw.XRight, draw.YTop
	}
	p.Add(cells(c))
	p.Draw(draw.Crop(canvas, 6, -12, 6, -6))
}

func widest(names []string) int {
	most := 0
	for _, n := range names {
		most = max(most, len(n))
	}
	return most
}

// cells draws the matrix, a cell darker the larger its share of its row.
type cells Confusion

// Plot draws the cells.
func (c cells) Plot(canvas draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&canvas)
	n := len(c.Classes)
	style := text.Style{Font: sans(9), XAlign: draw.XCenter, YAlign: draw.YCenter, Handler: p.TextHandler}
	for i, row := range c.Counts {
		sum := 0
		for _, v := range row {
			sum += v
		}
		for j, v := range row {
			if v == 0 {
				continue
			}
			part := float64(v) / float64(sum)
			left, right, bottom, top := x(float64(j)), x(float64(j+1)), y(float64(n-i-1)), y(float64(n-i))
			canvas.FillPolygon(blend(colours[0], part), []vg.Point{{X: left, Y: bottom}, {X: left, Y: top}, {X: right, Y: top}, {X: right, Y: bottom}})
			if n <= mostCounted {
				style.Color = color.Black
				if part > 0.5 {
					style.Color = color.White
				}
				canvas.FillText(style, vg.Point{X: (left + right) / 2, Y: (bottom + top) / 2}, strconv.Itoa(v))
			}
		}
	}
}

// blend is a colour on white, from a little of it to all.
func blend(c color.RGBA, part float64) color.RGBA {
	part = 0.08 + 0.92*part
	mix := func(v uint8) uint8 { return uint8(255 - part*(255-float64(v)) + 0.5) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 0xff}
}
