package bench

import (
	"errors"
	"math"

	"github.com/locoprop/locoprop-go/locoprop"
)

// Fit finds the costs with which the cost model comes closest to the times that one
// worker took, in the least squares of (predicted − measured)/measured over all forms
// with a prediction; no cost is below 0. It is how locoprop.DefaultCosts were made.
func (r *FormsReport) Fit() (locoprop.Costs, error) {
	if r.Workers != 1 {
		return locoprop.Costs{}, errors.New("bench: costs are those of one core: measure with one worker")
	}
	var rows [][]float64
	for _, l := range r.Layers {
		for _, f := range l.Forms {
			if f.Seconds.Count > 0 && f.Work != nil {
				w, s := f.Work, f.Seconds.Median
				rows = append(rows, []float64{w.Product / s, w.Square / s, w.Operand / s, w.Element / s, w.Transfer / s, w.Call / s})
			}
		}
	}
	if len(rows) < 6 {
		return locoprop.Costs{}, errors.New("bench: six costs need at least six measured forms")
	}
	c := nonNegative(rows)
	costs := locoprop.Costs{Product: c[0], Square: c[1], Operand: c[2], Element: c[3], Transfer: c[4], Call: c[5]}
	return costs, nil
}

// nonNegative minimises ‖Ax − 1‖² over x ≥ 0 by coordinate descent.
func nonNegative(rows [][]float64) []float64 {
	n := len(rows[0])
	x, residual := make([]float64, n), make([]float64, len(rows))
	for i := range residual {
		residual[i] = -1
	}
	squares := make([]float64, n)
	for _, row := range rows {
		for j, a := range row {
			squares[j] += a * a
		}
	}
	const passes = 10000
	for range passes {
		for j := range n {
			if squares[j] == 0 {
				continue
			}
			slope := 0.0
			for i, row := range rows {
				slope += row[j] * residual[i]
			}
			next := math.Max(x[j]-slope/squares[j], 0)
			for i, row := range rows {
				residual[i] += row[j] * (next - x[j])
			}
			x[j] = next
		}
	}
	return x
}
