//go:build cgo && !purego

package netlib_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend/backendtest"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/backend/netlib"
	"github.com/stretchr/testify/assert"
)

func TestConformance(t *testing.T) {
	k := netlib.New()
	t.Cleanup(k.Close)
	backendtest.Run(t, k)
}

func TestAgainstGonum(t *testing.T) {
	k := netlib.New()
	t.Cleanup(k.Close)
	backendtest.Against(t, k, gonum.New())
}

// TestThreads: OpenBLAS runs on one thread while a backend is open, and as before once
// the last is closed; closing twice counts once.
func TestThreads(t *testing.T) {
	before := bindings.Threads()
	defer bindings.SetThreads(before)
	bindings.SetThreads(2)
	first, second := netlib.New(), netlib.New()
	assert.Equal(t, 1, bindings.Threads())
	first.Close()
	first.Close()
	assert.Equal(t, 1, bindings.Threads(), "the second backend is open")
	second.Close()
	assert.Equal(t, 2, bindings.Threads())
}

func TestInfo(t *testing.T) {
	k := netlib.New()
	defer k.Close()
	assert.Equal(t, "netlib", k.Info().Name)
	assert.Regexp(t, `^Go loops over OpenBLAS \d+\.\d+`, k.Info().Detail)
	assert.LessOrEqual(t, k.Info().MaxWorkers, 128)
}

func BenchmarkKernels(b *testing.B) {
	k := netlib.New()
	b.Cleanup(k.Close)
	backendtest.Bench(b, k)
}
