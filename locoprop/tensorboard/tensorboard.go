// Package tensorboard writes event files of scalars, as TensorBoard and what else reads
// its format shows them.
//
//	w, err := tensorboard.Create("runs/mine/tensorboard", 0)
//	…
//	err = w.Add(step, tensorboard.Scalar{Tag: "loss/train", Value: 61.2}, tensorboard.Scalar{Tag: "loss/test", Value: 63.9})
//	…
//	err = w.Close()
//
// # Format
//
// A file is a sequence of TFRecords, a number of bytes b₁…b_N each as
//
//	N            uint64, little endian
//	mask(crc(N)) uint32
//	b₁…b_N
//	mask(crc(b)) uint32,   mask(c) = ((c ≫ 15) | (c ≪ 17)) + 0xa282ead8,   crc = CRC-32C
//
// and each record is the protocol buffer tensorflow.Event. The first holds the version
// brain.Event:2, the second a SessionLog START, and every other one a Summary of simple
// values.
//
// # Steps that are made again
//
// A folder may hold several files, one for each process of a run that was resumed;
// readers take them in the order of their names, which begin with the time. A START event
// at step s tells them to forget all values of steps from s on that they read before, so
// values that a resumed run writes again don't show twice. [Create] writes one, and so
// does [Writer.Add] by itself where steps go back within a file, as after a rollback.
package tensorboard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Prefix begins the names of event files.
const Prefix = "events.out.tfevents."

// Scalar is the value of one curve at a step.
type Scalar struct {
	Tag   string // name of the curve; what stands before a / groups curves: loss/train
	Value float64
}

// Writer adds events to a file. Make one with [Create]; use by one goroutine at a time.
type Writer struct {
	file file
	now  func() time.Time

	last int64    // step of the last values; -1: none
	tags []string // those of them

	size    int64  // bytes of the file that are whole records
	pending []byte // records that couldn't be written
	failed  bool   // the file may have anything after size
}

// file is what a Writer needs of an *os.File.
type file interface {
	io.WriteSeeker
	io.Closer
	Truncate(size int64) error
	Name() string
}

// Create makes a new event file in a folder, and the folder where there is none. Values
// of steps from first on in older files of the folder count no longer: it is 0 for a run
// that begins, and for one that is resumed the first step whose values are written again.
func Create(dir string, first int64) (*Writer, error) { return create(dir, first, time.Now) }

func create(dir string, first int64, now func() time.Time) (*Writer, error) {
	if first < 0 {
		return nil, fmt.Errorf("event file: first step is %d; must be 0 or more", first)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("folder of event files: %w", err)
	}
	file, err := createNewest(dir, now())
	if err != nil {
		return nil, fmt.Errorf("event file: %w", err)
	}
	w := &Writer{file: file, now: now, last: -1}
	begin := event(now(), 0)
	begin = protowire.AppendTag(begin, fieldFileVersion, protowire.BytesType)
	begin = protowire.AppendString(begin, "brain.Event:2")
	w.pending = appendRecord(w.pending, begin)
	w.restart(first)
	if err := w.flush(); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return w, nil
}

// createNewest makes a file whose name comes after those of all event files in the
// folder.
func createNewest(dir string, at time.Time) (*os.File, error) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	host = strings.ReplaceAll(host, string(filepath.Separator), "_")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	seconds := at.Unix()
	for _, e := range entries {
		text, found := strings.CutPrefix(e.Name(), Prefix)
		text, _, _ = strings.Cut(text, ".")
		if there, err := strconv.ParseInt(text, 10, 64); found && err == nil {
			seconds = max(seconds, there+1) // resumed within the same second, or a clock that was put back
		}
	}
	return os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s%010d.%s", Prefix, seconds, host)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
}

// Path is the file's.
func (w *Writer) Path() string { return w.file.Name() }

