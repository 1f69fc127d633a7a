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
	assert.EqualValues(t, 1, ran.Load(), "it was time")
	assert.False(t, p.last.Before(begin), "the next time is counted from here")
	p = Pace{time.Now().Add(time.Hour)}
	done := make(chan bool, 1)
	go func() { done <- true }()
	for range 1000 {
		p.Yield()
	}
	assert.Empty(t, done, "it wasn't time yet")
	<-done
	own := Begin()
	assert.Zero(t, testing.AllocsPerRun(10, own.Yield))
}
