package dataset

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas/blas32"
)

// byteScale is the scale of bytes: their values lie in [0, 1].
const byteScale = 255

// Bytes is a [Split] with a byte per value, in memory or in a mapped file:
//
//	value = float32(byte / scale)
//
// with the division rounded once. It takes a quarter of the memory that float32
// values would.
type Bytes struct {
	pix    []byte // examples one after another
	shape  []int  // of one example
	n, dim int
	scale  float64
	value  [256]float32 // value of each byte
	labels []int32
	file   *mapping // whose content pix is; nil: pix is in memory
}

// NewBytes makes a split from pix, whose examples, of the given shape (dimensions ≥ 1,
// the last one contiguous), follow one another; 28, 28 is an image of 28 rows. pix is
// kept, not copied. scale must be positive and finite. labels has one entry ≥ 0 for
// each example, or is nil.
//
// It fails where pix isn't a whole number of examples, or the labels don't fit.
func NewBytes(pix []byte, shape []int, scale float64, labels []int32) (*Bytes, error) {
	if !(scale > 0) || math.IsInf(scale, 1) {
		return nil, fmt.Errorf("scale is %v, must be positive and finite", scale)
	}
	dim, ok := product(shape)
	if !ok || len(shape) == 0 {
		return nil, fmt.Errorf("shape of an example is %v, must be one or more dimensions, each ≥ 1", shape)
	}
	if len(pix)%dim != 0 {
		return nil, fmt.Errorf("%d bytes are not a whole number of examples of %d bytes", len(pix), dim)
	}
	b := &Bytes{pix: pix, shape: slices.Clone(shape), n: len(pix) / dim, dim: dim, scale: scale}
	for p := range b.value {
		b.value[p] = float32(float64(p) / scale)
	}
	if err := b.setLabels(labels); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Bytes) setLabels(labels []int32) error {
	if err := checkLabels(labels, b.n); err != nil {
		return err
	}
	b.labels = labels
	return nil
}

// checkLabels looks at the labels of n examples, nil where they have none.
func checkLabels(labels []int32, n int) error {
	if labels != nil && len(labels) != n {
		return fmt.Errorf("%d labels for %d examples", len(labels), n)
	}
	for i, l := range labels {
		if l < 0 {
			return fmt.Errorf("label of example %d is %d, must be ≥ 0", i, l)
		}
	}
	return nil
}

// product multiplies dimensions; ok is false where one is below 1 or the result
// exceeds what an int holds.
func product(shape []int) (p int, ok bool) {
	p = 1
	for _, d := range shape {
		if d < 1 || p > math.MaxInt/d {
			return 0, false
		}
		p *= d
	}
	return p, true
}

// Len is the number of examples.
func (b *Bytes) Len() int { return b.n }

// Dim is the number of values of an example, the product of Shape.
func (b *Bytes) Dim() int { return b.dim }

// Shape is the shape of one example, such as 28, 28; it must not be written to.
func (b *Bytes) Shape() []int { return b.shape }

// Scale is the number that bytes are divided by.
func (b *Bytes) Scale() float64 { return b.scale }

// Labels are the labels, nil where there are none; the slice must not be written to.
func (b *Bytes) Labels() []int32 { return b.labels }

// Example is example i as it is stored, Dim bytes; it must not be written to.
func (b *Bytes) Example(i int) []byte { return b.pix[i*b.dim : (i+1)*b.dim : (i+1)*b.dim] }

// Mapped reports whether the bytes lie in a mapped file.
func (b *Bytes) Mapped() bool { return b.file != nil }

// Close ends the mapping of the file, where there is one.
func (b *Bytes) Close() error { return b.file.Close() }

// Rows writes examples into dst as [Split] says. It allocates nothing, and fails only
// where a mapped file can't be read any more.
func (b *Bytes) Rows(dst blas32.General, index []int) error {
	checkRows(dst, index, b.n, b.dim)
	return b.file.guard(func() {
		for r, i := range index {
			row := dst.Data[r*dst.Stride:][:b.dim]
			for j, p := range b.Example(i) {
				row[j] = b.value[p]
			}
		}
	})
}
