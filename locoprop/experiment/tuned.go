package experiment

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/tune"
)

// TuneReport is what a search has found, for files.
type TuneReport struct {
	Contender string   `json:"contender"`
	Title     string   `json:"title"`
	Source    string   `json:"source"` // of the default point and the space
	Space     []string `json:"space"`
	Metric    string   `json:"metric"` // what Loss is
	Unit      string   `json:"unit"`   // of lengths: steps, or examples seen in training
	RateKey   string   `json:"rate_key"`
	// Budget is that of the search; one contender's is as good as another's where they
	// are equal.
	Budget  tune.Budget `json:"budget"`
	Rungs   []int       `json:"rungs"`
	Default TunePoint   `json:"default"`
	Best    TunePoint   `json:"best"`
	// Settings are all of the contender's at the best point, to be put over any problem.
	Settings catalog.Values `json:"settings"`
	Beside   []TunePoint    `json:"beside"` // half and double the rate of the best
	Trials   []TunePoint    `json:"trials"` // those that came furthest first, then the best
	Warnings []string       `json:"warnings"`
}

// TunePoint is a trial and what it reached.
type TunePoint struct {
	Trial    int               `json:"trial"`
	Label    string            `json:"label,omitempty"`
	Settings map[string]string `json:"settings"`
	Length   int               `json:"length"`
	Loss     *float64          `json:"loss"` // null: it diverged, or, as the best, all did
}

// Point is a result as reports have it.
func Point(r tune.Result) TunePoint {
	p := TunePoint{Trial: r.Trial.Number, Label: r.Trial.Label, Settings: r.Trial.Point, Length: r.Length}
	if !r.Diverged() && r.Length > 0 { // else it is the best of none
		p.Loss = &r.Loss
	}
	return p
}

func points(results []tune.Result) []TunePoint {
	list := make([]TunePoint, len(results))
	for i, r := range results {
		list[i] = Point(r)
	}
	return list
}

// Report is the result for files.
func (t *Tuned) Report() TuneReport {
	r := TuneReport{
		Contender: t.Contender.Name, Title: t.Contender.Title, Source: t.Contender.Source,
		Metric: t.Metric, Unit: t.Unit, RateKey: t.RateKey,
		Budget: t.Budget, Rungs: t.Rungs, Default: Point(t.Default), Best: Point(t.Best), Settings: t.Settings,
		Beside: points(t.Probes), Trials: points(t.Results), Warnings: slices.Concat([]string{}, t.Warnings),
	}
	for _, d := range t.Contender.Space {
		r.Space = append(r.Space, d.String())
	}
	return r
}

// WriteCSV writes a line for each trial, half and double of the rate included: its number,
// what it is (default, half the rate, double the rate, or half gamma and the like), a column for each setting of the
// space, how far it came, its loss there (empty: diverged) and whether it is the best.
func (r *TuneReport) WriteCSV(w io.Writer, keys []string) error {
	out := csv.NewWriter(w)
	if err := out.Write(slices.Concat([]string{"trial", "label"}, keys, []string{r.Unit, r.Metric, "best"})); err != nil {
		return err
	}
	for _, p := range slices.Concat(r.Trials, r.Beside) {
		label := p.Label
		if p.Trial == 0 {
			label = "default"
		}
		line := []string{strconv.Itoa(p.Trial), label}
		for _, key := range keys {
			line = append(line, p.Settings[key])
		}
		loss := ""
		if p.Loss != nil {
			loss = strconv.FormatFloat(*p.Loss, 'g', -1, 64)
		}
		if err := out.Write(append(line, strconv.Itoa(p.Length), loss, strconv.FormatBool(p.Trial == r.Best.Trial))); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Runs tells the budget in full runs: 8.2.
func (r *TuneReport) Runs() string {
	return fmt.Sprintf("%.3g", float64(r.Budget.Length)/float64(r.Budget.Full))
}
