package compare

import (
	"fmt"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLossAt(t *testing.T) {
	r, err := Read(fabricated(t))
	require.NoError(t, err)
	run := &r.Runs[0] // 40, 10, 20 after 0, 1.25 and 2.5 epochs
	for epochs, want := range map[float64]float64{0: 40, 1.25: 10, 2.5: 20, 0.625: 25, 1.875: 15} {
		assert.InDelta(t, want, r.LossAt(run, epochs), 1e-12, epochs)
	}
	assert.True(t, math.IsNaN(r.LossAt(run, 2.6)))
	assert.True(t, math.IsNaN(r.LossAt(run, -1)))
	assert.True(t, math.IsNaN(r.LossAt(&r.Runs[2], 0)), "it diverged")
	epochs, a, b := r.ByEpoch(r.Contender("a"), r.Contender("b"))
	assert.Equal(t, 2.5, epochs)
	assert.Equal(t, Stat{Mean: 22, Spread: Number(math.Sqrt(8)), Count: 2}, a)
	assert.Equal(t, Stat{Mean: 10, Count: 2}, b)
	assert.Nil(t, r.Contender("none"))

	_, c, b := r.ByEpoch(r.Contender("c"), r.Contender("b"))
	assert.Equal(t, []int{1, 1, 0}, []int{c.Count, c.Diverged, c.Verdict(b)}, "one that diverged doesn't win")

	epochs, a, none := r.ByEpoch(r.Contender("a"), r.Contender("d"))
	assert.Equal(t, 2.5, epochs, "that of the one that has runs")
	assert.Equal(t, -1, a.Verdict(none))
	epochs, _, _ = r.ByEpoch(r.Contender("d"), r.Contender("d"))
	assert.True(t, math.IsInf(epochs, 1))
}

// Numbers of steps that are known aren't measured.
func TestFittingIsGiven(t *testing.T) {
	o := toy(t.TempDir())
	delete(o.Problem, "eval-steps")
	o.Length, o.Evaluations = Length{Time: 1}, 2
	o.Fitting = map[string]int{"fast": 4, "adam": 7}
	o.Log = func(text string) { assert.NotContains(t, text, "measuring") }
	r := compare(t, o)
	assert.Equal(t, []int{4, 7}, []int{r.Runs[0].Steps, r.Runs[1].Steps})
	assert.Equal(t, "4", r.Runs[1].Settings["eval-steps"])
}

// A contender that is suited has no batch above the data and no warm-up above a fifth of
// the run, however its length is given; another stays as it is.
func TestSuited(t *testing.T) {
	o := toy(t.TempDir())
	o.Problem["epochs"] = "5"
	settings := catalog.Values{"method": "backprop", "optimizer": "adam", "lr": "0.01", "batch": "100", "warmup-steps": "200"}
	for want, x := range map[string]struct {
		length Length
		steps  int
	}{
		"60 20": {Length{Steps: 100}, 0},
		"60 2":  {Length{Epochs: 10}, 0},
		"60 8":  {Length{Time: 1}, 40},
		"60 1":  {Length{}, 0},
	} {
		o.Length = x.length
		e, err := o.Resolve(&Contender{Name: "c", Settings: settings, Suited: true}, 1, x.steps)
		require.NoError(t, err)
		assert.Equal(t, want, fmt.Sprint(e.Batch, " ", e.WarmupSteps))
		e, err = o.Resolve(&Contender{Name: "c", Settings: settings}, 1, x.steps)
		require.NoError(t, err)
		assert.Equal(t, "100 200", fmt.Sprint(e.Batch, " ", e.WarmupSteps))
	}
	e, err := o.Resolve(&Contender{Name: "c", Settings: catalog.Values{"method": "kfac"}, Suited: true}, 1, 0)
	require.NoError(t, err)
	assert.Equal(t, 200, e.Batch, "what it doesn't say is the problem's")
}
