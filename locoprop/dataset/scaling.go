package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/gonum/blas/blas32"
)

// ScaleKind is a way to scale examples.
type ScaleKind uint8

// The ways.
const (
	ScaleNone     ScaleKind = iota // values as they are read
	ScaleUnit                      // every place's training values span [0, 1]
	ScaleStandard                  // every place's training values have mean 0 and variance 1
	ScaleDivide                    // all are divided by one number
)

// ScaleNames are the names of the ways to scale; a number stands for the division by it.
var ScaleNames = []string{"none", "unit", "standard"}

// Scale says how examples are scaled before a network sees them. The zero value leaves
// them as they are read.
type Scale struct {
	Kind    ScaleKind
	Divisor float64 // of ScaleDivide: finite and above 0
}

// ParseScale reads none, unit, standard or a number above 0.
func ParseScale(text string) (Scale, error) {
	for k, name := range ScaleNames {
		if text == name {
			return Scale{Kind: ScaleKind(k)}, nil
		}
	}
	d, err := strconv.ParseFloat(text, 64)
	if err != nil || !(d > 0) || math.IsInf(d, 1) {
		return Scale{}, errors.New("must be none, unit, standard or a finite number above 0 to divide by")
	}
	return Scale{Kind: ScaleDivide, Divisor: d}, nil
}

// String writes the scale as [ParseScale] reads it.
func (s Scale) String() string {
	if int(s.Kind) < len(ScaleNames) {
		return ScaleNames[s.Kind]
	}
	return strconv.FormatFloat(s.Divisor, 'g', -1, 64)
}

// Scaling maps x, an example as it is read, to what a network sees. For place j of it
//
//	value_j = (x_j − Shift_j) / Divisor_j
//
// in float64, rounded once to float32; with Clip it is first brought into [0, 1]. A
// Scaling never changes.
type Scaling struct {
	Shift, Divisor []float64 // of every place; Divisor finite and not 0
	Clip           bool
}

// Check returns an error where a scaling isn't one for examples of dim values.
func (s *Scaling) Check(dim int) error {
	if len(s.Shift) != dim || len(s.Divisor) != dim {
		return fmt.Errorf("scaling has %d shifts and %d divisors; examples have %d values", len(s.Shift), len(s.Divisor), dim)
	}
	for j, d := range s.Divisor {
		if d == 0 || math.IsNaN(d) || math.IsInf(d, 0) || math.IsNaN(s.Shift[j]) || math.IsInf(s.Shift[j], 0) {
			return fmt.Errorf("scaling of place %d has shift %v and divisor %v; must be finite, and the divisor not 0", j, s.Shift[j], d)
		}
	}
	return nil
}

// at is the value of place j.
func (s *Scaling) at(j int, x float64) float32 {
	v := (x - s.Shift[j]) / s.Divisor[j]
	if s.Clip {
		v = min(max(v, 0), 1) // NaN stays NaN
	}
	return float32(v)
}

// Apply scales an example in place; it has as many values as the scaling has places.
func (s *Scaling) Apply(example []float32) {
	for j, x := range example {
		example[j] = s.at(j, float64(x))
	}
}

// Fit finds the scaling of a kind from training examples; nil where there is nothing to
// do. With N examples and x_j the value of an example at place j:
//
//	unit       Shift = min x_j         Divisor = max x_j − min x_j, and Clip
//	standard   Shift = Σ x_j / N       Divisor = √(Σ (x_j − Shift)² / N)
//	divide     Shift = 0               Divisor = the number
//
// Where all x_j are the same, Divisor is 1: the values are then 0. It refuses values that
// aren't finite, naming example and place from 0. unit and standard read all examples; where
// ctx ends meanwhile, its error comes.
func (s Scale) Fit(ctx context.Context, split Split) (*Scaling, error) {
	dim := split.Dim()
	switch s.Kind {
	case ScaleNone:
		return nil, nil //nolint:nilnil // no scaling is no error
	case ScaleDivide:
		f := &Scaling{Shift: make([]float64, dim), Divisor: make([]float64, dim)}
		for j := range f.Divisor {
			f.Divisor[j] = s.Divisor
		}
		return f.checked(dim)
	}
	sum := newMoments(dim)
	if err := sum.read(ctx, split); err != nil {
		return nil, err
	}
	f := &Scaling{Shift: sum.mean, Divisor: make([]float64, dim)}
	for j := range f.Divisor {
		f.Divisor[j] = math.Sqrt(sum.square[j] / float64(sum.n))
		if sum.low[j] == sum.high[j] {
			f.Shift[j], f.Divisor[j] = sum.low[j], 0 // exact, where the mean may be rounded
		}
	}
	if s.Kind == ScaleUnit {
		f.Shift, f.Clip = sum.low, true
		for j := range f.Divisor {
			f.Divisor[j] = sum.high[j] - sum.low[j]
		}
	}
	for j, d := range f.Divisor {
		if d == 0 {
			f.Divisor[j] = 1
		}
	}
	return f.checked(dim)
}

