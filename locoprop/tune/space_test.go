package tune

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDimensionAt(t *testing.T) {
	log := Dimension{Key: "lr", Low: 1e-4, High: 1e-2, Log: true}
	linear := Dimension{Key: "momentum", Low: 0.5, High: 0.9}
	choices := Dimension{Key: "batch", Choices: []string{"50", "100", "200"}}
	for _, c := range []struct {
		d    Dimension
		u    float64
		want string
	}{
		{log, 0, "0.0001"},
		{log, 0.5, "0.001"},
		{log, 0.25, "0.000316"},
		{log, 0.99999, "0.01"},
		{linear, 0, "0.5"},
		{linear, 0.5, "0.7"},
		{linear, 1.0 / 3, "0.633"},
		{Dimension{Key: "lr", Low: 0.12345, High: 0.23456}, 0, "0.12345"},
		{Dimension{Key: "lr", Low: 0.12345, High: 0.23456}, 0.5, "0.179"},
		{choices, 0, "50"},
		{choices, 0.34, "100"},
		{choices, 0.99, "200"},
		{choices, math.Nextafter(1, 0), "200"},
	} {
		require.NoError(t, c.d.Check())
		assert.Equal(t, c.want, c.d.At(c.u), "%v at %v", c.d, c.u)
		assert.NoError(t, c.d.Contains(c.want))
	}
	assert.Equal(t, "lr 0.0001 to 0.01 (log)", log.String())
	assert.Equal(t, "momentum 0.5 to 0.9", linear.String())
	assert.Equal(t, "batch 50 | 100 | 200", choices.String())
}

func TestDimensionEdge(t *testing.T) {
	log := Dimension{Key: "lr", Low: 1e-4, High: 1e-2, Log: true}
	linear := Dimension{Key: "momentum", Low: 0, High: 1}
	for _, c := range []struct {
		d           Dimension
		value, want string
	}{
		{log, "0.0001", "low"},
		{log, "0.000158", "low"},
		{log, "0.00016", ""},
		{log, "0.0063", ""},
		{log, "0.0064", "high"},
		{linear, "0.05", "low"},
		{linear, "0.5", ""},
		{linear, "0.95", "high"},
		{linear, "", ""},
		{Dimension{Key: "batch", Choices: []string{"50", "100"}}, "50", ""},
	} {
		assert.Equal(t, c.want, c.d.Edge(c.value), "%v at %s", c.d, c.value)
	}
}

func TestDimensionRefuses(t *testing.T) {
	for _, c := range []struct {
		d    Dimension
		want string
	}{
		{Dimension{Low: 1, High: 2}, "a dimension has no key"},
		{Dimension{Key: "lr"}, "dimension lr goes from 0 to 0; must be finite numbers, the lower one first"},
		{Dimension{Key: "lr", Low: 2, High: 1}, "dimension lr goes from 2 to 1; must be finite numbers, the lower one first"},
		{Dimension{Key: "lr", Low: 1, High: math.Inf(1)}, "dimension lr goes from 1 to +Inf"},
		{Dimension{Key: "lr", Low: math.NaN(), High: 1}, "dimension lr goes from NaN to 1"},
		{Dimension{Key: "lr", High: 1, Log: true}, "dimension lr goes from 0 on a logarithmic scale; must begin above 0"},
		{Dimension{Key: "b", Choices: []string{"1"}}, "dimension b has one choice; must have two or more"},
		{Dimension{Key: "b", Choices: []string{"1", ""}}, "dimension b has an empty choice"},
		{Dimension{Key: "b", Choices: []string{"1", "2"}, High: 3}, "dimension b has a range and choices; must have one of both"},
	} {
		assert.ErrorContains(t, c.d.Check(), c.want)
	}
	assert.EqualError(t, Dimension{Key: "b", Choices: []string{"1", "2"}}.Contains("3"), `b is "3"; must be one of 1, 2`)
	assert.EqualError(t, Dimension{Key: "lr", Low: 1, High: 2}.Contains("2.5"), `lr is "2.5"; must be a number from 1 to 2`)
	assert.EqualError(t, Dimension{Key: "lr", Low: 1, High: 2}.Contains("NaN"), `lr is "NaN"; must be a number from 1 to 2`)
	assert.ErrorContains(t, checkSpace([]Dimension{{Key: "a", Low: 1, High: 2}, {Key: "a", Low: 1, High: 2}}), "dimension a is there twice")
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0.0012345: "0.00123", 1e-5: "1e-05", 12345: "12300", 1: "1", -0.25: "-0.25"} {
		assert.Equal(t, want, Number(v))
	}
}
