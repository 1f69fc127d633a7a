package compare

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
)

// warnings tells where a comparison is known to mislead.
func (r *runner) warnings() ([]string, error) {
	var list []string
	warn := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	all := make([]catalog.Experiment, len(r.Contenders))
	batches := map[int][]string{}
	for i := range r.Contenders {
		c := &r.Contenders[i]
		e, err := r.Resolve(c, r.Seeds[0], r.provisional())
		if err != nil {
			return nil, err
		}
		all[i] = e
		batches[e.Batch] = append(batches[e.Batch], c.Name)
		r.warnOfRate(warn, c, &e)
		if s, err := e.BuildSchedule(); err == nil && s.Kind != schedule.Constant && s.Steps == 0 && s.Epochs > e.Epochs {
			warn("%s: its schedule is made for %d epochs and the run ends after %d: it is cut off at a high rate", c.Name, s.Epochs, e.Epochs)
		}
	}
	if len(batches) > 1 {
		var parts []string
		for _, b := range slices.Sorted(maps.Keys(batches)) {
			parts = append(parts, fmt.Sprintf("%d (%s)", b, strings.Join(batches[b], ", ")))
		}
		warn("batches differ, so that an epoch has more steps for one than for another: %s", strings.Join(parts, "; "))
	}
	if len(r.Seeds) == 1 {
		warn("one seed: nothing tells a difference between contenders from chance")
	}
	if cpus := runtime.NumCPU(); all[0].Workers > cpus {
		warn("%d workers on %d processors: times depend on how they are shared", all[0].Workers, cpus)
	}
	return list, nil
}

// warnOfRate tells of a rate that isn't the contender's own.
func (r *runner) warnOfRate(warn func(string, ...any), c *Contender, e *catalog.Experiment) {
	text, all := r.Problem["lr"]
	_, own := c.Settings["lr"]
	if !all || own {
		return
	}
	usual, err := catalog.RateOf(e.Pair())
	if err != nil || fmt.Sprint(usual.Eta) != text {
		warn("%s: lr %s is given for all contenders at once; a rate that suits one method says nothing about another", c.Name, text)
	}
}
