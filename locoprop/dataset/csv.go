package dataset

import (
	"context"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Header says whether the first line of a CSV file names its columns.
type Header uint8

// The answers.
const (
	HeaderAuto Header = iota // if no field of it is a number, or one is the name of the label column
	HeaderYes
	HeaderNo
)

// HeaderNames are the names of the answers, in the order of their constants.
var HeaderNames = []string{"auto", "yes", "no"}

// String is the answer's name.
func (h Header) String() string {
	if int(h) < len(HeaderNames) {
		return HeaderNames[h]
	}
	return fmt.Sprintf("dataset.Header(%d)", uint8(h))
}

// csvFile is what a CSV file holds: numbers, and labels as they are spelt.
type csvFile struct {
	path    string
	names   []string // of the columns; nil without a header
	label   int      // its column, from 0; −1: none
	columns int
	data    []byte // float64
	n       int
	labels  []int32 // places in spelt
	spelt   []spelt
}

// spelt is a label and the first line that has it.
type spelt struct {
	text string
	line int
}

// ReadCSV reads the examples of a CSV file, plain or compressed with gzip: a line per
// example, fields separated by commas and quoted as in RFC 4180. All fields are finite
// numbers but those of o.LabelColumn, which is left out, as are labels. Empty lines are
// passed over. A field that is missing or no number, and a line with more or fewer fields
// than the first, is an [*Error] that names line and column. Where ctx ends, so does the
// reading, with its error.
func ReadCSV(ctx context.Context, path string, o TableOptions) (*Numbers, error) {
	f, err := readCSV(ctx, path, o)
	if err != nil {
		return nil, err
	}
	return f.numbers(), nil
}

func readCSV(ctx context.Context, path string, o TableOptions) (*csvFile, error) {
	f := &csvFile{path: path, label: -1}
	err := withFile(ctx, path, func(file *os.File, _ int64) error {
		src, _, err := openFile(ctx, file)
		if err != nil {
			return err
		}
		return f.decode(src, o)
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *csvFile) numbers() *Numbers {
	dim := f.dim()
	return &Numbers{data: f.data, element: float64s, dim: dim, shape: []int{dim}}
}

func (f *csvFile) dim() int {
	if f.label >= 0 {
		return f.columns - 1
	}
	return f.columns
}

// decode reads all lines. Its *Error has no path.
func (f *csvFile) decode(src io.Reader, o TableOptions) error {
	r := csv.NewReader(src)
	r.ReuseRecord, r.FieldsPerRecord = true, -1
	places := map[string]int32{}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return csvError(err)
		}
		line, _ := r.FieldPos(0)
		if f.columns == 0 {
			header, err := f.begin(record, o)
			if err != nil {
				return err
			}
			if header {
				continue
			}
		}
		if len(record) != f.columns {
			return errorf("", "line %d: %d fields, must be %d as in the first line", line, len(record), f.columns)
		}
		if err := f.take(record, line, places); err != nil {
			return err
		}
	}
	if f.n == 0 {
		return errorf("", "no examples: no line of numbers")
	}
	return nil
}

func csvError(err error) error {
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return errorf("", "line %d, byte %d: %v", wrong.Line, wrong.Column, wrong.Err)
	}
	return &Error{Reason: "damaged", Err: err}
}

// begin looks at the first line, and tells whether it is a header.
func (f *csvFile) begin(record []string, o TableOptions) (header bool, err error) {
	record[0] = strings.TrimPrefix(record[0], "\ufeff") // as some spreadsheets begin a file
	f.columns = len(record)
	switch o.Header {
	case HeaderYes:
		header = true
	case HeaderAuto:
		_, notNumber := strconv.Atoi(o.LabelColumn)
		named := o.LabelColumn != "" && notNumber != nil && slices.Contains(record, o.LabelColumn)
		header = named || !slices.ContainsFunc(record, func(s string) bool { _, err := parseNumber(s); return err == nil || strings.TrimSpace(s) == "" })
	}
	if header {
		f.names = slices.Clone(record)
		for i, name := range f.names {
			f.names[i] = strings.TrimSpace(name)
		}
	}
	if o.LabelColumn == "" {
		return header, nil
	}
	if f.label, err = f.column(o.LabelColumn); err != nil {
		return false, err
	}
	if f.columns == 1 {
		return false, errorf("", "the only column is that of labels; there must be values too")
	}
	return header, nil
}

