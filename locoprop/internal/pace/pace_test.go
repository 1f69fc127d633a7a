package pace

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// On one processor, another goroutine runs when one gives way, which it does when it is time to.
func TestYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var ran atomic.Int32
	begin := time.Now()
	p := Pace{begin.Add(-every)}
	go ran.Add(1)
	p.Yield()
	for range 100 { // Go takes who gave way first, once in 61 times
		if ran.Load() == 0 {
			p.last = begin.Add(-every)
			p.Yield()
		}
	}
	assert.EqualValues(t, 1, ran.Load(), "it was time")
	assert.False(t, p.last.Before(begin), "the next time is counted from here")
	later := Pace{time.Now().Add(time.Hour)}
	p = later
	done := make(chan bool, 1)
	go func() { done <- true }()
	for range 100 {
		p.Yield()
	}
	assert.Empty(t, done, "it wasn't time yet")
	assert.Equal(t, later, p)
	<-done
	own := Begin()
	assert.Zero(t, testing.AllocsPerRun(10, own.Yield))
}
