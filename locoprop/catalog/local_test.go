package catalog_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// options are those of the library's method.
func options(t *testing.T, e *catalog.Experiment) locoprop.Options {
	t.Helper()
	m, err := e.BuildMethod()
	require.NoError(t, err)
	require.IsType(t, &locoprop.Method{}, m)
	return m.(*locoprop.Method).Options()
}

func TestLocalSettingsReachTheMethod(t *testing.T) {
	e, _ := resolve(t, flags(values{
		"preset": "fast", "lr": "0.5", "gamma": "0.02", "local-steps": "3", "metric-damping": "0.1", "metric-step": "0.5",
		"metric-average": "0.8", "metric-every": "2", "metric-refresh": "7", "outer-momentum": "0.6", "block": "16",
	}))
	o := options(t, &e)
	assert.Equal(t, locoprop.FormMetric, o.Form)
	assert.Equal(t, locoprop.GammaFisher, o.GammaRule)
	assert.Equal(t, []float64{0.5, 0.02}, []float64{o.Eta, o.Gamma})
	assert.Equal(t, []int{3, 16}, []int{o.Steps, o.Block})
	assert.Equal(t, locoprop.Metric{Damping: 0.1, Step: 0.5, Average: 0.8, Every: 2, Refresh: 7, OuterMomentum: 0.6}, o.Metric)

	e, _ = resolve(t, flags(values{"preset": "fast", "metric-average": "0", "outer-momentum": "0"}))
	o = options(t, &e)
	assert.Equal(t, locoprop.Metric{Damping: 0.3, Step: 0.7, NoAverage: true, Every: 4, Refresh: 20, NoMomentum: true}, o.Metric)
	assert.Equal(t, []string{"0", "0"}, []string{e.Values()["metric-average"], e.Values()["outer-momentum"]})

	e, _ = resolve(t, flags(values{"preset": "fast", "gamma-rule": "fixed"}))
	assert.Equal(t, locoprop.GammaFixed, options(t, &e).GammaRule)
	e, _ = resolve(t, flags(values{"form": "implicit", "solver": "fixed", "prox": "0.001"}))
	o = options(t, &e)
	assert.Equal(t, locoprop.Implicit{Solver: locoprop.SolverFixed, Tolerance: 1e-4, Iterations: 200, Memory: 5}, o.Implicit)
	assert.Equal(t, 0.001, o.Prox)
	e, _ = resolve(t, flags(values{
		"form": "implicit", "prox": "1", "solver-tolerance": "0.01", "solver-iterations": "30", "solver-memory": "7", "solver-relax": "1.5",
		"layers.1.solver": "newton", "layers.2.solver": "newton", "layers.2.solver-iterations": "9", "layers.3.solver-relax": "auto",
	}))
	o = options(t, &e)
	run := locoprop.Implicit{Tolerance: 0.01, Iterations: 30, Memory: 7, Relax: 1.5}
	assert.Equal(t, run, o.Implicit)
	assert.Equal(t, 20, o.Layers[1].Implicit.Iterations, "newton's own")
	assert.Equal(t, locoprop.Implicit{Solver: locoprop.SolverNewton, Tolerance: 0.01, Iterations: 9, Memory: 5}, o.Layers[2].Implicit)
	run.Relax = 0
	assert.Equal(t, run, o.Layers[3].Implicit)
	for solver, iterations := range map[string]int{"newton": 20, "fixed": 200, "anderson": 50} { // named for anderson, which the others aren't
		e, _ = resolve(t, file(values{"form": "implicit", "prox": "1", "solver-iterations": "50"}), flags(values{"solver": solver}))
		assert.Equal(t, iterations, e.Implicit.Iterations, solver)
	}
	e, _ = resolve(t, flags(values{"prox": "auto", "local-floor": "0", "reset-state": "true"}))
	o = options(t, &e)
	assert.Equal(t, float64(locoprop.ProxAuto), o.Prox)
	assert.True(t, o.NoFloor && o.Floor == 0 && o.Reset)
	e, _ = resolve(t, flags(values{"local-floor": "1"}))
	assert.Equal(t, 1.0, options(t, &e).Floor)
	e, _ = resolve(t)
	assert.Equal(t, locoprop.DefaultFloor, options(t, &e).Floor)
}

