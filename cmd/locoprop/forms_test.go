package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every form trains from the command line, says what it does, and goes on from its
// checkpoint to the same bits.
func TestForms(t *testing.T) {
	t.Parallel()
	data := writeData(t)
	for form, c := range map[string]struct{ args, says string }{
		"auto":       {"--optimizer sgd --lr 1e-3", "optimizer sgd, lr 0.001, gamma 10 (gamma/batch 0.333"},
		"direct":     {"--lr 1e-4", "form direct, optimizer rmsprop:"},
		"gram":       {"--method locoprop-s --lr 1e-4 --reset-state", "form gram, optimizer rmsprop:"},
		"kernel":     {"--optimizer momentum --lr 1e-3 --local-floor 1", "form kernel, optimizer momentum:momentum=0.9, lr 0.001"},
		"exact":      {"--method locoprop-s --prox 0.001", "form exact, gamma 10 (gamma/batch 0.333"},
		"spectral":   {"--method locoprop-s --optimizer sgd --lr 1e-3", "form spectral, optimizer sgd"},
		"statistics": {"--method locoprop-s --prox auto --lr 1e-3", "form statistics, lr 0.001"},
		"implicit":   {"--prox 0.001 --solver-tolerance 0.01 --solver-iterations 9 --solver-memory 3 --solver-relax 0.5", "form implicit, solver anderson, gamma 10 (gamma/batch 0.3333333333333333), solver-tolerance 0.01, solver-iterations 9, solver-memory 3, solver-relax 0.5"},
		"mm":         {"--prox 0.001 --local-steps 2", "form mm, gamma 10 (gamma/batch 0.3333333333333333), 2 local steps, prox 0.001"},
		"metric":     {"--metric-every 2 --metric-damping 1", "form metric, lr 1, gamma 0.0078 over each layer's gradient scale (the default for 3 epochs as planned), 4 local steps, metric-damping 1, metric-every 2"},
	} {
		require.Contains(t, locoprop.Forms, form)
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := append([]string{
				"train", "--dataset", "idx", "--data", data, "--arch", "64,16,6:identity,16,64", "--batch", "30",
				"--schedule-epochs", "3", "--warmup-steps", "4", "--form", form,
			}, strings.Fields(c.args)...)
			out := succeeds(t, dir, append(args, "--epochs", "3", "--out", "whole")...)
			assert.Contains(t, out.stderr, c.says)
			assert.Regexp(t, `\nforms: [a-z]+ ×\d`, out.stderr)
			assert.Regexp(t, `^{"epoch":0,.*"forms":\["[a-z]+","[a-z]+","[a-z]+","[a-z]+"\]}\n`, string(read(t, dir, "whole/metrics.jsonl")))
			assert.Equal(t, 1, strings.Count(string(read(t, dir, "whole/metrics.jsonl")), "forms"), "in the first line")
			succeeds(t, dir, append(args, "--epochs", "1", "--out", "part", "--workers", "1")...)
			succeeds(t, dir, "train", "--resume", "part", "--epochs", "3")
			assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, "part/model.safetensors"))
			succeeds(t, dir, "train", "--config", "whole/config.toml", "--out", "again")
			assert.Equal(t, read(t, dir, "whole/config.toml"), read(t, dir, "again/config.toml"))
		})
	}
}

