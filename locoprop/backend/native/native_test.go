//go:build cgo && !purego

package native_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend/backendtest"
	"github.com/locoprop/locoprop-go/locoprop/backend/native"
)

func TestConformance(t *testing.T) {
	k := native.New()
	t.Cleanup(k.Close)
	backendtest.Run(t, k)
}
