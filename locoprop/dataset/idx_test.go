package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// idxFile makes an IDX file of bytes; data nil: the right number of them, counting up.
func idxFile(data []byte, shape ...uint32) []byte {
	f := []byte{0, 0, 8, byte(len(shape))}
	n := 1
	for _, d := range shape {
		f = binary.BigEndian.AppendUint32(f, d)
		n *= int(d)
	}
	if data == nil {
		data = make([]byte, n)
		for i := range data {
			data[i] = byte(i)
		}
	}
	return append(f, data...)
}

func gz(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	z.Close()
	return b.Bytes()
}

func writeFile(t *testing.T, path string, data []byte) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, data, 0o644))
	return path
}

func TestReadIDX(t *testing.T) {
	plain := idxFile(nil, 3, 2, 5)
	dir := t.TempDir()
	for name, file := range map[string][]byte{
		"plain":        plain,
		"plain.gz":     plain, // content counts, not the name
		"compressed":   gz(plain),
		"two-members":  append(gz(plain[:20]), gz(plain[20:])...),
		"uncompressed": gzLevel(plain, gzip.NoCompression),
	} {
		a, err := ReadIDX(t.Context(), writeFile(t, filepath.Join(dir, name), file))
		require.NoError(t, err, name)
		require.Equal(t, &Array{[]int{3, 2, 5}, plain[16:]}, a, name)
		require.Equal(t, len(a.Data), cap(a.Data))
	}
}

func gzLevel(data []byte, level int) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, level)
	z.Write(data)
	z.Close()
	return b.Bytes()
}

func TestReadIDXRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(1, 5), 1, 8).Draw(t, "shape")
		n, _ := product(shape)
		data := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "data")
		dims := make([]uint32, len(shape))
		for k, d := range shape {
			dims[k] = uint32(d)
		}
		file := idxFile(data, dims...)
		if rapid.Bool().Draw(t, "gzip") {
			file = gz(file)
		}
		trusted := rapid.Int64Range(0, 100).Draw(t, "trusted") // above it: counted first
		a, err := decodeIDX(t.Context(), bytes.NewReader(file), int64(len(file)), trusted)
		if err != nil || !bytes.Equal(a.Data, data) {
			t.Fatalf("got %v, %v", a, err)
		}
	})
}

// Every way in which a file can be wrong, with what the message must say.
func TestReadIDXRefuses(t *testing.T) {
	good := idxFile(nil, 3, 2, 5)
	huge := []byte{0, 0, 8, 3, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}
	damaged := gz(good)
	damaged[len(damaged)-5] ^= 1 // the checksum
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "cut off: 0 bytes, the header of an IDX file takes 4"},
		{"short", good[:3], "cut off: 3 bytes, the header of an IDX file takes 4"},
		{"half-header", good[:9], "cut off: 9 bytes, the header of an IDX file takes 16"},
		{"half-header-gz", gz(good[:9]), "cut off: 9 bytes, the header of an IDX file takes 16"},
		{"no-data", good[:16], "cut off: header announces 30 bytes of data (3×2×5), found 0"},
		{"cut", good[:45], "cut off: header announces 30 bytes of data (3×2×5), found 29"},
		{"cut-gz", gz(good[:45]), "cut off: header announces 30 bytes of data (3×2×5), found 29"},
		{"gz-cut", gz(good)[:30], "cut off: "},
		{"gz-no-checksum", gz(good)[:len(gz(good))-8], "cut off after the data: the checksum of the gzip file is missing"},
		{"gz-damaged", damaged, "damaged after 30 bytes of data: gzip: invalid checksum"},
		{"gz-header", []byte("\x1f\x8bsomething"), "damaged gzip file: gzip: invalid header"},
		{"gz-then-text", append(gz(good), "text, not gzip"...), "damaged after 30 bytes of data: gzip: invalid header"},
		{"trailing", append(good[:46:46], 1), "too long: header announces 30 bytes of data (3×2×5), more follow"},
		{"trailing-gz", gz(append(good[:46:46], 1)), "too long: header announces 30 bytes of data (3×2×5), more follow"},
		{"text", []byte("label,pixel1\n"), "not an IDX file: starts with 0x6c616265, must be 0x000008 and a rank"},
		{"float", []byte{0, 0, 0x0d, 3, 0, 0, 0, 1}, "type code 0x0d (float32), must be 0x08 (uint8)"},
		{"type", []byte{0, 0, 0x55, 3, 0, 0, 0, 1}, "type code 0x55 (no type of the format), must be 0x08 (uint8)"},
		{"rank-0", []byte{0, 0, 8, 0, 1}, "rank 0 (magic number 0x00000800), must be 1 to 8"},
		{"rank-9", []byte{0, 0, 8, 9, 1}, "rank 9 (magic number 0x00000809), must be 1 to 8"},
		{"zero", idxFile([]byte{1}, 3, 0, 5), "dimension 2 of 3 is 0, must be 1 to 2147483647"},
		{"wide", idxFile([]byte{1}, 3, 1<<31, 5), "dimension 2 of 3 is 2147483648, must be 1 to 2147483647"},
		{"huge", huge, "header announces 2147483647×2147483647×2147483647 bytes, must be at most 17179869184"},
		{"liar", idxFile([]byte{1}, 1<<20, 1<<10), "cut off: header announces 1073741824 bytes of data (1048576×1024), found 1"},
		{"liar-gz", gz(idxFile([]byte{1}, 1<<20, 1<<10)), "header announces 1073741824 bytes of data (1048576×1024), more than 37 compressed bytes can hold"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, trusted := range []int64{idxTrusted, 0} {
				_, err := decodeIDX(t.Context(), bytes.NewReader(c.file), int64(len(c.file)), trusted)
				require.ErrorContains(t, err, c.want)
			}
			path := writeFile(t, filepath.Join(t.TempDir(), c.name), c.file)
			_, err := ReadIDX(t.Context(), path)
			require.ErrorIs(t, err, ErrData)
			require.ErrorContains(t, err, path+": "+c.want)
		})
	}
}

func TestReadIDXRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	_, err := ReadIDX(t.Context(), filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorIs(t, err, ErrData)
	require.EqualError(t, err, dir+"/missing: can't read: no such file or directory")
	_, err = ReadIDX(t.Context(), dir)
	require.EqualError(t, err, dir+": is a folder, must be a file")
	_, err = ReadIDX(t.Context(), os.DevNull)
	require.ErrorContains(t, err, "is a special file (Dc---------), must be a file")
}

// allocated is the number of bytes that the program has allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// A compressed file that could hold what its header announces, but doesn't, costs no
// memory of that size.
func TestLyingHeaderAllocatesLittle(t *testing.T) {
	noise := make([]byte, 1<<20)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	file := gz(idxFile(noise, 1<<20, 900)) // announces 900 MiB, holds 1
	require.Greater(t, len(file)*gzipRatio, 900<<20)
	before := allocated()
	_, err := decodeIDX(t.Context(), bytes.NewReader(file), int64(len(file)), idxTrusted)
	got := allocated() - before
	require.ErrorContains(t, err, "announces 943718400 bytes of data (1048576×900), found 1048576")
	require.Less(t, got, uint64(1<<20))
}

// failing is a file that can't be read on from some point.
type failing struct {
	*bytes.Reader
	at int64
}

var errDisk = errors.New("disk on fire")

func (f failing) Read(p []byte) (int, error) {
	pos, _ := f.Seek(0, io.SeekCurrent)
	if pos >= f.at {
		return 0, errDisk
	}
	return f.Reader.Read(p[:min(int64(len(p)), f.at-pos)])
}

func TestReadErrorsAreReported(t *testing.T) {
	good := idxFile(nil, 3, 2, 5)
	for at := range int64(len(good)) {
		_, err := decodeIDX(t.Context(), failing{bytes.NewReader(good), at}, int64(len(good)), idxTrusted)
		require.ErrorIs(t, err, errDisk, "at byte %d", at)
		require.ErrorIs(t, err, ErrData)
	}
}

func TestReadExamplesAndLabels(t *testing.T) {
	dir := t.TempDir()
	images := writeFile(t, filepath.Join(dir, "images"), idxFile(nil, 3, 2, 5))
	labels := writeFile(t, filepath.Join(dir, "labels"), gz(idxFile([]byte{7, 255, 0}, 3)))

	b, err := ReadExamples(t.Context(), images, 255)
	require.NoError(t, err)
	require.Equal(t, []int{3, 10}, []int{b.Len(), b.Dim()})
	require.Equal(t, []int{2, 5}, b.Shape())
	require.Equal(t, byte(13), b.Example(1)[3])
	l, err := ReadLabels(t.Context(), labels)
	require.NoError(t, err)
	require.Equal(t, []int32{7, 255, 0}, l)

	_, err = ReadExamples(t.Context(), labels, 255)
	require.EqualError(t, err, labels+": rank 1 (magic number 0x00000801, as label files have), examples need rank ≥ 2 (images: 0x00000803)")
	_, err = ReadLabels(t.Context(), images)
	require.EqualError(t, err, images+": rank 3 (magic number 0x00000803), labels need rank 1 (0x00000801)")
	_, err = ReadExamples(t.Context(), images, 0)
	require.EqualError(t, err, images+": scale is 0, must be positive and finite")
}

// FuzzReadIDX: any bytes give an array that fits its shape or an *Error, and allocate
// no more than so many bytes can be worth.
func FuzzReadIDX(f *testing.F) {
	good := idxFile(nil, 3, 2, 5)
	for _, seed := range [][]byte{
		nil, good, gz(good), gzLevel(good, gzip.NoCompression), idxFile([]byte{1, 2}, 2),
		good[:2], good[:4], good[:15], good[:20], gz(good)[:5], gz(good)[:25], gz(good[:20]),
		append(good, 0), gz(append(good, 0)), append(gz(good), good...), gz(make([]byte, 5000)),
		idxFile(nil, 1, 1, 1, 1, 1, 1, 1, 1), idxFile([]byte{1}, 1<<31, 1<<31, 1<<31), gz(idxFile([]byte{1}, 30, 30, 30)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, trusted := range []int64{idxTrusted, 16} {
			before := allocated()
			a, err := decodeIDX(t.Context(), bytes.NewReader(file), int64(len(file)), trusted)
			// 4 MiB: buffers of the decompressor, and the fuzzer's own work meanwhile.
			if got, most := allocated()-before, uint64(4<<20+gzipRatio*len(file)); got > most {
				t.Fatalf("%d bytes allocated for a file of %d, want at most %d", got, len(file), most)
			}
			if err != nil {
				var e *Error
				if a != nil || !errors.As(err, &e) || !errors.Is(err, ErrData) {
					t.Fatalf("got %v and error %v", a, err)
				}
				continue
			}
			if n, ok := product(a.Shape); !ok || n != len(a.Data) || len(a.Shape) > idxMaxRank {
				t.Fatalf("%d bytes of shape %v", len(a.Data), a.Shape)
			}
		}
	})
}
