package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// written requires both formats of a picture to be whole and returns the SVG.
func written(t *testing.T, svg, picture func(io.Writer) error) string {
	t.Helper()
	var a, b bytes.Buffer
	require.NoError(t, svg(&a))
	require.NoError(t, picture(&b))
	_, err := png.Decode(&b)
	require.NoError(t, err)
	text := a.String()
	for d := xml.NewDecoder(&a); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text
		}
		require.NoError(t, err)
	}
}

func TestConfusion(t *testing.T) {
	t.Parallel()
	c := Confusion{Title: "<title>", Classes: []string{"a", "b & c"}, Counts: [][]int{{41, 0}, {7, 13}}}
	svg := written(t, c.WriteSVG, c.WritePNG)
	for _, part := range []string{"&lt;title&gt;", ">a<", ">b &amp; c<", ">41<", ">7<", ">13<", ">class found<"} {
		assert.Contains(t, svg, part)
	}
	assert.NotContains(t, svg, "NaN")

	for i := range 3 * mostCounted {
		c.Classes = append(c.Classes, strconv.Itoa(i))
	}
	c.Counts = nil
	for range c.Classes {
		c.Counts = append(c.Counts, make([]int, len(c.Classes)))
	}
	c.Counts[3][4] = 98765
	assert.NotContains(t, written(t, c.WriteSVG, c.WritePNG), "98765", "too many classes for numbers in the cells")

	c.Counts[2] = nil
	const want = "confusion matrix: row 2 has 0 counts for 62 classes"
	assert.EqualError(t, c.WriteSVG(io.Discard), want)
	assert.EqualError(t, c.WritePNG(io.Discard), want)
	assert.ErrorContains(t, Confusion{}.Check(), "has 0 rows for 0 classes; must be as many, and one at least")
}

func TestScatter(t *testing.T) {
	t.Parallel()
	s := Scatter{Title: "codes", X: "first", Y: "second"}
	for i := range 8 {
		s.Groups = append(s.Groups, Group{Name: "kind " + strconv.Itoa(i), X: []float64{float64(i), math.NaN()}, Y: []float64{1, 2}})
	}
	svg := written(t, s.WriteSVG, s.WritePNG)
	for _, part := range []string{">codes<", ">first<", ">second<", ">kind 0<", ">kind 7<"} {
		assert.Contains(t, svg, part)
	}
	assert.NotContains(t, svg, "NaN")
	written(t, Scatter{}.WriteSVG, Scatter{}.WritePNG)

	s.Groups[1].X = nil
	const want = `scatter "codes": group "kind 1" has 0 x and 2 y; must be equally many`
	assert.EqualError(t, s.WriteSVG(io.Discard), want)
	assert.EqualError(t, s.WritePNG(io.Discard), want)
}
