package tensorfile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/nlpodyssey/safetensors"
)

// File is what a file holds.
type File struct {
	Tensors []plan.Tensor     // in the order of their data
	Meta    map[string]string // without the digest
	// Checked tells that the file holds a digest and is as it was written. A file by
	// another program may have none.
	Checked bool

	index map[string]int
}

// Lookup finds a tensor by its name.
func (f *File) Lookup(name string) (plan.Tensor, bool) {
	if i, found := f.index[name]; found {
		return f.Tensors[i], true
	}
	return plan.Tensor{}, false
}

// Read reads a file whole. Every error names the file, and errors.Is(err,
// dataset.ErrData) holds.
func Read(path string) (*File, error) {
	file, err := read(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, &dataset.Error{Path: path, Err: err}
	}
	return file, nil
}

func read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return Decode(f, info.Size())
}

// Decode reads a file of the given size in bytes. It accepts the types F32, F64 and
// I64 and up to 8 dimensions, each 1 or more; data must lie without gaps or overlaps
// and end where the file ends.
func Decode(r io.Reader, size int64) (*File, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	d := &decoder{r: r, hash: sha256.New(), chunk: make([]byte, 64<<10)}
	d.hash.Write(h.hashed)
	file := &File{Meta: h.meta, Checked: h.digest != "", index: make(map[string]int, len(h.places))}
	for i, p := range h.places {
		t, err := d.tensor(p)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", p.name, err)
		}
		file.Tensors = append(file.Tensors, t)
		file.index[p.name] = i
	}
	if file.Checked && hex.EncodeToString(d.hash.Sum(nil)) != h.digest {
		return nil, errors.New("damaged: its content and its sha256 don't agree")
	}
	return file, nil
}

// place is where a tensor lies, its size checked against the file's.
type place struct {
	name     string
	kind     safetensors.DType
	shape    []int
	elements int
}

type header struct {
	places []place
	meta   map[string]string
	digest string // "": none
	hashed []byte // length and header as the digest sees them
}

func readHeader(r io.Reader, size int64) (*header, error) {
	if size < 8 {
		return nil, fmt.Errorf("%d bytes; a safetensors file has at least 8", size)
	}
	var length [8]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, fmt.Errorf("length of the header: %w", err)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader {
		return nil, fmt.Errorf("not a safetensors file, or damaged: header of %d bytes; the limit is %d", n, maxHeader)
	}
	rest := uint64(size) - 8
	if n > rest {
		return nil, fmt.Errorf("cut or damaged: header of %d bytes in a file of %d", n, size)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	h := &header{hashed: append(length[:], raw...)}
	var parsed safetensors.Metadata
	err := checkJSON(raw)
	if err == nil {
		err = json.Unmarshal(raw, &parsed)
	}
	if err == nil {
		err = h.place(parsed.Tensors(), rest-n)
	}
	if err == nil {
		err = h.takeMeta(parsed.Metadata())
	}
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return h, nil
}

// place puts the tensors in the order of their data and checks that these fill the
// available bytes.
func (h *header) place(infos map[string]*safetensors.TensorInfo, available uint64) error {
	for name := range infos {
		if name == "" {
			return errors.New("a tensor without a name")
		}
		h.places = append(h.places, place{name: name})
	}
	slices.SortFunc(h.places, func(a, b place) int {
		x, y := infos[a.name].DataOffsets, infos[b.name].DataOffsets
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(a.name, b.name))
	})
	var end uint64
	for i := range h.places {
		p := &h.places[i]
		info := infos[p.name]
		if err := p.fill(info, available); err != nil {
			return fmt.Errorf("tensor %q: %w", p.name, err)
		}
		need := uint64(p.elements) * p.kind.Size()
		if o := info.DataOffsets; o[0] != end || o[1] < o[0] || o[1]-o[0] != need {
			return fmt.Errorf("tensor %q: data at %d to %d; its shape and its neighbours need %d to %d",
				p.name, o[0], o[1], end, end+need)
		}
		end += need
	}
	if end != available {
		return fmt.Errorf("cut or damaged: tensors need %d bytes, and %d follow the header", end, available)
	}
	return nil
}

