package bench

import (
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Traffic is what an update of all weights must move through memory, beside how fast this
// machine moves as much: a bound for methods whose update is element-wise. Gradients aren't
// part of it: an update finds them where the product before left them, in the cache.
type Traffic struct {
	Bytes     float64 `json:"bytes"`            // of weights and state, read and written once each
	Bandwidth Spread  `json:"bytes_per_second"` // of w ← w·1 over an array larger than caches, all workers at once
	Seconds   float64 `json:"seconds"`          // Bytes over the median of Bandwidth
	OfStep    float64 `json:"of_step"`          // Seconds over the first backend's step
	Updates   Spread  `json:"updates"`          // time of all updates in its step by single kernels, over Bytes at the round's bandwidth
}

const (
	bandwidthTime = 30 * time.Millisecond // for each round
	// streamBytes is what all workers together go over. Arrays of some dozen MB may stay in a
	// cache that other programs share, and then move three times as fast on one day as on another.
	streamBytes = 256 << 20
)

// stream measures the bandwidth of memory.
type stream struct {
	kernels  backend.Kernels
	pool     *plan.Pool
	parts    []backend.Mat // per worker
	bytes    float64
	measured []float64
}

// newStream prepares for the updates of a stepper.
func newStream(k backend.Kernels, pool *plan.Pool, weights []backend.Mat, layers []plan.LayerPlan) *stream {
	s := &stream{kernels: k, pool: pool}
	for _, w := range weights {
		s.bytes += 2 * 4 * float64(w.Rows*w.Cols)
	}
	for _, l := range layers {
		s.bytes += 2 * l.StateBytes
	}
	const cols = 1024
	for range pool.Workers() {
		part := backend.NewMat(streamBytes/(4*cols)/pool.Workers(), cols)
		k.Scale(part, part, 1) // the first to touch memory waits for the system to give it
		s.parts = append(s.parts, part)
	}
	return s
}

// round measures once.
func (s *stream) round() {
	count := make([]int, s.pool.Workers())
	start := time.Now()
	each(s.pool, func(w int) {
		for count[w] == 0 || time.Since(start) < bandwidthTime {
			s.kernels.Scale(s.parts[w], s.parts[w], 1)
			count[w]++
		}
	})
	seconds := time.Since(start).Seconds()
	moved := 0.0
	for w, c := range count {
		moved += 2 * 4 * float64(c) * float64(len(s.parts[w].Data))
	}
	s.measured = append(s.measured, moved/seconds)
}

// traffic sums up, for a step of the given time whose updates took so long in the rounds.
func (s *stream) traffic(step float64, updates []float64) *Traffic {
	b := spread(s.measured)
	t := &Traffic{Bytes: s.bytes, Bandwidth: b, Seconds: s.bytes / b.Median}
	t.OfStep = t.Seconds / step
	over := make([]float64, len(updates))
	for i, u := range updates {
		over[i] = u * s.measured[i] / s.bytes
	}
	t.Updates = spread(over)
	return t
}
