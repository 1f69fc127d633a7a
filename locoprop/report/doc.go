// Package report shows what training runs have done: line charts as SVG, as PNG and in
// characters, and a page of charts, tables and pictures that is one file and opens
// without a network.
//
// A [Chart] has several [Series], told apart by colour, by dashes and in characters by
// marks. Everything here is a function of its arguments: the same ones give the same
// bytes.
package report
