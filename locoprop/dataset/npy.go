package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"codeberg.org/sbinet/npyio/npy"
	"gonum.org/v1/gonum/blas/blas32"
)

// npyElements are the types of examples in NumPy's format.
var npyElements = map[string]element{"|u1": uint8s, "<f4": float32s, "<f8": float64s}

// npyIntegers are those of labels: the size in bytes, negative with a sign.
var npyIntegers = map[string]int{"|u1": 1, "<u2": 2, "<u4": 4, "<u8": 8, "|i1": -1, "<i2": -2, "<i4": -4, "<i8": -8}

// npyMaxHeader is more than the header of any array of numbers takes.
const npyMaxHeader = 1 << 16

// ReadNPY opens an array of NumPy's format, versions 1 to 3, as a row per example: the
// first of two or more dimensions counts examples, all others together are an example's
// values, as they are stored: float32, float64 or bytes, little-endian and in C order. A
// file of more than 64 MiB is mapped, where the system can, and others are read. Every
// error is an [*Error], but for that of a context that ends meanwhile.
func ReadNPY(ctx context.Context, path string) (*Numbers, error) {
	s := new(Numbers)
	err := withFile(ctx, path, func(f *os.File, size int64) error {
		a, err := npyHeader(f, size)
		if err != nil {
			return err
		}
		e, known := npyElements[a.kind]
		if s.element = e; !known {
			return errorf("", "elements are of type %q; must be <f4, <f8 or |u1", a.kind)
		}
		if len(a.shape) < 2 {
			return errorf("", "array has shape %v; must have two dimensions or more, examples first", a.shape)
		}
		n, err := a.elements(s.element.size())
		if err != nil {
			return err
		}
		s.shape, s.dim = a.shape[1:], n/a.shape[0]
		if s.file = mapLarge(f, size); s.file != nil {
			s.data = s.file.data[a.start:]
			return nil
		}
		s.data, err = a.read(ctx, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ReadNPYLabels reads an array of NumPy's format of one dimension (or of more that are 1)
// as labels: whole numbers from 0, of any type of integers. Errors are those of [ReadNPY].
func ReadNPYLabels(ctx context.Context, path string) (labels []int32, err error) {
	err = withFile(ctx, path, func(f *os.File, size int64) error {
		a, err := npyHeader(f, size)
		if err != nil {
			return err
		}
		width, known := npyIntegers[a.kind]
		if !known {
			return errorf("", "labels are of type %q; must be whole numbers (such as <i8), from 0", a.kind)
		}
		if len(a.shape) == 0 || slices.ContainsFunc(a.shape[1:], func(d int) bool { return d != 1 }) {
			return errorf("", "labels have shape %v; must have one dimension", a.shape)
		}
		signed := width < 0
		width = max(width, -width)
		if _, err := a.elements(width); err != nil {
			return err
		}
		data, err := a.read(ctx, f)
		if err != nil {
			return err
		}
		for i := range a.shape[0] {
			var word [8]byte
			copy(word[:], data[i*width:(i+1)*width])
			v := binary.LittleEndian.Uint64(word[:])
			if negative := signed && v>>(8*width-1) != 0; negative || v > math.MaxInt32 {
				if negative {
					return errorf("", "label of example %d is %d, must be ≥ 0", i, int64(v<<(64-8*width))>>(64-8*width))
				}
				return errorf("", "label of example %d is %d, must be at most %d", i, v, math.MaxInt32)
			}
			labels = append(labels, int32(v))
		}
		return nil
	})
	return labels, err
}

// npyArray is what an array's header says of it.
type npyArray struct {
	kind        string
	shape       []int
	start, size int64 // of the data in the file, bytes
}

// npyHeader reads what comes before the data. The library trusts the text that it
// parses; a damaged one is an error all the same.
func npyHeader(f *os.File, size int64) (a npyArray, err error) {
	start := make([]byte, 12)
	if n, err := io.ReadFull(f, start); err != nil {
		return a, errorf("", "cut off: %d bytes, a header takes more", n)
	}
	a.start = 10 + int64(binary.LittleEndian.Uint16(start[8:]))
	if start[6] > 1 {
		a.start = 12 + int64(binary.LittleEndian.Uint32(start[8:]))
	}
	if string(start[:6]) != "\x93NUMPY" || a.start > npyMaxHeader {
		return a, errorf("", "not a NumPy file, or its header is damaged")
	}
	header := make([]byte, a.start)
	if n, err := io.ReadFull(io.NewSectionReader(f, 0, a.start), header); err != nil {
		return a, errorf("", "cut off: %d bytes, the header takes %d", n, a.start)
	}
	if header[6] == 3 {
		header[6] = 2 // the library knows no 3, which is 2 with the header in UTF-8
	}
	defer func() {
		if recover() != nil {
			err = errorf("", "damaged header")
		}
	}()
	r, err := npy.NewReader(bytes.NewReader(header))
	if err != nil {
		return a, &Error{Reason: "damaged header", Err: err}
	}
	if r.Header.Descr.Fortran {
		return a, errorf("", "array is in Fortran order; must be in C order, as numpy.ascontiguousarray gives")
	}
	a.kind, a.shape = strings.Trim(r.Header.Descr.Type, "'\""), r.Header.Descr.Shape
	a.size = size - a.start
	return a, nil
}

// elements is the number of elements, checked against the file's length.
func (a *npyArray) elements(width int) (int, error) {
	n, ok := product(a.shape)
	if !ok {
		return 0, errorf("", "header announces shape %v; dimensions must be 1 or more", a.shape)
	}
	if have := a.size / int64(width); int64(n) > have {
		return 0, errorf("", "cut off: header announces shape %v, %d elements; the file has data for %d", a.shape, n, have)
	}
	if want := int64(n) * int64(width); a.size != want {
		return 0, errorf("", "too long: header announces %d bytes of data (shape %v), found %d", want, a.shape, a.size)
	}
	return n, nil
}

// read reads the data, whose size is checked.
func (a *npyArray) read(ctx context.Context, f *os.File) ([]byte, error) {
	data := make([]byte, a.size)
	if _, err := io.ReadFull(contextReader{ctx, io.NewSectionReader(f, a.start, a.size)}, data); err != nil {
		return nil, err
	}
	return data, nil
}

// WriteNPY writes a matrix in NumPy's format, version 1.0: float32, two dimensions.
func WriteNPY(w io.Writer, m blas32.General) error {
	const align, fixed = 64, 10 // the header's length is a multiple of 64, and begins with 10 bytes
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", m.Rows, m.Cols)
	text += strings.Repeat(" ", align-1-(fixed+len(text))%align) + "\n"
	start := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(text)))
	b := bufio.NewWriterSize(w, 1<<16)
	_, err := b.Write(append(start, text...))
	var word [4]byte
	for i := range m.Rows {
		for _, v := range m.Data[i*m.Stride : i*m.Stride+m.Cols] {
			binary.LittleEndian.PutUint32(word[:], math.Float32bits(v))
			_, failed := b.Write(word[:])
			err = errors.Join(err, failed)
		}
		if err != nil {
			return err
		}
	}
	return b.Flush()
}
