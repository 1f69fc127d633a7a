package catalog_test

import (
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/method/foof"
	"github.com/locoprop/locoprop-go/locoprop/method/kfac"
	"github.com/locoprop/locoprop-go/locoprop/method/shampoo"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A method's settings are spelled out, and what is spelled out gives the same method.
func TestMethodSettings(t *testing.T) {
	for text, want := range map[string]string{
		"locoprop-m": "locoprop-m",
		"backprop":   "backprop",
		"kfac":       "kfac:fisher=sampled,damping=150,l2=1e-05,average=0.95,refresh=20",
		"kfac:l2=0":  "kfac:fisher=sampled,damping=150,l2=0,average=0.95,refresh=20",
		"kfac:damping=2,variant=plain,fisher=empirical": "kfac:variant=plain,fisher=empirical,damping=2,l2=1e-05,average=0.9,refresh=20",
		"shampoo": "shampoo:graft=sgd,beta2=0.999,momentum=0.9,epsilon=1e-06,tile=128,refresh=20",
		"shampoo:graft=adagrad,momentum=0,beta2=1": "shampoo:graft=adagrad,beta2=1,momentum=0,epsilon=1e-06,tile=128,refresh=20",
		"shampoo:variant=original":                 "shampoo:variant=original,graft=none,beta2=1,momentum=0,epsilon=0.0001,refresh=20",
		"kbfgs":                                    "kbfgs:damping=0.3,l2=1e-05",
		"kbfgs:variant=limited,memory=7":           "kbfgs:variant=limited,damping=0.3,l2=1e-05,memory=7",
		"muon:weight-decay=0.1":                    "muon:adam-lr=0.0003,momentum=0.95,weight-decay=0.1",
		"sm3":                                      "sm3:momentum=0.9",
		"adafactor":                                "adafactor",
		"adafactor:variant=fixed":                  "adafactor:variant=fixed",
		"foof":                                     "foof:relative-damping=0.3,average=0.95,refresh=1",
		"foof:damping=2,average=0":                 "foof:damping=2,average=0,refresh=1",
		"proxprop":                                 "proxprop:tau=1,steps=1",
		"proxprop:variant=exact,tau=2":             "proxprop:variant=exact,tau=2",
	} {
		e, _ := resolve(t, flags(values{"method": text, "lr": "0.5"}))
		assert.Equal(t, want, e.MethodText(), text)
		assert.Equal(t, want, e.Values()["method"])
		again, _ := resolve(t, file(e.Values()))
		assert.Equal(t, e.Values(), again.Values(), text)
		m, err := e.BuildMethod()
		require.NoError(t, err)
		assert.Equal(t, 0.5, m.Rate())
		assert.Equal(t, m.Name(), e.Method)
		second, err := again.BuildMethod()
		require.NoError(t, err)
		assert.Equal(t, m, second, text)
	}
}

// What isn't a key comes from the other settings.
func TestMethodTakesRunSettings(t *testing.T) {
	e, _ := resolve(t, flags(values{"method": "kfac:damping=3", "seed": "9"}))
	m, err := e.BuildMethod()
	require.NoError(t, err)
	o := m.(*kfac.Method).Options()
	assert.Equal(t, kfac.Options{Eta: 1, Damping: 3, L2: 1e-5, Average: 0.95, Refresh: 20, Seed: 9, Block: e.Block}, o)

	e, _ = resolve(t, flags(values{"method": "shampoo:variant=original", "lr": "2"}))
	m, err = e.BuildMethod()
	require.NoError(t, err)
	assert.Equal(t, shampoo.Options{Eta: 2, Original: true, Graft: shampoo.GraftNone, Beta2: 1, NoMomentum: true, Epsilon: 1e-4, Refresh: 20, Block: e.Block}, m.(*shampoo.Method).Options())

	e, _ = resolve(t, flags(values{"method": "foof", "lr": "2"}))
	assert.Equal(t, optimizer.New(optimizer.SGD), e.Optimizer, "not the preset's, which solves local problems")
	e, _ = resolve(t, flags(values{"method": "foof", "lr": "2", "optimizer": "momentum"}))
	m, err = e.BuildMethod()
	require.NoError(t, err)
	assert.Equal(t, optimizer.New(optimizer.Momentum), m.(*foof.Method).Options().Optimizer)
	assert.Equal(t, catalog.Pair{Method: "foof", Optimizer: "momentum"}, e.Pair())
}

func TestMethodSettingsRefused(t *testing.T) {
	for _, c := range []struct {
		v    values
		want string
	}{
		{values{"method": "backprop:x=1"}, `method backprop takes no keys, but "x=1" is given`},
		{values{"method": "kfac", "weight-decay": "0.1"}, "--weight-decay: method kfac doesn't take it"},
		{values{"method": "muon", "correction": "0.1"}, "--correction: method muon has no local problems"},
		{values{"method": "foof", "update-cap": "0.1"}, "--update-cap: method foof has no local problems"},
		{values{"method": "kfac:damping"}, `"damping" isn't of the form key=value`},
		{values{"method": "kfac:dampnig=1"}, `method kfac: unknown key "dampnig"; did you mean damping?`},
		{values{"method": "kfac:damping=1,damping=2"}, "key damping is given twice"},
		{values{"method": "kfac:damping=0"}, `damping is "0"; must be above 0`},
		{values{"method": "kfac:damping=x,refresh=0.5"}, `damping is "x"; must be a finite number`},
		{values{"method": "kfac:refresh=0.5"}, `refresh is "0.5"; must be a whole number from 1`},
		{values{"method": "kfac:variant=fast"}, `variant is "fast"; must be plain, or left out`},
		{values{"method": "shampoo:graft=x"}, `graft is "x"; must be sgd or adagrad or none`},
		{values{"method": "shampoo:variant=original,tile=5"}, "the original has no graft"},
		{values{"method": "kbfgs:damping=1"}, "kbfgs: damping is 1; must be above 0 and below 1"},
		{values{"method": "kfac", "optimizer": "adam"}, "--optimizer: method kfac makes steps of its own"},
		{values{"method": "kfac", "gamma": "1"}, "--gamma: method kfac has no local problems"},
		{values{"method": "kfac", "loss": "bi-tempered(0.8,1.2)"}, "kfac: loss bi-tempered(0.8,1.2) is no model's likelihood"},
		{values{"method": "foof", "optimizer": "schedule-free", "lr": "1"}, "optimizer schedule-free keeps weights of its own"},
	} {
		_, _, err := catalog.Resolve(flags(c.v))
		assert.ErrorContains(t, err, c.want)
	}
}

func TestPairsOfMethods(t *testing.T) {
	for _, p := range catalog.Pairs() {
		e, _ := resolve(t)
		require.NoError(t, e.SetPair(p))
		assert.Equal(t, p, e.Pair(), "%v", p)
		assert.True(t, strings.HasPrefix(p.String(), p.Method))
	}
}
