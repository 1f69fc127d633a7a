package catalog_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/tune"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// contend is the experiment of a contender on the problem of a preset.
func contend(t *testing.T, preset string, c catalog.Contender, point map[string]string) catalog.Experiment {
	t.Helper()
	v, err := c.At(point)
	require.NoError(t, err, c.Name)
	e, _, err := catalog.Resolve(flags(values{"preset": preset}), catalog.Layer{Source: "contender " + c.Name, Values: v})
	require.NoError(t, err, c.Name)
	return e
}

// A contender is the same whatever preset gives the problem: it leaves nothing open but
// what belongs to the problem.
func TestContendersAreSettled(t *testing.T) {
	for _, c := range catalog.Contenders() {
		assert.NotEmpty(t, c.Title, c.Name)
		assert.NotEmpty(t, c.Source, c.Name)
		for key := range c.Settings {
			assert.NotContains(t, catalog.ProblemKeys(), key, c.Name)
		}
		var first catalog.Values
		for _, preset := range catalog.Presets() {
			e := contend(t, preset, c, nil)
			v := e.Values()
			maps.DeleteFunc(v, func(key, _ string) bool {
				return slices.Contains(catalog.ProblemKeys(), key) || key == "schedule-epochs" || key == "gamma" && c.Settings["gamma"] == ""
			})
			if first == nil {
				first = v
			}
			assert.Equal(t, first, v, "%s on %s", c.Name, preset)
		}
	}
}

// Default points lie within their spaces, off the edges, and every corner is a method.
func TestContendersSpaces(t *testing.T) {
	for _, c := range catalog.Contenders() {
		require.GreaterOrEqual(t, len(c.Space), 2, c.Name)
		assert.LessOrEqual(t, len(c.Space), 3, c.Name)
		low, high := map[string]string{}, map[string]string{}
		for _, d := range c.Space {
			require.NoError(t, d.Check(), c.Name)
			if usual := c.Default(d.Key); usual != "" {
				assert.NoError(t, d.Contains(usual), c.Name)
				assert.Empty(t, d.Edge(usual), "%s: %s %s", c.Name, d.Key, usual)
			} else {
				assert.Equal(t, "fast gamma", c.Name+" "+d.Key)
			}
			low[d.Key], high[d.Key] = d.At(0), d.At(0.999999)
			assert.NoError(t, d.Contains(low[d.Key]))
			assert.NoError(t, d.Contains(high[d.Key]))
		}
		for _, point := range []map[string]string{low, high} {
			e := contend(t, "fast", c, point)
			_, err := e.BuildMethod()
			require.NoError(t, err, c.Name)
		}
	}
}

// The rate of a default point is that of the table, unless the form has none or it was tuned.
func TestContendersTakeTheDocumentedRate(t *testing.T) {
	for _, c := range catalog.Contenders() {
		if c.Name == "fast" || strings.Contains(c.Source, "docs/comparison.md") {
			continue
		}
		e := contend(t, "curves", c, nil)
		rate, err := catalog.RateOf(e.Pair())
		require.NoError(t, err, c.Name)
		assert.Equal(t, rate.Eta, e.Eta, c.Name)
	}
}

func TestContenderAt(t *testing.T) {
	c, err := catalog.ContenderNamed("kfac-plain")
	require.NoError(t, err)
	v, err := c.At(map[string]string{"lr": "0.3", "method:damping": "7"})
	require.NoError(t, err)
	assert.Equal(t, []string{"kfac:variant=plain,damping=7", "0.3", "250"}, []string{v["method"], v["lr"], v["batch"]})
	assert.Equal(t, "3", c.Default("method:damping"))
	again, err := catalog.ContenderNamed("kfac-plain")
	require.NoError(t, err)
	assert.Equal(t, c, again, "nothing of the list has changed")

	c, err = catalog.ContenderNamed("adamw")
	require.NoError(t, err)
	v, err = c.At(map[string]string{"optimizer:weight-decay": "0.05"})
	require.NoError(t, err)
	assert.Equal(t, "adamw:weight-decay=0.05", v["optimizer"])
	assert.Equal(t, "0.01", c.Default("optimizer:weight-decay"))

	for _, wrong := range []struct {
		point map[string]string
		want  string
	}{
		{map[string]string{"lrr": "1"}, `contender adamw: unknown key "lrr"; did you mean lr?`},
		{map[string]string{"lr": "1"}, `contender adamw: lr is "1"; must be a number from 0.0001 to 0.01`},
		{map[string]string{"batch": "7"}, `contender adamw: batch is "7"; must be one of 50, 100, 200`},
	} {
		_, err := c.At(wrong.point)
		assert.ErrorContains(t, err, wrong.want)
	}
	_, err = catalog.ContenderNamed("adm")
	assert.ErrorContains(t, err, `unknown contender "adm"; did you mean adam?`)
}

// A caller may change what it gets.
func TestContendersAreCopies(t *testing.T) {
	list := catalog.Contenders()
	list[0].Settings["batch"] = "1"
	list[0].Space[0] = tune.Dimension{}
	again := catalog.Contenders()
	assert.Equal(t, "200", again[0].Settings["batch"])
	assert.Equal(t, "gamma", again[0].Space[0].Key)
}

// A contender is made to suit small data and short runs.
func TestContenderSuited(t *testing.T) {
	adam, err := catalog.ContenderNamed("adam")
	require.NoError(t, err)
	for _, c := range []struct {
		examples, epochs, steps int
		batch, warmup           string
		batches                 []string
	}{
		{60000, 3, 0, "100", "200", []string{"50", "100", "200"}},
		{60000, 1, 0, "100", "120", []string{"50", "100", "200"}},
		{60000, 1, 50, "100", "10", []string{"50", "100", "200"}},
		{120, 10, 0, "100", "2", []string{"50", "100", "120"}},
		{70, 10, 0, "70", "2", []string{"50", "70"}},
		{40, 100, 0, "40", "20", nil},
	} {
		s := adam.Suited(c.examples, c.epochs, c.steps)
		assert.Equal(t, []string{c.batch, c.warmup}, []string{s.Settings["batch"], s.Settings["warmup-steps"]}, "%+v", c)
		if c.batches == nil {
			assert.Len(t, s.Space, 2)
			continue
		}
		assert.Equal(t, c.batches, s.Space[2].Choices)
	}
	again, err := catalog.ContenderNamed("adam")
	require.NoError(t, err)
	assert.Equal(t, again, adam, "the contender itself has not changed")
	assert.Equal(t, adam, adam.Suited(60000, 3, 0))
}
