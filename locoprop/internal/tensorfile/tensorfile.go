// Package tensorfile reads and writes named arrays in the safetensors format, for
// model files and checkpoints.
//
// A file is the length of its header (8 bytes, little-endian), the header (JSON: type,
// shape and place of each array, and strings by name, padded with spaces to a multiple
// of 8 bytes), and the arrays' data, little-endian, without gaps:
// https://github.com/huggingface/safetensors.
//
// What [Write] writes is a function of its arguments alone, byte for byte, and holds a
// SHA-256 over the whole file. [Read] trusts nothing: no size that a file names is
// allocated before it agrees with the file's own length.
package tensorfile

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unsafe"

	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/nlpodyssey/safetensors"
)

const (
	maxHeader  = 4 << 20 // bytes of JSON
	maxTensors = 1 << 16
	maxRank    = 8

	metadataName = "__metadata__" // in the header, where other names are arrays
	digestKey    = "sha256"
)

// noDigest stands in the header while the digest is computed over the file.
var noDigest = strings.Repeat("0", hex.EncodedLen(sha256.Size))

// Tensor is an array to be written.
type Tensor struct {
	plan.Tensor
	// Stride is the distance between the rows of F32 where Shape is rows × columns and
	// the rows have gaps between them; 0 means that they have none.
	Stride int
}

// Write writes tensors and metadata. Data lie in the order that the format's own
// writer uses, which is that of [safetensors.SerializeToWriter]: the types with
// longer elements first, then by name. Names must differ, and every dimension must be
// 1 or more. The key sha256 of the metadata is taken: it holds, as hexadecimal, the
// SHA-256 of the file with 64 zeros in the place of the digest. Beside the tensors it
// needs as much memory as the largest of those whose rows have gaps, on big-endian machines of all.
func Write(w io.Writer, tensors []Tensor, meta map[string]string) error {
	views := make(map[string]*view, len(tensors))
	buffer := new([]byte)
	for _, t := range tensors {
		v := &view{t: t, buffer: buffer}
		if err := v.check(); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if views[t.Name] != nil {
			return fmt.Errorf("tensor %q: given twice", t.Name)
		}
		views[t.Name] = v
	}
	if _, taken := meta[digestKey]; taken {
		return fmt.Errorf("metadata key %q is taken by the file's own digest", digestKey)
	}
	meta = maps.Clone(meta)
	if meta == nil {
		meta = make(map[string]string)
	}
	meta[digestKey] = noDigest
	hash := sha256.New()
	if err := safetensors.SerializeToWriter(views, meta, hash); err != nil {
		return err
	}
	meta[digestKey] = hex.EncodeToString(hash.Sum(nil))
	return safetensors.SerializeToWriter(views, meta, &headerLimit{w: w})
}

// headerLimit keeps the writer from making a file whose header the reader refuses. The
// format's writer hands over the header's length first, by itself.
type headerLimit struct {
	w    io.Writer
	seen bool
}

func (l *headerLimit) Write(p []byte) (int, error) {
	if !l.seen {
		l.seen = true
		if n := binary.LittleEndian.Uint64(p); n > maxHeader {
			return 0, fmt.Errorf("header of %d bytes; the limit is %d", n, maxHeader)
		}
	}
	return l.w.Write(p)
}

// view is a tensor as the safetensors package takes it. All views of a file share one
// buffer, since each is written out before the next is asked for.
type view struct {
	t      Tensor
	buffer *[]byte
}

func (v *view) check() error {
	t := v.t
	if t.Name == "" || t.Name == metadataName {
		return errors.New("not a name that an array can have")
	}
	set := 0
	for _, has := range []bool{t.F32 != nil, t.F64 != nil, t.I64 != nil} {
		if has {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("%d of F32, F64 and I64 are set; exactly one must be", set)
	}
	if len(t.Shape) > maxRank {
		return fmt.Errorf("%d dimensions; the limit is %d", len(t.Shape), maxRank)
	}
	need := 1
	for _, d := range t.Shape {
		if d < 1 || need > math.MaxInt/8/d {
			return fmt.Errorf("shape %v has a dimension below 1 or too many elements", t.Shape)
		}
		need *= d
	}
	if t.Stride != 0 {
		if len(t.Shape) != 2 || t.F32 == nil || t.Stride < t.Shape[1] {
			return fmt.Errorf("stride %d for shape %v; only a float32 matrix may have one, at least its width", t.Stride, t.Shape)
		}
		need = (t.Shape[0]-1)*t.Stride + t.Shape[1]
	}
	if have := max(len(t.F32), len(t.F64), len(t.I64)); have != need {
		return fmt.Errorf("%d elements; shape %v needs %d", have, t.Shape, need)
	}
	return nil
}

func (v *view) DType() safetensors.DType {
	switch {
	case v.t.F64 != nil:
		return safetensors.F64
	case v.t.I64 != nil:
		return safetensors.I64
	}
	return safetensors.F32
}

func (v *view) Shape() []uint64 {
	shape := make([]uint64, len(v.t.Shape))
	for i, d := range v.t.Shape {
		shape[i] = uint64(d)
	}
	return shape
}

func (v *view) DataLen() uint64 {
	n := v.DType().Size()
	for _, d := range v.t.Shape {
		n *= uint64(d)
	}
	return n
}

// littleEndian tells whether this machine has numbers in the order of the format.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// Data is the tensor's memory where that is what the file holds, else its encoding.
func (v *view) Data() []byte {
	if !littleEndian || v.t.Stride != 0 {
		return v.encode()
	}
	switch {
	case v.t.F64 != nil:
		return memory(v.t.F64)
	case v.t.I64 != nil:
		return memory(v.t.I64)
	}
	return memory(v.t.F32)
}

func memory[T float32 | float64 | int64](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}

// encode encodes the tensor into the shared buffer.
func (v *view) encode() []byte {
	b := slices.Grow((*v.buffer)[:0], int(v.DataLen()))
	for _, x := range v.t.F64 {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	for _, x := range v.t.I64 {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	rows, cols, stride := 1, len(v.t.F32), 0
	if v.t.Stride != 0 {
		rows, cols, stride = v.t.Shape[0], v.t.Shape[1], v.t.Stride
	}
	for i := range rows {
		for _, x := range v.t.F32[i*stride : i*stride+cols] {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	*v.buffer = b
	return b
}
