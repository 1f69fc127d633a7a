package catalog_test

import (
	"errors"
	"os"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSuggest(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"rmsprp", "rmsprop"},
		{"rmsporp", "rmsprop"}, // two letters exchanged
		{"Adam", "adam"},
		{"adamm", "adam"},
		{"adamv", "adam"}, // the first of two equally near
		{"nest", "nesterov"},
		{"sg", "sgd"},
		{"xyz", ""},
		{"", ""},
		{"a", ""},
		{"lion", ""},
	} {
		assert.Equal(t, c.want, catalog.Suggest(c.name, catalog.Optimizers), c.name)
	}
	assert.Equal(t, "fashion-mnist", catalog.Suggest("fashion", catalog.Datasets()))
	assert.Equal(t, "locoprop-m", catalog.Suggest("locoprop", catalog.Methods()))
	assert.Equal(t, "batch", catalog.Suggest("bacth", catalog.Keys()))
}

// Every name that is listed parses, and its value's own name is that name.
func TestNamesRoundTrip(t *testing.T) {
	for _, name := range transfer.Names {
		f, err := catalog.ParseTransfer(name)
		require.NoError(t, err)
		again, err := catalog.ParseTransfer(f.String())
		require.NoError(t, err)
		assert.Equal(t, f, again)
	}
	f, err := catalog.ParseTransfer("leaky-relu(0.2)")
	require.NoError(t, err)
	assert.Equal(t, transfer.LeakyReLU(0.2), f)
	for _, name := range loss.Names {
		l, err := catalog.ParseLoss(name)
		require.NoError(t, err)
		again, err := catalog.ParseLoss(l.String())
		require.NoError(t, err)
		assert.Equal(t, l, again)
	}
	for _, name := range schedule.Names {
		k, err := catalog.ParseSchedule(name)
		require.NoError(t, err)
		assert.Equal(t, name, k.String())
	}
	for _, name := range nn.InitNames {
		i, err := catalog.ParseInit(name)
		require.NoError(t, err)
		assert.Equal(t, name, i.String())
	}
}

func TestUnknownNames(t *testing.T) {
	fails := func(want string) func(any, error) {
		return func(_ any, err error) {
			t.Helper()
			assert.EqualError(t, err, want)
			var u *catalog.UnknownError
			assert.True(t, errors.As(err, &u))
		}
	}
	a, err := catalog.ParseTransfer("tanhh")
	fails(`unknown transfer function "tanhh"; did you mean tanh? (known: identity, tanh, relu, leaky-relu, sigmoid, softmax, relu2, arctan, softplus, softsign, elu, hard-tanh, exp, gelu, silu, tempered-softmax)`)(a, err)
	b, err := catalog.ParseLoss("crossentropy")
	fails(`unknown loss "crossentropy" (known: sigmoid-ce, softmax-ce, squared, bi-tempered)`)(b, err)
	c, err := catalog.ParseSchedule("cosin")
	fails(`unknown schedule "cosin"; did you mean cosine? (known: constant, linear, cosine, paper)`)(c, err)
	d, err := catalog.ParseInit("xavier")
	fails(`unknown initialisation "xavier" (known: glorot, he)`)(d, err)
	e, err := catalog.Preset("quick")
	fails(`unknown preset "quick" (known: curves, fast, fast-curves, paper, paper-wide, paper-deep)`)(e, err)

	_, err = catalog.ParseTransfer("leaky-relu(-2)")
	assert.ErrorContains(t, err, "the slope must be a finite number, 0 or more")
}

