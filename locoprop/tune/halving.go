package tune

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/samplemv"
)

// Points are n points of a space that cover it evenly: Halton's sequence, its digits
// permuted by a seed as in Owen, "A randomized Halton algorithm in R" (2017). The first k of n
// points are those that k alone would be.
func Points(space []Dimension, n int, seed uint32) []map[string]string {
	points := make([]map[string]string, n)
	if n == 0 {
		return points
	}
	u := mat.NewDense(n, max(len(space), 1), nil)
	samplemv.Halton{
		Kind: samplemv.Owen, Q: distmv.NewUnitUniform(max(len(space), 1), nil), Src: rand.NewPCG(uint64(seed), 0),
	}.Sample(u)
	for i := range points {
		points[i] = make(map[string]string, len(space))
		for j, d := range space {
			points[i][d.Key] = d.At(u.At(i, j))
		}
	}
	return points
}

// Rungs are the lengths at which trials of a full length are compared when each rung is
// reduction times the one below: full, ⌈full/reduction⌉, …, as many as let some of the
// trials reach the last and none begin below 1; ascending. Reduction 1 gives full alone.
func Rungs(full, trials, reduction int) []int {
	rungs := []int{full}
	for alive := trials; reduction > 1 && rungs[0] > 1 && alive > reduction; alive = kept(alive, reduction) {
		rungs = slices.Insert(rungs, 0, (rungs[0]+reduction-1)/reduction)
	}
	return rungs
}

// kept is the number of trials, the default point's not counted, that go on to the next
// rung.
func kept(alive, reduction int) int { return max(alive/reduction, 1) }

// Budget is what a search may spend, the same for every space.
type Budget struct {
	Trials int `json:"trials"` // the default point and those from the space
	Probes int `json:"probes"` // further runs beside the best
	Full   int `json:"full"`   // length of a full run
	// Length is that of all runs together if none diverges. Trials that are dropped early
	// are why it is below (Trials + Probes)·Full.
	Length int `json:"length"`
}

func (o Options) withDefaults() Options {
	if o.Reduction == 0 {
		o.Reduction = DefaultReduction
	}
	return o
}

func (o Options) rungs() []int { return Rungs(o.Length, o.Trials-1, o.Reduction) }

// Budget is what a search with these options may spend; the options must be right.
func (o Options) Budget() Budget {
	o = o.withDefaults()
	b := Budget{Trials: o.Trials, Probes: o.Probes, Full: o.Length, Length: o.Length * (1 + o.Probes)}
	alive, before := o.Trials-1, 0
	for _, rung := range o.rungs() {
		b.Length += alive * (rung - before)
		alive, before = min(alive, kept(alive, o.Reduction)), rung
	}
	return b
}

// finite makes every loss that isn't a finite number +Inf.
func finite(loss float64) float64 {
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return math.Inf(1)
	}
	return loss
}

// byLoss orders results, the best first: diverged ones last, equal ones by their number.
func byLoss(a, b Result) int {
	return cmp.Or(cmp.Compare(a.Loss, b.Loss), cmp.Compare(a.Trial.Number, b.Trial.Number))
}

// promote picks the trials that go on to the next rung: the default point's, unless it
// diverged, and the best of the others.
func promote(results []Result, reduction int) (up, dropped []Trial) {
	results = slices.Clone(results)
	slices.SortFunc(results, byLoss)
	others := 0
	for _, r := range results {
		if r.Trial.Number != 0 {
			others++
		}
	}
	places := min(others, kept(others, reduction))
	for _, r := range results {
		switch {
		case r.Diverged():
			dropped = append(dropped, r.Trial)
		case r.Trial.Number == 0:
			up = append(up, r.Trial)
		case places > 0:
			up = append(up, r.Trial)
			places--
		default:
			dropped = append(dropped, r.Trial)
		}
	}
	slices.SortFunc(up, func(a, b Trial) int { return cmp.Compare(a.Number, b.Number) })
	return up, dropped
}

// check returns all that is wrong with the options.
func (o *Options) check() error {
	errs := []error{checkSpace(o.Space)}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Trials < 1 {
		bad("%d trials; must be 1 or more", o.Trials)
	}
	if o.Length < 1 {
		bad("length %d; must be 1 or more", o.Length)
	}
	if o.Reduction < 0 {
		bad("reduction %d; must be 1 or more", o.Reduction)
	}
	if o.Trials > MostTrials {
		bad("%d trials; must be at most %d", o.Trials, MostTrials)
	}
	if o.Evaluate == nil {
		bad("nothing evaluates trials")
	}
	if o.Probes < 0 || o.Probes > 0 && o.Probe == nil {
		bad("%d probes, and nothing that makes them", o.Probes)
	}
	for key := range o.Default {
		if !slices.ContainsFunc(o.Space, func(d Dimension) bool { return d.Key == key }) {
			bad("default point has %s, which isn't in the space", key)
		}
	}
	return errors.Join(errs...)
}
