// Package pace lets goroutines that spend their time in C give way to Go's scheduler.
//
// The scheduler has a thread that looks for goroutines which run for 10 ms on end, and for calls of
// C that hold a processor while there is no other to spare. As long as it finds some it wakes up
// every few tens of microseconds, and has goroutines wander from thread to thread. It finds none where
// they give way by themselves and GOMAXPROCS is more than their number; see
// docs/decisions/019-a-processor-to-spare.md.
package pace

import (
	"runtime"
	"time"
)

// every is how often to give way: well before the scheduler's 10 ms, and not so often that it costs
// anything.
const every = 4 * time.Millisecond

// Pace is the pace of one goroutine. The zero Pace gives way at once.
type Pace struct{ last time.Time }

// Begin begins with the present moment.
func Begin() Pace { return Pace{time.Now()} }

// Yield gives way where it is time to; it is to be called every few milliseconds or more often.
func (p *Pace) Yield() {
	if now := time.Now(); now.Sub(p.last) >= every {
		runtime.Gosched()
		p.last = now
	}
}
