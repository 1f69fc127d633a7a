package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Interval is how often something happens in a run: every so many epochs, every so many
// steps, or every so often by the clock. At most one field is above 0; the zero value is
// every epoch.
type Interval struct {
	Epochs int
	Steps  int
	Time   time.Duration
}

// ParseInterval reads what [Interval.String] writes: a whole number from 1 and epochs or
// steps, as 1epoch, 5epochs or 500steps, or a time as time.ParseDuration takes it, as
// 10m or 1h30m.
func ParseInterval(text string) (Interval, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	n, err := strconv.ParseInt(text[:digits], 10, 32)
	var i Interval
	switch unit := text[digits:]; unit {
	case "epoch", "epochs":
		i.Epochs = int(n)
	case "step", "steps":
		i.Steps = int(n)
	default:
		i.Time, err = time.ParseDuration(text)
	}
	if err != nil || max(int64(i.Epochs), int64(i.Steps), int64(i.Time)) <= 0 {
		return Interval{}, errors.New("must be epochs (1epoch, 5epochs), steps (500steps) or a time (10m, 1h30m), above 0")
	}
	return i, nil
}

// String is the interval as the command line takes it.
func (i Interval) String() string {
	count := func(n int, unit string) string {
		if n != 1 {
			unit += "s"
		}
		return strconv.Itoa(n) + unit
	}
	switch {
	case i.Time > 0:
		text := i.Time.String() // 10m0s
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	case i.Steps > 0:
		return count(i.Steps, "step")
	}
	return count(max(i.Epochs, 1), "epoch")
}

// Check returns an error for an interval that isn't one.
func (i Interval) Check() error {
	set := 0
	for _, n := range []int64{int64(i.Epochs), int64(i.Steps), int64(i.Time)} {
		if n < 0 {
			return fmt.Errorf("interval %+v; must not be below 0", i)
		}
		if n > 0 {
			set++
		}
	}
	if set > 1 {
		return fmt.Errorf("interval %+v; only one of epochs, steps and time can be set", i)
	}
	return nil
}

// Due tells whether an interval ends where so many steps are done, and, between epochs,
// so many epochs (within an epoch: 0); since is the time since it ended last.
func (i Interval) Due(epochs, steps int, since time.Duration) bool {
	switch {
	case i.Time > 0:
		return since >= i.Time
	case i.Steps > 0:
		return steps%i.Steps == 0
	}
	return epochs > 0 && epochs%max(i.Epochs, 1) == 0
}