// Add writes values of a step. Where it goes back, behind the last step or to values of it
// that are there already, all values from this step on count no longer. A value may be
// NaN or infinite. On an error, a full disk for example, the file stays readable, and
// the values are kept and written with the next ones.
func (w *Writer) Add(step int64, values ...Scalar) error {
	if step < 0 {
		return fmt.Errorf("event file: step is %d; must be 0 or more", step)
	}
	again := step == w.last && slices.ContainsFunc(values, func(s Scalar) bool { return slices.Contains(w.tags, s.Tag) })
	if step < w.last || again {
		w.restart(step)
	}
	if step != w.last {
		w.tags = w.tags[:0]
	}
	w.last = step
	var summary []byte
	for _, v := range values {
		w.tags = append(w.tags, v.Tag)
		value := protowire.AppendTag(nil, fieldTag, protowire.BytesType)
		value = protowire.AppendString(value, v.Tag)
		value = protowire.AppendTag(value, fieldSimpleValue, protowire.Fixed32Type)
		value = protowire.AppendFixed32(value, math.Float32bits(float32(v.Value)))
		summary = protowire.AppendTag(summary, fieldValue, protowire.BytesType)
		summary = protowire.AppendBytes(summary, value)
	}
	e := event(w.now(), step)
	e = protowire.AppendTag(e, fieldSummary, protowire.BytesType)
	e = protowire.AppendBytes(e, summary)
	w.pending = appendRecord(w.pending, e)
	return w.flush()
}

// restart tells readers to forget what was from a step on.
func (w *Writer) restart(step int64) {
	w.tags = w.tags[:0]
	log := protowire.AppendTag(nil, fieldStatus, protowire.VarintType)
	log = protowire.AppendVarint(log, statusStart)
	e := event(w.now(), step)
	e = protowire.AppendTag(e, fieldSessionLog, protowire.BytesType)
	e = protowire.AppendBytes(e, log)
	w.pending = appendRecord(w.pending, e)
}

// Close writes what couldn't be written before, and closes the file.
func (w *Writer) Close() error {
	err := w.flush()
	if closeErr := w.file.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing %s: %w", w.Path(), closeErr))
	}
	return err
}

// flush writes all that is pending, or cuts the file back to whole records.
func (w *Writer) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	if w.failed {
		if err := w.cut(); err != nil {
			return err
		}
	}
	if _, err := w.file.Write(w.pending); err != nil {
		w.failed = true
		return errors.Join(fmt.Errorf("writing %s: %w", w.Path(), err), w.cut())
	}
	w.size += int64(len(w.pending))
	w.pending = w.pending[:0]
	return nil
}

func (w *Writer) cut() error {
	err := w.file.Truncate(w.size)
	if err == nil {
		_, err = w.file.Seek(w.size, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("cutting %s: %w", w.Path(), err)
	}
	w.failed = false
	return nil
}

// Field numbers of tensorflow.Event, tensorflow.Summary.Value and tensorflow.SessionLog.
const (
	fieldWallTime    = 1
	fieldStep        = 2
	fieldFileVersion = 3
	fieldSummary     = 5
	fieldSessionLog  = 7

	fieldValue       = 1 // of Summary
	fieldTag         = 1 // of Value
	fieldSimpleValue = 2

	fieldStatus = 1 // of SessionLog
	statusStart = 1
)

// event begins an Event: what all of them have.
func event(at time.Time, step int64) []byte {
	e := protowire.AppendTag(nil, fieldWallTime, protowire.Fixed64Type)
	e = protowire.AppendFixed64(e, math.Float64bits(float64(at.UnixMicro())/1e6))
	e = protowire.AppendTag(e, fieldStep, protowire.VarintType)
	return protowire.AppendVarint(e, uint64(step))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// appendRecord adds b as a TFRecord.
func appendRecord(to, b []byte) []byte {
	n := len(to)
	to = binary.LittleEndian.AppendUint64(to, uint64(len(b)))
	to = binary.LittleEndian.AppendUint32(to, masked(to[n:n+8]))
	to = append(to, b...)
	return binary.LittleEndian.AppendUint32(to, masked(b))
}
