package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"strings"
)

// picture is a grey image, values from 0 (black) to 1, row after row from the top.
type picture struct {
	height, width int
	at            []float32
}

// shrink averages squares of factor × factor pixels; what is left over at the right
// and at the bottom makes smaller ones.
func (p picture) shrink(factor int) picture {
	small := picture{height: (p.height + factor - 1) / factor, width: (p.width + factor - 1) / factor}
	small.at = make([]float32, small.height*small.width)
	for r := range small.height {
		for c := range small.width {
			var sum float32
			count := 0
			for y := r * factor; y < min((r+1)*factor, p.height); y++ {
				for x := c * factor; x < min((c+1)*factor, p.width); x++ {
					sum += p.at[y*p.width+x]
					count++
				}
			}
			small.at[r*small.width+c] = sum / float32(count)
		}
	}
	return small
}

// grey is a pixel's shade from 0 to levels − 1; values outside [0, 1] are cut off.
func grey(v float32, levels int) int {
	x := min(max(float64(v), 0), 1)
	if math.IsNaN(x) {
		x = 0
	}
	return int(x*float64(levels-1) + 0.5)
}

const (
	pngGap  = 2  // pixels between images, before enlarging
	pngSide = 84 // images smaller than this are enlarged to about it
)

// encodePNG writes rows of pictures, all of one size, as one image.
func encodePNG(w io.Writer, rows [][]picture) error {
	height, width := rows[0][0].height, rows[0][0].width
	zoom := max(1, pngSide/max(height, width))
	sheet := image.NewGray(image.Rect(0, 0,
		zoom*(len(rows[0])*(width+pngGap)+pngGap), zoom*(len(rows)*(height+pngGap)+pngGap)))
	for i := range sheet.Pix {
		sheet.Pix[i] = 0x60 // a frame that neither black nor white images run into
	}
	for i, row := range rows {
		for j, p := range row {
			left, top := pngGap+j*(width+pngGap), pngGap+i*(height+pngGap)
			for k, v := range p.at {
				x, y := left+k%width, top+k/width
				for d := range zoom * zoom {
					sheet.SetGray(zoom*x+d%zoom, zoom*y+d/zoom, color.Gray{Y: uint8(grey(v, 256))})
				}
			}
		}
	}
	return png.Encode(w, sheet)
}

// halfBlocks draws rows of pictures in characters that show two pixels each, one above
// the other, within a number of columns: as many pictures of each row as fit. Without
// colour a pixel is either on or off.
func halfBlocks(rows [][]picture, columns int, colour bool) string {
	const widest = 16 // characters for a picture
	var b strings.Builder
	for i, row := range rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		factor := (row[0].width + widest - 1) / widest
		var small []picture
		for _, p := range row {
			s := p.shrink(factor)
			if (len(small)+1)*(s.width+1) > columns+1 {
				break
			}
			small = append(small, s)
		}
		if len(small) == 0 {
			return ""
		}
		for y := 0; y < small[0].height; y += 2 {
			for j, p := range small {
				if j > 0 {
					b.WriteByte(' ')
				}
				drawLine(&b, p, y, colour)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// drawLine draws pixel rows y and y + 1 of a picture.
func drawLine(b *strings.Builder, p picture, y int, colour bool) {
	pixel := func(y, x int) float32 {
		if y >= p.height {
			return 0
		}
		return p.at[y*p.width+x]
	}
	const darkest, shades = 232, 24 // the greys of terminals with 256 colours
	for x := range p.width {
		top, bottom := pixel(y, x), pixel(y+1, x)
		if colour {
			fmt.Fprintf(b, "\x1b[38;5;%d;48;5;%dm▀", darkest+grey(top, shades), darkest+grey(bottom, shades))
			continue
		}
		b.WriteString([]string{" ", "▄", "▀", "█"}[2*grey(top, 2)+grey(bottom, 2)])
	}
	if colour {
		b.WriteString("\x1b[0m")
	}
}
