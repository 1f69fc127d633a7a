package main

import (
	"fmt"
	"math"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/train"
)

// meter turns a run's steps into speeds and a time to go.
type meter struct {
	epochs   int     // that the run begins
	batches  int     // in an epoch
	all      int     // steps of the run
	limit    float64 // seconds of training after which it ends in any case; 0: none
	batch    int     // examples in a step
	flops    float64 // of a step's mathematics; 0: unknown
	floor    float64 // least mean loss over the training examples; NaN: unknown
	peak     float64 // flops per second that the machine can do; 0: unknown
	peakName string  // what peak is the rate of

	now func() time.Time // nil: time.Now; tests have a clock of their own

	begun time.Time      // when the first step here was done
	first train.Progress // that step
	last  train.Progress
	rate  float64 // steps per second of training, of late; 0: unknown
}

// speeds are what a live view and log lines tell of a moment besides the step itself.
type speeds struct {
	examples float64       // per second of training; 0: not known yet
	flops    float64       // per second; 0: not known
	share    float64       // of the peak; 0: not known
	done     float64       // share of the run
	left     time.Duration // until the end of the run, evaluations included; 0: not known yet
	excess   float64       // the batch's loss over the floor of the training examples
}

// lookBack is the time that the rate looks back, in seconds of training.
const lookBack = 5.0

// step takes in a step and returns where that leads. It doesn't allocate.
func (m *meter) step(p train.Progress) speeds {
	now := time.Now
	if m.now != nil {
		now = m.now
	}
	at := now()
	if m.begun.IsZero() || p.Step < m.last.Step { // rolled back: the steps count anew
		m.begun, m.first, m.last, m.rate = at, p, p, 0
	}
	if steps, seconds := p.Step-m.last.Step, p.Seconds-m.last.Seconds; steps > 0 && seconds > 0 {
		latest := float64(steps) / seconds
		if m.rate == 0 {
			m.rate = latest
		}
		m.rate += (1 - math.Exp(-seconds/lookBack)) * (latest - m.rate)
	}
	m.last = p
	s := speeds{excess: p.Loss - m.floor, examples: m.rate * float64(m.batch), flops: m.rate * m.flops}
	if m.peak > 0 {
		s.share = s.flops / m.peak
	}
	s.done = float64(p.Step) / float64(max(m.all, 1))
	steps, seconds := float64(p.Step-m.first.Step), p.Seconds-m.first.Seconds
	if wall := float64(at.Sub(m.begun)); steps > 0 && seconds > 0 {
		left := wall / steps * float64(m.all-p.Step)
		if m.limit > 0 {
			left = min(left, max(wall/seconds*(m.limit-p.Seconds), 0))
		}
		s.left = time.Duration(left)
	}
	if m.limit > 0 {
		s.done = min(max(s.done, p.Seconds/m.limit), 1)
	}
	return s
}

// place names where an evaluation is from.
func (m *meter) place(at train.Metrics) string {
	if m.batches > 0 && at.Step%m.batches != 0 {
		return fmt.Sprintf("step %*d of %d", len(strconv.Itoa(m.all)), at.Step, m.all)
	}
	return fmt.Sprintf("epoch %*d of %d", len(strconv.Itoa(m.epochs)), at.Epoch, m.epochs)
}

// residentMemory is the number of bytes that the process has in memory, all that Go has
// taken from the system where the system doesn't tell.
func residentMemory() uint64 {
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(b)); len(fields) > 1 {
			if pages, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
				return pages * uint64(os.Getpagesize())
			}
		}
	}
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
