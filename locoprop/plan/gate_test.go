package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Two goroutines hand a plain counter to one another: none is early, none is left waiting,
// and what one wrote the other reads. The delays are shorter and longer than the looks.
func TestGate(t *testing.T) {
	for _, looks := range []int{0, 1, 1000, waitLooks} {
		for _, delay := range []time.Duration{0, time.Microsecond, 2 * time.Millisecond} {
			rounds := 2000
			if delay > 0 {
				rounds = 20
			}
			there, back := gate{wake: make(chan struct{}, 1)}, gate{wake: make(chan struct{}, 1)}
			count := 0
			go func() {
				for range rounds {
					there.await(looks)
					count++
					time.Sleep(delay)
					back.open()
				}
			}()
			for round := range rounds {
				assert.Equal(t, 2*round, count)
				count++
				there.open()
				time.Sleep(delay)
				back.await(looks)
			}
			assert.Equal(t, 2*rounds, count)
		}
	}
}

// A gate that was opened first is passed at once, and is shut again.
func TestGateOpenedFirst(t *testing.T) {
	g := gate{wake: make(chan struct{}, 1)}
	for range 3 {
		g.open()
		g.await(0)
		assert.Equal(t, shut, g.state.Load())
		assert.Empty(t, g.wake)
	}
}
