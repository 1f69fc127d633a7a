package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sample has everything that a chart can have.
func sample(log bool) Chart {
	nan, inf := math.NaN(), math.Inf(1)
	return Chart{
		Title: "Loss <of> \"two\" & more", X: "epoch", Y: "test loss", Log: log,
		Series: []Series{
			{
				Name: "locoprop-m", X: []float64{0, 1, 2, 3, 4}, Y: []float64{300, 90, 70, 61, 60},
				Low: []float64{300, 80, 65, 60, 58}, High: []float64{300, 99, 75, 63, 61},
			},
			{Name: "back\nprop <\x01>", X: []float64{0, 1, 2, 3, 4, 5}, Y: []float64{300, 200, nan, 100, inf, 80}},
			{Name: "beyond", X: []float64{1, 2}, Y: []float64{0, -1}},
		},
	}
}

func pngOf(t *testing.T, c Chart) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, c.WritePNG(&b))
	return b.Bytes()
}

func svgOf(t *testing.T, c Chart) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, c.WriteSVG(&b))
	return b.String()
}

func TestChartFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Chart{
		"linear": sample(false), "logarithmic": sample(true), "empty": {}, "empty logarithmic": {Log: true, Title: "x"},
		"tiny":             {Series: []Series{{X: []float64{0, 5e-324}, Y: []float64{1, 1 + 1e-15}}}},
		"one point":        {Series: []Series{{Name: "a", X: []float64{2}, Y: []float64{3}}}},
		"zeros":            {Series: []Series{{X: []float64{0, 0}, Y: []float64{0, 0}}}},
		"huge":             {Series: []Series{{X: []float64{-most, most, 1e308}, Y: []float64{-most, most, 0}}}},
		"huge as log":      {Log: true, Series: []Series{{X: []float64{0, 1}, Y: []float64{1 / most, most}}}},
		"logarithmic in x": {LogX: true, Series: []Series{{Name: "a", X: []float64{0, 32, 8192}, Y: []float64{1, 2, 3}}}},
		"huge in x as log": {Log: true, LogX: true, Series: []Series{{X: []float64{1 / most, most}, Y: []float64{1, 1}}}},
		"one x as log":     {LogX: true, Series: []Series{{X: []float64{2, 2}, Y: []float64{3, 4}}}},
		"empty log-log":    {Log: true, LogX: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			svg := svgOf(t, c)
			for d := xml.NewDecoder(strings.NewReader(svg)); ; {
				_, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
			}
			assert.Equal(t, svg, svgOf(t, c), "the same bytes again")
			assert.NotContains(t, svg, "NaN")
			encoded := pngOf(t, c)
			picture, err := png.Decode(bytes.NewReader(encoded))
			require.NoError(t, err)
			assert.GreaterOrEqual(t, picture.Bounds().Dx(), 1000)
			assert.Equal(t, encoded, pngOf(t, c), "the same bytes again")
			assert.NotEmpty(t, c.Text(80, 20))
		})
	}
}

func TestChartIsDrawn(t *testing.T) {
	t.Parallel()
	svg := svgOf(t, sample(true))
	for _, part := range []string{
		"Loss &lt;of&gt; &#34;two&#34; &amp; more", ">locoprop-m<", ">back prop &lt; &gt;<", ">beyond<", ">epoch<", ">test loss<",
		"Liberation Sans,Arial",
	} {
		assert.Contains(t, svg, part)
	}
	picture, err := png.Decode(bytes.NewReader(pngOf(t, sample(true))))
	require.NoError(t, err)
	for i := range 3 {
		colour, _ := styleOf(i)
		assert.Positive(t, count(picture, colour), "series %d", i)
	}
	curve, _ := styleOf(0)
	assert.Greater(t, count(picture, curve), 1000, "a curve, not only its sample in the legend")
	never, _ := styleOf(2)
	assert.Less(t, count(picture, never), 500, "nothing of it is above 0")
}

// count is the number of pixels of a colour.
func count(p image.Image, c color.RGBA) int {
	n := 0
	for y := range p.Bounds().Dy() {
		for x := range p.Bounds().Dx() {
			if color.RGBAModel.Convert(p.At(x, y)) == c {
				n++
			}
		}
	}
	return n
}

func TestRuns(t *testing.T) {
	t.Parallel()
	c := sample(true)
	assert.Equal(t, [][]point{{{0, 300}, {1, 200}}, {{3, 100}}, {{5, 80}}}, c.runs(c.Series[1], c.Series[1].Y, c.Series[1].Y))
	assert.Empty(t, c.runs(c.Series[2], c.Series[2].Y, c.Series[2].Y))
	c.Log = false
	assert.Equal(t, [][]point{{{1, 0}, {2, -1}}}, c.runs(c.Series[2], c.Series[2].Y, c.Series[2].Y))
	low, high, ok := c.bounds()
	assert.Equal(t, []any{point{0, -1}, point{5, 300}, true}, []any{low, high, ok})
	c.LogX = true
	assert.Equal(t, [][]point{{{1, 200}}, {{3, 100}}, {{5, 80}}}, c.runs(c.Series[1], c.Series[1].Y, c.Series[1].Y), "0 has no logarithm")
}