// Combinations that the library refuses end the program as wrong usage, before any file is
// read, with what was wrong, in which layer, and what would be right.
func TestInvalidCombinations(t *testing.T) {
	t.Parallel()
	const squared, proximal, matching = "the squared local loss (locoprop-s)", "a proximal term (prox auto or a λ)", "the matching local loss (locoprop-m)"
	dir := t.TempDir()
	for _, c := range []struct{ args, says string }{
		{"--form gram", "layer 0: form gram needs " + squared},
		{"--form spectral", "layer 0: form spectral needs " + squared + "; and optimizer sgd, not rmsprop"},
		{"--form exact", "layer 0: form exact needs " + squared + "; and " + proximal},
		{"--form statistics", "statistics: the converged update needs " + proximal},
		{"--form statistics --prox 1", "layer 0: form statistics needs " + squared},
		{"--form exact --method locoprop-s", "layer 0: form exact needs " + proximal},
		{"--form spectral --method locoprop-s", "layer 0: form spectral needs optimizer sgd, not rmsprop"},
		{"--form kernel", "layer 0: form kernel needs optimizer sgd, or momentum, or nesterov, not rmsprop"},
		{"--form kernel --method locoprop-s --optimizer adam", "needs optimizer sgd, or momentum, or nesterov, not adam"},
		{"--form mm", "layer 0: form mm needs " + proximal},
		{"--form mm --prox 1 --method locoprop-s", "layer 0: form mm needs " + matching},
		{"--form mm --prox 1 --activation exp", "form mm needs a transfer function whose slope has a bound, which exp has not: use form implicit"},
		{"--form implicit", "layer 0: form implicit needs " + proximal},
		{"--form implicit --prox 1 --method locoprop-s", "layer 0: form implicit needs " + matching},
		{"--form implicit --prox 1 --solver newton --dataset mnist --target label", "solver newton needs independent units, which softmax doesn't give: use solver anderson or fixed"},
		{"--form metric --prox auto", "layer 0: form metric needs no proximal term (prox off)"},
		{"--form metric --prox 0.1", "layer 0: form metric needs no proximal term (prox off)"},
		{"--activation gelu", "layer 0: LocoProp-M needs a non-decreasing transfer function, which gelu isn't; use locoprop-s"},
		{"--activation silu --form metric", "layer 0: LocoProp-M needs a non-decreasing transfer function, which silu isn't; use locoprop-s"},
		{"--optimizer schedule-free --lr 1", "doesn't solve local problems"},
		{"--optimizer momentum:momentum=1", "momentum is 1; must be at least 0 and below 1"},
		{"--optimizer p-norm:p=1", "p is 1; must be a finite number, 2 or more"},
		{"--loss bi-tempered(2,1)", "the temperatures must be 0 ≤ t1 ≤ 1 ≤ t2 ≤ 10"},
		{"--activation elu(-1)", "α must be a finite number above 0"},
		{"--activation softmax", "softmax in hidden layer 0; it can only be the last transfer function"},
	} {
		args := append([]string{"train", "--preset", "paper", "--out", "run"}, strings.Fields(c.args)...)
		refuses(t, dir, exitUsage, []string{"locoprop: ", c.says}, args...)
	}
	assert.Empty(t, tree(t, dir), "wrong usage leaves nothing behind")
}

// The extras train from the command line, are shown and written down, and go on from a
// checkpoint in the middle of an epoch whose last batch is short to the same bits.
func TestExtras(t *testing.T) {
	t.Parallel()
	data := writeData(t)
	for args, says := range map[string]string{
		"--lr 1e-4 --drop-last=false --weight-decay 2 --gamma-per-example 0.5":                                                    "gamma 3.5 (gamma/batch 0.5), 10 local steps, weight-decay 2",
		"--lr 1e-4 --drop-last=false --armijo --tolerance 0.1 --update-cap 0.5 --reject --clip-targets --correction 0.2":          "armijo true, tolerance 0.1, update-cap 0.5, reject true, clip-targets true, correction 0.2",
		"--lr 1e-4 --drop-last=false --d-momentum 0.5":                                                                            "d-momentum 0.5",
		"--method locoprop-s --form statistics --statistics-structure block-diagonal --statistics-relative 0.5 --drop-last=false": "form statistics, gamma 10 (gamma/batch 1.4285714285714286), statistics-structure block-diagonal",
		"--method backprop --optimizer adam --lr 1e-3 --weight-decay 0.5 --drop-last=false":                                       "optimizer adam:variant=torch",
		"--method kfac:refresh=3 --drop-last=false":                                                                               "kfac:",
		"--method kbfgs --drop-last=false":                                                                                        "kbfgs",
		"--method shampoo:refresh=3 --drop-last=false":                                                                            "shampoo:",
		"--method proxprop:variant=exact --optimizer sgd --lr 1 --drop-last=false":                                                "proxprop:variant=exact",
		"--form metric --drop-last=false --weight-decay 0.01":                                                                     "form metric, lr 1,",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			all := append([]string{
				"train", "--preset", "curves", "--dataset", "idx", "--data", data, "--arch", "64,16,6:identity,16,64", "--batch", "7",
				"--schedule-epochs", "3", "--warmup-steps", "4",
			}, strings.Fields(args)...)
			out := succeeds(t, dir, append(all, "--epochs", "2", "--out", "whole")...)
			assert.Contains(t, out.stderr, says)
			assert.Contains(t, string(read(t, dir, "whole/config.toml")), "drop-last = false\n")
			succeeds(t, dir, append(all, "--epochs", "1", "--out", "part", "--workers", "1")...)
			succeeds(t, dir, "train", "--resume", "part", "--epochs", "2")
			assert.Equal(t, read(t, dir, "whole/model.safetensors"), read(t, dir, "part/model.safetensors"))
			succeeds(t, dir, "train", "--config", "whole/config.toml", "--out", "again")
			assert.Equal(t, read(t, dir, "whole/config.toml"), read(t, dir, "again/config.toml"))
		})
	}
}

