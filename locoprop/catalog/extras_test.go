package catalog_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// built is the library's options of a run and of one of its layers.
func built(t *testing.T, layer int, layers ...catalog.Layer) (run, own locoprop.Options) {
	t.Helper()
	e, _ := resolve(t, layers...)
	m, err := e.BuildMethod()
	require.NoError(t, err)
	o := m.(*locoprop.Method).Options()
	return o, o.Layers[layer]
}

func TestExtrasReachTheLibrary(t *testing.T) {
	o, own := built(t, 3, flags(values{
		"armijo": "true", "tolerance": "0.1", "update-cap": "0.5", "reject": "true", "weight-decay": "0.02", "correction": "0.3",
		"d-momentum": "0.4", "d-momentum-limit": "3", "clip-targets": "true", "gamma-per-example": "0.2",
		"layers.3.reject": "false", "layers.3.gamma": "7", "layers.3.weight-decay": "0",
	}))
	assert.Equal(t, locoprop.Safety{Armijo: true, Tolerance: 0.1, Cap: 0.5, Reject: true}, o.Safety)
	assert.Equal(t, locoprop.Momentum{Factor: 0.4, Examples: 1, Limit: 3 << 20}, o.Momentum)
	assert.True(t, o.Clip)
	assert.Equal(t, []float64{0.02, 0.3, 0.2, 0}, []float64{o.WeightDecay, o.Correction, o.GammaPerExample, o.Gamma})
	assert.Equal(t, locoprop.Safety{Armijo: true, Tolerance: 0.1, Cap: 0.5}, own.Safety)
	assert.Equal(t, []float64{0, 0, 7}, []float64{own.WeightDecay, own.GammaPerExample, own.Gamma})

	o, own = built(t, 1, flags(values{
		"method": "locoprop-s", "form": "statistics", "statistics-structure": "block-diagonal", "statistics-columns": "9", "statistics-average": "0",
		"statistics-refresh": "3", "statistics-damping": "0.2",
		"layers.1.statistics-structure": "full", "layers.1.statistics-average": "0.5", "layers.1.statistics-damping": "0", "layers.1.prox": "2",
	}))
	assert.Equal(t, locoprop.Statistics{Structure: precond.BlockDiagonal, Columns: 9, NoAverage: true, Refresh: 3, Damping: 0.2}, o.Statistics)
	assert.Equal(t, locoprop.Statistics{Average: 0.5, Refresh: 3}, own.Statistics)
	assert.Equal(t, 2.0, own.Prox)

	o, _ = built(t, 0, flags(values{"method": "locoprop-s", "form": "statistics", "statistics-iterate": "true", "lr": "0.1", "local-steps": "3"}))
	assert.True(t, o.Statistics.Iterate)
	assert.Equal(t, optimizer.SGD, o.Optimizer.Kind)
	assert.Equal(t, 3, o.Steps)

	e, _ := resolve(t, flags(values{"method": "backprop", "optimizer": "adam", "weight-decay": "0.1"}))
	m, err := e.BuildMethod()
	require.NoError(t, err)
	assert.Equal(t, 0.1, m.(*backprop.Method).Options().WeightDecay)
}

// gamma and gamma-per-example are two ways to say one thing: the later source's counts.
func TestGammaEitherWay(t *testing.T) {
	per, all := values{"gamma-per-example": "0.1"}, values{"gamma": "5"}
	e, _ := resolve(t, file(all), flags(per))
	assert.Equal(t, 0.1, e.GammaPerExample)
	assert.InDelta(t, 25, e.FullGamma(), 1e-12)
	e, _ = resolve(t, file(per), flags(all))
	assert.Equal(t, []float64{0, 5, 5}, []float64{e.GammaPerExample, e.Gamma, e.FullGamma()})
	e, _ = resolve(t, file(per), flags(values{"method": "locoprop-s"}))
	assert.Zero(t, e.GammaPerExample, "the pair's rate takes its place, as it does with gamma")
	_, own := built(t, 2, file(values{"layers.2.gamma": "4"}), flags(values{"layers.2.gamma-per-example": "0.3"}))
	assert.Equal(t, []float64{0.3, 0}, []float64{own.GammaPerExample, own.Gamma})
}