func TestParseOptimizer(t *testing.T) {
	tf1, torch := optimizer.New(optimizer.RMSPropTF1), optimizer.New(optimizer.RMSPropTorch)
	custom := torch
	custom.Rho, custom.Momentum = 0.5, 0.25
	decay := optimizer.New(optimizer.AdamW)
	decay.WeightDecay = 0
	for _, c := range []struct {
		text  string
		local bool
		want  optimizer.Rule
	}{
		{"sgd", true, optimizer.New(optimizer.SGD)},
		{"momentum", true, optimizer.New(optimizer.Momentum)},
		{"nesterov", false, optimizer.New(optimizer.Nesterov)},
		{"adagrad", true, optimizer.New(optimizer.AdaGrad)},
		{"rmsprop", true, tf1},
		{"rmsprop", false, torch},
		{"rmsprop:variant=tf1", false, tf1},
		{"rmsprop:variant=torch", true, torch},
		{"rmsprop:rho=.5,variant=torch,momentum=0.25", true, custom},
		{"adam", true, optimizer.New(optimizer.AdamTorch)},
		{"adam", false, optimizer.New(optimizer.AdamTorch)},
		{"adam:variant=tf1", true, optimizer.New(optimizer.AdamTF1)},
		{"adamw:weight-decay=0", false, decay},
		{"momentum:variant=lr-in-buffer", true, optimizer.New(optimizer.MomentumBuffer)},
		{"amsgrad", true, optimizer.New(optimizer.AMSGrad)},
		{"nadamw", true, optimizer.New(optimizer.NadamW)},
		{"schedule-free", false, optimizer.New(optimizer.ScheduleFree)},
		{"egu", true, optimizer.New(optimizer.EGU)},
		{"egu:beta=0.25", true, optimizer.Rule{Kind: optimizer.EGU, Beta: 0.25}},
		{"egu-gd:beta=auto", false, optimizer.New(optimizer.EGUGD)},
		{"p-norm:p=3", true, optimizer.Rule{Kind: optimizer.PNorm, P: 3}},
	} {
		got, err := catalog.ParseOptimizer(c.text, c.local)
		require.NoError(t, err, c.text)
		assert.Equal(t, c.want, got, c.text)
		for _, local := range []bool{true, false} {
			again, err := catalog.ParseOptimizer(catalog.FormatOptimizer(got), local)
			require.NoError(t, err)
			assert.Equal(t, got, again, c.text)
		}
	}
	assert.Equal(t, "rmsprop:variant=tf1,rho=0.9,momentum=0.999,epsilon=1e-05", catalog.FormatOptimizer(tf1))
	assert.Equal(t, "adamw:beta1=0.9,beta2=0.999,epsilon=1e-08,weight-decay=0", catalog.FormatOptimizer(decay))
	assert.Equal(t, "sgd", catalog.FormatOptimizer(optimizer.Rule{}))
	assert.Equal(t, "momentum:momentum=0.9", catalog.FormatOptimizer(optimizer.New(optimizer.Momentum)))
	assert.Equal(t, "momentum:variant=lr-in-buffer,momentum=0.9", catalog.FormatOptimizer(optimizer.New(optimizer.MomentumBuffer)))
	assert.Equal(t, "p-norm:p=auto", catalog.FormatOptimizer(optimizer.New(optimizer.PNorm)))
}

func TestParseOptimizerRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"rmspro", `unknown optimizer "rmspro"; did you mean rmsprop? (known: sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw, amsgrad, nadamw, schedule-free, egu, egu-gd, p-norm)`},
		{"", `unknown optimizer "" (known: sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw, amsgrad, nadamw, schedule-free, egu, egu-gd, p-norm)`},
		{"rmsprop:", `optimizer rmsprop: "" isn't of the form key=value`},
		{"rmsprop:rho", `optimizer rmsprop: "rho" isn't of the form key=value`},
		{"rmsprop:rh=1", `optimizer rmsprop: unknown key "rh"; did you mean rho? (known: variant, rho, momentum, epsilon)`},
		{"rmsprop:rho=0.5,rho=0.6", `optimizer rmsprop: key rho is given twice`},
		{"rmsprop:beta1=0.5", `optimizer rmsprop has no key beta1; its keys are variant, rho, momentum, epsilon`},
		{"rmsprop:rho=x", `optimizer rmsprop: rho is "x"; must be a number`},
		{"rmsprop:rho=NaN", `optimizer rmsprop: rho is "NaN"; must be a number`},
		{"rmsprop:rho=1", `optimizer rmsprop: rho is 1; must be at least 0 and below 1`},
		{"adam:epsilon=-1", `optimizer adam: epsilon is -1; must be a finite number, 0 or more`},
		{"adam:variant=tf2", `optimizer adam: unknown variant "tf2"; did you mean tf1? (known: tf1, torch)`},
		{"adam:variant=", `optimizer adam: unknown variant "" (known: tf1, torch)`},
		{"momentum:variant=", `optimizer momentum: unknown variant "" (known: lr-in-buffer)`},
		{"adamw:beta=auto", `optimizer adamw has no key beta; its keys are beta1, beta2, epsilon, weight-decay`},
		{"p-norm:p=1.5", `optimizer p-norm: p is 1.5; must be a finite number, 2 or more`},
		{"sgd:momentum=0.9", `optimizer sgd takes no keys, but "momentum" is given`},
		{"adamw:variant=tf1", `optimizer adamw has no key variant; its keys are beta1, beta2, epsilon, weight-decay`},
	} {
		_, err := catalog.ParseOptimizer(c.text, true)
		assert.EqualError(t, err, c.want, c.text)
	}
}

