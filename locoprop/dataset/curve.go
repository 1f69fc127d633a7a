package dataset

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
)

// CurveSide is the height and width of a curve's image in pixels.
const CurveSide = 28

const (
	curveInset    = 3.5  // the points keep this far from the image's edges, pixels
	curveApart    = 3    // least distance between two points, pixels
	curveHalf     = 0.75 // half the thickness w of the drawn line, pixels
	curveSegments = 256  // straight pieces that stand for the curve
	curveReach    = 0.5 + curveHalf
	curvePixels   = CurveSide * CurveSide
)

// Curve is a smooth curve through three points, in pixels: X to the right and Y down
// from the image's top left corner. These six numbers regenerate its image exactly.
type Curve struct{ X, Y [3]float64 }

// CurveOf gives the curve of image i of a split (0 training, 1 test) of the data set
// with the given seed. Its points are uniform in the square [3.5, 24.5]², redrawn all
// three while two of them lie closer than 3 pixels:
//
//	x₁, y₁, x₂, y₂, x₃, y₃ = 3.5 + 21u,   u: words 6r … 6r+5 of the stream, r = 0, 1, … the attempt
//
// from the Philox stream (seed, purpose 2, split·2³² + i).
func CurveOf(seed, split, i uint32) Curve {
	const width = CurveSide - 2*curveInset
	s := philox.New(seed, philox.Curves, uint64(split)<<32|uint64(i))
	for word := uint64(0); ; word += 6 {
		var c Curve
		for k := range 3 {
			c.X[k] = curveInset + float64(width*s.Uniform(word+uint64(2*k)))
			c.Y[k] = curveInset + float64(width*s.Uniform(word+uint64(2*k+1)))
		}
		if c.distance(0, 1) >= curveApart && c.distance(1, 2) >= curveApart && c.distance(0, 2) >= curveApart {
			return c
		}
	}
}

func (c *Curve) distance(i, j int) float64 {
	return math.Sqrt(square(c.X[j]-c.X[i], c.Y[j]-c.Y[i]))
}

// square is x² + y². Like every product in this file, each is rounded before it is
// added: a compiler may otherwise fuse the two where the machine can, and the last
// bit would depend on the machine.
func square(x, y float64) float64 { return float64(x*x) + float64(y*y) }

// quadratic is one coordinate of the curve, in Newton's form:
//
//	q(t) = p₀ + t·(a + (t − t₁)·b)
type quadratic struct{ p0, t1, a, b float64 }

func interpolate(p [3]float64, t1, t2 float64) quadratic {
	a := (p[1] - p[0]) / t1
	b := ((p[2]-p[1])/(t2-t1) - a) / t2
	return quadratic{p[0], t1, a, b}
}

func (q *quadratic) at(t float64) float64 {
	return q.p0 + float64(t*(q.a+float64((t-q.t1)*q.b)))
}

// Render draws the curve into dst, 28·28 bytes, row after row from the top. It
// allocates nothing.
//
// The curve is the quadratic through the three points p₀, p₁, p₂ with centripetal
// parameter (Lee 1989): t₀ = 0, t₁ = √|p₁−p₀|, t₂ = t₁ + √|p₂−p₁|; as 256 straight pieces between
// the parameters k·t₂/256. A pixel at distance d from it, measured at the pixel's
// centre, gets
//
//	byte = ⌊255·clamp(½ + w − d, 0, 1) + ½⌋,   w = 0.75
//
// Only + − · ÷ √ are used, each rounded to float64, so the bytes are the same on
// every machine.
func (c Curve) Render(dst []byte) {
	if len(dst) != curvePixels {
		panic("dataset: an image of a curve has 28·28 bytes")
	}
	near := c.squaredDistances()
	for i, d2 := range near {
		if d2 >= curveReach*curveReach {
			dst[i] = 0
			continue
		}
		v := min(curveReach-math.Sqrt(d2), 1)
		dst[i] = byte(float64(255*v) + 0.5)
	}
}

// squaredDistances gives the squared distance of each pixel's centre to the curve
// where that is below curveReach², and some number not below it elsewhere.
//
// Each straight piece visits only the pixels that lie within curveReach of its
// bounding box. That changes no byte: a pixel left out lies at least curveReach from
// the piece, and a byte above 0 takes a distance below curveReach − 1/510, a margin
// far beyond rounding.
func (c *Curve) squaredDistances() (near [curvePixels]float64) {
	for i := range near {
		near[i] = curveReach * curveReach
	}
	t1 := math.Sqrt(c.distance(0, 1))
	t2 := t1 + math.Sqrt(c.distance(1, 2))
	qx, qy := interpolate(c.X, t1, t2), interpolate(c.Y, t1, t2)
	ax, ay := qx.at(0), qy.at(0)
	for k := 1; k <= curveSegments; k++ {
		t := float64(t2 * (float64(k) / curveSegments))
		bx, by := qx.at(t), qy.at(t)
		s := segment{ax: ax, ay: ay, bx: bx, by: by, ux: bx - ax, uy: by - ay}
		s.uu = square(s.ux, s.uy)
		first, last := pixelSpan(ax, bx)
		top, bottom := pixelSpan(ay, by)
		for r := top; r <= bottom; r++ {
			row := near[r*CurveSide:][:CurveSide]
			for col := first; col <= last; col++ {
				row[col] = min(row[col], s.squaredDistance(float64(col)+0.5, float64(r)+0.5))
			}
		}
		ax, ay = bx, by
	}
	return near
}

// pixelSpan gives the first and last pixel whose centre, along one axis, lies within
// curveReach of the interval between a and b; first > last where there is none.
func pixelSpan(a, b float64) (first, last int) {
	if lo := min(a, b) - (curveReach + 0.5); lo >= 0 {
		first = int(lo) + 1
	}
	hi := max(a, b) + (curveReach - 0.5)
	if hi < 0 {
		return 0, -1
	}
	return first, int(min(hi, CurveSide-1))
}

// segment is a straight piece from (ax, ay) to (bx, by) with u = b − a, uu = |u|².
type segment struct{ ax, ay, bx, by, ux, uy, uu float64 }

// squaredDistance is the squared distance of (x, y) to the nearest point of the
// segment: a, b, or the foot a + (⟨w, u⟩/|u|²)·u of the perpendicular, w = (x, y) − a.
func (s *segment) squaredDistance(x, y float64) float64 {
	wx, wy := x-s.ax, y-s.ay
	dot := float64(wx*s.ux) + float64(wy*s.uy)
	switch {
	case dot <= 0:
		return square(wx, wy)
	case dot >= s.uu:
		return square(x-s.bx, y-s.by)
	}
	foot := dot / s.uu
	return square(wx-float64(foot*s.ux), wy-float64(foot*s.uy))
}
