package report

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestTextOfOneSeries(t *testing.T) {
	t.Parallel()
	c := Chart{Title: "a line", X: "x", Y: "y", Series: []Series{{Name: "s", X: []float64{0, 4}, Y: []float64{0, 4}}}}
	got := c.Text(24, 6)
	assert.Equal(t, strings.Join([]string{
		"a line",
		"4┤                  ⣀⡠⠔⠒",
		" │             ⢀⡠⠤⠒⠉",
		"2┤        ⢀⣀⠤⠒⠉⠁",
		" │    ⣀⠤⠒⠊⠁",
		"0┤⠤⠔⠊⠉",
		"  0         2          4",
		"y over x",
		"s",
		"",
	}, "\n"), got)
}

func TestTextOfSeveralSeries(t *testing.T) {
	t.Parallel()
	lines := strings.Split(sample(true).Text(60, 12), "\n")
	assert.Equal(t, `Loss <of> "two" & more`, lines[0])
	assert.Len(t, lines, 1+12+2+1, "title, plot with its labels, axes, legend, end")
	assert.Equal(t, []string{"test loss over epoch", "● locoprop-m   + back prop < >   × beyond", ""}, lines[13:])
	plot := strings.Join(lines[1:13], "\n")
	assert.Contains(t, plot, "●")
	assert.Contains(t, plot, "+")
	assert.NotContains(t, plot, "×", "nothing of it is above 0")
	for _, l := range lines {
		assert.LessOrEqual(t, utf8.RuneCountInString(l), 60)
	}
}

func TestTextIsNeverTooSmall(t *testing.T) {
	t.Parallel()
	c := sample(false)
	assert.Equal(t, c.Text(leastWidth, leastHeight), c.Text(-1, 0))
	for l := range strings.Lines(c.Text(0, 0)) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(l, "\n")), leastWidth)
	}
}
