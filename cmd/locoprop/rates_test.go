package main

import (
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/stretchr/testify/assert"
)

// The page has a row for each rate in the order of the pairs: what the search reached,
// or where a fixed rate comes from.
func TestRatesPage(t *testing.T) {
	t.Parallel()
	table := append(catalog.FixedRates(), catalog.Rate{Pair: catalog.Pair{Method: "locoprop-s", Optimizer: "sgd"}, Eta: 3e-4, Gamma: 10, TestLoss: 61.234})
	_, rows, found := strings.Cut(string(ratesText(table)), "|---|---|---|---|\n")
	assert.True(t, found)
	assert.Equal(t, "| locoprop-m | rmsprop tf1 | 1e-05 | the LocoProp paper; B = 1000 |\n"+
		"| locoprop-s | sgd | 0.0003 | 61.23 |\n"+
		"| backprop | adam torch | 0.0015 | best of five on MNIST; B = 100, 200 warm-up steps, linear decay |\n"+
		"| kfac | – | 1 | none: every step has its own (Martens & Grosse 2015) |\n"+
		"| kfac | – plain | 1 | its authors' code (Goldfarb et al. 2020) |\n"+
		"| proxprop | sgd | 1 | none: the step is the solution (Frerix et al. 2018) |\n", rows)
}
