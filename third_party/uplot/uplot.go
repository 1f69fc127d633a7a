// Package uplot holds uPlot 1.6.32 (https://github.com/leeoniya/uPlot, MIT), a charting
// library for browsers, as its npm package uplot distributes it.
package uplot

import _ "embed" // the files beside this one

var (
	// Script is the library; it defines the global uPlot.
	//go:embed uPlot.iife.min.js
	Script string

	// Style is its style sheet.
	//go:embed uPlot.min.css
	Style string

	// License is the notice that goes with every copy of the two.
	//go:embed LICENSE
	License string
)
