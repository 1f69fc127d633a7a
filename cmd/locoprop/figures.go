package main

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/bench"
)

// judgement is a figure that speed is judged by.
type judgement struct {
	Name string `json:"name"`
	bench.Spread
	Share  bool     `json:"share,omitempty"` // printed in percent
	Target *float64 `json:"target,omitempty"`
	Most   bool     `json:"at_most,omitempty"` // the target is an upper bound, else a lower one
}

func (f judgement) text(v float64) string {
	if f.Share {
		return fmt.Sprintf("%.2f %%", 100*v)
	}
	return fmt.Sprintf("%.4g", v)
}

// verdict tells what the figure ought to be, and whether it is.
func (f judgement) verdict() string {
	if f.Target == nil {
		return ""
	}
	sign, met := "≥", f.Median >= *f.Target
	if f.Most {
		sign, met = "≤", f.Median <= *f.Target
	}
	text := sign + " " + f.text(*f.Target)
	if !met {
		text += ", missed"
	}
	return text
}

// figures collects them.
type figures []judgement

func (l *figures) add(name string, s bench.Spread) *judgement {
	*l = append(*l, judgement{Name: name, Spread: s})
	return &(*l)[len(*l)-1]
}

func (f *judgement) share() *judgement { f.Share = true; return f }
func (f *judgement) least(v float64)   { f.Target = &v }
func (f *judgement) most(v float64)    { f.Target, f.Most = &v, true }

// single is a figure that is measured over all rounds together.
func single(v float64) bench.Spread { return bench.Spread{Median: v, Min: v, Max: v, Count: 1} }

// inverse is that of each measurement.
func inverse(s bench.Spread) bench.Spread {
	return bench.Spread{Median: 1 / s.Median, Min: 1 / s.Max, Max: 1 / s.Min, Count: s.Count}
}

// judge forms the figures from what was measured.
func judge(r *figuresReport) []judgement {
	steps := map[string]*bench.Report{}
	for _, s := range r.Standing {
		steps[s.Name] = s.Report
	}
	var l figures
	for _, name := range []string{stepOne, stepMatching} {
		m := steps[name]
		step := m.Steps[0]
		on := fmt.Sprintf("LocoProp-M, direct, --workers %d: ", m.Workers)
		l.add(on+"rate over that of its products alone", step.OfCeiling).least(0.94)
		f := l.add(on+"over square products", step.OfSgemm)
		if name == stepMatching {
			f.least(0.90)
		}
		if step.OfFMA != nil {
			l.add(on+"over the FMA peak", *step.OfFMA)
		}
	}
	m := steps[stepMatching]
	l.add("share of its step outside products", single(1-m.Waterfall.Share(bench.PartProducts))).share().most(0.05)
	for _, p := range m.Waterfall.Parts {
		l.add("of that step: "+p.Name, single(p.Share)).share()
	}
	l.add("Go, cgo and scheduling in that step", single(m.Overhead.Share)).share().most(0.01)
	for _, other := range m.Steps[1:] {
		l.add("time of that step on "+other.Backend+" over "+m.Steps[0].Backend, other.Ratio)
	}
	l.add("LocoProp-S: time of direct over Gram", inverse(steps[stepSquared].Rivals[0].Ratio)).least(1.7)
	l.add("LocoProp-M, momentum, B 100, n and m from 500: local time of direct over kernel form",
		inverse(steps[stepLarge].Rivals[0].LocalRatio)).least(3)
	for _, a := range []struct {
		name  string
		least float64
	}{{stepAdam100, 0.60}, {stepAdam1000, 0.80}} {
		s := steps[a.name]
		l.add(a.name+": rate over square products", s.Steps[0].OfSgemm).least(a.least)
		l.add(a.name+": share of the time that moving weights and state takes", single(s.Traffic.OfStep)).share()
	}
	l.add("preset fast: time over that of its products and factorisations alone", inverse(steps[stepFast].Steps[0].OfCeiling)).most(1.25)
	l.add("pure Go: rate over its own square products", steps[stepPure].Steps[0].OfSgemm).least(0.8)
	l.add("epoch: share of neither steps nor evaluation", r.Epoch.Rest).share().most(0.02)
	l.add("evaluation: rate over square products", r.Epoch.OfSgemm).least(0.85)
	small := steps[stepSmall]
	if f := small.Steps[0].OfFMA; f != nil {
		l.add("64-32-64, B 32, T 10: time over that of its flops at one core's FMA peak", inverse(*f)).most(3)
	}
	for _, p := range small.Waterfall.Parts {
		l.add("of that step: "+p.Name, single(p.Share)).share()
	}
	allocations, memory := 0.0, 0.0
	for _, s := range r.Standing {
		allocations = max(allocations, s.Steps[0].Allocations)
		memory = max(memory, (s.Memory.Total-s.Memory.Needed)/max(s.Memory.Scratch, 1))
	}
	l.add("allocations in a step, the most of all", single(allocations)).most(0)
	l.add("memory above weights, state, activations and batch, over the workers' scratch, the most of all", single(memory))
	return l
}

// stepRows is the table of steps, with its heading.
func stepRows(r *figuresReport) [][]string {
	rows := [][]string{{
		"step", "batch", "workers", "GF", "ms", "min", "max", "GF/s", "of ceiling", "of sgemm", "of FMA", "products", "packing", "transfer",
		"update", "Go", "waiting", "allocations",
	}}
	add := func(name string, s bench.Step, f *bench.Report, shares ...string) {
		row := []string{name, fmt.Sprint(f.Batch), fmt.Sprint(f.Workers)}
		for _, v := range []float64{s.Rate * s.Seconds.Median / 1e9, 1e3 * s.Seconds.Median, 1e3 * s.Seconds.Min, 1e3 * s.Seconds.Max} {
			row = append(row, fmt.Sprintf("%.4g", v))
		}
		row = append(row, fmt.Sprintf("%.1f", s.Rate/1e9), fmt.Sprintf("%.3f", s.OfCeiling.Median), fmt.Sprintf("%.3f", s.OfSgemm.Median),
			medianOrDash("%.3f", s.OfFMA))
		rows = append(rows, append(append(row, shares...), fmt.Sprintf("%.0f", s.Allocations)))
	}
	for _, f := range r.Standing {
		var shares []string
		for _, names := range [][]string{
			{bench.PartProducts, bench.PartFactors},
			{bench.PartPacking},
			{bench.PartTransfer},
			{bench.PartUpdate},
			{bench.PartTasks, bench.PartSerial},
			{bench.PartWaiting},
		} {
			shares = append(shares, fmt.Sprintf("%.3f", f.Waterfall.Share(names...)))
		}
		add(f.Name, f.Steps[0], f.Report, shares...)
		none := []string{"", "", "", "", "", ""}
		for _, s := range f.Steps[1:] {
			add("the same on "+s.Backend, s, f.Report, none...)
		}
		for _, s := range f.Rivals {
			add("the same, "+s.Rival, s, f.Report, none...)
		}
	}
	return rows
}