// Every form has a combination that is taken, and the name that the library gives it.
func TestEveryForm(t *testing.T) {
	with := map[string]values{
		"auto": {}, "direct": {},
		"gram":       {"method": "locoprop-s", "lr": "1e-5"},
		"kernel":     {"optimizer": "nesterov", "lr": "1e-3"},
		"exact":      {"method": "locoprop-s", "prox": "0.01"},
		"spectral":   {"method": "locoprop-s", "optimizer": "sgd", "lr": "1e-3"},
		"statistics": {"method": "locoprop-s", "prox": "0.01"},
		"implicit":   {"prox": "0.01"}, "mm": {"prox": "0.01"}, "metric": {},
	}
	for _, form := range locoprop.Forms {
		require.Contains(t, with, form)
		v := values{"form": form}
		for key, text := range with[form] {
			v[key] = text
		}
		e, _ := resolve(t, flags(v))
		assert.Equal(t, form, options(t, &e).Form.String())
		assert.Equal(t, form, e.Values()["form"])
	}
}

// A form that makes nothing of a setting refuses it and leaves it out of what is
// recorded; one that can't solve the problem says what it needs.
func TestFormsRefuse(t *testing.T) {
	const (
		proximal = "forms exact, implicit, mm and statistics use a rate with prox auto, statistics-iterate or weight-decay only"
		rule     = "only forms auto, direct, gram, kernel and spectral have an optimizer"
		decay    = "only the rates of forms auto, direct, gram, kernel and spectral, those of statistics-iterate and those that prox auto sums decay over the local steps"
		state    = "only forms auto, direct, gram and kernel keep an optimizer's state"
		backprop = "method backprop has no local problems; only locoprop-m and locoprop-s take it"
	)
	adam := func(key, text string) values {
		return values{"method": "backprop", "optimizer": "adam", key: text}
	}
	for _, c := range []struct {
		v    values
		want string
	}{
		{values{"form": "grm"}, `--form grm: unknown form "grm"; did you mean gram? (known: auto, direct, metric, gram, kernel, implicit, mm, exact, spectral, statistics)`},
		{values{"form": "implicit", "prox": "1", "solver": "newtn"}, `--solver newtn: unknown solver "newtn"; did you mean newton? (known: anderson, newton, fixed)`},
		{values{"form": "implicit", "prox": "1", "solver-tolerance": "1"}, "--solver-tolerance 1: must be a number above 0 and below 1"},
		{values{"form": "implicit", "prox": "1", "solver-iterations": "10001"}, "--solver-iterations 10001: must be a whole number from 1 to 10000"},
		{values{"form": "implicit", "prox": "1", "solver-memory": "21"}, "--solver-memory 21: must be a whole number from 1 to 20"},
		{values{"form": "implicit", "prox": "1", "solver-relax": "2"}, "--solver-relax 2: must be auto or a number above 0 and below 2"},
		{values{"form": "implicit", "prox": "1", "solver-relax": "off"}, "--solver-relax off: must be auto or a number above 0 and below 2"},
		{values{"preset": "fast", "gamma-rule": "auto"}, `--gamma-rule auto: unknown gamma rule "auto" (known: fixed, fisher)`},
		{values{"prox": "-1"}, "--prox -1: must be off, auto or λ, a finite number above 0"},
		{values{"prox": "on"}, "--prox on: must be off, auto or λ, a finite number above 0"},
		{values{"local-floor": "1.5"}, "--local-floor 1.5: must be a number from 0 to 1"},
		{values{"local-floor": "nan"}, "--local-floor nan: must be a number from 0 to 1"},
		{values{"reset-state": "yes"}, "--reset-state yes: must be true or false"},
		{values{"preset": "fast", "metric-average": "1"}, "--metric-average 1: must be a number above 0 and below 1, or 0 for none"},
		{values{"preset": "fast", "outer-momentum": "-1"}, "--outer-momentum -1: must be a number above 0 and below 1, or 0 for none"},
		{values{"preset": "fast", "metric-damping": "0"}, "--metric-damping 0: must be a finite number above 0"},
		{values{"preset": "fast", "metric-every": "0"}, "--metric-every 0: must be a whole number from 1 to 1000000000"},

		{values{"solver": "newton"}, "--solver: only form implicit has a solver"},
		{values{"solver-tolerance": "0.1"}, "--solver-tolerance: only form implicit has a solver"},
		{values{"form": "metric", "solver-iterations": "3"}, "--solver-iterations: only form implicit has a solver"},
		{values{"form": "implicit", "prox": "1", "solver": "fixed", "solver-memory": "3"}, "--solver-memory: only solver anderson combines iterates"},
		{values{"form": "implicit", "prox": "1", "solver": "newton", "solver-relax": "1"}, "--solver-relax: solver newton finds the length of its steps by itself"},
		{values{"gamma-rule": "fixed"}, "--gamma-rule: only form metric has a rule for γ; elsewhere it is fixed"},
		{values{"metric-step": "1"}, "--metric-step: only form metric has it"},
		{values{"form": "metric", "optimizer": "adam"}, "--optimizer: " + rule},
		{values{"form": "metric", "local-floor": "0.5"}, "--local-floor: " + decay},
		{values{"form": "metric", "reset-state": "true"}, "--reset-state: " + state},
		{values{"form": "mm", "prox": "1", "optimizer": "sgd"}, "--optimizer: " + rule},
		{values{"form": "mm", "prox": "1", "lr": "1"}, "--lr: " + proximal},
		{values{"form": "mm", "prox": "1", "local-floor": "0"}, "--local-floor: " + decay},
		{values{"form": "implicit", "prox": "1", "local-steps": "3"}, "--local-steps: forms exact, implicit and statistics count local steps with prox auto or statistics-iterate only"},

		{adam("form", "direct"), "--form: " + backprop},
		{adam("solver", "newton"), "--solver: " + backprop},
		{adam("solver-memory", "3"), "--solver-memory: " + backprop},
		{adam("prox", "off"), "--prox: " + backprop},
		{adam("gamma-rule", "fixed"), "--gamma-rule: " + backprop},
		{adam("local-floor", "0"), "--local-floor: " + backprop},
		{adam("reset-state", "false"), "--reset-state: " + backprop},
		{adam("metric-every", "3"), "--metric-every: " + backprop},
		{adam("outer-momentum", "0.5"), "--outer-momentum: " + backprop},
		{adam("layers.1.gamma", "2"), "layers.1: " + backprop},

		{values{"form": "gram"}, "locoprop: layer 0: form gram needs the squared local loss (locoprop-s)"},
		{values{"form": "kernel"}, "locoprop: layer 0: form kernel needs optimizer sgd, or momentum, or nesterov, not rmsprop"},
		{values{"form": "exact"}, "locoprop: layer 0: form exact needs the squared local loss (locoprop-s); and a proximal term (prox auto or a λ)"},
		{values{"form": "mm"}, "locoprop: layer 0: form mm needs a proximal term (prox auto or a λ)"},
		{values{"form": "metric", "prox": "auto"}, "locoprop: layer 0: form metric needs no proximal term (prox off)"},
		{values{"form": "implicit", "prox": "1", "method": "locoprop-s"}, "locoprop: layer 0: form implicit needs the matching local loss (locoprop-m)"},
	} {
		_, _, err := catalog.Resolve(curves, flags(c.v))
		assert.EqualError(t, err, c.want, c.v)
	}
	// Where the pair's rate isn't known either, both are said.
	_, _, err := catalog.Resolve(curves, flags(values{"method": "locoprop-s", "form": "spectral", "optimizer": "rmsprop"}))
	assert.ErrorContains(t, err, "form spectral needs optimizer sgd, not rmsprop")
}

