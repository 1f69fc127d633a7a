package loss_test

import (
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for i, l := range []loss.Loss{loss.SigmoidCE, loss.SoftmaxCE, loss.Squared} {
		got, err := loss.Parse(l.String())
		require.NoError(t, err)
		assert.Equal(t, l, got)
		assert.Equal(t, loss.Names[i], l.String())
	}
	_, err := loss.Parse("mse")
	assert.EqualError(t, err, `unknown loss "mse"; known are `+strings.Join(loss.Known(), ", "))
}
