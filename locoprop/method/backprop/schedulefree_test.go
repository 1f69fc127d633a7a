package backprop_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Schedule-free is a baseline; local problems refuse it and say why.
func TestScheduleFreeIsABaseline(t *testing.T) {
	r := optimizer.New(optimizer.ScheduleFree)
	_, err := backprop.New(backprop.Options{Eta: 1e-3, Optimizer: r})
	require.NoError(t, err)
	_, err = locoprop.New(locoprop.Options{Eta: 1e-3, Optimizer: r})
	assert.ErrorContains(t, err, "optimizer schedule-free doesn't solve local problems")
}
