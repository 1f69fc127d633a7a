package catalog_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/stretchr/testify/assert"
)

func TestLayerKeys(t *testing.T) {
	assert.Equal(t, "layers.12.gamma", catalog.LayerKey(12, "gamma"))
	layer, name, ok := catalog.SplitLayerKey("layers.12.gamma")
	assert.True(t, ok)
	assert.Equal(t, 12, layer)
	assert.Equal(t, "gamma", name)
	for _, key := range []string{"gamma", "layers", "layers.1", "layers.x.gamma", "layers.-1.gamma", "layers.01.gamma", "layers.+1.gamma", "layer.1.gamma", "layers..gamma"} {
		_, _, ok := catalog.SplitLayerKey(key)
		assert.False(t, ok, key)
	}
	for _, key := range catalog.LayerKeys() {
		assert.Contains(t, catalog.Keys(), key)
	}
}

// A layer's settings are the run's with its own over them.
func TestLayers(t *testing.T) {
	e, _ := resolve(t, file(values{
		"lr": "3e-5", "gamma": "7", "local-steps": "5", "block": "32", "epochs": "12",
		"layers.0.gamma": "2", "layers.0.local-floor": "0",
		"layers.3.form": "metric", "layers.3.metric-damping": "0.1",
		"layers.11.optimizer": "sgd", "layers.11.lr": "0.5", "layers.11.form": "kernel",
		"layers.5.form": "exact", "layers.5.prox": "0.25", // the code layer, whose transfer function is the identity
	}), flags(values{"gamma": "9", "local-steps": "6"}))
	o := options(t, &e)
	assert.Equal(t, []float64{3e-5, 9, 6}, []float64{o.Eta, o.Gamma, float64(o.Steps)})
	assert.Len(t, o.Layers, 4)
	first := o.Layers[0]
	assert.Equal(t, []float64{3e-5, 2, 6, 0}, []float64{first.Eta, first.Gamma, float64(first.Steps), first.Floor})
	assert.Equal(t, optimizer.New(optimizer.RMSPropTF1), first.Optimizer)
	metric := o.Layers[3]
	assert.Equal(t, locoprop.FormMetric, metric.Form)
	assert.Equal(t, []float64{1, 0.007, 4, 0.1, 0.7}, []float64{metric.Eta, metric.Gamma, float64(metric.Steps), metric.Metric.Damping, metric.Metric.Step},
		"what the form brings with it, unless the table names it")
	last := o.Layers[11]
	assert.Equal(t, []float64{0.5, 9, 6}, []float64{last.Eta, last.Gamma, float64(last.Steps)}, "γ means the same to another optimiser")
	assert.Equal(t, optimizer.SGD, last.Optimizer.Kind)
	assert.Equal(t, 0.25, o.Layers[5].Prox)
	assert.Equal(t, 32, last.Block)

	v := e.Values()
	assert.Equal(t, "2", v["layers.0.gamma"])
	assert.NotContains(t, v, "layers.0.lr", "as in the run")
	assert.Equal(t, "1", v["layers.3.lr"], "not as in the run")
	assert.Equal(t, "0.95", v["layers.3.metric-average"], "the run has none")
	assert.NotContains(t, v, "layers.3.optimizer")
	again, _ := resolve(t, file(v))
	assert.Equal(t, v, again.Values())
	assert.Equal(t, o, options(t, &again))
}

// A layer's rate is that of its own pair, and goes when the run's method changes.
func TestLayersRates(t *testing.T) {
	pair := catalog.Pair{Method: "locoprop-m", Optimizer: "rmsprop", Variant: "tf1"}
	known, err := catalog.RateOf(pair)
	assert.NoError(t, err)
	e, _ := resolve(t, file(values{"form": "metric", "layers.2.form": "direct"}))
	x := e.At(2)
	assert.Equal(t, known.Eta, x.Eta)
	assert.Equal(t, known.Gamma, x.Gamma)
	assert.Equal(t, locoprop.DefaultSteps, x.LocalSteps)

	e, _ = resolve(t, file(values{"form": "metric", "layers.2.form": "direct", "layers.2.lr": "4", "layers.2.gamma": "3", "layers.4.lr": "0.5"}), flags(values{"seed": "2"}))
	x, y := e.At(2), e.At(4)
	assert.Equal(t, []float64{4, 3, 0.5}, []float64{x.Eta, x.Gamma, y.Eta})
	_, _, err = catalog.Resolve(file(e.Values()), flags(values{"form": "auto"}))
	assert.NoError(t, err)
	e, _ = resolve(t, file(e.Values()), flags(values{"form": "auto", "lr": "8"}))
	x, y = e.At(2), e.At(4)
	assert.Equal(t, []float64{4, 8}, []float64{x.Eta, y.Eta}, "layer 2's own pair is as it was, layer 4 is now like the run")
}

func TestLayersRefuse(t *testing.T) {
	for _, c := range []struct {
		v    values
		want string
	}{
		{values{"layers.3.gama": "1"}, `a.toml: layers.3.gama: unknown key "gama"; did you mean gamma? (known: form, solver, solver-tolerance, solver-iterations, solver-memory, solver-relax, prox, optimizer, lr, gamma, gamma-per-example, weight-decay, gamma-rule, local-steps, local-floor, reset-state, metric-damping, metric-step, metric-average, metric-every, metric-refresh, outer-momentum, statistics-structure, statistics-columns, statistics-average, statistics-refresh, statistics-damping, statistics-relative, statistics-iterate, armijo, tolerance, update-cap, reject, clip-targets)`},
		{values{"layers.3.gamma": "-1"}, "a.toml: layers.3.gamma -1: must be a finite number above 0"},
		{values{"layers.12.gamma": "1"}, "a.toml: layers.12: the network has layers 0 to 11"},
		{values{"layers.3.solver": "newton"}, "a.toml: layers.3.solver: only form implicit has a solver"},
		{values{"layers.3.form": "gram"}, "locoprop: layer 3: form gram needs the squared local loss (locoprop-s)"},
		{values{"layers.3.form": "metric", "layers.3.optimizer": "sgd"}, "a.toml: layers.3.optimizer: only forms auto, direct, gram, kernel and spectral have an optimizer"},
		{values{"layers.3.optimizer": "adam:beta1=2"}, "a.toml: layers.3.optimizer adam:beta1=2: optimizer adam: beta1 is 2; must be at least 0 and below 1"},
	} {
		_, _, err := catalog.Resolve(curves, file(c.v))
		assert.EqualError(t, err, c.want, c.v)
	}
	for _, p := range catalog.Pairs() {
		if _, err := catalog.RateOf(p); err == nil || p.Method != "locoprop-m" || p.Variant != "" {
			continue
		}
		_, _, err := catalog.Resolve(file(values{"layers.3.optimizer": p.Optimizer}))
		assert.EqualError(t, err, "a.toml: layers.3: no default rate is known for "+p.String()+"; name one with --lr")
	}
	// Another method forgets the tables of an earlier source.
	e, _ := resolve(t, file(values{"layers.3.gamma": "1"}), flags(values{"method": "backprop", "optimizer": "adam"}))
	assert.Empty(t, e.Layers)
}
