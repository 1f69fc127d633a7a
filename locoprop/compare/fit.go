package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// A throw-away run that tells the time of a step takes this share of the planned time, and
// at least so long, and at least probeCycles of the method's cycles; but no longer than the
// plan, nor than probeMost.
const (
	probeShare  = 0.2
	probeLeast  = time.Second
	probeCycles = 3
	probeMost   = time.Minute
)

// window is how many steps of a method whose steps are all alike are timed together.
const window = 10

// Fit is the number of steps of a contender that fit into Length.Time, and the time of a
// step, both by a run that is thrown away and leaves no files. Of the options it takes
// those of the problem.
func Fit(ctx context.Context, o Options, c *Contender) (steps int, perStep float64, err error) {
	return (&runner{Options: o}).fit(ctx, c)
}

// fit is the number of steps of a contender that fit into Length.Time, by a run that is
// thrown away.
func (r *runner) fit(ctx context.Context, c *Contender) (steps int, perStep float64, err error) {
	e, err := r.Resolve(c, 1, r.provisional())
	if err != nil {
		return 0, 0, err
	}
	e.EvalSteps, e.Rollback = 0, false
	e.TimeLimit = min(r.Length.Time, probeMost)
	data := *r.Data
	data.Test = nil // one split is evaluated in vain, not two
	config, err := experiment.Config(&e, &data, r.Backend)
	if err != nil {
		return 0, 0, err
	}
	enough := max(probeShare*r.Length.Time.Seconds(), probeLeast.Seconds())
	var cycle plan.Cycle
	var seconds []float64 // of training, after each step
	running, stop := context.WithCancel(ctx)
	defer stop()
	config.OnStep = func(p train.Progress) {
		seconds = append(seconds, p.Seconds)
		if p.Seconds >= enough && len(seconds) >= cycle.Begin+probeCycles*cycle.Length {
			stop()
		}
	}
	t, err := train.New(ctx, config)
	if err != nil {
		return 0, 0, err
	}
	defer t.Close()
	cycle = t.Cycle()
	var diverged *train.DivergedError
	_, err = t.Run(running)
	stopped := errors.Is(err, train.ErrInterrupted) && ctx.Err() == nil
	if err != nil && !stopped && !errors.As(err, &diverged) {
		return 0, 0, err
	}
	switch {
	case len(seconds) > 0:
	case diverged != nil:
		return 0, 0, fmt.Errorf("its first step fails: %w", diverged)
	default:
		return 0, 0, fmt.Errorf("no step ends within %v", e.TimeLimit)
	}
	steps, perStep = fitting(seconds, r.Length.Time.Seconds(), cycle)
	return steps, perStep, nil
}

// fitting extends the times after the first steps of a run to a total, where they don't
// reach it: the number of steps by then, one at least, and the time of one of those that
// follow. That is the median over the run's cycles, so that a moment in which the machine
// was busy doesn't count; methods whose steps are all alike are timed by windows of ten, the
// first half of the run apart. A run too short for any takes the mean over its last half.
func fitting(seconds []float64, total float64, cycle plan.Cycle) (steps int, perStep float64) {
	n := len(seconds)
	mean := func(lo, hi int) float64 { // of steps lo ≤ i < hi
		if lo == 0 {
			return seconds[hi-1] / float64(hi)
		}
		return (seconds[hi-1] - seconds[lo-1]) / float64(hi-lo)
	}
	begin, size := cycle.Begin, cycle.Length
	if size <= 1 {
		begin, size = max(begin, n/2), window
	}
	var times []float64
	for lo := begin; lo+size <= n; lo += size {
		times = append(times, mean(lo, lo+size))
	}
	slices.Sort(times)
	if len(times) > 0 {
		perStep = (times[(len(times)-1)/2] + times[len(times)/2]) / 2
	} else {
		perStep = mean(n-max(1, n/2), n)
	}
	steps = n
	switch {
	case seconds[n-1] >= total:
		steps = sort.Search(n, func(i int) bool { return seconds[i] > total })
	case perStep > 0:
		steps = n + int(min((total-seconds[n-1])/perStep, catalog.MaxCount/2))
	}
	return max(steps, 1), perStep
}

// LoadAverage is the number of processes that ran or waited to over the last minute, 0
// where the system doesn't tell.
func LoadAverage() float64 {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(content), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return load
}
