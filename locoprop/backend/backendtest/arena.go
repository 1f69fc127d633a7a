package backendtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"gonum.org/v1/gonum/blas/blas32"
)

// layout says how a matrix lies in the memory around it.
type layout struct {
	name        string
	left, right int // floats before and after each row
	above       int // rows before the first
	offset      int // floats before everything, which shifts the alignment
}

var layouts = []layout{
	{name: "contiguous"},
	{name: "padded", right: 3},
	{name: "view", left: 5, right: 2, above: 1, offset: 3},
}

// guard is what memory outside a matrix holds: a NaN, so that a kernel which reads it
// gives itself away, with a payload by which a write shows.
var guard = math.Float32frombits(0x7fc0dead)

// arena makes the matrices of one call, from a seed, in one layout, and checks
// afterwards that nothing was written but the outputs.
type arena struct {
	rng    *rand.Rand
	layout layout
	blocks []block
}

type block struct {
	mat    backend.Mat
	whole  []float32
	before []uint32 // bits of whole when it was made
	start  int      // index of the matrix's first element in whole
	output bool
}

func newArena(seed uint64, l layout) *arena {
	return &arena{rng: rand.New(rand.NewPCG(seed, 1)), layout: l}
}

// fill gives the elements of a matrix, in row order.
type fill func(r *rand.Rand) float32

// symmetric is uniform in [−1, 1), a tenth of it zeros (BLAS implementations treat
// them apart).
func symmetric(r *rand.Rand) float32 {
	if r.IntN(10) == 0 {
		return 0
	}
	return 2*r.Float32() - 1
}

// unit is uniform in [0, 1), with some of both ends: targets.
func unit(r *rand.Rand) float32 {
	if n := r.IntN(10); n < 2 {
		return float32(n)
	}
	return r.Float32()
}

// preActivation is normal with deviation 2, some zeros and some far out.
func preActivation(r *rand.Rand) float32 {
	switch r.IntN(20) {
	case 0:
		return 0
	case 1:
		return float32(25 * r.NormFloat64())
	}
	return float32(2 * r.NormFloat64())
}

// nan fills an output: whatever a kernel reads of it or leaves of it shows.
func nan(*rand.Rand) float32 { return float32(math.NaN()) }

// in makes a matrix that a kernel may only read.
func (a *arena) in(rows, cols int, f fill) backend.Mat { return a.make(rows, cols, f, false) }

// out makes a matrix that a kernel overwrites; f fills it before.
func (a *arena) out(rows, cols int, f fill) backend.Mat { return a.make(rows, cols, f, true) }

func (a *arena) make(rows, cols int, f fill, output bool) backend.Mat {
	l := a.layout
	stride := l.left + cols + l.right
	start := l.offset + l.above*stride + l.left
	used := max(0, (rows-1)*stride+cols)
	whole := make([]float32, start+used+stride+16)
	for i := range whole {
		whole[i] = guard
	}
	m := blas32.General{Rows: rows, Cols: cols, Stride: stride, Data: whole[start : start+used : start+used]}
	for i := range rows {
		for j := range cols {
			m.Data[i*stride+j] = f(a.rng)
		}
	}
	a.blocks = append(a.blocks, block{mat: m, whole: whole, before: bits(whole), start: start, output: output})
	return m
}

// refresh puts every output back to what it was when it was made.
func (a *arena) refresh() {
	for _, b := range a.blocks {
		for i, v := range b.before {
			b.whole[i] = math.Float32frombits(v)
		}
	}
}

// check fails the test where memory changed that isn't an output's element.
func (a *arena) check(t testing.TB) {
	t.Helper()
	for n, b := range a.blocks {
		for i, v := range b.whole {
			if math.Float32bits(v) == b.before[i] {
				continue
			}
			row, col := (i-b.start)/b.mat.Stride, (i-b.start)%b.mat.Stride
			if i >= b.start && row < b.mat.Rows && col < b.mat.Cols {
				if !b.output {
					t.Fatalf("matrix %d of the call (%d × %d): input element (%d, %d) was overwritten", n, b.mat.Rows, b.mat.Cols, row, col)
				}
				continue
			}
			t.Fatalf("matrix %d of the call (%d × %d, stride %d): memory outside it was overwritten, at offset %d from its start",
				n, b.mat.Rows, b.mat.Cols, b.mat.Stride, i-b.start)
		}
	}
}

func bits(x []float32) []uint32 {
	r := make([]uint32, len(x))
	for i, v := range x {
		r[i] = math.Float32bits(v)
	}
	return r
}

// snapshot copies matrices' elements, row by row.
func snapshot(mats []backend.Mat) []float32 {
	var r []float32
	for _, m := range mats {
		for i := range m.Rows {
			r = append(r, m.Data[i*m.Stride:i*m.Stride+m.Cols]...)
		}
	}
	return r
}

// sameBits describes the first element in which two snapshots differ; "" if none. All
// NaNs count as one: which payload survives an operation is the machine's affair.
func sameBits(got, want []float32) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d elements, want %d", len(got), len(want))
	}
	for i, v := range got {
		if math.Float32bits(v) != math.Float32bits(want[i]) && !(v != v && want[i] != want[i]) {
			return fmt.Sprintf("element %d is %v (%#08x), want %v (%#08x)", i, v, math.Float32bits(v), want[i], math.Float32bits(want[i]))
		}
	}
	return ""
}
