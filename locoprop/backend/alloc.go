package backend

import "unsafe"

const (
	lineFloats  = 16  // a cache line, 64 bytes
	aliasFloats = 256 // strides that are multiples of 1 KiB crowd few cache sets
	lineBytes   = 4 * lineFloats
	floatBytes  = 4
)

// Alloc returns n zeroed float32 whose first element lies on a 64-byte boundary.
func Alloc(n int) []float32 {
	s := make([]float32, n+lineFloats-1)
	adviseHuge(s)
	skip := 0
	if rest := uintptr(unsafe.Pointer(unsafe.SliceData(s))) % lineBytes; rest != 0 {
		skip = int(lineBytes-rest) / floatBytes
	}
	return s[skip : skip+n : skip+n]
}

// NewMat returns a zeroed rows × cols matrix without gaps between rows.
func NewMat(rows, cols int) Mat {
	return Mat{Rows: rows, Cols: cols, Stride: cols, Data: Alloc(rows * cols)}
}

// NewPadded returns a zeroed rows × cols matrix each of whose rows starts on a 64-byte
// boundary, with a stride that isn't a multiple of 1 KiB.
func NewPadded(rows, cols int) Mat {
	stride := round16(cols)
	if stride%aliasFloats == 0 {
		stride += lineFloats
	}
	return Mat{Rows: rows, Cols: cols, Stride: stride, Data: Alloc(rows * stride)}
}

// Rows is the view of rows lo ≤ i < hi.
func Rows(m Mat, lo, hi int) Mat {
	return View(m, lo, hi, 0, m.Cols)
}

// Cols is the view of columns lo ≤ j < hi.
func Cols(m Mat, lo, hi int) Mat {
	return View(m, 0, m.Rows, lo, hi)
}

// View is the view of rows r0 ≤ i < r1 and columns c0 ≤ j < c1.
func View(m Mat, r0, r1, c0, c1 int) Mat {
	v := Mat{Rows: r1 - r0, Cols: c1 - c0, Stride: m.Stride}
	if v.Rows > 0 && v.Cols > 0 {
		v.Data = m.Data[r0*m.Stride+c0 : (r1-1)*m.Stride+c1]
	}
	return v
}

// WithoutBias is the view of all columns but the last: W of W̃ = [W b], X of X̃ = [X 1].
func WithoutBias(m Mat) Mat { return Cols(m, 0, m.Cols-1) }

// Reshape views a matrix without gaps between rows (stride = cols) as one of another
// shape with as many elements. It panics where there are gaps.
func Reshape(m Mat, rows, cols int) Mat {
	must(m.Stride == m.Cols && rows*cols == m.Rows*m.Cols, badShape)
	return Mat{Rows: rows, Cols: cols, Stride: cols, Data: m.Data}
}

// Copy copies src into dst, which has the same shape.
func Copy(dst, src Mat) {
	CheckSame(dst, src)
	for i := range src.Rows {
		copy(dst.Data[i*dst.Stride:i*dst.Stride+dst.Cols], src.Data[i*src.Stride:i*src.Stride+src.Cols])
	}
}