// checked is a scaling that Check has nothing against.
func (s *Scaling) checked(dim int) (*Scaling, error) {
	if err := s.Check(dim); err != nil {
		return nil, err
	}
	return s, nil
}

// moments are what a Scale needs to know of each place.
type moments struct {
	n                       int
	mean, square, low, high []float64 // square: Σ (x − mean)²
}

func newMoments(dim int) *moments {
	m := &moments{mean: make([]float64, dim), square: make([]float64, dim), low: make([]float64, dim), high: make([]float64, dim)}
	for j := range m.low {
		m.low[j], m.high[j] = math.Inf(1), math.Inf(-1)
	}
	return m
}

// momentsChunk is the number of examples that are summed up by themselves.
const momentsChunk = 128

// read looks at all examples, chunk by chunk: the sums of a chunk about its own mean,
// then those of both together (Chan, Golub & LeVeque, The American Statistician 1983):
//
//	δ = mean' − mean,   mean += δ·n'/(n + n'),   square += square' + δ²·n·n'/(n + n')
func (m *moments) read(ctx context.Context, split Split) error {
	dim := split.Dim()
	x := make([]float64, momentsChunk*dim)
	read := reader64(split)
	for lo := 0; lo < split.Len(); lo += momentsChunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(momentsChunk, split.Len()-lo)
		if err := read(x[:n*dim], lo); err != nil {
			return err
		}
		for i, v := range x[:n*dim] {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return errorf("", "training example %d, place %d: %v can't be scaled; must be finite", lo+i/dim, i%dim, v)
			}
		}
		share := float64(n) / float64(m.n+n)
		for j := range dim {
			var sum, square float64
			for i := j; i < n*dim; i += dim {
				sum += x[i]
				m.low[j], m.high[j] = min(m.low[j], x[i]), max(m.high[j], x[i])
			}
			mean := sum / float64(n)
			for i := j; i < n*dim; i += dim {
				square += (x[i] - mean) * (x[i] - mean)
			}
			d := mean - m.mean[j]
			m.mean[j] += d * share
			m.square[j] += square + d*d*share*float64(m.n)
		}
		m.n += n
	}
	return nil
}

// reader64 reads the examples from lo on, as many as dst holds, as exactly as they are
// stored.
func reader64(split Split) func(dst []float64, lo int) error {
	if s, ok := split.(*Numbers); ok && s.scaling == nil {
		return s.read64
	}
	dim := split.Dim()
	index := make([]int, momentsChunk)
	rows := make([]float32, momentsChunk*dim)
	return func(dst []float64, lo int) error {
		n := len(dst) / dim
		for i := range n {
			index[i] = lo + i
		}
		if err := split.Rows(blas32.General{Rows: n, Cols: dim, Stride: dim, Data: rows[:n*dim]}, index[:n]); err != nil {
			return err
		}
		for i := range dst {
			dst[i] = float64(rows[i])
		}
		return nil
	}
}

// Rescale applies a scaling to both splits and records it; nil changes nothing. It fails
// where there is one already, or where it isn't for examples of this size.
func (d *Data) Rescale(s *Scaling) error {
	if s == nil {
		return nil
	}
	if d.Scaling != nil {
		return errors.New("the data are scaled already")
	}
	if err := s.Check(d.Dim()); err != nil {
		return err
	}
	d.Train, d.Scaling = Scaled(d.Train, s), s
	if d.Test != nil {
		d.Test = Scaled(d.Test, s)
	}
	return nil
}

// Scaled is a split whose examples are scaled as they are read. s must fit it; see
// [Scaling.Check].
func Scaled(split Split, s *Scaling) Split {
	if n, ok := split.(*Numbers); ok && n.scaling == nil {
		scaled := *n
		scaled.scaling = s
		return &scaled
	}
	return &scaledSplit{split, s}
}

// scaledSplit scales the float32 values of another split.
type scaledSplit struct {
	Split
	scaling *Scaling
}

// Rows writes examples into dst as [Split] says.
func (s *scaledSplit) Rows(dst blas32.General, index []int) error {
	if err := s.Split.Rows(dst, index); err != nil {
		return err
	}
	for r := range index {
		s.scaling.Apply(dst.Data[r*dst.Stride:][:dst.Cols])
	}
	return nil
}

// Close gives back what the split holds beside memory.
func (s *scaledSplit) Close() error { return (&Data{Train: s.Split}).Close() }