// column finds a column by its name, or by its number from 1, from the end if negative.
func (f *csvFile) column(text string) (int, error) {
	if i := slices.Index(f.names, text); i >= 0 {
		return i, nil
	}
	i, err := strconv.Atoi(text)
	switch {
	case err == nil && i >= 1 && i <= f.columns:
		return i - 1, nil
	case err == nil && i <= -1 && i >= -f.columns:
		return f.columns + i, nil
	case err == nil:
		return 0, errorf("", "no column %d; there are %d, the first is 1 and the last -1", i, f.columns)
	case f.names == nil:
		return 0, errorf("", "no column %q: the first line isn't a header; a column's number, from 1, would name it", text)
	}
	const most = 20
	known := strings.Join(f.names[:min(most, len(f.names))], ", ")
	if len(f.names) > most {
		known += ", …"
	}
	return 0, errorf("", "no column %q; there are: %s", text, known)
}

// name is how errors name a column, from 0.
func (f *csvFile) name(column int) string {
	if f.names == nil {
		return fmt.Sprintf("column %d", column+1)
	}
	return fmt.Sprintf("column %d (%s)", column+1, f.names[column])
}

// take adds an example.
func (f *csvFile) take(record []string, line int, places map[string]int32) error {
	for c, field := range record {
		if c == f.label {
			text, err := canonicalLabel(field)
			if err != nil {
				return errorf("", "line %d, %s: %v", line, f.name(c), err)
			}
			place, found := places[text]
			if !found {
				place = int32(len(f.spelt))
				f.spelt = append(f.spelt, spelt{text, line})
				places[text] = place
			}
			f.labels = append(f.labels, place)
			continue
		}
		v, err := parseNumber(field)
		if err != nil {
			hint := ""
			if f.n == 0 && f.names == nil {
				hint = " (if this line names the columns, say so: header yes)"
			}
			return errorf("", "line %d, %s: %v%s", line, f.name(c), err, hint)
		}
		f.data = binary.LittleEndian.AppendUint64(f.data, math.Float64bits(v))
	}
	f.n++
	return nil
}

var errMissing = errors.New("value is missing")

func parseNumber(field string) (float64, error) {
	text := strings.TrimSpace(field)
	if text == "" {
		return 0, errMissing
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q isn't a finite number", text)
	}
	return v, nil
}

// canonicalLabel is a label as classes are told apart by it: 3 and 3.0 are the same.
func canonicalLabel(field string) (string, error) {
	text := strings.TrimSpace(field)
	if text == "" {
		return "", errors.New("label is missing")
	}
	v, notNumber := strconv.ParseFloat(text, 64)
	switch {
	case notNumber != nil && !math.IsInf(v, 0):
		return text, nil
	case v != math.Trunc(v) || math.Abs(v) > math.MaxInt32:
		return "", fmt.Errorf("label is %s; classes are whole numbers or names (numbers to predict aren't offered as targets)", text)
	}
	return strconv.Itoa(int(v)), nil
}

// classes are the names of the classes that labels stand for, in ascending order; nil
// where all are whole numbers from 0, which are their own labels.
func (f *csvFile) classes() []string {
	var names []string
	numbers := true
	for _, s := range f.spelt {
		v, err := strconv.Atoi(s.text)
		numbers = numbers && err == nil && v >= 0
		names = append(names, s.text)
	}
	if numbers {
		return nil
	}
	slices.Sort(names)
	return names
}

// labelsFor are the labels by the names of classes; without names they are numbers.
func (f *csvFile) labelsFor(classes []string) ([]int32, error) {
	of := make([]int32, len(f.spelt))
	for i, s := range f.spelt {
		v, err := strconv.Atoi(s.text)
		if len(classes) > 0 {
			if v = slices.Index(classes, s.text); v < 0 {
				return nil, errorf(f.path, "line %d, %s: label %q is of no known class; there are: %s", s.line, f.name(f.label), s.text, strings.Join(classes, ", "))
			}
		} else if err != nil || v < 0 {
			return nil, errorf(f.path, "line %d, %s: label %q must be a whole number from 0, as all others are", s.line, f.name(f.label), s.text)
		}
		of[i] = int32(v)
	}
	labels := make([]int32, f.n)
	for i, place := range f.labels {
		labels[i] = of[place]
	}
	return labels, nil
}

// sameColumns checks that another file has the columns of this one.
func (f *csvFile) sameColumns(other *csvFile) error {
	if f.columns != other.columns {
		return errorf(other.path, "%d columns, must be %d as in %s", other.columns, f.columns, f.path)
	}
	if f.names == nil || other.names == nil {
		return nil
	}
	for c, name := range f.names {
		if other.names[c] != name {
			return errorf(other.path, "column %d is %s, must be %s as in %s", c+1, other.names[c], name, f.path)
		}
	}
	return nil
}
