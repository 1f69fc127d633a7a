package dataset

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/contexttest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Wherever a context ends, its error comes, which is none of the data; and that is several
// times in each file.
func TestReadingEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	noise := make([]byte, 5*readAtOnce/2)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	write := func(name string, content []byte) { writeFile(t, filepath.Join(dir, name), content) }
	rows := len(noise) / 4
	write("train-images-idx3-ubyte", idxFile(noise, uint32(rows), 2, 2))
	write("train-labels-idx1-ubyte", idxFile(make([]byte, rows), uint32(rows)))
	write("t10k-images-idx3-ubyte.gz", gz(idxFile(noise[:1<<18], 1<<16, 2, 2)))
	write("t10k-labels-idx1-ubyte", idxFile(make([]byte, 1<<16), 1<<16))
	text := []byte(strings.Repeat("1,2,3\n", 1<<12))
	write("train.csv", text)
	write("test.csv.gz", gz(text))
	write("train.npy", rawNPY(header("|u1", "False", fmt.Sprintf("(%d, 4)", rows)), noise...))
	labels := make([]byte, 0, 8*rows)
	for i := range rows {
		labels = binary.LittleEndian.AppendUint64(labels, uint64(i%3))
	}
	write("train-labels.npy", rawNPY(header("<i8", "False", fmt.Sprintf("(%d,)", rows)), labels...))

	for name, read := range map[string]func(ctx context.Context) (any, error){
		"idx": func(ctx context.Context) (any, error) { return LoadDir(ctx, dir, "", Options{Labels: true}) },
		"csv": func(ctx context.Context) (any, error) {
			return LoadCSV(ctx, dir, TableOptions{Labels: true, LabelColumn: "1"})
		},
		"npy": func(ctx context.Context) (any, error) { return LoadNPY(ctx, dir, TableOptions{Labels: true}) },
		"idx twice": func(ctx context.Context) (a any, err error) { // beyond what is trusted it is counted first
			path := filepath.Join(dir, "t10k-images-idx3-ubyte.gz")
			return a, withFile(ctx, path, func(f *os.File, size int64) error {
				a, err = decodeIDX(ctx, f, size, 1)
				return err
			})
		},
		"scale": func(ctx context.Context) (any, error) {
			s, err := NewNumbers(make([]float64, 7*momentsChunk+1), 1, nil)
			require.NoError(t, err)
			return Scale{Kind: ScaleUnit}.Fit(ctx, s)
		},
	} {
		for n := 0; ; n++ {
			got, err := read(contexttest.EndsAfter(t.Context(), n))
			if err == nil {
				assert.NotNil(t, got, name)
				assert.Greater(t, n, 7, name)
				break
			}
			require.ErrorIs(t, err, context.Canceled, name)
			assert.NotErrorIs(t, err, ErrData, name)
			if name != "scale" {
				assert.ErrorContains(t, err, "reading "+dir, name)
			}
		}
	}
}

// Reading stops where it is: what follows isn't asked for.
func TestContextReader(t *testing.T) {
	src := bytes.NewReader(make([]byte, 3*readAtOnce))
	r := contextReader{contexttest.EndsAfter(t.Context(), 2), src}
	p := make([]byte, 3*readAtOnce)
	for range 2 {
		n, err := r.Read(p)
		require.NoError(t, err)
		assert.Equal(t, readAtOnce, n)
	}
	n, err := r.Read(p)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, n)
	assert.Equal(t, readAtOnce, src.Len(), "left")
}
