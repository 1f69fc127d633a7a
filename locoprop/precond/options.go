package precond

import (
	"errors"
	"fmt"
	"math"
)

// Structure is how much of C̄ is kept.
type Structure uint8

// The structures.
const (
	Full          Structure = iota // all of C̄: (n+1)² numbers, twice that again for its factor
	BlockDiagonal                  // diagonal blocks of Options.Block columns, in order, the last may be short
	Diagonal                       // the diagonal
)

// Structures are the names of the structures, in the order of their constants.
var Structures = []string{"full", "block-diagonal", "diagonal"}

// String gives the name that the command line uses.
func (s Structure) String() string {
	if int(s) < len(Structures) {
		return Structures[s]
	}
	return fmt.Sprintf("precond.Structure(%d)", uint8(s))
}

// Defaults of [Options].
const (
	DefaultBlock    = 128
	DefaultAverage  = 0.95
	DefaultRefresh  = 1
	DefaultRelative = 0.3
)

// MaxBlock is the most columns that a matrix which is factored may have, n+1 or those
// of a block: what LAPACK's 32-bit sizes allow, less a little.
const MaxBlock = 32000

// Options are the settings of a [Moment]. Zero values are the defaults.
type Options struct {
	Structure Structure // Full
	Block     int       // p, columns of a block where BlockDiagonal, ≥ 1; 0 means 128
	Average   float64   // β in (0, 1); 0 means 0.95; see NoAverage
	NoAverage bool      // β = 0: every batch by itself
	Refresh   int       // r ≥ 1: C̄ is factored anew at batches 1, r+1, 2r+1, …; 0 means 1
	Damping   float64   // ρ > 0 of the converged update; 0: see Relative
	Relative  float64   // ρ = Relative·tr(C̄)/(n+1), where Damping is 0; 0 means 0.3
	StepsOnly bool      // no converged update will be asked for: no memory for factors
}

// WithDefaults returns the options with zero values replaced by their defaults.
func (o Options) WithDefaults() Options {
	if o.Structure == BlockDiagonal && o.Block == 0 {
		o.Block = DefaultBlock
	}
	if o.Average == 0 && !o.NoAverage {
		o.Average = DefaultAverage
	}
	if o.Refresh == 0 {
		o.Refresh = DefaultRefresh
	}
	if o.Damping == 0 && o.Relative == 0 {
		o.Relative = DefaultRelative
	}
	return o
}

// Check returns all that is wrong with options that have their defaults.
func (o Options) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if int(o.Structure) >= len(Structures) {
		bad("unknown structure %d", o.Structure)
	}
	if o.Structure == BlockDiagonal && (o.Block < 1 || o.Block > MaxBlock) {
		bad("blocks of %d columns; must be 1 to %d", o.Block, MaxBlock)
	}
	if o.Structure != BlockDiagonal && o.Block != 0 {
		bad("blocks of %d columns, but the structure is %v; only block-diagonal has blocks", o.Block, o.Structure)
	}
	switch {
	case o.NoAverage && o.Average != 0:
		bad("average is %v, but none is to be taken; give one of both", o.Average)
	case !o.NoAverage && !(o.Average > 0 && o.Average < 1):
		bad("average is %v; must be above 0 and below 1", o.Average)
	}
	if o.Refresh < 1 {
		bad("refresh every %d batches; must be 1 or more", o.Refresh)
	}
	positive := func(name string, v float64) {
		if v != 0 && (!(v > 0) || math.IsInf(v, 0)) {
			bad("%s is %v; must be a positive finite number", name, v)
		}
	}
	positive("damping", o.Damping)
	positive("relative damping", o.Relative)
	if o.Damping != 0 && o.Relative != 0 {
		bad("damping is %v and relative damping %v; give one of both", o.Damping, o.Relative)
	}
	return errors.Join(errs...)
}
