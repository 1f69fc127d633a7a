package main

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShrink(t *testing.T) {
	p := picture{3, 4, []float32{
		0, 1, 0, 0,
		1, 0, 0, 0,
		1, 1, 1, 0,
	}}
	assert.Equal(t, picture{2, 2, []float32{0.5, 0, 1, 0.5}}, p.shrink(2))
	assert.Equal(t, p, p.shrink(1))
}

func TestSheet(t *testing.T) {
	nan := float32(math.NaN())
	a := picture{2, 2, []float32{0, 1, 0.5, 7}}
	b := picture{2, 2, []float32{-3, nan, 1, 1}}
	var buf bytes.Buffer
	require.NoError(t, sheet{rows: [][]picture{{a, b}, {b, a}}}.writePNG(&buf))
	decoded, err := png.Decode(&buf)
	require.NoError(t, err)
	sheet := decoded.(*image.Gray)
	const zoom = pngSide / 2
	at := func(row, column, y, x int) uint8 {
		return sheet.GrayAt(zoom*(pngGap+column*(2+pngGap)+x)+zoom/2, zoom*(pngGap+row*(2+pngGap)+y)+zoom/2).Y
	}
	assert.Equal(t, []uint8{0, 255, 128, 255}, []uint8{at(0, 0, 0, 0), at(0, 0, 0, 1), at(0, 0, 1, 0), at(0, 0, 1, 1)})
	assert.Equal(t, []uint8{0, 0, 255, 255}, []uint8{at(1, 0, 0, 0), at(1, 0, 0, 1), at(1, 0, 1, 0), at(1, 0, 1, 1)})
	assert.Equal(t, uint8(0x60), sheet.GrayAt(0, 0).Y)
	assert.Equal(t, image.Pt(zoom*10, zoom*10), sheet.Bounds().Size())
}

func TestHalfBlocks(t *testing.T) {
	p := picture{3, 2, []float32{1, 0, 0, 0, 1, 1}}
	assert.Equal(t, "▀  ▀ \n▀▀ ▀▀\n\n▀ \n▀▀\n", halfBlocks([][]picture{{p, p}, {p}}, 80, false))
	assert.Equal(t, "▀ \n▀▀\n", halfBlocks([][]picture{{p, p, p}}, 4, false), "only one fits")
	assert.Empty(t, halfBlocks([][]picture{{p}}, 1, false))
	coloured := halfBlocks([][]picture{{p}}, 80, true)
	assert.True(t, strings.HasPrefix(coloured, "\x1b[38;5;255;48;5;232m▀"), coloured)
	assert.True(t, strings.HasSuffix(coloured, "\x1b[0m\n"))

	wide := picture{28, 28, make([]float32, 28*28)}
	lines := strings.Split(halfBlocks([][]picture{{wide, wide, wide, wide, wide, wide}}, 80, false), "\n")
	assert.Len(t, lines[0], 5*14+4)
	assert.Len(t, lines, 7+1)
}

func TestSheetAsSVG(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, sheet{rows: [][]picture{{{1, 1, []float32{1}}}}}.writeSVG(&b))
	assert.Regexp(t, `^<svg xmlns="http://www.w3.org/2000/svg" width="420" height="420" viewBox="0 0 420 420">\n<image width="420" height="420"`, b.String())
	assert.Contains(t, b.String(), "data:image/png;base64,iVBOR")
}