// What an earlier layer said of another form is neither used nor recorded.
func TestAnotherFormForgets(t *testing.T) {
	fast, _ := resolve(t, flags(values{"preset": "fast", "metric-damping": "0.7", "gamma": "0.02", "lr": "0.5"}))
	e, rate := resolve(t, file(fast.Values()), flags(values{"form": "auto"}))
	require.NotNil(t, rate)
	assert.Equal(t, "locoprop-m with rmsprop tf1", rate.Pair.String())
	assert.Equal(t, []float64{rate.Eta, rate.Gamma}, []float64{e.Eta, e.Gamma})
	assert.Equal(t, locoprop.DefaultSteps, e.LocalSteps)
	assert.Equal(t, 0.3, e.Metric.Damping)
	assert.NotContains(t, e.Values(), "metric-damping")

	back, rate := resolve(t, file(e.Values()), flags(values{"form": "metric", "epochs": "3", "schedule-epochs": "3"}))
	assert.Nil(t, rate, "no pair's rate is taken")
	assert.Equal(t, []float64{1, 0.0075}, []float64{back.Eta, back.Gamma})
	assert.Equal(t, locoprop.DefaultMetricSteps, back.LocalSteps)
	assert.NotContains(t, back.Values(), "optimizer")

	e, _ = resolve(t, file(values{"lr": "7", "gamma": "3", "local-steps": "2"}), flags(values{"form": "metric", "local-steps": "3", "gamma": "0.5"}))
	assert.Equal(t, []float64{1, 0.5, 3}, []float64{e.Eta, e.Gamma, float64(e.LocalSteps)}, "what is named counts")
	e, _ = resolve(t, file(values{"lr": "7", "gamma": "3", "form": "direct"}), flags(values{"prox": "auto"}))
	assert.Equal(t, []float64{7, 3}, []float64{e.Eta, e.Gamma}, "the same optimiser, the same rates")
	// A proximal form without an optimiser takes sgd's rate for its λ, and none for a λ of its own.
	e, _ = resolve(t, file(values{"form": "implicit", "prox": "auto", "lr": "0.5"}), flags(values{"prox": "0.01"}))
	assert.NotContains(t, e.Values(), "lr")
	assert.Equal(t, catalog.Pair{Method: "locoprop-m", Optimizer: "sgd"}, e.Pair())
}

