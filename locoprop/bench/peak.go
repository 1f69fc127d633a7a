package bench

import (
	"context"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

const (
	fmaTime   = 100 * time.Millisecond
	sgemmTime = 250 * time.Millisecond
)

var defaultSizes = []int{512, 1024, 2048}

// peaks measures what the machine can do with all workers at once: every worker runs
// its own single-threaded kernel on its own matrices, and the sum counts.
type peaks struct {
	kernels backend.Kernels
	pool    *plan.Pool
	size    int
	time    time.Duration // that a measurement of sgemm takes
	a, b, c []backend.Mat // per worker, size × size
}

func newPeaks(k backend.Kernels, pool *plan.Pool, sizes []int) *peaks {
	if sizes == nil {
		sizes = defaultSizes
	}
	best := &peaks{}
	bestRate := 0.0
	for _, n := range sizes {
		p := &peaks{kernels: k, pool: pool, size: n, time: sgemmTime}
		p.allocate()
		if rate := p.sgemm(); rate > bestRate {
			best, bestRate = p, rate
		}
	}
	return best
}

// allocate makes every worker's matrices.
func (p *peaks) allocate() {
	n := p.size
	for w := range p.pool.Workers() {
		a, b := backend.NewMat(n, n), backend.NewMat(n, n)
		fill(a, uint64(2*w))
		fill(b, uint64(2*w+1))
		p.a, p.b, p.c = append(p.a, a), append(p.b, b), append(p.c, backend.NewMat(n, n))
	}
}

// each runs do once on every worker at the same time.
func each(pool *plan.Pool, do func(worker int)) {
	tasks := make([]plan.Task, pool.Workers())
	for i := range tasks {
		tasks[i].ID = i
	}
	ph := plan.NewPhase("peak", tasks, 0, func(t *plan.Task, _ []float32) error {
		do(t.ID)
		return nil
	})
	_ = pool.Run(ph) // the tasks return no error
}

// sgemm is the rate of n × n × n products.
func (p *peaks) sgemm() float64 {
	count := make([]int, p.pool.Workers())
	start := time.Now()
	each(p.pool, func(w int) {
		for count[w] == 0 || time.Since(start) < p.time {
			p.kernels.Gemm(false, true, 1, p.a[w], p.b[w], 0, p.c[w])
			count[w]++
		}
	})
	seconds := time.Since(start).Seconds()
	n, total := float64(p.size), 0.0
	for _, c := range count {
		total += 2 * n * n * n * float64(c)
	}
	return total / seconds
}

// fma is the peak of fused multiply-add, 0 where the backend can't measure it.
func (p *peaks) fma() float64 {
	meter, ok := p.kernels.(PeakMeter)
	if !ok {
		return 0
	}
	rates := make([]float64, p.pool.Workers())
	each(p.pool, func(w int) { rates[w] = meter.FMAPeak(fmaTime) })
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum
}

// Peaks measures the machine alone, for `locoprop info --peak`: medians of rounds
// measurements of the FMA peak (0 where unknown) and the sgemm rate, in flops per
// second over all workers.
func Peaks(ctx context.Context, k backend.Kernels, workers, rounds int) (fma, sgemm float64, err error) {
	pool := plan.NewPool(workers)
	defer pool.Close()
	meter := newPeaks(k, pool, nil)
	var f, s []float64
	for range max(rounds, 1) {
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		f, s = append(f, meter.fma()), append(s, meter.sgemm())
	}
	return median(f), median(s), nil
}

// quickSize is the order of the products of QuickPeak: few enough operations for a slow
// backend, enough for a rate.
const quickSize = 256

// QuickPeak is a rough figure of what the machine can do with all workers at once, in
// flops per second, for progress displays: of fused multiply-adds where the backend
// measures them, else of square matrix products; what names it. It takes a tenth of a
// second. A context that has ended gives its error.
func QuickPeak(ctx context.Context, k backend.Kernels, workers int) (rate float64, what string, err error) {
	if err := ctx.Err(); err != nil {
		return 0, "", err
	}
	pool := plan.NewPool(workers)
	defer pool.Close()
	p := &peaks{kernels: k, pool: pool, size: quickSize, time: fmaTime}
	if rate := p.fma(); rate > 0 {
		return rate, "FMA peak", nil
	}
	p.allocate()
	return p.sgemm(), "sgemm rate", nil
}
