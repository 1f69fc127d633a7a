package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// MostTrials bounds the trials of a search.
const MostTrials = 10_000

// DefaultReduction is Options.Reduction where it is 0.
const DefaultReduction = 3

// Options say what to search and how. Space, Trials, Length and Evaluate must be given.
type Options struct {
	Space []Dimension
	// Default is the point of trial 0. Keys that it leaves out are for Evaluate to fill.
	Default map[string]string
	Trials  int // trial 0 and Trials − 1 others, at Points of the space
	// Length is that of a full run, in whatever unit Evaluate counts: epochs, steps.
	Length int
	// Reduction is the factor of successive halving: at each rung one trial of so many goes
	// on. 0 means 3, 1 that all run to the end.
	Reduction int
	Seed      uint32 // of the points

	// Evaluate brings a trial to a length, from wherever its last call left it, and
	// returns the loss there, smaller being better; NaN or ±Inf is a run that diverged.
	// Where it returns an error, the search ends, and goes on there when it is called again.
	Evaluate func(ctx context.Context, t Trial, length int) (loss float64, err error)
	// Probe gives Probes further trials beside the best one: they run to the end and are
	// reported, but never win. Their numbers follow those of the other trials.
	Probe  func(best Result) []Trial
	Probes int

	// Journal is a file that results are written to as they come, so that a search that
	// ended in whatever way goes on where it was; "" for none. Settings stand at its
	// beginning: a search with other ones, or other options, is refused there.
	Journal  string
	Settings map[string]string

	OnResult  func(Result)  // told of each result, old ones of the journal too, in a fixed order
	OnDropped func(t Trial) // told of each trial that won't go on, once for certain, again after a restart
}

// Trial is a point that is tried.
type Trial struct {
	Number int               `json:"trial"` // 0 is the default point
	Label  string            `json:"label,omitempty"`
	Point  map[string]string `json:"point"`
}

// Result is what a trial has reached.
type Result struct {
	Trial  Trial
	Length int     // how far it has come
	Loss   float64 // there; +Inf: it diverged
}

// Diverged reports whether the trial ended in numbers that aren't finite.
func (r Result) Diverged() bool { return math.IsInf(r.Loss, 1) }

// Outcome is the result of a search.
type Outcome struct {
	Default Result   // of trial 0
	Best    Result   // of the trials that ran to the end
	Results []Result // of all trials, each where it ended: the longest first, then the best
	Probes  []Result
	Rungs   []int // lengths at which trials were compared
	Budget  Budget
	// Warnings tell where the result is to be doubted: the best point at an edge of the
	// space, a probe that is better.
	Warnings []string
}

// ErrAllDiverged is what errors.Is finds where no trial gave a finite loss.
var ErrAllDiverged = errors.New("every trial diverged")

// Search looks for the point of a space with the least loss. Trial 0 is the default point,
// the others are spread evenly over the space (see [Points]). They run to the first of
// some lengths, 1/r, … of the full one, where all but the best 1/r end; the rest go on to the
// next, as in successive halving (Jamieson & Talwalkar, AISTATS 2016). Trial 0 runs to the end
// in any case, so that what tuning gives can be told. A diverged trial goes no further and
// never wins. The result is a function of the options and of what Evaluate returns.
//
// Wrong options give an error that lists all that is wrong. Where every trial diverges,
// errors.Is(err, ErrAllDiverged) holds. The outcome has what was reached, with an error too.
func Search(ctx context.Context, o Options) (Outcome, error) {
	if err := o.check(); err != nil {
		return Outcome{}, fmt.Errorf("tune: %w", err)
	}
	o = o.withDefaults()
	s := &search{o: o, rungs: o.rungs()}
	if o.Journal != "" {
		var err error
		if s.journal, err = openJournal(o.Journal, s.header()); err != nil {
			return Outcome{}, err
		}
		defer s.journal.file.Close() // every line is on the disk
	}
	err := s.run(ctx)
	return s.outcome(), err
}

type search struct {
	o       Options
	rungs   []int
	journal *results
	latest  []Result // by trial, where each has come
	probes  []Result
}

