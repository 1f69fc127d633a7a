package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"codeberg.org/sbinet/npyio/npy"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
)

// npyTypes gives the bytes per element of the types that are read.
var npyTypes = map[string]int{"<f4": 4, "<f8": 8, "|u1": 1}

// maxHeader is more than the header of any array of numbers takes.
const maxHeader = 1 << 16

// readNPY reads an array of NumPy's format as a row per example: the first dimension
// counts examples, all others together are an example's values, taken as they are.
// Every error is the data's fault.
func readNPY(path string) (backend.Mat, error) {
	m, err := decodeNPY(path)
	if err != nil {
		return backend.Mat{}, &dataset.Error{Path: path, Err: cause(err)}
	}
	return m, nil
}

func decodeNPY(path string) (backend.Mat, error) {
	f, err := os.Open(path)
	if err != nil {
		return backend.Mat{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return backend.Mat{}, err
	}
	if !info.Mode().IsRegular() {
		return backend.Mat{}, fmt.Errorf("is no file")
	}
	header, err := npyHeader(f)
	if err != nil {
		return backend.Mat{}, err
	}
	kind := strings.Trim(header.Descr.Type, "'\"")
	width := npyTypes[kind]
	switch {
	case width == 0:
		return backend.Mat{}, fmt.Errorf("elements are of type %q; must be <f4, <f8 or |u1", kind)
	case header.Descr.Fortran:
		return backend.Mat{}, fmt.Errorf("array is in Fortran order; must be in C order, as numpy.ascontiguousarray gives")
	case len(header.Descr.Shape) < 2:
		return backend.Mat{}, fmt.Errorf("array has shape %v; must have two dimensions or more, examples first", header.Descr.Shape)
	}
	start, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return backend.Mat{}, err
	}
	left := info.Size() - start
	rows, cols, err := npySize(header.Descr.Shape, left/int64(width))
	if err != nil {
		return backend.Mat{}, err
	}
	if want := int64(rows) * int64(cols) * int64(width); left != want {
		return backend.Mat{}, fmt.Errorf("header announces %d bytes of data (shape %v), found %d", want, header.Descr.Shape, left)
	}
	m := backend.NewMat(rows, cols)
	return m, readElements(bufio.NewReaderSize(f, 1<<16), m.Data, width)
}

// npyHeader reads what comes before the data. The library trusts the text that it
// parses; a damaged one is an error all the same.
func npyHeader(f *os.File) (h npy.Header, err error) {
	var start [12]byte
	if n, err := io.ReadFull(f, start[:]); err != nil {
		return h, fmt.Errorf("cut off: %d bytes, a header takes more", n)
	}
	length := uint64(binary.LittleEndian.Uint16(start[8:]))
	if start[6] > 1 {
		length = uint64(binary.LittleEndian.Uint32(start[8:]))
	}
	if string(start[:6]) != "\x93NUMPY" || length > maxHeader {
		return h, fmt.Errorf("not a NumPy file, or its header is damaged")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return h, err
	}
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("damaged header")
		}
	}()
	r, err := npy.NewReader(f)
	if err != nil {
		return h, fmt.Errorf("damaged header: %w", err)
	}
	return r.Header, nil
}

// npySize is the number of examples and of values of each, of an array of which at
// most limit elements can be there.
func npySize(shape []int, limit int64) (rows, cols int, err error) {
	total := int64(1)
	for _, d := range shape {
		if d < 1 || total > limit/int64(d) {
			return 0, 0, fmt.Errorf("header announces shape %v; dimensions must be 1 or more, and the file has data for %d elements", shape, limit)
		}
		total *= int64(d)
	}
	return shape[0], int(total) / shape[0], nil
}

func readElements(r io.Reader, dst []float32, width int) error {
	buf := make([]byte, 4096*width)
	for len(dst) > 0 {
		n := min(len(dst), 4096)
		if _, err := io.ReadFull(r, buf[:n*width]); err != nil {
			return err
		}
		for i := range n {
			switch width {
			case 1:
				dst[i] = float32(buf[i])
			case 4:
				dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(buf[4*i:]))
			default:
				dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(buf[8*i:])))
			}
		}
		dst = dst[n:]
	}
	return nil
}

// encodeNPY writes a matrix as an array of float32 of two dimensions, format version
// 1.0.
func encodeNPY(w io.Writer, m backend.Mat) error {
	const align, fixed = 64, 10 // the header's length is a multiple of 64, and begins with 10 bytes
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", m.Rows, m.Cols)
	text += strings.Repeat(" ", align-1-(fixed+len(text))%align) + "\n"
	start := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(text)))
	if _, err := w.Write(append(start, text...)); err != nil {
		return err
	}
	line := make([]byte, 0, 4*m.Cols)
	for i := range m.Rows {
		line = line[:0]
		for _, v := range m.Data[i*m.Stride : i*m.Stride+m.Cols] {
			line = binary.LittleEndian.AppendUint32(line, math.Float32bits(v))
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}