// Form exact without prox auto has no rate, but a decay of weights has.
func TestDecayHasARate(t *testing.T) {
	exact := values{"method": "locoprop-s", "form": "exact", "prox": "0.1"}
	e, rate := resolve(t, flags(exact))
	assert.Nil(t, rate)
	assert.NotContains(t, e.Values(), "lr")
	e, rate = resolve(t, file(exact), flags(values{"weight-decay": "0.1"}))
	require.NotNil(t, rate)
	assert.Equal(t, rate.Eta, e.Eta)
	e, _ = resolve(t, file(exact), flags(values{"weight-decay": "0.1", "lr": "0.5"}))
	assert.Equal(t, 0.5, e.Eta)
}

func TestExtrasRefuse(t *testing.T) {
	for _, c := range []struct {
		v    values
		want string
	}{
		{values{"gamma": "1", "gamma-per-example": "1"}, "--gamma and --gamma-per-example: both say how far targets lie from activations; give one of them"},
		{values{"layers.1.gamma": "1", "layers.1.gamma-per-example": "1"}, "layers.1.gamma and layers.1.gamma-per-example: both say"},
		{values{"preset": "fast", "gamma-per-example": "1"}, "--gamma-per-example: gamma of form metric under rule fisher is per example already; give gamma, or gamma-rule fixed"},
		{values{"gamma-per-example": "-1"}, "--gamma-per-example -1: must be a finite number above 0, or 0 for none"},
		{values{"weight-decay": "x"}, "--weight-decay x: must be a finite number above 0, or 0 for none"},
		{values{"weight-decay": "10", "lr": "0.1"}, "weight decay 10 times learning rate 0.1 is 1; must be below 1"},
		{values{"weight-decay": "0.1", "optimizer": "adamw"}, "optimizer adamw decays weights by itself, by 0.01; give one of both"},
		{values{"tolerance": "1"}, "--tolerance 1: must be a number above 0 and below 1, or 0 for none"},
		{values{"armijo": "1"}, "--armijo 1: must be true or false"},
		{values{"form": "kernel", "optimizer": "sgd", "lr": "1", "armijo": "true"}, "--armijo: only with form auto, direct"},
		{values{"form": "metric", "reject": "true"}, "--reject: not with form metric"},
		{values{"method": "locoprop-s", "clip-targets": "true"}, "--clip-targets: only locoprop-m has targets with a range"},
		{values{"method": "backprop", "correction": "1"}, "--correction: method backprop has no local problems"},
		{values{"statistics-average": "0.5"}, "--statistics-average: only form statistics has it"},
		{values{"method": "locoprop-s", "form": "statistics", "prox": "1", "statistics-columns": "4"}, "--statistics-columns: only statistics-structure block-diagonal has blocks of columns"},
		{values{"method": "locoprop-s", "form": "statistics", "prox": "1", "statistics-structure": "block"}, `--statistics-structure block: unknown structure "block"`},
		{values{"method": "locoprop-s", "form": "statistics", "prox": "1", "statistics-damping": "1"}, "damping is given and a proximal term has its own; give one of both"},
		{values{"method": "locoprop-s", "form": "statistics"}, "the converged update needs a proximal term (prox auto or a λ), damping or relative damping"},
		{values{"d-momentum-limit": "5"}, "--d-momentum-limit: it bounds the memory of d-momentum, which is off"},
		{values{"d-momentum": "0.5", "d-momentum-limit": "0"}, "--d-momentum-limit 0: must be a whole number from 1"},
		{values{"drop-last": "no"}, "--drop-last no: must be true or false"},
		{values{"layers.0.drop-last": "false"}, `unknown key "drop-last"`},
	} {
		_, _, err := catalog.Resolve(flags(c.v))
		require.ErrorContains(t, err, c.want, c.v)
	}
}
