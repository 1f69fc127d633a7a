package backend_test

import (
	"testing"
	"unsafe"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAlloc(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 1000} {
		s := backend.Alloc(n)
		assert.Len(t, s, n)
		assert.Equal(t, n, cap(s))
		assert.Zero(t, uintptr(unsafe.Pointer(unsafe.SliceData(s)))%64, "n = %d", n)
	}
}

func TestNewPadded(t *testing.T) {
	for _, cols := range []int{1, 16, 17, 255, 256, 512, 785} {
		m := backend.NewPadded(3, cols)
		assert.GreaterOrEqual(t, m.Stride, cols)
		assert.Zero(t, m.Stride%16, "rows start on 64 bytes")
		assert.NotZero(t, m.Stride%256, "a stride of 1 KiB crowds few cache sets")
		assert.Zero(t, uintptr(unsafe.Pointer(&m.Data[m.Stride]))%64)
		assert.NotPanics(t, func() { backend.CheckSame(m) })
	}
}

// counted is a matrix with elements 10·row + column.
func counted(rows, cols int) backend.Mat {
	m := backend.NewPadded(rows, cols)
	for i := range rows {
		for j := range cols {
			m.Data[i*m.Stride+j] = float32(10*i + j)
		}
	}
	return m
}

func TestViews(t *testing.T) {
	m := counted(4, 5)
	for _, c := range []struct {
		name        string
		v           backend.Mat
		rows, cols  int
		first, last float32
	}{
		{"Rows", backend.Rows(m, 1, 3), 2, 5, 10, 24},
		{"Cols", backend.Cols(m, 2, 5), 4, 3, 2, 34},
		{"View", backend.View(m, 1, 4, 1, 2), 3, 1, 11, 31},
		{"WithoutBias", backend.WithoutBias(m), 4, 4, 0, 33},
	} {
		require.Equal(t, []int{c.rows, c.cols}, []int{c.v.Rows, c.v.Cols}, c.name)
		assert.Equal(t, c.first, c.v.Data[0], c.name)
		assert.Equal(t, c.last, c.v.Data[len(c.v.Data)-1], "%s ends at its last element", c.name)
		assert.NotPanics(t, func() { backend.CheckSame(c.v) }, c.name)
	}
	for _, empty := range []backend.Mat{backend.Rows(m, 4, 4), backend.Cols(m, 2, 2)} {
		assert.Nil(t, empty.Data)
		assert.NotPanics(t, func() { backend.CheckSame(empty) })
	}
}

func TestReshapeAndCopy(t *testing.T) {
	m := backend.NewMat(2, 6)
	for i := range m.Data {
		m.Data[i] = float32(i)
	}
	r := backend.Reshape(m, 4, 3)
	assert.EqualValues(t, 11, r.Data[3*r.Stride+2])
	assert.Panics(t, func() { backend.Reshape(m, 5, 3) })
	assert.Panics(t, func() { backend.Reshape(backend.NewPadded(2, 6), 4, 3) }, "gaps between rows")

	dst := backend.NewPadded(4, 3)
	backend.Copy(dst, r)
	assert.EqualValues(t, 11, dst.Data[3*dst.Stride+2])
	assert.Zero(t, dst.Data[3], "the padding stays")
	assert.Panics(t, func() { backend.Copy(dst, m) })
}

// TestCarveScratch: the four matrices are of the right shapes, lie apart, start on 64
// bytes and fit ScratchLen exactly.
func TestCarveScratch(t *testing.T) {
	for _, s := range [][3]int{{1, 1, 1}, {3, 5, 7}, {16, 16, 16}, {100, 785, 128}} {
		batch, cols, units := s[0], s[1], s[2]
		scratch := backend.Alloc(backend.ScratchLen(batch, cols, units))
		e, da, delta, g := backend.CarveScratch(scratch, batch, cols, units)
		for i, m := range []backend.Mat{e, da, delta, g} {
			want := []int{batch, units}
			if i >= 2 {
				want = []int{units, cols}
			}
			assert.Equal(t, want, []int{m.Rows, m.Cols})
			assert.Zero(t, uintptr(unsafe.Pointer(unsafe.SliceData(m.Data)))%64)
			for j := range m.Data {
				assert.Zero(t, m.Data[j], "matrix %d overlaps an earlier one", i)
				m.Data[j] = 1
			}
		}
		assert.Panics(t, func() { backend.CarveScratch(scratch[:batch*units], batch, cols, units) })
	}
}

func TestErrors(t *testing.T) {
	err := &backend.NotPositiveDefinite{Minor: 3}
	assert.EqualError(t, err, "matrix isn't positive definite: leading minor of order 3 isn't positive")
}