// A plan counts the short batch, and says what momentum on D will keep.
func TestPlanOfExtras(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	steps := func(args ...string) (int, float64) {
		var p runPlan
		out := succeeds(t, dir, append([]string{"train", "--plan", "--json", "--batch", "300"}, args...)...)
		require.NoError(t, json.Unmarshal([]byte(out.stdout), &p))
		return *p.Total.StepsPerEpoch, p.Total.StateBytes
	}
	dropped, without := steps()
	kept, _ := steps("--drop-last=false")
	assert.Equal(t, []int{66, 67}, []int{dropped, kept}) // of 20,000 examples
	_, with := steps("--d-momentum", "0.5")
	units := 400 + 200 + 100 + 50 + 25 + 6 + 25 + 50 + 100 + 200 + 400 + 784
	assert.InDelta(t, 4*20000*units, with-without, 1)
	refuses(t, dir, exitUsage, []string{"momentum on D would take 187200000 bytes for 20000 examples; its limit is 104857600"},
		"train", "--plan", "--d-momentum", "0.5", "--d-momentum-limit", "100")
}

func TestFastPreset(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	fast := []string{"train", "--preset", "fast", "--dataset", "idx", "--data", data, "--arch", "64,20,5:identity,20,64", "--batch", "20", "--warmup-steps", "3"}
	out := succeeds(t, dir, append(fast, "--epochs", "6")...)
	assert.Contains(t, out.stderr, "gamma 0.001 over each layer's gradient scale (the default for 6 epochs as planned)")
	assert.Contains(t, out.stderr, "forms: metric ×4")
	config := string(read(t, dir, "runs/fast-1/config.toml"))
	for _, part := range []string{"form = 'metric'\n", "gamma = 0.001\n", "gamma-rule = 'fisher'\n", "outer-momentum = 0.9\n", "lr = 1.0\n"} {
		assert.Contains(t, config, part)
	}
	assert.NotContains(t, config, "optimizer")
	out = succeeds(t, dir, append(fast, "--epochs", "1", "--gamma", "0.02", "--gamma-rule", "fisher")...)
	assert.Contains(t, out.stderr, "gamma 0.02 over each layer's gradient scale, 4 local steps")

	// A setting of the form is part of what a checkpoint belongs to.
	path := filepath.Join("runs", "fast-1-2", "config.toml")
	edit(t, filepath.Join(dir, path), "metric-step = 0.7", "metric-step = 0.6")
	refuses(t, dir, exitData, []string{"checkpoint of another run: metric-step is 0.7 there and 0.6 here"}, "train", "--resume", "runs/fast-1-2")
}

func TestPlan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := succeeds(t, dir, "train", "--plan", "--preset", "fast") // without any file
	lines := strings.Split(out.stdout, "\n")
	assert.Contains(t, lines[0], "preset fast: locoprop-m, batch 200, backend ")
	assert.Equal(t, strings.Fields("layer inputs units transfer form tasks forward GF backward GF local GF local MB local ms state MB memory MB"), strings.Fields(lines[1]))
	assert.Regexp(t, `^ +3 +250 +30 +identity +metric +\d+ +0\.0030 +0\.0030 +\d+\.\d+( +\d+\.\d+){4}$`, lines[5])
	assert.Regexp(t, `^ +total +1\.1349 +0\.8196 +\d+\.\d+( +\d+\.\d+){4}$`, lines[10])
	assert.Regexp(t, `\d\.\d{3} GF a step, 300 steps an epoch; 2837314 parameters`, out.stdout)
	assert.Empty(t, out.stderr)

	out = succeeds(t, dir, "train", "--plan", "--method", "backprop", "--optimizer", "adam")
	assert.Contains(t, out.stderr, "taking the default rate of this pair")
	assert.Contains(t, out.stdout, "optimizer adam:variant=torch")
	assert.NotContains(t, out.stdout, "scratch", "there is no local solve")
	// The layers of the data where nobody chose them, and no files where somebody did.
	out = succeeds(t, dir, "train", "--plan", "--dataset", "mnist", "--target", "label")
	assert.Contains(t, out.stdout, " 400     10   softmax ")
	out = succeeds(t, dir, "train", "--plan", "--dataset", "idx", "--data", "nowhere", "--arch", "12,3,12")
	assert.NotContains(t, out.stdout, "steps an epoch")
	refuses(t, dir, exitData, []string{"nowhere"}, "train", "--plan", "--dataset", "idx", "--data", "nowhere")
	out = succeeds(t, dir, "train", "--plan", "--dataset", "idx", "--data", writeData(t), "--batch", "50")
	assert.Contains(t, out.stdout, "2 steps an epoch")
	assert.Empty(t, tree(t, dir), "a plan leaves nothing behind")
}

