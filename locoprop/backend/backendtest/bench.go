package backendtest

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
)

// Bench measures every operation of k over the shapes, as sub-benchmarks named
// operation/shape. Products report GF/s (flops of the mathematics), the others GB/s
// (floats that must move).
func Bench(b *testing.B, k backend.Kernels) {
	for _, op := range operations() {
		b.Run(op.name, func(b *testing.B) {
			for _, s := range Shapes() {
				b.Run(s.String(), func(b *testing.B) {
					c := op.prep(newArena(1, layouts[0]), s)
					for b.Loop() {
						c.run(k)
					}
					seconds := b.Elapsed().Seconds() / float64(b.N)
					if c.flops > 0 {
						b.ReportMetric(c.flops/seconds/1e9, "GF/s")
					} else {
						b.ReportMetric(c.bytes/seconds/1e9, "GB/s")
					}
				})
			}
		})
	}
}
