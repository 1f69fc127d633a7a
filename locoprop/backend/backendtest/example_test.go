package backendtest_test

import (
	"fmt"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend/backendtest"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
)

// The tests of a backend are one call; what the suite goes through can be listed.
func ExampleRun() {
	// In the backend's own package:
	testBackend := func(t *testing.T) { backendtest.Run(t, gonum.New()) }
	_ = testBackend

	kinds := map[string]bool{}
	for _, r := range backendtest.Rules() {
		kinds[r.Name()] = true
	}
	fmt.Println("p-norm among the rules:", kinds["p-norm"])
	fmt.Println("first shape:", backendtest.Shapes()[0])
	// Output:
	// p-norm among the rules: true
	// first shape: 1x1x1
}
