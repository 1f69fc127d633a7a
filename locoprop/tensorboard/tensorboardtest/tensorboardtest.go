// Package tensorboardtest reads TensorBoard event files in tests. It shares nothing with
// what writes them and accepts nothing but what the format has. It has no example: its
// functions take a test's *testing.T, which an example hasn't.
package tensorboardtest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// Record is an event.
type Record struct {
	Wall    float64 // seconds since 1970
	Step    int64
	Version string
	Start   bool // of a session
	Values  map[string]float32
}

// Decode reads a file's bytes and accepts nothing but what the format has.
func Decode(t testing.TB, b []byte) []Record {
	t.Helper()
	// The polynomial of CRC-32C, bit-reversed, from RFC 3720, section B.4; its check value is that of
	// the same place.
	table := crc32.MakeTable(0x82f63b78)
	require.Equal(t, uint32(0xe3069283), crc32.Checksum([]byte("123456789"), table))
	unmask := func(m uint32) uint32 {
		c := m - 0xa282ead8
		return c<<15 | c>>17
	}
	var list []Record
	for len(b) > 0 {
		require.GreaterOrEqual(t, len(b), 16)
		n := binary.LittleEndian.Uint64(b)
		require.Equal(t, crc32.Checksum(b[:8], table), unmask(binary.LittleEndian.Uint32(b[8:])))
		b = b[12:]
		require.GreaterOrEqual(t, uint64(len(b)), n+4)
		data := b[:n]
		require.Equal(t, crc32.Checksum(data, table), unmask(binary.LittleEndian.Uint32(b[n:])))
		b = b[n+4:]
		list = append(list, decodeEvent(t, data))
	}
	return list
}

// fields calls f for each field of a message; f returns the number of bytes of its value.
func fields(t testing.TB, b []byte, f func(n protowire.Number, k protowire.Type, b []byte) int) {
	t.Helper()
	for len(b) > 0 {
		n, k, size := protowire.ConsumeTag(b)
		require.Positive(t, size)
		b = b[size:]
		size = f(n, k, b)
		require.Positive(t, size, "field %d", n)
		b = b[size:]
	}
}

func decodeEvent(t testing.TB, b []byte) (r Record) {
	t.Helper()
	fields(t, b, func(n protowire.Number, k protowire.Type, b []byte) int {
		switch fmt.Sprint(n, k) {
		case fmt.Sprint(1, protowire.Fixed64Type):
			v, size := protowire.ConsumeFixed64(b)
			r.Wall = math.Float64frombits(v)
			return size
		case fmt.Sprint(2, protowire.VarintType):
			v, size := protowire.ConsumeVarint(b)
			r.Step = int64(v)
			return size
		case fmt.Sprint(3, protowire.BytesType):
			v, size := protowire.ConsumeString(b)
			r.Version = v
			return size
		case fmt.Sprint(5, protowire.BytesType):
			v, size := protowire.ConsumeBytes(b)
			r.Values = decodeSummary(t, v)
			return size
		case fmt.Sprint(7, protowire.BytesType):
			v, size := protowire.ConsumeBytes(b)
			assert.Equal(t, []byte{8, 1}, v, "field 1, a varint: status START")
			r.Start = true
			return size
		}
		require.Fail(t, "unknown field", "%d of type %d", n, k)
		return 0
	})
	return r
}

func decodeSummary(t testing.TB, b []byte) map[string]float32 {
	t.Helper()
	values := map[string]float32{}
	fields(t, b, func(n protowire.Number, _ protowire.Type, b []byte) int {
		require.Equal(t, protowire.Number(1), n)
		v, size := protowire.ConsumeBytes(b)
		tag, x := "", float32(0)
		fields(t, v, func(n protowire.Number, _ protowire.Type, b []byte) (size int) {
			switch n {
			case 1:
				tag, size = protowire.ConsumeString(b)
			case 2:
				var bits uint32
				bits, size = protowire.ConsumeFixed32(b)
				x = math.Float32frombits(bits)
			}
			return size
		})
		assert.NotContains(t, values, tag)
		values[tag] = x
		return size
	})
	return values
}

// Point is one point of a curve.
type Point struct {
	Step  int64
	Value float64
}

// Curves reads all files of a folder as TensorBoard does: in the order of their names,
// forgetting what a START says.
func Curves(t testing.TB, dir string) map[string][]Point {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	require.NoError(t, err)
	slices.Sort(names)
	all := map[string][]Point{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		for i, r := range Decode(t, b) {
			assert.Equal(t, i == 0, r.Version == "brain.Event:2")
			if r.Start {
				for tag, points := range all {
					all[tag] = slices.DeleteFunc(points, func(p Point) bool { return p.Step >= r.Step })
				}
			}
			for tag, v := range r.Values {
				all[tag] = append(all[tag], Point{r.Step, float64(v)})
			}
		}
	}
	return all
}