// On logarithmic axes a power law is a straight line.
func TestLogLog(t *testing.T) {
	t.Parallel()
	x, y := []float64{1, 10, 100, 1000, 10000}, []float64{1, 100, 1e4, 1e6, 1e8}
	c := Chart{Log: true, LogX: true, Series: []Series{{X: x, Y: y}}}
	low, high := c.frame()
	assert.Equal(t, []float64{1, 10000}, []float64{low.x, high.x})
	assert.InDelta(t, math.Pow(10, -8*0.03), low.y, 1e-12)
	assert.InDelta(t, math.Pow(10, 8*1.03), high.y, 1e-3)
	straight := Chart{Series: []Series{{X: []float64{0, 1, 2, 3, 4}, Y: []float64{0, 2, 4, 6, 8}}}}
	dots := func(c Chart) []uint8 {
		low, high := c.frame()
		plane := newRaster(20, 5, low, high, c.LogX, c.Log)
		plane.draw(0, c.runs(c.Series[0], c.Series[0].Y, c.Series[0].Y)[0])
		return plane.dots
	}
	assert.Equal(t, dots(straight), dots(c))
	assert.Regexp(t, `\n +1 +100 +10000\n`, c.Text(60, 12), "labels of the horizontal axis")
	svg := svgOf(t, c)
	for _, label := range []string{">1<", ">10<", ">100<", ">1000<", ">10000<", ">1e+06<"} {
		assert.Contains(t, svg, label)
	}
}

func TestChartOfUnequalLists(t *testing.T) {
	t.Parallel()
	c := Chart{Title: "t", Series: []Series{{}, {Name: "s", X: []float64{1, 2}, Y: []float64{1, 2}, Low: []float64{1, 2}}}}
	const want = `chart "t": series 1 ("s") has 2 x, 2 y, 2 low and 0 high; must be equally many, or no low and high`
	assert.EqualError(t, c.Check(), want)
	assert.EqualError(t, c.WriteSVG(io.Discard), want)
	assert.EqualError(t, c.WritePNG(io.Discard), want)
	assert.Equal(t, want+"\n", c.Text(80, 20))
	c.Series[1] = Series{X: []float64{1}}
	assert.ErrorContains(t, c.Check(), "has 1 x, 0 y")
}

func TestTicks(t *testing.T) {
	t.Parallel()
	labels := func(low, high float64, log bool, count int) string {
		var parts []string
		for _, k := range ticks(low, high, log, count) {
			assert.True(t, low*(1-1e-6) <= k.at && k.at <= high*(1+1e-6), k)
			if k.label != "" {
				parts = append(parts, k.label)
			}
		}
		return strings.Join(parts, " ")
	}
	assert.Equal(t, "0 1 2 3 4 5", labels(0, 5, false, 6))
	assert.Equal(t, "0 0.2 0.4 0.6 0.8 1.0", labels(0, 1, false, 5))
	assert.Equal(t, "0.010 0.015 0.020 0.025 0.030", labels(0.01, 0.03, false, 3))
	assert.Equal(t, "1e+06 1.1e+06 1.2e+06", labels(1e6, 1.2e6, false, 2))
	assert.Equal(t, "60 80 100 200 300", labels(58, 305, true, 6))
	assert.Equal(t, "1 2 5 10 20 50 100", labels(1, 100, true, 6))
	assert.Equal(t, "0.001 0.01 0.1 1 10", labels(1e-3, 10, true, 6))
	assert.Equal(t, "1e-10 1e-07 0.0001 0.1 100", labels(1e-10, 1e3, true, 6))
	assert.Equal(t, "62 64 66 68", labels(61, 69, true, 5), "less than a doubling")
}

// WCAG 2: a graphical object needs a contrast of 3 against what is around it.
func TestColoursStandOut(t *testing.T) {
	t.Parallel()
	for i, c := range colours {
		for _, page := range []color.RGBA{{0xff, 0xff, 0xff, 0xff}, {0x15, 0x18, 0x1c, 0xff}} {
			a, b := luminance(c), luminance(page)
			assert.GreaterOrEqual(t, (max(a, b)+0.05)/(min(a, b)+0.05), 3.0, "colour %d on %v", i, page)
		}
	}
}

// luminance is the relative luminance of WCAG 2.
func luminance(c color.RGBA) float64 {
	r, g, b := linearRGB(c)
	return 0.2126*r + 0.7152*g + 0.0722*b
}

func linearRGB(c color.RGBA) (r, g, b float64) {
	linear := func(v uint8) float64 {
		x := float64(v) / 255
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	return linear(c.R), linear(c.G), linear(c.B)
}

// Seen without one kind of cones (matrices of Machado, Oliveira & Fernandes, IEEE TVCG
// 2009, severity 1), no two colours come closer than a CIELAB distance of 18; about 2 can
// just be told apart side by side.
func TestColoursDifferForAll(t *testing.T) {
	t.Parallel()
	for name, m := range map[string][9]float64{
		"all cones": {1, 0, 0, 0, 1, 0, 0, 0, 1},
		"protan":    {0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998},
		"deutan":    {0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881},
		"tritan":    {1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900},
	} {
		for i, a := range colours {
			for j, b := range colours[:i] {
				assert.Greater(t, distance(seen(m, a), seen(m, b)), 18.0, "%s: colours %d and %d", name, j, i)
			}
		}
	}
}

func seen(m [9]float64, c color.RGBA) [3]float64 {
	r, g, b := linearRGB(c)
	clamp := func(x float64) float64 { return min(max(x, 0), 1) }
	return lab(clamp(m[0]*r+m[1]*g+m[2]*b), clamp(m[3]*r+m[4]*g+m[5]*b), clamp(m[6]*r+m[7]*g+m[8]*b))
}

// lab is CIELAB of linear sRGB, D65.
func lab(r, g, b float64) [3]float64 {
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124564*r + 0.3575761*g + 0.1804375*b) / 0.95047)
	y := f(0.2126729*r + 0.7151522*g + 0.0721750*b)
	z := f((0.0193339*r + 0.1191920*g + 0.9503041*b) / 1.08883)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

func distance(a, b [3]float64) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}
