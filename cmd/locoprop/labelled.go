package main

import (
	"fmt"
	"io"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/report"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// chart is a drawing of package report.
type chart struct {
	writer interface {
		WritePNG(w io.Writer) error
		WriteSVG(w io.Writer) error
	}
	stem, title string
}

func (c chart) writePNG(w io.Writer) error { return c.writer.WritePNG(w) }

func (c chart) writeSVG(w io.Writer) error { return c.writer.WriteSVG(w) }

func (c chart) name() string { return c.stem }

func (c chart) caption() string { return c.title }

// newConfusion counts, for the examples of a split, outputs by their largest value.
func newConfusion(d *dataset.Data, split dataset.Split, name string, y backend.Mat) chart {
	m := report.Confusion{Title: fmt.Sprintf("%d %s examples of %s", y.Rows, name, d.Name)}
	for k := range y.Cols {
		m.Classes = append(m.Classes, className(d, k))
		m.Counts = append(m.Counts, make([]int, y.Cols))
	}
	right := 0
	for i, label := range split.Labels() {
		found := 0
		for k, v := range y.Data[i*y.Stride : i*y.Stride+y.Cols] {
			if v > y.Data[i*y.Stride+found] {
				found = k
			}
		}
		m.Counts[label][found]++
		if found == int(label) {
			right++
		}
	}
	return chart{m, "confusion", fmt.Sprintf("confusion matrix of %s: %d right, %d wrong", m.Title, right, y.Rows-right)}
}

// mostDots bounds the points of a scatter; of more examples every k-th is drawn.
const mostDots = 3000

// scatterOf draws codes in two dimensions, by label where there are labels.
func scatterOf(d *dataset.Data, split dataset.Split, codes backend.Mat, layer int) chart {
	every := (codes.Rows + mostDots - 1) / mostDots
	drawn := mat.NewDense((codes.Rows+every-1)/every, codes.Cols, nil)
	for i := range drawn.RawMatrix().Rows {
		for j, v := range codes.Data[i*every*codes.Stride : i*every*codes.Stride+codes.Cols] {
			drawn.Set(i, j, float64(v))
		}
	}
	s := report.Scatter{X: "code 0", Y: "code 1"}
	s.Title = fmt.Sprintf("codes of layer %d, %s", layer, d.Name)
	if codes.Cols > 2 {
		if plane := principal(drawn); plane != nil {
			drawn, s.X, s.Y = plane, "first principal component", "second principal component"
		}
	}
	labels := split.Labels()
	s.Groups = make([]report.Group, max(d.Classes, 1))
	for k := range s.Groups {
		if labels != nil {
			s.Groups[k].Name = className(d, k)
		}
	}
	for i := range drawn.RawMatrix().Rows {
		k := 0
		if labels != nil {
			k = int(labels[i*every])
		}
		s.Groups[k].X = append(s.Groups[k].X, drawn.At(i, 0))
		s.Groups[k].Y = append(s.Groups[k].Y, drawn.At(i, 1))
	}
	return chart{s, "codes", fmt.Sprintf("%d of %d codes in two dimensions", drawn.RawMatrix().Rows, codes.Rows)}
}

// principal projects rows on their first two principal components, about their mean; nil
// where these can't be found.
func principal(rows *mat.Dense) *mat.Dense {
	var pc stat.PC
	if !pc.PrincipalComponents(rows, nil) {
		return nil
	}
	var directions, plane mat.Dense
	pc.VectorsTo(&directions)
	n, dim := rows.Dims()
	mean := mat.NewDense(1, dim, nil)
	for j := range dim {
		mean.Set(0, j, stat.Mean(mat.Col(nil, j, rows), nil))
	}
	centred := mat.NewDense(n, dim, nil)
	centred.Apply(func(_, j int, v float64) float64 { return v - mean.At(0, j) }, rows)
	_, found := directions.Dims()
	if found < 2 {
		return nil
	}
	plane.Mul(centred, directions.Slice(0, dim, 0, 2))
	return &plane
}