func TestLayout(t *testing.T) {
	const text = "784,400:leaky-relu(0.1),30:identity,400,784"
	l, err := catalog.ParseLayout(text)
	require.NoError(t, err)
	assert.Equal(t, text, l.String())
	a, err := l.Arch(transfer.Tanh, loss.SigmoidCE)
	require.NoError(t, err)
	assert.Equal(t, nn.Arch{
		Widths:   []int{784, 400, 30, 400, 784},
		Transfer: []transfer.Func{transfer.LeakyReLU(0.1), transfer.Identity, transfer.Tanh, transfer.Sigmoid},
	}, a)

	l, err = catalog.ParseLayout("3, 2:tanh")
	require.NoError(t, err)
	a, err = l.Arch(transfer.ReLU, loss.Squared)
	require.NoError(t, err)
	assert.Equal(t, []transfer.Func{transfer.Tanh}, a.Transfer)
	_, err = l.Arch(transfer.ReLU, loss.SoftmaxCE)
	assert.EqualError(t, err, "the last width names tanh; loss softmax-ce sets it (softmax), only loss squared leaves it open")
}

func TestParseLayoutRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"784", "one width only; there must be at least 2, input and output"},
		{"784,,10", `width 2 is ""; must be a whole number, 1 to 1048576`},
		{"784,0,10", `width 2 is "0"; must be a whole number, 1 to 1048576`},
		{"784,-5,10", `width 2 is "-5"; must be a whole number, 1 to 1048576`},
		{"784,99999999999999999999,10", `width 2 is "99999999999999999999"; must be a whole number, 1 to 1048576`},
		{"784-10", `width 1 is "784-10"; must be a whole number, 1 to 1048576`},
		{"784:tanh,10", "the first width, 784:tanh, is the input's, which has no transfer function"},
		{"784,20:rely,10", `width 2: unknown transfer function "rely"; did you mean relu? (known: identity, tanh, relu, leaky-relu, sigmoid, softmax, relu2, arctan, softplus, softsign, elu, hard-tanh, exp, gelu, silu, tempered-softmax)`},
	} {
		_, err := catalog.ParseLayout(c.text)
		assert.EqualError(t, err, c.want, c.text)
	}
}

func TestPresets(t *testing.T) {
	widths := map[string]string{
		"curves":      "784,400,200,100,50,25,6:identity,25,50,100,200,400,784",
		"fast":        "784,1000,500,250,30:identity,250,500,1000,784",
		"fast-curves": "784,400,200,100,50,25,6:identity,25,50,100,200,400,784",
		"paper":       "784,1000,500,250,30:identity,250,500,1000,784",
		"paper-wide":  "784,2000,1000,500,60:identity,500,1000,2000,784",
		"paper-deep":  "784,1000,500,500,500,250,30:identity,250,500,500,500,1000,784",
	}
	assert.Equal(t, []string{"curves", "fast", "fast-curves", "paper", "paper-wide", "paper-deep"}, catalog.Presets())
	for _, name := range catalog.Presets() {
		e, err := catalog.Preset(name)
		require.NoError(t, err)
		assert.Equal(t, widths[name], e.Arch.String(), name)
		assert.NotEmpty(t, catalog.AboutPreset(name))
		_, err = e.BuildMethod()
		require.NoError(t, err)
		_, err = e.BuildSchedule()
		require.NoError(t, err)
		e.Arch.Named[1] = transfer.ReLU // must not reach the preset
	}
	e, err := catalog.Preset("paper")
	require.NoError(t, err)
	a, err := e.Arch.Arch(e.Activation, e.Loss)
	require.NoError(t, err)
	assert.Equal(t, 2_837_314, a.Params())
	assert.Equal(t, transfer.Tanh, a.Transfer[0])
}

