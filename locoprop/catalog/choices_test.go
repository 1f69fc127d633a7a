package catalog_test

import (
	"errors"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/stretchr/testify/assert"
)

// Whatever setting refuses a name by listing those there are has them as its choices.
func TestChoices(t *testing.T) {
	listed := 0
	for _, key := range catalog.Keys() {
		var unknown *catalog.UnknownError
		_, _, err := catalog.Resolve(catalog.Layer{Values: catalog.Values{key: "qqq"}})
		if !errors.As(err, &unknown) {
			continue
		}
		listed++
		assert.Equal(t, unknown.Known, catalog.Choices(key), key)
	}
	assert.Greater(t, listed, 10)
	for _, key := range []string{"prox", "scale"} { // numbers may stand beside names
		for _, name := range catalog.Choices(key) {
			_, _, err := catalog.Resolve(catalog.Layer{Values: catalog.Values{"preset": "curves", key: name}})
			assert.NoError(t, err, "%s %s", key, name)
		}
	}
	assert.Nil(t, catalog.Choices("epochs"))
	catalog.Choices("form")[0] = "changed"
	assert.Equal(t, "auto", catalog.Choices("form")[0], "a copy")
}
