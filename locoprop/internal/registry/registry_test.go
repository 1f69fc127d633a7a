package registry_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRegistry(t *testing.T) {
	builtIn := []string{"tanh", "relu"}
	r := registry.New[int]("number", builtIn)
	assert.Equal(t, builtIn, r.Known())
	for i, name := range []string{"z", "b-2", "a_1"} {
		v, err := r.Add(name, i)
		require.NoError(t, err)
		assert.Same(t, v, r.Get(name))
		assert.Equal(t, i, *v)
	}
	assert.Nil(t, r.Get("c"))
	assert.Nil(t, r.Get("tanh"), "what is built in isn't kept here")
	assert.Equal(t, []string{"tanh", "relu", "a_1", "b-2", "z"}, r.Known())
	for name, want := range map[string]string{
		"tanh": `number "tanh" is built in`, "z": `number "z" is registered already`,
		"": "a name needs lower-case letters", "A": "a letter first", "1a": "a letter first", "a b": "a letter first", "a(1)": "a letter first",
	} {
		_, err := r.Add(name, 7)
		require.ErrorContains(t, err, want)
	}
	assert.Equal(t, 0, *r.Get("z"), "the first keeps the name")
}

func TestRegistryAtOnce(t *testing.T) {
	r := registry.New[int]("number", nil)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 50 {
				_, _ = r.Add(fmt.Sprintf("n%d", j), i)
				r.Known()
				assert.NotNil(t, r.Get(fmt.Sprintf("n%d", j)))
			}
		})
	}
	group.Wait()
	assert.Len(t, r.Known(), 50)
}
