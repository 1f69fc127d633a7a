package bench_test

import (
	"context"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func formsConfig(shapes ...bench.Shape) bench.FormsConfig {
	return bench.FormsConfig{
		Kernels: gonum.New(), Workers: 2, Shapes: shapes, Problems: bench.Problems(3), Rounds: 2,
		Sample: time.Microsecond, Sizes: []int{32},
	}
}

func TestForms(t *testing.T) {
	c := formsConfig(bench.Shape{Inputs: 5, Units: 7, Batch: 40}, bench.Shape{Inputs: 40, Units: 7, Batch: 3})
	calls := 0
	c.OnLayer = func(done, all int, _ *bench.LayerForms) {
		calls++
		assert.Equal(t, calls, done)
		assert.Equal(t, 8, all)
	}
	r, err := bench.Forms(context.Background(), c)
	require.NoError(t, err)
	assert.Equal(t, 8, calls)
	require.Len(t, r.Layers, 8)
	assert.Equal(t, 8, r.Compared)
	assert.GreaterOrEqual(t, r.Worst, r.Mean)
	assert.GreaterOrEqual(t, r.Mean, 1.0)
	for _, l := range r.Layers {
		candidates := 0
		for _, f := range l.Forms {
			assert.Empty(t, f.Skipped, "%s %v %s", l.Problem, l.Shape, f.Form)
			assert.Equal(t, 2, f.Seconds.Count)
			assert.Positive(t, f.Rate)
			assert.Positive(t, f.OfSgemm)
			assert.Positive(t, f.Predicted)
			if f.Form == l.Auto {
				assert.InDelta(t, 1, f.Over, 0, "compared with itself")
			}
			if f.Over > 0 {
				candidates++
				assert.LessOrEqual(t, f.Over, l.Ratio)
			}
		}
		assert.GreaterOrEqual(t, candidates, 2)
	}
	// S, 40 examples of 6 columns, 7 units, T = 3: (4·3 − 2)·40·6·7, 40·6² + 2·40·6·7 + 4·6²·7.
	first := r.Layers[0]
	assert.Equal(t, "gram", first.Auto)
	assert.InDelta(t, 16800, first.Forms[0].Flops, 0)
	assert.InDelta(t, 5808, first.Forms[1].Flops, 0)
}

func TestFormsSkip(t *testing.T) {
	c := formsConfig(bench.Shape{Inputs: 300, Units: 5, Batch: 2})
	c.Problems = c.Problems[:1]
	c.Limit = time.Duration(30) * time.Microsecond
	r, err := bench.Forms(context.Background(), c)
	require.NoError(t, err)
	require.Len(t, r.Layers, 1)
	for _, f := range r.Layers[0].Forms {
		if f.Form == "gram" {
			assert.Contains(t, f.Skipped, "above the limit")
			assert.Zero(t, f.Seconds.Count)
			assert.Zero(t, f.Over)
			assert.Positive(t, f.Flops)
		}
	}
	assert.Equal(t, 1, r.Compared)

	// A form that a layer can't have is named with its reason, not left out.
	c.Limit = 0
	c.Problems[0].Others = append(c.Problems[0].Others, locoprop.Options{Form: locoprop.FormExact, Loss: locoprop.Squared, Eta: 1})
	r, err = bench.Forms(context.Background(), c)
	require.NoError(t, err)
	last := r.Layers[0].Forms[len(r.Layers[0].Forms)-1]
	assert.Contains(t, last.Skipped, "form exact needs a proximal term")

	c.Budget = 1
	r, err = bench.Forms(context.Background(), c)
	require.NoError(t, err)
	assert.Empty(t, r.Layers)
	assert.Equal(t, []string{"locoprop-s sgd 300x5x2"}, r.Skipped)
	assert.Zero(t, r.Compared)
}

func TestFormsRefuse(t *testing.T) {
	_, err := bench.Forms(context.Background(), formsConfig())
	assert.ErrorContains(t, err, "shapes")
	_, err = bench.Forms(context.Background(), formsConfig(bench.Shape{Inputs: 3, Units: 3}))
	assert.ErrorContains(t, err, "layer 3x3x0; inputs, units and batch must be 1 or more")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = bench.Forms(ctx, formsConfig(bench.Shape{Inputs: 3, Units: 3, Batch: 3}))
	assert.ErrorIs(t, err, context.Canceled)
}

func TestAllShapes(t *testing.T) {
	all := bench.AllShapes()
	seen := map[bench.Shape]bool{}
	for _, s := range all {
		seen[s] = true
	}
	assert.Len(t, seen, 64)
	assert.Equal(t, "30x30x64", all[0].String())
}

// Times that follow the model give back its constants, 0 included.
func TestFit(t *testing.T) {
	want := locoprop.Costs{Product: 1e-11, Square: 2e-11, Operand: 3e-10, Element: 0, Transfer: 1e-9, Call: 2e-7}
	r := &bench.FormsReport{Workers: 1}
	for _, p := range bench.Problems(10) {
		for _, s := range bench.AllShapes() {
			l := bench.LayerForms{Shape: s, Problem: p.Name}
			for _, o := range p.Same {
				m, err := locoprop.New(o)
				require.NoError(t, err)
				w, err := m.Work(transfer.Tanh, s.Batch, s.Inputs, s.Units)
				require.NoError(t, err)
				l.Forms = append(l.Forms, bench.FormTime{Form: o.Form.String(), Work: &w, Seconds: bench.Spread{Median: want.Seconds(w), Count: 1}})
			}
			r.Layers = append(r.Layers, l)
		}
	}
	got, err := r.Fit()
	require.NoError(t, err)
	assert.InEpsilon(t, want.Product, got.Product, 1e-3)
	assert.InEpsilon(t, want.Square, got.Square, 1e-2)
	assert.InEpsilon(t, want.Operand, got.Operand, 1e-2)
	assert.InDelta(t, 0, got.Element, 1e-12)
	assert.InEpsilon(t, want.Transfer, got.Transfer, 1e-2)
	assert.InEpsilon(t, want.Call, got.Call, 1e-2)

	r.Layers = r.Layers[:1]
	_, err = r.Fit()
	assert.ErrorContains(t, err, "six")
	r.Workers = 2
	_, err = r.Fit()
	assert.ErrorContains(t, err, "one worker")
}

// All that is wrong is told at once, before anything is measured.
func TestConfigsRefuse(t *testing.T) {
	_, err := bench.Run(t.Context(), bench.Config{Workers: -1, Rounds: -2, Sample: -time.Second, Sizes: []int{64, 0}})
	assert.EqualError(t, err, `bench: no backend given
bench: no method given
bench: architecture has 0 widths; it needs at least 2 (input and output)
bench: batch of 0 examples; must be 1 or more
bench: -1 workers; must be 1 or more, or 0 for GOMAXPROCS
bench: -2 rounds; must be 1 or more, or 0 for 5
bench: sample of -1s; must be above 0, or 0 for the default
bench: square products of order 0; must be 1 or more`)
	c := config(t)
	c.Loss = loss.SoftmaxCE
	_, err = bench.Run(t.Context(), c)
	assert.ErrorContains(t, err, "bench: loss softmax-ce ")
	_, err = bench.Forms(t.Context(), bench.FormsConfig{Limit: -1, Budget: -1, Workers: -1})
	assert.EqualError(t, err, `bench: no backend given
bench: no shapes of layers given
bench: no problems given
bench: limit of -1ns; must be above 0, or 0 for none
bench: budget of -1ns; must be above 0, or 0 for none
bench: -1 workers; must be 1 or more, or 0 for GOMAXPROCS`)
}
