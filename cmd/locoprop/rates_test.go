package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// A search for rates goes on with what its journal holds, and refuses one that is damaged or in use.
func TestRatesJournal(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "rates")
	open := func() (*rateSearch, error) {
		s := &rateSearch{done: map[catalog.Pair]map[float64]float64{}}
		err := s.open(dir)
		return s, err
	}
	s, err := open()
	require.NoError(t, err)
	loss := 61.5
	require.NoError(t, s.journal.Add(trial{Method: "locoprop-s", Optimizer: "sgd", Eta: 3e-4, TestLoss: &loss}))
	require.NoError(t, s.journal.Add(trial{Method: "locoprop-s", Optimizer: "sgd", Eta: 1e-3}))
	_, err = open()
	var usage *usageError
	require.ErrorAs(t, err, &usage)
	assert.ErrorContains(t, err, "is in use")
	require.NoError(t, s.journal.Close())

	path := filepath.Join(dir, ratesJournal)
	require.NoError(t, os.WriteFile(path, append(read(t, path), `{"method":"locoprop-s","opt`...), 0o666))
	s, err = open()
	require.NoError(t, err)
	done := s.done[catalog.Pair{Method: "locoprop-s", Optimizer: "sgd"}]
	assert.Len(t, done, 2)
	assert.InDelta(t, loss, done[3e-4], 0)
	assert.True(t, math.IsNaN(done[1e-3]), "it diverged")
	require.NoError(t, s.journal.Close())

	require.NoError(t, os.WriteFile(path, []byte("[]\n"), 0o666))
	_, err = open()
	assert.ErrorIs(t, err, dataset.ErrData)
	assert.ErrorContains(t, err, path+": line 1: json")
}
