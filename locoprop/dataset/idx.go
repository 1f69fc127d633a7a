package dataset

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

const (
	idxTypeByte = 0x08
	idxMaxRank  = 8

	// idxMaxBytes bounds the data of one file, which is held in memory.
	idxMaxBytes = 1 << 34

	// idxTrusted is how much is allocated on the word of a compressed file's header.
	// Above it the data is decompressed and counted first, then decompressed again
	// into a buffer of the right size: slower, but never twice in memory.
	idxTrusted = 64 << 20

	// gzipRatio is the most bytes that one byte of deflate can stand for: 258 in
	// two bits.
	gzipRatio = 1032
)

// idxTypes are the type codes of the format.
var idxTypes = map[byte]string{
	0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64",
}

// Array is the content of an IDX file of bytes.
type Array struct {
	Shape []int  // dimensions, each ≥ 1; the first counts examples
	Data  []byte // the product of Shape bytes, the last dimension contiguous
}

// ReadIDX reads a whole IDX file of type uint8 and rank 1 to 8 into memory, plain or
// compressed with gzip; which of the two is seen from its content. The format:
//
//	bytes 0, 1          0
//	byte 2              type code; 0x08: uint8
//	byte 3              rank r
//	4r bytes            r dimensions, uint32, big-endian
//	the rest            the data, the last dimension contiguous
//
// so an image file starts with 0x00000803 and a label file with 0x00000801. At most
// 16 GiB of data are taken. Data of a plain file is allocated only if the file is as
// long as its header says, and that of a compressed one, above 64 MiB, only after it
// was counted. A file that is cut, longer than its header says or damaged is an [*Error];
// a context that ends meanwhile gives its own error.
func ReadIDX(ctx context.Context, path string) (*Array, error) {
	a, _, err := readIDX(ctx, path, false)
	return a, err
}

// readIDX is ReadIDX where a large file that isn't compressed may be mapped.
func readIDX(ctx context.Context, path string, mapped bool) (a *Array, m *mapping, err error) {
	err = withFile(ctx, path, func(f *os.File, size int64) error {
		if mapped {
			if a, m = mapIDX(ctx, f, size); m != nil {
				return nil
			}
		}
		a, err = decodeIDX(ctx, f, size, idxTrusted)
		return err
	})
	return a, m, err
}

// withFile opens a file for use, and gives its errors the path. Where ctx has ended and use
// fails for it, the error is that of ctx and none of the data.
func withFile(ctx context.Context, path string, use func(f *os.File, size int64) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	info, err := os.Stat(path) // before opening: opening a pipe would wait for a writer
	if err != nil {
		return ioError(path, "can't read", err)
	}
	if !info.Mode().IsRegular() {
		return errorf(path, "is a %s, must be a file", kindOf(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return ioError(path, "can't read", err)
	}
	defer f.Close()
	if err = use(f, info.Size()); err == nil {
		return nil
	}
	if stopped := ctx.Err(); stopped != nil && errors.Is(err, stopped) {
		return fmt.Errorf("reading %s: %w", path, stopped)
	}
	var e *Error
	if !errors.As(err, &e) {
		return ioError(path, "can't read", err)
	}
	e.Path = path
	return e
}

// mapIDX maps a file that is sound, large and not compressed; nil for any other.
func mapIDX(ctx context.Context, f *os.File, size int64) (*Array, *mapping) {
	src, compressed, err := openFile(ctx, f)
	if err != nil || compressed {
		return nil, nil
	}
	shape, err := readIDXHeader(src)
	if err != nil {
		return nil, nil
	}
	header := int64(4 + 4*len(shape))
	if n, ok := product(shape); !ok || size != header+int64(n) {
		return nil, nil
	}
	m := mapLarge(f, size)
	if m == nil {
		return nil, nil
	}
	return &Array{Shape: shape, Data: m.data[header:]}, m
}

func kindOf(m os.FileMode) string {
	if m.IsDir() {
		return "folder"
	}
	return "special file (" + m.Type().String() + ")"
}

// decodeIDX reads an IDX file of size bytes from its start. Its *Error has no path.
func decodeIDX(ctx context.Context, file io.ReadSeeker, size, trusted int64) (*Array, error) {
	src, compressed, err := openFile(ctx, file)
	if err != nil {
		return nil, err
	}
	shape, err := readIDXHeader(src)
	if err != nil {
		return nil, err
	}
	want, err := idxBytes(shape)
	if err != nil {
		return nil, err
	}
	header := int64(4 + 4*len(shape))
	switch {
	case !compressed && size != header+want:
		return nil, wrongLength(shape, want, size-header)
	case compressed && want > gzipRatio*size:
		return nil, errorf("", "header announces %d bytes of data (%s), more than %d compressed bytes can hold", want, times(shape), size)
	case compressed && want > trusted:
		n, err := io.Copy(io.Discard, io.LimitReader(src, want+1))
		if err != nil || n != want {
			return nil, idxReadError(shape, want, n, err)
		}
		if src, _, err = openFile(ctx, file); err != nil {
			return nil, err
		}
		if _, err = readIDXHeader(src); err != nil {
			return nil, err
		}
	}
	a := &Array{Shape: shape, Data: make([]byte, want)}
	if n, err := io.ReadFull(src, a.Data); err != nil {
		return nil, idxReadError(shape, want, int64(n), err)
	}
	// The end must follow; reaching it also verifies gzip's checksum.
	var extra [1]byte
	if n, err := io.ReadFull(src, extra[:]); err != io.EOF {
		return nil, idxReadError(shape, want, want+int64(n), err)
	}
	return a, nil
}

// openFile goes to the start of a file and gives its bytes, decompressed where it
// starts like a gzip file, as long as ctx lasts.
func openFile(ctx context.Context, file io.ReadSeeker) (src io.Reader, compressed bool, err error) {
	if _, err = file.Seek(0, io.SeekStart); err != nil {
		return nil, false, err
	}
	raw := bufio.NewReaderSize(file, 1<<16)
	if start, _ := raw.Peek(2); string(start) != "\x1f\x8b" { // an error shows again when reading
		return contextReader{ctx, raw}, false, nil
	}
	z, err := gzip.NewReader(raw)
	if err != nil {
		return nil, true, &Error{Reason: "damaged gzip file", Err: err}
	}
	return contextReader{ctx, z}, true, nil // not below: a little of the file may stand for much
}

// contextReader reads until its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// readAtOnce is the most that is read between two looks at the context: hundredths of a
// second even of a slow disk.
const readAtOnce = 1 << 20

// Read gives the context's error where it has ended.
func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p[:min(len(p), readAtOnce)])
}

