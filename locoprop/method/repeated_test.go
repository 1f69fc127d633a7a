package method_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/method/adafactor"
	"github.com/locoprop/locoprop-go/locoprop/method/foof"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/kbfgs"
	"github.com/locoprop/locoprop-go/locoprop/method/kfac"
	"github.com/locoprop/locoprop-go/locoprop/method/muon"
	"github.com/locoprop/locoprop-go/locoprop/method/proxprop"
	"github.com/locoprop/locoprop-go/locoprop/method/shampoo"
	"github.com/locoprop/locoprop-go/locoprop/method/sm3"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Methods that work on means over the batch make the same steps on a batch and on one
// that has each of its examples twice. ProxProp's second moment is a sum: there the same
// steps need half the pull τ and twice the rate.
func TestMeanOrSum(t *testing.T) {
	p := methodtest.Problems()[0]
	for name, c := range map[string]struct{ once, twice func() (plan.Method, error) }{
		"kfac": {once: func() (plan.Method, error) {
			return made(kfac.New(kfac.Options{Empirical: true, Damping: 1}))
		}},
		"kfac plain": {once: func() (plan.Method, error) {
			return made(kfac.New(kfac.Options{Empirical: true, Plain: true, Eta: 0.1}))
		}},
		"kbfgs":     {once: func() (plan.Method, error) { return made(kbfgs.New(kbfgs.Options{})) }},
		"shampoo":   {once: func() (plan.Method, error) { return made(shampoo.New(shampoo.Options{Eta: 0.1})) }},
		"muon":      {once: func() (plan.Method, error) { return made(muon.New(muon.Options{})) }},
		"sm3":       {once: func() (plan.Method, error) { return made(sm3.New(sm3.Options{Eta: 0.1})) }},
		"adafactor": {once: func() (plan.Method, error) { return made(adafactor.New(adafactor.Options{})) }},
		"foof":      {once: func() (plan.Method, error) { return made(foof.New(foof.Options{Eta: 0.1, Damping: 0.3})) }},
		"proxprop": {
			once: func() (plan.Method, error) { return made(proxprop.New(proxprop.Options{Exact: true, Tau: 1})) },
			twice: func() (plan.Method, error) {
				return made(proxprop.New(proxprop.Options{Exact: true, Tau: 0.5, Eta: 2}))
			},
		},
	} {
		if c.twice == nil {
			c.twice = c.once
		}
		once, err := c.once()
		require.NoError(t, err)
		twice, err := c.twice()
		require.NoError(t, err)
		n, other := p.Network(t, 3), p.Network(t, 3)
		s, err := once.Plan(n, p.Loss, p.Batch, gonum.New())
		require.NoError(t, err)
		r, err := twice.Plan(other, p.Loss, 2*p.Batch, gonum.New())
		require.NoError(t, err)
		before := methodtest.Weights(n)
		for k := range 7 {
			x, y := p.Data(uint32(k))
			methodtest.Step(t, s, x, y, 1)
			methodtest.Step(t, r, repeated(x), repeated(y), 1)
		}
		for ℓ, w := range methodtest.Weights(n) {
			change := oracle.MaxDiff(w, before[ℓ])
			assert.Positive(t, change)
			assert.Less(t, oracle.MaxDiff(w, methodtest.Weights(other)[ℓ]), 0x1p-22+2e-3*change, "%s, layer %d", name, ℓ)
		}
	}
}

// repeated is a batch with each row twice.
func repeated(m backend.Mat) backend.Mat {
	r := backend.NewMat(2*m.Rows, m.Cols)
	for i := range r.Rows {
		copy(r.Data[i*r.Stride:i*r.Stride+r.Cols], m.Data[i/2*m.Stride:i/2*m.Stride+m.Cols])
	}
	return r
}