func TestRates(t *testing.T) {
	r, err := catalog.RateOf(catalog.Pair{Method: "locoprop-m", Optimizer: "rmsprop", Variant: "tf1"})
	require.NoError(t, err)
	assert.Equal(t, 1e-5, r.Eta)
	assert.Equal(t, 10.0, r.Gamma)
	_, err = catalog.RateOf(catalog.Pair{Method: "locoprop-m", Optimizer: "rmsprop", Variant: "tf2"})
	assert.EqualError(t, err, "no default rate is known for locoprop-m with rmsprop tf2; name one with --lr")

	assert.Len(t, catalog.Pairs(), 3*9+2+8+4) // three methods × optimisers; two for backprop only; eight more, four of them with a variant
	pairs := map[catalog.Pair]bool{}
	for _, p := range catalog.Pairs() {
		pairs[p] = true
	}
	for _, r := range catalog.Rates() {
		assert.True(t, pairs[r.Pair], "%v", r.Pair)
		delete(pairs, r.Pair) // a pair may stand there once
		assert.Positive(t, r.Eta)
		assert.Equal(t, catalog.IsLocal(r.Pair.Method), r.Gamma > 0, "%v", r.Pair)
	}
}

// A fixed rate stands in the table as it is, and no searched one claims a source.
func TestFixedRates(t *testing.T) {
	fixed := map[catalog.Pair]catalog.Rate{}
	for _, r := range catalog.FixedRates() {
		fixed[r.Pair] = r
		got, err := catalog.RateOf(r.Pair)
		require.NoError(t, err)
		assert.Equal(t, r, got)
		assert.NotEmpty(t, r.Source)
	}
	assert.Len(t, fixed, 5)
	for _, r := range catalog.Rates() {
		assert.Equal(t, fixed[r.Pair].Source, r.Source, "%v", r.Pair)
	}
}

// The table in the repository is what its generator would write.
func TestRatesTableIsFormatted(t *testing.T) {
	want, err := catalog.FormatRates(catalog.Rates())
	require.NoError(t, err)
	got, err := os.ReadFile("rates_table.go")
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func TestDatasets(t *testing.T) {
	assert.Equal(t, dataset.List()[0].Name, catalog.Datasets()[0])
	e, err := catalog.Preset("paper")
	require.NoError(t, err)
	e.Data = t.TempDir()
	_, err = e.LoadData(t.Context())
	require.ErrorIs(t, err, dataset.ErrData)
	e.Dataset = "idx"
	_, err = e.LoadData(t.Context())
	require.ErrorIs(t, err, dataset.ErrData)
}

func TestMeasuredAgainst(t *testing.T) {
	for _, c := range []struct {
		v    values
		said bool
	}{
		{values{}, true},
		{values{"seed": "3", "workers": "1", "eval-every": "4"}, true},
		{values{"preset": "fast", "data": "/data"}, true},
		{values{"metric-step": "0.5"}, false},
		{values{"epochs": "2"}, false},
		{values{"arch": "784,20,784"}, false},
		{values{"preset": "paper"}, false},
	} {
		e, _, err := catalog.Resolve(flags(c.v))
		require.NoError(t, err)
		assert.Equal(t, c.said, e.MeasuredAgainst() != "", c.v)
		_, err = e.FitShape(784, 0)
		require.NoError(t, err)
		assert.Equal(t, c.said, e.MeasuredAgainst() != "", "%v, fitted to the data", c.v)
	}
}
