package tune

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/internal/lockfile"
)

// ErrJournal is what errors.Is finds where a journal is of another search, damaged, or in
// use.
var ErrJournal = errors.New("journal")

// entry is a line of a journal after the first.
type entry struct {
	Trial
	Length int      `json:"length"`
	Loss   *float64 `json:"loss"` // null: diverged
}

// journal is a file of results: a line for the search, then one for each result. A nil
// journal remembers nothing.
type journal struct {
	file  *os.File
	lock  *lockfile.Lock
	known map[int]map[int]float64 // by trial and length
}

// header is what fixes a search beside what Evaluate does, by name.
func (s *search) header() map[string]string {
	h := map[string]string{
		"trials":    strconv.Itoa(s.o.Trials),
		"length":    strconv.Itoa(s.o.Length),
		"reduction": strconv.Itoa(s.o.Reduction),
		"seed":      strconv.FormatUint(uint64(s.o.Seed), 10),
	}
	var space []string
	for _, d := range s.o.Space {
		space = append(space, d.String())
	}
	h["space"] = strings.Join(space, "; ")
	for _, key := range slices.Sorted(maps.Keys(s.o.Default)) {
		h["default "+key] = s.o.Default[key]
	}
	for key, value := range s.o.Settings {
		h["setting "+key] = value
	}
	return h
}

// openJournal reads a journal, dropping a line that an interruption cut off, and opens it
// for more. A new one begins with the header.
func openJournal(path string, header map[string]string) (*journal, error) {
	lock, err := lockfile.Take(path + ".lock")
	if err != nil {
		if errors.Is(err, lockfile.ErrHeld) {
			return nil, fmt.Errorf("%w %s is in use: %w", ErrJournal, path, err)
		}
		return nil, err
	}
	j := &journal{lock: lock, known: map[int]map[int]float64{}}
	if err := j.open(path, header); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return j, nil
}

func (j *journal) open(path string, header map[string]string) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	whole := old[:bytes.LastIndexByte(old, '\n')+1]
	if err := j.read(path, whole, header); err != nil {
		return err
	}
	if j.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666); err != nil {
		return err
	}
	if err = j.file.Truncate(int64(len(whole))); err == nil && len(whole) == 0 {
		if err = j.write(header); err == nil {
			err = atomicfile.OS.SyncDir(filepath.Dir(path))
		}
	}
	if err != nil {
		return errors.Join(err, j.file.Close())
	}
	return nil
}

// read takes the lines of a journal.
func (j *journal) read(path string, whole []byte, header map[string]string) error {
	number := 0
	for line := range bytes.Lines(whole) {
		number++
		if number == 1 {
			var was map[string]string
			if err := json.Unmarshal(line, &was); err != nil {
				return fmt.Errorf("%w %s, line 1: %w", ErrJournal, path, err)
			}
			if text := differences(was, header); text != "" {
				return fmt.Errorf("%w %s is of another search: %s", ErrJournal, path, text)
			}
			continue
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("%w %s, line %d: %w", ErrJournal, path, number, err)
		}
		loss := math.Inf(1)
		if e.Loss != nil {
			loss = *e.Loss
		}
		j.note(e.Number, e.Length, loss)
	}
	return nil
}

// differences names what two headers don't share.
func differences(was, is map[string]string) string {
	var list []string
	keys := maps.Clone(is)
	maps.Copy(keys, was)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		before, had := was[key]
		now, has := is[key]
		if before == now && had == has {
			continue
		}
		list = append(list, fmt.Sprintf("%s is %s there and %s here", key, orNone(before, had), orNone(now, has)))
	}
	return strings.Join(list, "; ")
}

func orNone(value string, found bool) string {
	if !found {
		return "not set"
	}
	return value
}

func (j *journal) note(trial, length int, loss float64) {
	if j.known[trial] == nil {
		j.known[trial] = map[int]float64{}
	}
	j.known[trial][length] = loss
}

func (j *journal) find(trial, length int) (loss float64, known bool) {
	if j == nil {
		return 0, false
	}
	loss, known = j.known[trial][length]
	return loss, known
}

// add writes a result through to the disk.
func (j *journal) add(r Result) error {
	if j == nil {
		return nil
	}
	e := entry{Trial: r.Trial, Length: r.Length}
	if !r.Diverged() {
		e.Loss = &r.Loss
	}
	return j.write(e)
}

func (j *journal) write(value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	return j.file.Sync()
}

func (j *journal) close() { _ = errors.Join(j.file.Close(), j.lock.Release()) }
