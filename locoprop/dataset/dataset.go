// Package dataset holds what networks are trained and evaluated on.
//
// A data set ([Data]) is a training and a test [Split] of examples: rows of float32
// values, with an integer label each where there are labels. These kinds exist:
//
//   - [Curves]: images of smooth curves that the program generates itself, the same
//     bits on every machine. The default, since it needs no file.
//   - [LoadNamed]: MNIST and Fashion-MNIST as they are distributed (IDX files).
//   - [LoadDir]: any folder of IDX files, EMNIST's for example.
//   - [LoadCSV], [LoadNPY]: tables of numbers, as text and as NumPy's arrays.
//
// Large files that aren't compressed are mapped rather than read (see [Data.Close]), and
// [OrderWithin] visits them in pieces, so that they may be larger than memory. A [Scale]
// says how values are scaled before a network sees them.
//
// All problems with data that a user supplied are of type [*Error] or
// [*AmbiguousError], and errors.Is(err, [ErrData]) holds for both.
package dataset

import (
	"errors"
	"io"

	"gonum.org/v1/gonum/blas/blas32"
)

// Split is one part (training or test) of a data set: Len examples of Dim values.
// It never changes and is safe for concurrent use.
type Split interface {
	// Len is the number of examples.
	Len() int

	// Dim is the number of values of an example.
	Dim() int

	// Rows writes example index[i], scaled, into row i of dst, which is
	// len(index) × Dim with any stride ≥ Dim; nothing outside that is written.
	// An index may occur several times. A dst of another shape or an index
	// outside [0, Len) is a programmer's error and panics. The error tells of
	// data that couldn't be read; implementations in memory return nil.
	Rows(dst blas32.General, index []int) error

	// Labels are the labels of all examples, each ≥ 0, in order; nil where there
	// are none. The slice is shared: it must not be written to.
	Labels() []int32
}

// Data is a data set.
type Data struct {
	// Name is what --dataset calls it.
	Name string

	// Train and Test have equal Dim, and either both have labels or neither.
	Train, Test Split

	// Classes is the largest label of Train + 1, and 0 without labels; of both splits
	// where they come from one file. Every label of Test is below it.
	Classes int

	// ClassNames are the names of the classes where labels were given by name, each at
	// the place of its label; nil where labels were numbers.
	ClassNames []string

	// Height and Width are the shape of an example that is an image, whose values
	// are row after row from the top; both 0 where examples aren't images.
	Height, Width int

	// Scale is what stored numbers were divided by to get the values:
	//
	//	value = stored / Scale
	//
	// 255 for bytes of IDX files, so that their values lie in [0, 1], and 1 for numbers.
	Scale float64

	// Scaling is what the values of both splits were scaled by after that; nil where
	// they weren't. See [Data.Rescale].
	Scaling *Scaling
}

// Close gives back what the splits hold beside memory: files that are mapped. They must
// not be used afterwards. A program that ends soon needn't call it.
func (d *Data) Close() error {
	var errs []error
	for _, s := range []Split{d.Train, d.Test} {
		if c, ok := s.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Dim is the number of values of an example.
func (d *Data) Dim() int { return d.Train.Dim() }

// checkRows panics where dst and index don't suit a split of n examples of dim values.
func checkRows(dst blas32.General, index []int, n, dim int) {
	if dst.Rows != len(index) || dst.Cols != dim {
		panic("dataset: dst isn't len(index) × Dim")
	}
	if dst.Rows > 0 && (dst.Stride < dim || len(dst.Data) < (dst.Rows-1)*dst.Stride+dim) {
		panic("dataset: dst's stride or data is too short")
	}
	for _, i := range index {
		if uint(i) >= uint(n) {
			panic("dataset: index out of range")
		}
	}
}
