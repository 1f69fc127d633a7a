package dataset

import (
	"encoding/binary"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas32"
)

// element is the type of stored numbers, little-endian.
type element uint8

const (
	uint8s element = iota
	float32s
	float64s
)

// size is the number of bytes of an element.
func (e element) size() int { return [...]int{1, 4, 8}[e] }

// Numbers is a [Split] of numbers as CSV and NPY files have them, in memory or in a
// mapped file:
//
//	value = float32(stored)
//
// rounded once, or what a [Scaling] makes of the stored number.
type Numbers struct {
	data    []byte // stored examples one after another
	element element
	dim     int
	shape   []int // of one example
	index   []int // the stored examples that are in the split; nil: all
	labels  []int32
	scaling *Scaling // nil: none
	file    *mapping // whose content data is; nil: data is in memory
}

// NewNumbers makes a split from rows of dim values each, one after another. It copies x.
// labels has one entry ≥ 0 for each example, or is nil.
func NewNumbers(x []float64, dim int, labels []int32) (*Numbers, error) {
	if dim < 1 || len(x)%dim != 0 {
		return nil, fmt.Errorf("%d numbers are not a whole number of examples of %d values", len(x), dim)
	}
	data := make([]byte, 0, 8*len(x))
	for _, v := range x {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	n := &Numbers{data: data, element: float64s, dim: dim, shape: []int{dim}}
	if err := n.setLabels(labels); err != nil {
		return nil, err
	}
	return n, nil
}

func (s *Numbers) setLabels(labels []int32) error {
	if err := checkLabels(labels, s.Len()); err != nil {
		return err
	}
	s.labels = labels
	return nil
}

// Len is the number of examples.
func (s *Numbers) Len() int {
	if s.index != nil {
		return len(s.index)
	}
	return len(s.data) / (s.dim * s.element.size())
}

// Dim is the number of values of an example, the product of Shape.
func (s *Numbers) Dim() int { return s.dim }

// Shape is the shape of one example; it must not be written to.
func (s *Numbers) Shape() []int { return s.shape }

// Labels are the labels, nil where there are none; the slice must not be written to.
func (s *Numbers) Labels() []int32 { return s.labels }

// Mapped reports whether the numbers lie in a mapped file.
func (s *Numbers) Mapped() bool { return s.file != nil }

// Close ends the mapping of the file, where there is one.
func (s *Numbers) Close() error { return s.file.Close() }

// Rows writes examples into dst as [Split] says. It allocates nothing, and fails only
// where a mapped file can't be read any more.
func (s *Numbers) Rows(dst blas32.General, index []int) error {
	checkRows(dst, index, s.Len(), s.dim)
	return s.file.guard(func() {
		for r, i := range index {
			row, stored := dst.Data[r*dst.Stride:][:s.dim], s.example(i)
			switch {
			case s.scaling != nil:
				for j := range row {
					row[j] = s.scaling.at(j, s.element.at(stored, j))
				}
			case s.element == float32s:
				for j := range row {
					row[j] = math.Float32frombits(binary.LittleEndian.Uint32(stored[4*j:]))
				}
			default:
				for j := range row {
					row[j] = float32(s.element.at(stored, j))
				}
			}
		}
	})
}

// example is example i as it is stored.
func (s *Numbers) example(i int) []byte {
	if s.index != nil {
		i = s.index[i]
	}
	size := s.dim * s.element.size()
	return s.data[i*size : (i+1)*size]
}

// at is element j of stored numbers.
func (e element) at(stored []byte, j int) float64 {
	switch e {
	case uint8s:
		return float64(stored[j])
	case float32s:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(stored[4*j:])))
	default:
		return math.Float64frombits(binary.LittleEndian.Uint64(stored[8*j:]))
	}
}

// read64 writes examples as they are stored into dst, from lo on as many as it holds.
func (s *Numbers) read64(dst []float64, lo int) error {
	return s.file.guard(func() {
		for r := range len(dst) / s.dim {
			stored := s.example(lo + r)
			for j := range s.dim {
				dst[r*s.dim+j] = s.element.at(stored, j)
			}
		}
	})
}

// subset is the split of some of the examples.
func (s *Numbers) subset(index []int) *Numbers {
	part := *s
	part.index, part.labels = index, nil
	if s.labels != nil {
		part.labels = make([]int32, len(index))
		for i, at := range index {
			part.labels[i] = s.labels[at]
		}
	}
	return &part
}