// readIDXHeader reads magic number and dimensions.
func readIDXHeader(src io.Reader) (shape []int, err error) {
	var b [4 + 4*idxMaxRank]byte
	if n, err := io.ReadFull(src, b[:4]); err != nil {
		return nil, headerError(err, n, 4)
	}
	magic := binary.BigEndian.Uint32(b[:4])
	code, rank := b[2], int(b[3])
	if magic>>16 != 0 {
		return nil, errorf("", "not an IDX file: starts with 0x%08x, must be 0x000008 and a rank", magic)
	}
	if code != idxTypeByte {
		name := idxTypes[code]
		if name == "" {
			name = "no type of the format"
		}
		return nil, errorf("", "type code 0x%02x (%s), must be 0x08 (uint8)", code, name)
	}
	if rank < 1 || rank > idxMaxRank {
		return nil, errorf("", "rank %d (magic number 0x%08x), must be 1 to %d", rank, magic, idxMaxRank)
	}
	if n, err := io.ReadFull(src, b[4:4+4*rank]); err != nil {
		return nil, headerError(err, 4+n, 4+4*rank)
	}
	for k := range rank {
		d := binary.BigEndian.Uint32(b[4+4*k:])
		if d < 1 || d > math.MaxInt32 {
			return nil, errorf("", "dimension %d of %d is %d, must be 1 to %d", k+1, rank, d, math.MaxInt32)
		}
		shape = append(shape, int(d))
	}
	return shape, nil
}

// idxBytes is the product of the dimensions, refused above what one file may hold.
func idxBytes(shape []int) (int64, error) {
	const limit = min(idxMaxBytes, math.MaxInt)
	n := int64(1)
	for _, d := range shape {
		if n > limit/int64(d) {
			return 0, errorf("", "header announces %s bytes, must be at most %d", times(shape), int64(limit))
		}
		n *= int64(d)
	}
	return n, nil
}

// ended: err tells of a file that ended too early, not of a failed read.
func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func headerError(err error, found, want int) error {
	if ended(err) {
		return errorf("", "cut off: %d bytes, the header of an IDX file takes %d", found, want)
	}
	return &Error{Reason: "damaged", Err: err}
}

// idxReadError tells why data of want bytes ended, or went on, at found.
func idxReadError(shape []int, want, found int64, err error) error {
	if err == nil || ended(err) {
		return wrongLength(shape, want, found)
	}
	return &Error{Reason: fmt.Sprintf("damaged after %d bytes of data", found), Err: err}
}

func wrongLength(shape []int, want, found int64) error {
	switch {
	case found < want:
		return errorf("", "cut off: header announces %d bytes of data (%s), found %d", want, times(shape), found)
	case found == want:
		return errorf("", "cut off after the data: the checksum of the gzip file is missing")
	}
	return errorf("", "too long: header announces %d bytes of data (%s), more follow", want, times(shape))
}

// times writes a shape as 60000×28×28.
func times(shape []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", "×"), "[]")
}

// ReadExamples reads an IDX file of rank ≥ 2 as examples without labels; scale as in
// [NewBytes]. A file of more than 64 MiB that isn't compressed is mapped, where the
// system can, and then may be of any size. Errors are those of [ReadIDX].
func ReadExamples(ctx context.Context, path string, scale float64) (*Bytes, error) {
	a, file, err := readIDX(ctx, path, true)
	if err != nil {
		return nil, err
	}
	if len(a.Shape) < 2 {
		err := errorf(path, "rank 1 (magic number 0x00000801, as label files have), examples need rank ≥ 2 (images: 0x00000803)")
		return nil, errors.Join(err, file.Close())
	}
	b, err := NewBytes(a.Data, a.Shape[1:], scale, nil)
	if err != nil {
		return nil, errors.Join(&Error{Path: path, Err: err}, file.Close())
	}
	b.file = file
	return b, nil
}

// ReadLabels reads an IDX file of rank 1 as labels. Errors are those of [ReadIDX].
func ReadLabels(ctx context.Context, path string) ([]int32, error) {
	a, err := ReadIDX(ctx, path)
	if err != nil {
		return nil, err
	}
	if r := len(a.Shape); r != 1 {
		return nil, errorf(path, "rank %d (magic number 0x%08x), labels need rank 1 (0x00000801)", r, 0x800|r)
	}
	labels := make([]int32, len(a.Data))
	for i, l := range a.Data {
		labels[i] = int32(l)
	}
	return labels, nil
}
