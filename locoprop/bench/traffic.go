package bench

import (
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Traffic is what an update of all weights must move through memory, beside how fast this
// machine moves as much: a bound for methods whose update is element-wise.
type Traffic struct {
	Bytes     float64 `json:"bytes"`            // weights and state read and written, gradients read, once
	Bandwidth Spread  `json:"bytes_per_second"` // of w ← w + d over arrays as large, all workers at once
	Seconds   float64 `json:"seconds"`          // Bytes over the median of Bandwidth
	OfStep    float64 `json:"of_step"`          // Seconds over the first backend's step
}

const bandwidthTime = 30 * time.Millisecond // for each round

// stream measures the bandwidth of memory.
type stream struct {
	kernels  backend.Kernels
	pool     *plan.Pool
	w, d     []backend.Mat // per worker
	bytes    float64
	measured []float64
}

// newStream prepares for the updates of a stepper: arrays of as many bytes.
func newStream(k backend.Kernels, pool *plan.Pool, weights []backend.Mat, layers []plan.LayerPlan) *stream {
	s := &stream{kernels: k, pool: pool}
	const float = 4
	total := 0.0 // that an update touches
	for _, w := range weights {
		elements := float64(w.Rows * w.Cols)
		s.bytes += 3 * float * elements
		total += 2 * float * elements
	}
	for _, l := range layers {
		s.bytes += 2 * l.StateBytes
		total += l.StateBytes
	}
	const cols = 1024
	rows := 1 + int(total/(2*float*cols))/pool.Workers()
	for range pool.Workers() {
		s.w, s.d = append(s.w, backend.NewMat(rows, cols)), append(s.d, backend.NewMat(rows, cols))
	}
	return s
}

// round measures once: of w ← w + d, 12 bytes an element.
func (s *stream) round() {
	count := make([]int, s.pool.Workers())
	start := time.Now()
	each(s.pool, func(w int) {
		for count[w] == 0 || time.Since(start) < bandwidthTime {
			s.kernels.AddInto(s.w[w], s.d[w])
			count[w]++
		}
	})
	seconds := time.Since(start).Seconds()
	moved := 0.0
	for w, c := range count {
		moved += 12 * float64(c) * float64(len(s.w[w].Data))
	}
	s.measured = append(s.measured, moved/seconds)
}

// traffic sums up, for a step of the given time.
func (s *stream) traffic(step float64) *Traffic {
	b := spread(s.measured)
	t := &Traffic{Bytes: s.bytes, Bandwidth: b, Seconds: s.bytes / b.Median}
	t.OfStep = t.Seconds / step
	return t
}
