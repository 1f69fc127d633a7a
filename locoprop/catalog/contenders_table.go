package catalog

import "github.com/locoprop/locoprop-go/locoprop/tune"

// span is a range on a logarithmic scale.
func span(key string, low, high float64) tune.Dimension {
	return tune.Dimension{Key: key, Low: low, High: high, Log: true}
}

func among(key string, choices ...string) tune.Dimension {
	return tune.Dimension{Key: key, Choices: choices}
}

// found is a default point with the batch, schedule and warm-up of `make rates`.
func found(batch string, v Values) Values {
	return with(v, "batch", batch, "schedule", "linear", "warmup-steps", "50")
}

func with(v Values, pairs ...string) Values {
	for i := 0; i < len(pairs); i += 2 {
		v[pairs[i]] = pairs[i+1]
	}
	return v
}

func firstOrder(optimizer string) Values {
	return found("100", Values{"method": "backprop", "optimizer": optimizer})
}

func ownSteps(method string) Values { return found("250", Values{"method": method}) }

// contenders are as [Contenders] lists them, but for rates that the table of rates has.
var contenders = []Contender{
	{
		Name: "fast", Title: "LocoProp-M in the metric of running second moments",
		Settings: Values{
			"method": "locoprop-m", "form": "metric", "gamma-rule": "fisher", "lr": "1", "local-steps": "4", "metric-damping": "0.3",
			"batch": "200", "schedule": "linear", "warmup-steps": "100",
		},
		Space:  []tune.Dimension{span("gamma", 0.001, 0.05), span("metric-damping", 0.1, 1), among("batch", "100", "200", "400")},
		Source: "presets fast and fast-curves; γ₀ follows from the planned length (docs/choosing.md)",
	},
	{
		Name: "locoprop-m", Title: "LocoProp-M by the paper's recipe",
		Settings: paperRecipe("locoprop-m"),
		Space:    paperSpace(1e-6, 1e-4),
		Source:   "Amid, Anil & Warmuth 2022: RMSProp tf1, T = 10, γ = 10, η = 1e-5; batch, schedule and warm-up of preset curves, for runs shorter than its 100 epochs",
	},
	{
		Name: "locoprop-s", Title: "LocoProp-S by the paper's recipe",
		Settings: with(paperRecipe("locoprop-s"), "gamma", "36", "lr", "1.6e-5"),
		Space:    paperSpace(1e-5, 1e-3),
		Source:   "the same with the squared loss; γ and η from docs/comparison.md",
	},
	{
		Name: "adam", Title: "Adam",
		Settings: with(firstOrder("adam:variant=torch,beta2=0.95"), "warmup-steps", "200", "lr", "0.002"),
		Space:    []tune.Dimension{span("lr", 1e-4, 1e-2), among("optimizer:beta2", "0.95", "0.99", "0.999"), among("batch", "50", "100", "200")},
		Source:   "Kingma & Ba 2015; β₂ and η from docs/comparison.md",
	},
	{
		Name: "adamw", Title: "AdamW",
		Settings: firstOrder("adamw"),
		Space:    []tune.Dimension{span("lr", 1e-4, 1e-2), span("optimizer:weight-decay", 1e-4, 0.1), among("batch", "50", "100", "200")},
		Source:   "Loshchilov & Hutter 2019; η from docs/rates.md",
	},
	{
		Name: "nadamw", Title: "NadamW",
		Settings: with(firstOrder("nadamw:weight-decay=0.005"), "lr", "0.001"),
		Space:    []tune.Dimension{span("lr", 1e-4, 1e-2), span("optimizer:weight-decay", 1e-4, 0.1), among("batch", "50", "100", "200")},
		Source:   "Dozat 2016 with the decay of AdamW; η and decay from docs/comparison.md",
	},
	{
		Name: "schedule-free", Title: "Schedule-Free AdamW",
		Settings: with(firstOrder("schedule-free"), "schedule", "constant"),
		Space:    []tune.Dimension{span("lr", 3e-4, 3e-2), among("optimizer:beta1", "0.9", "0.95", "0.98"), among("batch", "50", "100", "200")},
		Source:   "Defazio et al. 2024: warm-up, no decay of the rate; η from docs/rates.md",
	},
	{
		Name: "nesterov", Title: "SGD with Nesterov's momentum",
		Settings: with(firstOrder("nesterov"), "lr", "0.003"),
		Space:    []tune.Dimension{span("lr", 1e-4, 0.1), among("optimizer:momentum", "0.9", "0.95", "0.99"), among("batch", "50", "100", "200")},
		Source:   "Sutskever et al. 2013; η from docs/comparison.md",
	},
	{
		Name: "momentum", Title: "SGD with momentum",
		Settings: firstOrder("momentum"),
		Space:    []tune.Dimension{span("lr", 1e-4, 0.1), among("optimizer:momentum", "0.9", "0.95", "0.99"), among("batch", "50", "100", "200")},
		Source:   "Polyak 1964; η from docs/rates.md",
	},
	{
		Name: "sgd", Title: "SGD",
		Settings: firstOrder("sgd"),
		Space:    []tune.Dimension{span("lr", 1e-3, 1), among("batch", "50", "100", "200")},
		Source:   "Robbins & Monro 1951; η from docs/rates.md",
	},
	{
		Name: "rmsprop", Title: "RMSProp",
		Settings: firstOrder("rmsprop:variant=torch"),
		Space:    []tune.Dimension{span("lr", 1e-4, 1e-2), among("optimizer:rho", "0.9", "0.99", "0.999"), among("batch", "50", "100", "200")},
		Source:   "Tieleman & Hinton 2012, PyTorch's form; η from docs/rates.md",
	},
	{
		Name: "kfac", Title: "K-FAC",
		Settings: with(ownSteps("kfac"), "warmup-steps", "0"),
		Space:    []tune.Dimension{span("lr", 0.1, 2), span("method:damping", 1, 500), among("batch", "250", "500", "1000")},
		Source:   "Martens & Grosse 2015: sampled Fisher, π, adaptive damping from 150, momentum and rescaling, so that η is a factor of steps that have their own length",
	},
	{
		Name: "kfac-plain", Title: "K-FAC without rescaling",
		Settings: with(ownSteps("kfac:variant=plain"), "warmup-steps", "0"),
		Space:    []tune.Dimension{span("lr", 0.01, 3), span("method:damping", 0.1, 30), among("batch", "250", "500", "1000")},
		Source:   "the public code of Goldfarb, Ren & Bahamou 2020: damping 3, η 1",
	},
	{
		Name: "shampoo", Title: "Shampoo, blocked and grafted",
		Settings: ownSteps("shampoo"),
		Space:    []tune.Dimension{span("lr", 1e-3, 0.3), among("method:graft", "sgd", "adagrad"), among("batch", "100", "250", "500")},
		Source:   "Gupta et al. 2018, Anil et al. 2020; η from docs/rates.md",
	},
	{
		Name: "kbfgs", Title: "K-BFGS",
		Settings: ownSteps("kbfgs"),
		Space:    []tune.Dimension{span("lr", 0.03, 3), span("method:damping", 0.03, 0.9), among("batch", "250", "500", "1000")},
		Source:   "Goldfarb, Ren & Bahamou 2020: damping 0.3; η from docs/rates.md",
	},
	{
		Name: "muon", Title: "Muon, AdamW for the outer layers",
		Settings: ownSteps("muon"),
		Space:    []tune.Dimension{span("lr", 0.003, 0.3), span("method:adam-lr", 1e-4, 1e-2), among("batch", "100", "250", "500")},
		Source:   "Jordan et al. 2024: momentum 0.95, AdamW's rate 3e-4; η from docs/rates.md",
	},
	{
		Name: "sm3", Title: "SM3-II",
		Settings: ownSteps("sm3"),
		Space:    []tune.Dimension{span("lr", 3e-3, 1), among("method:momentum", "0.8", "0.9", "0.95"), among("batch", "100", "250", "500")},
		Source:   "Anil et al. 2019; η from docs/rates.md",
	},
	{
		Name: "adafactor", Title: "Adafactor",
		Settings: ownSteps("adafactor"),
		Space:    []tune.Dimension{span("lr", 1, 100), among("batch", "100", "250", "500")},
		Source:   "Shazeer & Stern 2018: η is a factor of steps relative to the weights; from docs/rates.md",
	},
	{
		Name: "foof", Title: "FOOF",
		Settings: with(ownSteps("foof"), "optimizer", "sgd"),
		Space:    []tune.Dimension{span("lr", 0.03, 10), span("method:relative-damping", 0.03, 3), among("batch", "250", "500", "1000")},
		Source:   "Benzing 2022; η from docs/rates.md",
	},
	{
		Name: "proxprop", Title: "Proximal BackProp, one CG step",
		Settings: with(ownSteps("proxprop"), "optimizer", "sgd"),
		Space:    []tune.Dimension{span("lr", 0.1, 1000), span("method:tau", 0.05, 20), among("batch", "100", "250", "500")},
		Source:   "Frerix et al. 2018: τ 1, the step is the solution, so that η is 1",
	},
}

func paperRecipe(method string) Values {
	return found("250", Values{
		"method": method, "form": "auto", "optimizer": "rmsprop:variant=tf1", "prox": "off", "gamma": "10", "local-steps": "10", "reset-state": "false",
	})
}

func paperSpace(low, high float64) []tune.Dimension {
	return []tune.Dimension{span("lr", low, high), span("gamma", 1, 100), among("batch", "100", "250", "500")}
}
