package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// Bounds of the time that a throw-away run takes to tell the time of a step.
const (
	probeShare = 0.1
	probeLeast = time.Second
	probeMost  = 10 * time.Second
)

// refresh is the number of steps after which methods with matrix work that isn't done at
// every step repeat themselves, by their defaults.
const refresh = 20

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
	e.TimeLimit = min(max(time.Duration(probeShare*float64(r.Length.Time)), probeLeast), probeMost)
	data := *r.Data
	data.Test = nil // one split is evaluated in vain, not two
	config, err := experiment.Config(&e, &data, r.Backend)
	if err != nil {
		return 0, 0, err
	}
	var seconds []float64 // of training, after each step
	config.OnStep = func(p train.Progress) { seconds = append(seconds, p.Seconds) }
	t, err := train.New(ctx, config)
	if err != nil {
		return 0, 0, err
	}
	defer t.Close()
	var diverged *train.DivergedError
	if _, err := t.Run(ctx); err != nil && !errors.As(err, &diverged) {
		return 0, 0, err
	}
	if len(seconds) == 0 {
		return 0, 0, fmt.Errorf("its first step fails: %w", diverged)
	}
	steps, perStep = fitting(seconds, r.Length.Time.Seconds())
	return steps, perStep, nil
}

// fitting extends the times after the first steps of a run to a total, where they don't
// reach it: the number of steps by then, one at least, and the time of one of those that follow, which is the mean over the last
// half of the steps that were measured, or over as many whole rounds of refresh as there
// are in that half.
func fitting(seconds []float64, total float64) (steps int, perStep float64) {
	n := len(seconds)
	half := n / 2
	if half >= refresh {
		half -= half % refresh
	}
	perStep = seconds[n-1] / float64(n)
	if half > 0 {
		perStep = (seconds[n-1] - seconds[n-1-half]) / float64(half)
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
