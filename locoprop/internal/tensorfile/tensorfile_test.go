package tensorfile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/tensorfile"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/nlpodyssey/safetensors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func tensors() []tensorfile.Tensor {
	return []tensorfile.Tensor{
		{Tensor: plan.Tensor{Name: "b", Shape: []int{2, 3}, F32: []float32{1, -2, 3.5, float32(math.NaN()), 0, 1e-40}}},
		{Tensor: plan.Tensor{Name: "a", Shape: []int{1}, I64: []int64{-7}}},
		{Tensor: plan.Tensor{Name: "c", Shape: []int{}, F64: []float64{math.Pi}}},
		// columns 0 and 1 of a 3 × 3 matrix
		{Tensor: plan.Tensor{Name: "d", Shape: []int{3, 2}, F32: []float32{1, 2, 9, 3, 4, 9, 5, 6}}, Stride: 3},
	}
}

func encode(tb testing.TB, list []tensorfile.Tensor, meta map[string]string) []byte {
	tb.Helper()
	var b bytes.Buffer
	require.NoError(tb, tensorfile.Write(&b, list, meta))
	return b.Bytes()
}

func decode(b []byte) (*tensorfile.File, error) {
	return tensorfile.Decode(bytes.NewReader(b), int64(len(b)))
}

func TestRoundTrip(t *testing.T) {
	meta := map[string]string{"z": "last", "version": "1", "text": `<ü"\` + "\n>"}
	b := encode(t, tensors(), meta)
	assert.NotContains(t, meta, "sha256", "the caller's map is left alone")
	f, err := decode(b)
	require.NoError(t, err)
	assert.True(t, f.Checked)
	assert.Equal(t, meta, f.Meta)

	names := make([]string, len(f.Tensors))
	for i, x := range f.Tensors {
		names[i] = x.Name
	}
	assert.Equal(t, []string{"a", "c", "b", "d"}, names, "I64 before F64 before F32, then by name")
	got, found := f.Lookup("b")
	require.True(t, found)
	assert.Equal(t, []int{2, 3}, got.Shape)
	assert.Equal(t, float32(3.5), got.F32[2])
	assert.True(t, math.IsNaN(float64(got.F32[3])))
	assert.Equal(t, float32(1e-40), got.F32[5])
	got, _ = f.Lookup("a")
	assert.Equal(t, plan.Tensor{Name: "a", Shape: []int{1}, I64: []int64{-7}}, got)
	got, _ = f.Lookup("c")
	assert.Equal(t, plan.Tensor{Name: "c", Shape: []int{}, F64: []float64{math.Pi}}, got)
	got, _ = f.Lookup("d")
	assert.Equal(t, plan.Tensor{Name: "d", Shape: []int{3, 2}, F32: []float32{1, 2, 3, 4, 5, 6}}, got)
	_, found = f.Lookup("e")
	assert.False(t, found)
}

// The bytes are a function of the content: of neither the order of the arguments nor
// that of a map.
func TestDeterministic(t *testing.T) {
	list := tensors()
	meta := map[string]string{}
	for i := range 20 {
		meta[fmt.Sprint("key", i)] = "value"
	}
	first := encode(t, list, meta)
	for range 5 {
		list[0], list[1], list[2] = list[1], list[2], list[0]
		assert.Equal(t, first, encode(t, list, meta))
	}
	header := binary.LittleEndian.Uint64(first)
	assert.Zero(t, header%8, "data begin on a multiple of 8 bytes")
}

// The safetensors package reads what Write wrote.
func TestReadBySafetensors(t *testing.T) {
	st, err := safetensors.Deserialize(encode(t, tensors(), nil))
	require.NoError(t, err)
	assert.Equal(t, 4, st.Len())
	v, found := st.Tensor("d")
	require.True(t, found)
	assert.Equal(t, []uint64{3, 2}, v.Shape())
	assert.Equal(t, float32(6), math.Float32frombits(binary.LittleEndian.Uint32(v.Data()[20:])))
}

// A file without a digest, as another program writes it.
func TestReadForeign(t *testing.T) {
	f, err := decode(file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	require.NoError(t, err)
	assert.False(t, f.Checked)
	assert.Empty(t, f.Meta)
	assert.Equal(t, []float32{0, 0}, f.Tensors[0].F32)
}

func TestWriteErrors(t *testing.T) {
	one := func(x plan.Tensor, stride int) []tensorfile.Tensor {
		return []tensorfile.Tensor{{Tensor: x, Stride: stride}}
	}
	for _, c := range []struct {
		list []tensorfile.Tensor
		meta map[string]string
		want string
	}{
		{append(tensors(), tensors()...), nil, `tensor "b": given twice`},
		{one(plan.Tensor{F32: []float32{1}}, 0), nil, "not a name"},
		{one(plan.Tensor{Name: "__metadata__", F32: []float32{1}}, 0), nil, "not a name"},
		{one(plan.Tensor{Name: "x"}, 0), nil, "0 of F32, F64 and I64 are set"},
		{one(plan.Tensor{Name: "x", F32: []float32{1}, I64: []int64{1}}, 0), nil, "2 of F32, F64 and I64 are set"},
		{one(plan.Tensor{Name: "x", Shape: []int{2}, F32: []float32{1}}, 0), nil, "1 elements; shape [2] needs 2"},
		{one(plan.Tensor{Name: "x", Shape: []int{0}, F32: []float32{}}, 0), nil, "dimension below 1"},
		{one(plan.Tensor{Name: "x", Shape: []int{1 << 40, 1 << 40}, F32: []float32{}}, 0), nil, "too many elements"},
		{one(plan.Tensor{Name: "x", Shape: make([]int, 9), F32: []float32{}}, 0), nil, "9 dimensions; the limit is 8"},
		{one(plan.Tensor{Name: "x", Shape: []int{2, 3}, F32: make([]float32, 5)}, 2), nil, "stride 2 for shape [2 3]"},
		{one(plan.Tensor{Name: "x", Shape: []int{2}, F32: make([]float32, 2)}, 2), nil, "stride 2 for shape [2]"},
		{nil, map[string]string{"sha256": ""}, "taken"},
		{nil, map[string]string{"long": strings.Repeat("x", 4<<20)}, "the limit is"},
	} {
		assert.ErrorContains(t, tensorfile.Write(io.Discard, c.list, c.meta), c.want)
	}
}

// file makes a file of a header and as many zero bytes of data.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestReadErrors(t *testing.T) {
	const ok = `"dtype":"F32","shape":[2],"data_offsets":[0,8]`
	for _, c := range []struct {
		content []byte
		want    string
	}{
		{nil, "0 bytes; a safetensors file has at least 8"},
		{file("", 0), "doesn't begin with {"},
		{file(` {}`, 0), "doesn't begin with {"},
		{file(`[]`, 0), "doesn't begin with {"},
		{file(`{`, 0), "header: "},
		{file(`{"x":1}`, 0), "header: "},
		{file(`{"x":null}`, 0), "header: "},
		{file(`{} {}`, 0), "header: "},
		{binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "the limit is 4194304"},
		{binary.LittleEndian.AppendUint64(nil, 100), "cut or damaged: header of 100 bytes in a file of 8"},
		{file(`{"":{`+ok+`}}`, 8), "without a name"},
		{file(`{"x":{`+ok+`}}`, 7), "cut or damaged"},
		{file(`{"x":{`+ok+`}}`, 9), "cut or damaged: tensors need 8 bytes, and 9 follow the header"},
		{file(`{"x":{`+ok+`},"x":{`+ok+`}}`, 8), `name "x" occurs twice`},
		{file(`{"x":{`+ok+`},"\u0078":{`+ok+`}}`, 8), `name "x" occurs twice`},
		{file(`{"x":{"dtype":"F32",`+ok+`}}`, 8), `name "dtype" occurs twice`},
		{file(`{"x":{`+ok+`},"y":{`+ok+`}}`, 16), `tensor "y": data at 0 to 8; its shape and its neighbours need 8 to 16`},
		{file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), "data at 4 to 12"},
		{file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8), "data at 8 to 0"},
		{file(`{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 16), "data at 0 to 8"},
		{file(`{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}`, 8), "header: "},
		{file(`{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, 0), "dimensions must be 1 or more"},
		{file(`{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0), "needs more than the file's 0 bytes"},
		{file(`{"x":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}`, 64), "needs more than the file's 64 bytes"},
		{file(`{"x":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}`, 0), "one element needs more"},
		{file(`{"x":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`, 4), "type F16; must be F32, F64 or I64"},
		{file(`{"x":{"dtype":"X","shape":[2],"data_offsets":[0,4]}}`, 4), "header: "},
		{file(`{"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, 4), "more than 8 entries"},
		{file(`{"x":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}}`, 4), "nested more than 3 deep"},
		{file(`{"__metadata__":{"a":1}}`, 0), "header: "},
		{file(`{"__metadata__":{"sha256":"ab"}}`, 0), "64 hexadecimal digits"},
		{file(`{"__metadata__":{"sha256":"`+strings.Repeat("a", 64)+`"}}`, 0), "damaged"},
	} {
		_, err := decode(c.content)
		assert.ErrorContains(t, err, c.want, "%.200q", c.content)
	}
}

// No cut and no flipped bit goes unseen, wherever it is.
func TestDamage(t *testing.T) {
	good := encode(t, tensors(), map[string]string{"version": "1"})
	for n := range good {
		_, err := decode(good[:n])
		assert.Error(t, err, "cut to %d bytes", n)
	}
	_, err := decode(append(bytes.Clone(good), 0))
	assert.ErrorContains(t, err, "cut or damaged")
	bad, key := bytes.Clone(good), bytes.Index(good, []byte("sha256"))
	for i := range good {
		bad[i] = good[i] ^ 1<<(i%8)
		if f, err := decode(bad); err == nil {
			assert.False(t, f.Checked, "byte %d", i)
			assert.True(t, i >= key && i < key+len("sha256"), "byte %d: only the digest's own name can hide it", i)
		}
		bad[i] = good[i]
	}
}

func TestReadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	_, err := tensorfile.Read(path)
	assert.EqualError(t, err, path+": no such file or directory")
	assert.ErrorIs(t, err, dataset.ErrData)
	assert.ErrorIs(t, err, os.ErrNotExist)

	_, err = tensorfile.Read(dir)
	assert.EqualError(t, err, dir+": not a regular file")

	require.NoError(t, os.WriteFile(path, []byte("short"), 0o600))
	_, err = tensorfile.Read(path)
	assert.EqualError(t, err, path+": 5 bytes; a safetensors file has at least 8")
	assert.ErrorIs(t, err, dataset.ErrData)

	require.NoError(t, os.WriteFile(path, encode(t, tensors(), nil), 0o600))
	f, err := tensorfile.Read(path)
	require.NoError(t, err)
	assert.Len(t, f.Tensors, 4)
}

// A file that claims to be large allocates no more than it is.
func TestClaimsAllocateNothing(t *testing.T) {
	bomb := file(`{"x":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}`, 8)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := decode(bomb)
	runtime.ReadMemStats(&after)
	require.Error(t, err)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1_000_000))
}

func FuzzRead(f *testing.F) {
	f.Add(encode(f, tensors(), map[string]string{"version": "1"}))
	f.Add(file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Add(file(`{"__metadata__":{"a":"b"}}`, 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decode(b)
		if err != nil {
			return
		}
		// What was accepted can be written, and then has one form.
		list := make([]tensorfile.Tensor, len(got.Tensors))
		for i, x := range got.Tensors {
			list[i].Tensor = x
		}
		again := encode(t, list, got.Meta)
		second, err := decode(again)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			x, found := second.Lookup(list[i].Name)
			if !found {
				t.Fatalf("%q is gone", list[i].Name)
			}
			list[i].Tensor = x
		}
		if !bytes.Equal(again, encode(t, list, second.Meta)) {
			t.Fatal("another form the second time")
		}
	})
}
