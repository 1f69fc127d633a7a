package backendtest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
)

// Against checks that two backends agree: every operation on the shapes of shapes.txt
// and on random ones, in random layouts. Each backend may be off by its bound, so the
// two may differ by twice that.
func Against(t *testing.T, k, reference backend.Kernels) {
	rng := rand.New(rand.NewPCG(7, 7))
	all := upTo(pick(testing.Short() || raceDetector, 20_000, 100_000))
	for range pick(testing.Short() || raceDetector, 5, 10) {
		all = append(all, Shape{1 + rng.IntN(90), 1 + rng.IntN(150), 1 + rng.IntN(150)})
	}
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			for n, s := range all {
				checkAgainst(t, k, reference, op, s, uint64(1000+n), layouts[n%len(layouts)])
			}
		})
	}
}

func checkAgainst(t testing.TB, k, reference backend.Kernels, op operation, s Shape, seed uint64, l layout) {
	t.Helper()
	want := op.prep(newArena(seed, l), s)
	e := want.want()
	want.run(reference)
	for i, m := range want.outs {
		e.outs[i] = oracle.From32(m)
	}
	e.sum = total(want)

	got := op.prep(newArena(seed, l), s)
	got.run(k)
	compare(t, fmt.Sprintf("%v, %s, against %s", s, l.name, reference.Info().Name), got, e, 2)
}