func TestPlanJSON(t *testing.T) {
	t.Parallel()
	out := succeeds(t, t.TempDir(), "train", "--plan", "--json", "--form", "direct", "--dataset", "mnist", "--arch", "784,64,784", "--batch", "100")
	var p runPlan
	decoder := json.NewDecoder(strings.NewReader(out.stdout))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&p))
	assert.False(t, decoder.More(), "one object")
	require.Len(t, p.Layers, 2)
	assert.Equal(t, []int{784, 64}, []int{p.Layers[0].Inputs, p.Layers[0].Units})
	assert.Equal(t, 2.*100*785*64, p.Layers[0].ForwardFlops)
	assert.Zero(t, p.Layers[0].BackwardFlops)
	assert.Equal(t, 38.*100*785*64, p.Layers[0].LocalFlops, "(4T − 2)·B(n+1)m of the direct form")
	assert.Equal(t, 2*4.*785*64, p.Layers[0].StateBytes)
	require.NotNil(t, p.Layers[0].LocalSeconds)
	require.NotNil(t, p.Total.LocalSeconds)
	assert.Equal(t, *p.Layers[0].LocalSeconds+*p.Layers[1].LocalSeconds, *p.Total.LocalSeconds)
	assert.Zero(t, *p.Total.MemoryBytes, "the direct form keeps nothing but its optimiser's state")
	assert.Equal(t, 4*float64(2*100*64+2*785*64), *p.Total.ScratchBytes, "E, dA, Δ and ∂W̃ of the first layer")
	assert.Equal(t, *p.Layers[0].LocalBytes+*p.Layers[1].LocalBytes, *p.Total.LocalBytes)
	assert.Equal(t, p.Total.ForwardFlops+p.Total.BackwardFlops+p.Total.LocalFlops, p.Total.Flops)
	assert.Equal(t, 600, *p.Total.StepsPerEpoch)

	// K of B × B, its rows on cache lines, and no state; back-propagation solves nothing.
	out = succeeds(t, t.TempDir(), "train", "--plan", "--json", "--form", "kernel", "--optimizer", "sgd", "--lr", "0.001", "--dataset", "mnist", "--arch", "784,64,784", "--batch", "100")
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &p))
	assert.Equal(t, []float64{4 * 100 * 112, 2 * 4 * 100 * 112, 0}, []float64{*p.Layers[0].MemoryBytes, *p.Total.MemoryBytes, p.Total.StateBytes})
	p = runPlan{}
	out = succeeds(t, t.TempDir(), "train", "--plan", "--json", "--method", "backprop", "--dataset", "mnist", "--arch", "784,64,784", "--batch", "100")
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &p))
	assert.Nil(t, p.Total.MemoryBytes)
	assert.Nil(t, p.Layers[0].ScratchBytes)
}

func TestDescribeForms(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "gram ×2, kernel ×1", describeForms([]plan.LayerPlan{{Form: "gram"}, {Form: "kernel"}, {Form: "gram"}}))
	assert.Empty(t, describeForms([]plan.LayerPlan{{}, {}}), "back-propagation has none")
}

func TestHelpNamesForms(t *testing.T) {
	t.Parallel()
	for _, f := range settingFlags() {
		switch f.key {
		case "form":
			for _, form := range locoprop.Forms {
				assert.Contains(t, f.usage, form)
			}
		case "solver":
			for _, solver := range locoprop.ImplicitSolvers {
				assert.Contains(t, f.usage, solver)
			}
		}
	}
}
