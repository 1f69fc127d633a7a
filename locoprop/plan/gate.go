package plan

import "sync/atomic"

// gate lets one goroutine wait until another opens it; it shuts behind the one that waited.
// Waiting begins with some looks at it: a thread that sleeps is woken some ten
// microseconds late, more where a virtual core was halted meanwhile, and that is as long
// as a whole phase of a small step.
type gate struct {
	state atomic.Int32
	wake  chan struct{}
	_     [48]byte // another gate's state lies on another cache line
}

// States of a gate.
const (
	shut   int32 = iota
	asleep       // shut, and the goroutine that waits sleeps
	opened
)

// waitLooks is how often a goroutine looks at a gate before it sleeps: some 100 µs, longer than the
// work between two phases of a step and shorter than anything worth freeing a core for.
const waitLooks = 1 << 17

// await returns after open, at once where that was called before.
func (g *gate) await(looks int) {
	for range looks {
		if g.state.Load() == opened {
			break
		}
	}
	if g.state.CompareAndSwap(shut, asleep) {
		<-g.wake
	}
	g.state.Store(shut)
}

// open lets await return. It must not be called again until that has returned.
func (g *gate) open() {
	if g.state.Swap(opened) == asleep {
		g.wake <- struct{}{}
	}
}