func TestFastGamma(t *testing.T) {
	for _, c := range []struct {
		v    values
		want float64
	}{
		{values{"preset": "fast"}, 0.0075},
		{values{"preset": "fast", "epochs": "5"}, 0.0045},
		{values{"preset": "fast", "epochs": "12"}, 0.0019},
		{values{"preset": "fast", "epochs": "1"}, 0.02},
		{values{"preset": "fast", "epochs": "0"}, 0.02},
		{values{"preset": "fast", "epochs": "1000"}, 0.001},
		{values{"preset": "fast", "batch": "400"}, 0.015}, // half the steps
		{values{"preset": "fast", "batch": "400", "epochs": "6"}, 0.0075},
		{values{"preset": "fast", "epochs": "2", "schedule-epochs": "12"}, 0.0019}, // the planned length counts
		{values{"preset": "fast", "epochs": "12", "gamma": "0.004"}, 0.004},
		{values{"preset": "fast", "epochs": "9", "dataset": "curves", "method": "locoprop-s"}, 0.0075}, // a third of the examples,
		{values{"preset": "fast", "gamma-rule": "fixed"}, 10},
		{values{"preset": "fast-curves"}, 0.0065},
		{values{"preset": "fast-curves", "epochs": "52"}, 0.003},
		{values{"preset": "fast-curves", "epochs": "3"}, 0.02},
		{values{"form": "metric", "epochs": "12", "batch": "200"}, 0.0056}, // measured by preset fast
	} {
		e, _ := resolve(t, flags(c.v))
		assert.Equal(t, c.want, e.Gamma, c.v)
	}
	// A configuration names γ, which then stays.
	e, _ := resolve(t, flags(values{"preset": "fast"}))
	e, _ = resolve(t, file(e.Values()), flags(values{"epochs": "12"}))
	assert.Equal(t, 0.0075, e.Gamma)
	e, _ = resolve(t, file(e.Values()), flags(values{"gamma-rule": "fixed"}))
	assert.Equal(t, 10.0, e.Gamma, "another rule's γ")
}

func TestCoasts(t *testing.T) {
	for _, c := range []struct {
		v    values
		want bool
	}{
		{values{}, true}, // rmsprop tf1
		{values{"reset-state": "true"}, false},
		{values{"optimizer": "rmsprop:momentum=0"}, false},
		{values{"optimizer": "momentum", "lr": "1e-3"}, false}, // its buffer holds gradients
		{values{"preset": "fast"}, true},
		{values{"form": "mm", "prox": "1"}, false},
		{values{"form": "mm", "prox": "1", "layers.2.form": "metric", "layers.2.prox": "off"}, true},
		{values{"method": "backprop", "optimizer": "adam"}, false},
		{values{"method": "backprop", "optimizer": "rmsprop:variant=tf1", "lr": "1e-3"}, true},
	} {
		e, _ := resolve(t, flags(c.v))
		assert.Equal(t, c.want, e.Coasts(), c.v)
	}
}

func TestDataInfo(t *testing.T) {
	for name, want := range map[string]int{"curves": dataset.CurvesTrain, "mnist": 60000, "fashion-mnist": 60000, "idx": 0} {
		e, _ := resolve(t, flags(values{"dataset": name}))
		info, known := e.DataInfo()
		assert.Equal(t, want, info.Train)
		assert.Equal(t, want > 0, known)
	}
	e, _ := resolve(t, flags(values{"dataset": "mnist", "target": "label"}))
	assert.Equal(t, model.Label, e.Target)
	a, err := e.FitShape(784, 10)
	require.NoError(t, err)
	assert.Equal(t, 10, a.Widths[len(a.Widths)-1])
	assert.False(t, e.FreeArch)
}
