// Package schedule gives the factor s(e, i) by which a run scales its learning
// rate at epoch e, batch i.
package schedule

import (
	"fmt"
	"math"
)

// Kind names a schedule.
type Kind uint8

// The schedules; see [Schedule.At] for their formulas.
const (
	Constant Kind = iota
	Linear
	Cosine
	Paper
)

// Names of the schedules, in the order of their constants.
var Names = []string{"constant", "linear", "cosine", "paper"}

// String gives the name that the command line uses.
func (k Kind) String() string {
	if int(k) < len(Names) {
		return Names[k]
	}
	return fmt.Sprintf("schedule.Kind(%d)", uint8(k))
}

// Schedule is a planned course of the learning rate. The zero value is constant
// at 1.
type Schedule struct {
	Kind Kind
	// Epochs is the planned length E of the run; the schedule ends there even if
	// the run stops earlier or goes on. Used by Linear, Cosine and Paper; ≥ 1
	// (Paper: ≥ 6).
	Epochs int
	// Steps is the planned length N in batches, in place of Epochs: for runs that may end
	// within an epoch. 0 means that Epochs says it. Not with Paper, which goes by epochs.
	Steps int
	// Warmup is the number w of first batches over which the factor rises: batch i
	// is multiplied by min(1, (i+1)/w). 0 means none. Not with Paper, which warms up
	// by itself.
	Warmup int
}

// Check returns an error that says which field is wrong and what it may be.
func (s Schedule) Check() error {
	switch {
	case int(s.Kind) >= len(Names):
		return fmt.Errorf("schedule: unknown kind %d", s.Kind)
	case s.Warmup < 0:
		return fmt.Errorf("schedule: %d warm-up steps; must be 0 or more", s.Warmup)
	case s.Steps < 0:
		return fmt.Errorf("schedule: planned length of %d steps; must be 0 or more", s.Steps)
	case s.Kind == Constant:
		return nil
	case s.Kind == Paper && s.Steps > 0:
		return fmt.Errorf("schedule paper goes by epochs; it takes no planned length in steps (got %d)", s.Steps)
	case s.Steps > 0:
		return nil
	case s.Kind == Paper && s.Warmup > 0:
		return fmt.Errorf("schedule paper warms up over its first five epochs; it takes no warm-up steps (got %d)", s.Warmup)
	case s.Kind == Paper && s.Epochs < 6:
		return fmt.Errorf("schedule paper needs a planned length of at least 6 epochs, not %d", s.Epochs)
	case s.Epochs < 1:
		return fmt.Errorf("schedule %v needs a planned length of at least 1 epoch, not %d", s.Kind, s.Epochs)
	}
	return nil
}

// At is the factor s at epoch and batch (both from 0), with batches in an epoch.
// With i the batch counted from the run's start, N = Epochs·batches (or Steps) and E = Epochs:
//
//	constant   1
//	linear     1 − i/N              0 for i ≥ N
//	cosine     ½(1 + cos(π i/N))    0 for i ≥ N
//	paper      e/5 for e < 5, then 1 − (e−4)/(E−5), 0 for e ≥ E−1
//
// times min(1, (i+1)/w) for w warm-up steps. `paper` is constant within an epoch; it
// is that of the LocoProp paper's reference experiment (E = 100), whose first epoch
// moves no weight. Every product is rounded by itself, so that the factor has the
// same bits on every machine.
func (s Schedule) At(epoch, batch, batches int) float64 {
	i := float64(epoch)*float64(batches) + float64(batch)
	n := float64(s.Epochs) * float64(batches)
	if s.Steps > 0 {
		n = float64(s.Steps)
	}
	f := 1.0
	switch s.Kind {
	case Linear:
		f = math.Max(0, 1-i/n)
	case Cosine:
		if i >= n {
			return 0
		}
		f = cosineDecay(i / n)
	case Paper:
		switch {
		case epoch < 5:
			f = float64(epoch) / 5
		case epoch >= s.Epochs-1:
			return 0
		default:
			f = 1 - float64(epoch-4)/float64(s.Epochs-5)
		}
	}
	if s.Warmup > 0 {
		f = float64(f * math.Min(1, (i+1)/float64(s.Warmup)))
	}
	return f
}

// cosineDecay is ½(1 + cos πx) = cos²(πx/2) for x in [0, 1]. It sums the Taylor
// series with every product rounded by itself, because math.Cos may fuse them on
// one machine and not on another.
func cosineDecay(x float64) float64 {
	z, term, k := float64(math.Pi/2*x), 1.0, 0.0 // cos z = 1 − z²/2! + …
	if x > 0.5 {
		z = float64(math.Pi / 2 * (1 - x)) // cos(πx/2) = sin z = z − z³/3! + …
		term, k = z, 1
	}
	square, sum := float64(z*z), term
	for range 12 { // z ≤ π/4: the last term is below 1e-25
		term = float64(-term*square) / float64((k+1)*(k+2))
		sum += term
		k += 2
	}
	return float64(sum * sum)
}
