package train_test

import (
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
)

// described is a backend with a description of its own.
type described struct {
	backend.Kernels
	info backend.Info
}

func (d described) Info() backend.Info { return d.info }

func TestArithmetic(t *testing.T) {
	built := described{gonum.New(), backend.Info{Name: "native", Arithmetic: "OpenBLAS = 0.3.21, CPU kernel = Haswell, vectors = AVX2"}}
	then := train.Arithmetic(built, 128)
	assert.Contains(t, then, "backend = native, OpenBLAS = 0.3.21, CPU kernel = Haswell, vectors = AVX2, block = 128, Go = go1")
	assert.Empty(t, train.ArithmeticChanges(then, train.Arithmetic(built, 128)))
	assert.Equal(t, []string{"block 128 → 64"}, train.ArithmeticChanges(then, train.Arithmetic(built, 64)))
	built.info.Arithmetic = "OpenBLAS = 0.3.29, CPU kernel = Zen, vectors = AVX2"
	assert.Equal(t, []string{"OpenBLAS 0.3.21 → 0.3.29", "CPU kernel Haswell → Zen"}, train.ArithmeticChanges(then, train.Arithmetic(built, 128)))
	assert.Equal(t, []string{"backend native → gonum"}, train.ArithmeticChanges(then, train.Arithmetic(gonum.New(), 64)))
	assert.Empty(t, train.ArithmeticChanges("", then), "a run that doesn't say")
	assert.Empty(t, train.ArithmeticChanges("anything, at = all", then))
}
