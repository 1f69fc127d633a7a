//go:build cgo && !purego

package native

import (
	"time"

	"github.com/locoprop/locoprop-go/bindings"
)

// peakRounds is how many rounds of multiply-adds one crossing makes: about a tenth of a
// millisecond's worth.
const peakRounds = 5000

// FMAPeak runs independent vector multiply-adds on the calling thread for about the
// given time and returns floating-point operations per second: what no product can
// exceed.
func (k *Backend) FMAPeak(d time.Duration) float64 {
	var flops float64
	start := time.Now()
	for {
		flops += bindings.FMAPeak(peakRounds)
		if elapsed := time.Since(start); elapsed >= d {
			return flops / elapsed.Seconds()
		}
	}
}