func (s *search) run(ctx context.Context) error {
	alive := []Trial{{Number: 0, Point: s.o.Default}}
	for i, point := range Points(s.o.Space, s.o.Trials-1, s.o.Seed) {
		alive = append(alive, Trial{Number: i + 1, Point: point})
	}
	s.latest = make([]Result, 0, len(alive))
	for _, rung := range s.rungs {
		var results []Result
		for _, t := range alive {
			r, err := s.evaluate(ctx, t, rung)
			if err != nil {
				return err
			}
			results = append(results, r)
			s.note(r)
		}
		var dropped []Trial
		if rung == s.o.Length {
			break // all are at their end
		}
		alive, dropped = promote(results, s.o.Reduction)
		s.drop(dropped)
	}
	best, found := s.best()
	if !found {
		return fmt.Errorf("tune: %w; try smaller rates", ErrAllDiverged)
	}
	return s.probe(ctx, best)
}

// probe runs what is beside the best trial.
func (s *search) probe(ctx context.Context, best Result) error {
	if s.o.Probes == 0 {
		return nil
	}
	trials := s.o.Probe(best)
	if len(trials) != s.o.Probes {
		return fmt.Errorf("tune: %d probes were made; must be %d", len(trials), s.o.Probes)
	}
	for i, t := range trials {
		t.Number = s.o.Trials + i
		r, err := s.evaluate(ctx, t, s.o.Length)
		if err != nil {
			return err
		}
		s.probes = append(s.probes, r)
	}
	return nil
}

// evaluate takes a result from the journal, or makes it and writes it there.
func (s *search) evaluate(ctx context.Context, t Trial, length int) (Result, error) {
	r := Result{Trial: t, Length: length}
	if loss, known := s.journal.find(t.Number, length); known {
		r.Loss = loss
		s.report(r)
		return r, nil
	}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	loss, err := s.o.Evaluate(ctx, t, length)
	if err != nil {
		return r, err
	}
	r.Loss = finite(loss)
	if err := s.journal.add(r); err != nil {
		return r, err
	}
	s.report(r)
	return r, nil
}

func (s *search) report(r Result) {
	if s.o.OnResult != nil {
		s.o.OnResult(r)
	}
}

func (s *search) drop(trials []Trial) {
	if s.o.OnDropped == nil {
		return
	}
	for _, t := range trials {
		s.o.OnDropped(t)
	}
}

// note keeps where a trial has come.
func (s *search) note(r Result) {
	i := slices.IndexFunc(s.latest, func(l Result) bool { return l.Trial.Number == r.Trial.Number })
	if i < 0 {
		s.latest = append(s.latest, r)
		return
	}
	s.latest[i] = r
}

// best is the best of the trials that ran to the end.
func (s *search) best() (best Result, found bool) {
	best.Loss = math.Inf(1)
	for _, r := range s.latest {
		if r.Length == s.o.Length && r.Loss < best.Loss { // in the order of their numbers
			best, found = r, true
		}
	}
	return best, found
}

func (s *search) outcome() Outcome {
	out := Outcome{
		Results: slices.Clone(s.latest), Probes: s.probes, Rungs: s.rungs,
		Budget: s.o.Budget(),
	}
	if len(out.Results) > 0 {
		out.Default = out.Results[0]
	}
	slices.SortStableFunc(out.Results, func(a, b Result) int {
		if a.Length != b.Length {
			return b.Length - a.Length
		}
		return byLoss(a, b)
	})
	if best, found := s.best(); found {
		out.Best = best
		out.Warnings = s.warnings(best)
	}
	return out
}

// warnings tell where a best result is to be doubted.
func (s *search) warnings(best Result) []string {
	var list []string
	for _, d := range s.o.Space {
		value := best.Trial.Point[d.Key]
		if end := d.Edge(value); end != "" {
			list = append(list, fmt.Sprintf("%s %s is at the %s end of its range, %v to %v: the best may lie beyond", d.Key, value, end, d.Low, d.High))
		}
	}
	for _, p := range s.probes {
		if p.Loss < best.Loss {
			list = append(list, fmt.Sprintf("%s is better still: loss %s against %s", p.Trial.Label, Number(p.Loss), Number(best.Loss)))
		}
	}
	return list
}
