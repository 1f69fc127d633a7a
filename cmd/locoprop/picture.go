package main

import (
	"bytes"
	"encoding/base64"
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

// sheet is rows of pictures, all of one size.
type sheet struct {
	rows  [][]picture
	title string // for people
	stem  string // of its file's name
}

func (s sheet) name() string { return s.stem }

func (s sheet) caption() string { return s.title }

// writePNG writes the sheet as one image.
func (s sheet) writePNG(w io.Writer) error { return png.Encode(w, s.draw()) }

// writeSVG writes the image in a drawing that shows its pixels as such, however large.
func (s sheet) writeSVG(w io.Writer) error {
	drawn := s.draw()
	var b bytes.Buffer
	if err := png.Encode(&b, drawn); err != nil {
		return err
	}
	size := drawn.Bounds().Size()
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">
<image width="%[1]d" height="%[2]d" style="image-rendering:pixelated" href="data:image/png;base64,%s"/>
</svg>
`, size.X, size.Y, base64.StdEncoding.EncodeToString(b.Bytes()))
	return err
}

// draw lays the pictures out, small ones enlarged. Rows may have fewer than the first.
func (s sheet) draw() *image.Gray {
	height, width := s.rows[0][0].height, s.rows[0][0].width
	zoom := max(1, pngSide/max(height, width))
	drawn := image.NewGray(image.Rect(0, 0,
		zoom*(len(s.rows[0])*(width+pngGap)+pngGap), zoom*(len(s.rows)*(height+pngGap)+pngGap)))
	for i := range drawn.Pix {
		drawn.Pix[i] = 0x60 // a frame that neither black nor white images run into
	}
	for i, row := range s.rows {
		for j, p := range row {
			left, top := pngGap+j*(width+pngGap), pngGap+i*(height+pngGap)
			for k, v := range p.at {
				x, y := left+k%width, top+k/width
				for d := range zoom * zoom {
					drawn.SetGray(zoom*x+d%zoom, zoom*y+d/zoom, color.Gray{Y: uint8(grey(v, 256))})
				}
			}
		}
	}
	return drawn
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
