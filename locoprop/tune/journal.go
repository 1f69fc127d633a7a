package tune

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/journal"
)

// ErrJournal is what errors.Is finds where a journal is of another search, in use, or
// damaged; dataset.ErrData too where it is damaged.
var ErrJournal = errors.New("journal")

// entry is a line of a journal after the first.
type entry struct {
	Trial
	Length int      `json:"length"`
	Loss   *float64 `json:"loss"` // null: diverged
}

// results are a search's journal: a line for the search, then one for each result. Nil
// results remember nothing.
type results struct {
	file  *journal.File
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

// openJournal reads a journal and opens it for more. A new one begins with the header.
func openJournal(path string, header map[string]string) (*results, error) {
	j := &results{known: map[int]map[int]float64{}}
	var was map[string]string
	var err error
	j.file, err = journal.Open(path, func(line []byte, number int) error {
		if number == 1 {
			return json.Unmarshal(line, &was)
		}
		return j.read(line)
	})
	switch {
	case errors.Is(err, dataset.ErrData), errors.Is(err, journal.ErrInUse):
		return nil, fmt.Errorf("%w %w", ErrJournal, err)
	case err != nil:
		return nil, err
	case j.file.Empty():
		err = j.file.Add(header)
	default:
		err = checkHeader(path, was, header)
	}
	if err != nil {
		return nil, errors.Join(err, j.file.Close())
	}
	return j, nil
}

// checkHeader refuses a journal that another header began.
func checkHeader(path string, was, header map[string]string) error {
	var texts []string
	for _, d := range journal.Differences(was, header) {
		texts = append(texts, d.String())
	}
	if texts == nil {
		return nil
	}
	return fmt.Errorf("%w %s is of another search: %s", ErrJournal, path, strings.Join(texts, "; "))
}

// read takes a line after the first.
func (j *results) read(line []byte) error {
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	loss := math.Inf(1)
	if e.Loss != nil {
		loss = *e.Loss
	}
	if j.known[e.Number] == nil {
		j.known[e.Number] = map[int]float64{}
	}
	j.known[e.Number][e.Length] = loss
	return nil
}

func (j *results) find(trial, length int) (loss float64, known bool) {
	if j == nil {
		return 0, false
	}
	loss, known = j.known[trial][length]
	return loss, known
}

// add writes a result through to the disk.
func (j *results) add(r Result) error {
	if j == nil {
		return nil
	}
	e := entry{Trial: r.Trial, Length: r.Length}
	if !r.Diverged() {
		e.Loss = &r.Loss
	}
	return j.file.Add(e)
}
