package schedule_test

import (
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInterval(t *testing.T) {
	for text, want := range map[string]schedule.Interval{
		"1epoch":   {Epochs: 1},
		"12epochs": {Epochs: 12},
		"1step":    {Steps: 1},
		"500steps": {Steps: 500},
		"10m":      {Time: 10 * time.Minute},
		"1h":       {Time: time.Hour},
		"1h30m":    {Time: 90 * time.Minute},
		"90.5s":    {Time: 90500 * time.Millisecond},
		"10h":      {Time: 10 * time.Hour},
		"1m30s":    {Time: 90 * time.Second},
	} {
		got, err := schedule.ParseInterval(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
		again, err := schedule.ParseInterval(got.String())
		require.NoError(t, err, got.String())
		assert.Equal(t, want, again, got.String())
		assert.NoError(t, got.Check())
	}
	assert.Equal(t, "1epoch", schedule.Interval{}.String())
	assert.Equal(t, "10m", schedule.Interval{Time: 10 * time.Minute}.String())
	assert.Equal(t, "2h", schedule.Interval{Time: 2 * time.Hour}.String())
	for _, text := range []string{"", "0steps", "-1epochs", "1.5epochs", "5", "epoch", "10 m", "0s", "-5m", "99999999999steps", "5step5", "m"} {
		_, err := schedule.ParseInterval(text)
		assert.ErrorContains(t, err, "must be epochs", text)
	}
	assert.ErrorContains(t, schedule.Interval{Epochs: 1, Steps: 1}.Check(), "only one")
	assert.ErrorContains(t, schedule.Interval{Steps: -1}.Check(), "below 0")
}

func TestIntervalDue(t *testing.T) {
	for _, c := range []struct {
		every  string
		epochs int
		steps  int
		since  time.Duration
		want   bool
	}{
		{"1epoch", 1, 4, 0, true},
		{"1epoch", 0, 4, time.Hour, false},
		{"2epochs", 3, 12, time.Hour, false},
		{"2epochs", 4, 16, 0, true},
		{"3steps", 0, 6, 0, true},
		{"3steps", 1, 4, time.Hour, false},
		{"10m", 0, 1, 10 * time.Minute, true},
		{"10m", 1, 1, 9 * time.Minute, false},
	} {
		i, err := schedule.ParseInterval(c.every)
		require.NoError(t, err)
		assert.Equal(t, c.want, i.Due(c.epochs, c.steps, c.since), "%+v", c)
	}
	assert.True(t, schedule.Interval{}.Due(1, 4, 0), "every epoch")
}
