package report

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// samplePage has everything that a page can have, and names that would be markup.
func samplePage(t *testing.T) Page {
	t.Helper()
	a, b := sample(true), sample(true)
	b.Y = "train loss"
	return Page{
		Title: "A </title><script>alert(1)</script> page", About: "about it",
		Sections: []Section{
			{Title: "Curves", Text: "a text", Plots: []Plot{{Log: true, Charts: []Chart{a, b}}}},
			{
				Title: "Table", Tables: []Table{{Head: []string{"", "x"}, Numbers: true, Rows: []Row{
					{Cells: []string{"<b>", "1"}}, {Cells: []string{"differs", "2"}, Marked: true},
				}}},
			},
			{Title: "Pictures", Pictures: []Picture{{Caption: "an \"image\"", PNG: pngOf(t, a)}}},
			{Title: "More", Plots: []Plot{{Title: "empty"}, {Title: "of nothing", Charts: []Chart{{}}}}},
		},
	}
}

func pageOf(t *testing.T, p Page) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, p.Write(&b))
	return b.String()
}

func TestPage(t *testing.T) {
	t.Parallel()
	page := pageOf(t, samplePage(t))
	assert.True(t, page == pageOf(t, samplePage(t)), "the same bytes again")
	assert.NotContains(t, page, "<script>alert")
	assert.NotContains(t, page, "<b>")
	assert.NotContains(t, page, "ZgotmplZ", "what html/template puts in place of what it holds for unsafe")
	assert.NotRegexp(t, `(src|href)="?(https?:)?//`, page)
	for _, part := range []string{
		"<title>A &lt;/title&gt;", "<h2>Curves</h2>", `<th scope="row">&lt;b&gt;</th>`, `<tr class="marked">`, `<table class="numbers">`,
		`alt="an &#34;image&#34;"`, "Permission is hereby granted", "default-src &#39;none&#39;",
	} {
		assert.Contains(t, page, part)
	}
	assert.Equal(t, 3, strings.Count(page, `<div class="plot">`))
}

// The script reads what the page's charts hold.
func TestPageData(t *testing.T) {
	t.Parallel()
	found := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`).FindStringSubmatch(pageOf(t, samplePage(t)))
	require.NotNil(t, found)
	var data struct {
		Plots [][]struct {
			X, Y   string
			Series []struct {
				Name, Colour string
				Dash         []float64
				X            []float64
				Y, Low, High []*float64
			}
		}
		Log []bool
	}
	require.NoError(t, json.Unmarshal([]byte(found[1]), &data))
	assert.Equal(t, []bool{true, false, false}, data.Log)
	require.Len(t, data.Plots, 3)
	require.Len(t, data.Plots[0], 2)
	assert.Empty(t, data.Plots[1])
	chart := data.Plots[0][0]
	assert.Equal(t, []string{"epoch", "test loss", "back prop < >"}, []string{chart.X, chart.Y, chart.Series[1].Name})
	assert.Equal(t, []float64{0, 1, 2, 3, 4, 5}, chart.Series[1].X)
	assert.Nil(t, chart.Series[1].Y[2], "NaN")
	assert.Nil(t, chart.Series[1].Y[4], "infinite")
	assert.InDelta(t, 80.0, *chart.Series[1].Y[5], 0)
	assert.Len(t, chart.Series[0].Low, 5)
	assert.Equal(t, "#0c69a8", chart.Series[0].Colour)
}

func TestSeriesOfAPageAscends(t *testing.T) {
	t.Parallel()
	s := encodeSeries(7, Series{X: []float64{3, 1, math.NaN(), 1, 2}, Y: []float64{30, 9, 8, 10, 20}, Low: []float64{3, 0, 0, 1, 2}, High: []float64{4, 0, 0, 2, 3}}, false)
	assert.Equal(t, []float64{1, 2, 3}, s.X)
	assert.Equal(t, []number{10, 20, 30}, s.Y, "of two points at 1 the later one")
	assert.Equal(t, []number{1, 2, 3}, s.Low)
	assert.Equal(t, []number{2, 3, 4}, s.High)
	assert.Equal(t, dashes[1], s.Dash)
}

func TestPageRefuses(t *testing.T) {
	t.Parallel()
	of := func(charts ...Chart) error {
		return Page{Sections: []Section{{Plots: []Plot{{Title: "p", Charts: charts}}}}}.Write(io.Discard)
	}
	require.NoError(t, of(Chart{X: "a"}, Chart{X: "b"}))
	require.EqualError(t, of(Chart{X: "a", Y: "y"}, Chart{X: "a", Y: "y"}), `plot "p": two charts of "y" over "a"; must differ in one of them`)
	require.ErrorContains(t, of(Chart{Series: []Series{{X: []float64{1}}}}), "must be equally many")
}

func TestPictureSource(t *testing.T) {
	t.Parallel()
	content := []byte{0xfb, 0xff, 0xfe, 0x3f}
	page := pageOf(t, Page{Sections: []Section{{Pictures: []Picture{{PNG: content}}}}})
	found := regexp.MustCompile(`<img src="data:image/png;base64,([^"]*)"`).FindStringSubmatch(page)
	require.NotNil(t, found)
	decoded, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.ReplaceAll(found[1], "&#43;", "+"), "%2b", "+"))
	require.NoError(t, err)
	assert.Equal(t, content, decoded)
}
