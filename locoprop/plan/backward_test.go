package plan_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Another backward pass from the loss's own D gives the tape's D, bit for bit, and from a
// multiple of it the multiple; the tape's stays.
func TestBackward(t *testing.T) {
	const examples = 70 // two tasks
	pool := plan.NewPool(2)
	defer pool.Close()
	k := gonum.New()
	for name, c := range networks(t) {
		tape, err := plan.NewTape(c.net, c.loss, examples, k)
		require.NoError(t, err)
		x, target := batchFor(c.net, examples)
		scale := float32(1)
		last := c.net.Last().Transfer()
		other := tape.NewBackward(func(d, a, y backend.Mat, lo int) {
			k.Loss(d, a, y, backend.Rows(target, lo, lo+d.Rows), last, c.loss, scale)
		})
		_, err = tape.Run(pool, x, target)
		require.NoError(t, err)
		for _, s := range []float32{1.0 / examples, 2.0 / examples} {
			scale = s
			require.NoError(t, other.Run(pool))
			for ℓ, d := range tape.D {
				for i := range d.Rows {
					for j, v := range row(d, i) {
						require.Equal(t, s*examples*v, row(other.D[ℓ], i)[j], "%s: layer %d", name, ℓ) // powers of 2 are exact
					}
				}
			}
		}
		assert.Zero(t, testing.AllocsPerRun(5, func() { _ = other.Run(pool) }), name)
	}
}

// The loss of the same batch after the weights have changed is that of a new pass, which
// needs no targets again; D stays.
func TestAgain(t *testing.T) {
	const examples = 70
	pool := plan.NewPool(2)
	defer pool.Close()
	for name, c := range networks(t) {
		tape, err := plan.NewTape(c.net, c.loss, examples, gonum.New())
		require.NoError(t, err)
		x, target := batchFor(c.net, examples)
		before, err := tape.Run(pool, x, target)
		require.NoError(t, err)
		same, err := tape.Again(pool)
		require.NoError(t, err)
		assert.Equal(t, before, same, name)
		d := tape.D[0].Data[0]
		c.net.Weights()[0].Data[0] += 0.5
		again, err := tape.Again(pool)
		require.NoError(t, err)
		assert.Equal(t, d, tape.D[0].Data[0])
		want, err := tape.Run(pool, x, target)
		require.NoError(t, err)
		assert.Equal(t, want, again, name)
		assert.NotEqual(t, before, again, name)
		assert.Zero(t, testing.AllocsPerRun(5, func() { _, _ = tape.Again(pool) }), name)
	}
}
