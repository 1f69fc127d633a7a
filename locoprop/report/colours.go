package report

import "image/color"

// colours of lines, in their order. They differ for people who don't see red or green
// as well, and stand out from a white page as from a dark one (contrast of 3 at least,
// WCAG 2); after the last one they begin again with other dashes.
var colours = []color.RGBA{
	{0x0c, 0x69, 0xa8, 0xff}, // blue
	{0xdd, 0x67, 0x09, 0xff}, // orange
	{0x1d, 0xa0, 0x74, 0xff}, // green
	{0xd0, 0x76, 0xac, 0xff}, // pink
	{0x7f, 0x6b, 0x2f, 0xff}, // brown
	{0x5d, 0x69, 0x6e, 0xff}, // grey
}

// dashes of lines, lengths of strokes and gaps.
var dashes = [][]float64{nil, {6, 3}, {2, 2}, {8, 2, 2, 2}}

// styleOf is the style of series i.
func styleOf(i int) (line color.RGBA, dash []float64) {
	return colours[i%len(colours)], dashes[i/len(colours)%len(dashes)]
}