func (p *place) fill(info *safetensors.TensorInfo, available uint64) error {
	p.kind = info.DType
	switch p.kind {
	case safetensors.F32, safetensors.F64, safetensors.I64:
	default:
		return fmt.Errorf("type %v; must be F32, F64 or I64", p.kind)
	}
	limit := available / p.kind.Size()
	count := uint64(1)
	for _, d := range info.Shape {
		if d < 1 {
			return fmt.Errorf("shape %v; dimensions must be 1 or more", info.Shape)
		}
		if d > limit || count > limit/d {
			return fmt.Errorf("cut or damaged: shape %v needs more than the file's %d bytes", info.Shape, available)
		}
		count *= d
		p.shape = append(p.shape, int(d))
	}
	if count > limit {
		return fmt.Errorf("cut or damaged: one element needs more than the file's %d bytes", available)
	}
	p.elements = int(count)
	return nil
}

// takeMeta separates the digest from the rest of the metadata.
func (h *header) takeMeta(meta map[string]string) error {
	digest, found := meta[digestKey]
	if found {
		if raw, err := hex.DecodeString(digest); err != nil || len(raw) != sha256.Size || bytes.Count(h.hashed, []byte(digest)) != 1 {
			return fmt.Errorf("%s is %q; must be 64 hexadecimal digits that occur once", digestKey, digest)
		}
		h.hashed = bytes.Replace(h.hashed, []byte(digest), []byte(noDigest), 1)
		h.digest = digest
		delete(meta, digestKey)
	}
	if meta == nil {
		meta = make(map[string]string)
	}
	h.meta = meta
	return nil
}

// checkJSON looks for what parsing into maps and slices would hide or be swamped by:
// names given twice, deep nesting, too many entries.
func checkJSON(raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' {
		return errors.New("doesn't begin with {: not a safetensors file, or damaged")
	}
	return walk(json.NewDecoder(bytes.NewReader(raw)), 1)
}

func walk(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth > 3 {
		return errors.New("nested more than 3 deep")
	}
	limit := maxTensors
	if delim == '[' {
		limit = maxRank
	}
	seen := make(map[string]bool)
	for count := 0; d.More(); count++ {
		if count == limit {
			return fmt.Errorf("more than %d entries in an object or array", limit)
		}
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			if seen[name] {
				return fmt.Errorf("name %q occurs twice", name)
			}
			seen[name] = true
		}
		if err := walk(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

type decoder struct {
	r     io.Reader
	hash  hash.Hash
	chunk []byte
}

// tensor reads one tensor's data; its size is known to be in the file.
func (d *decoder) tensor(p place) (plan.Tensor, error) {
	t := plan.Tensor{Name: p.name, Shape: p.shape}
	if t.Shape == nil {
		t.Shape = []int{}
	}
	var put func(b []byte, at int)
	switch p.kind {
	case safetensors.F64:
		t.F64 = make([]float64, p.elements)
		put = func(b []byte, at int) { t.F64[at] = math.Float64frombits(binary.LittleEndian.Uint64(b)) }
	case safetensors.I64:
		t.I64 = make([]int64, p.elements)
		put = func(b []byte, at int) { t.I64[at] = int64(binary.LittleEndian.Uint64(b)) }
	default:
		t.F32 = make([]float32, p.elements)
		put = func(b []byte, at int) { t.F32[at] = math.Float32frombits(binary.LittleEndian.Uint32(b)) }
	}
	size := int(p.kind.Size())
	for at := 0; at < p.elements; {
		n := min(len(d.chunk)/size, p.elements-at)
		b := d.chunk[:n*size]
		if _, err := io.ReadFull(d.r, b); err != nil {
			return plan.Tensor{}, err
		}
		d.hash.Write(b)
		for i := range n {
			put(b[i*size:], at+i)
		}
		at += n
	}
	return t, nil
}
