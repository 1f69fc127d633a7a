package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/journal"
)

// header is the journal's first line: what is compared.
type header struct {
	Version    int               `json:"version"`
	Problem    catalog.Values    `json:"problem"`
	Contenders []headerEntry     `json:"contenders"`
	Seeds      []uint32          `json:"seeds"`
	Length     string            `json:"length"`
	Targets    []float64         `json:"targets"`
	Data       string            `json:"data"`                  // what tells them apart
	Often      int               `json:"evaluations,omitempty"` // of a run of a given time
	Machine    map[string]string `json:"machine,omitempty"`
	Warnings   []string          `json:"warnings,omitempty"`
}

type headerEntry struct {
	Name     string         `json:"name"`
	Title    string         `json:"title,omitempty"`
	Source   string         `json:"source,omitempty"`
	Settings catalog.Values `json:"settings"`
	Suited   bool           `json:"suited,omitempty"`
}

const journalVersion = 1

// record is a line of the journal. Event says which of the other fields it has: all of
// begun, and warned; planned, started and finished of a contender, the last two of a seed.
type record struct {
	Event      string  `json:"event"`
	Comparison *header `json:"comparison,omitempty"`

	Contender string  `json:"contender,omitempty"`
	Seed      uint32  `json:"seed,omitempty"`
	Time      string  `json:"time,omitempty"`   // by the calendar, of begun, started and finished
	Load      float64 `json:"load,omitempty"`   // the machine's, of planned and started
	Loaded    bool    `json:"loaded,omitempty"` // more processes than processors, this one's left aside

	Steps       int     `json:"steps,omitempty"`        // planned: what fits; finished: made
	StepSeconds float64 `json:"step_seconds,omitempty"` // planned
	Seconds     float64 `json:"seconds,omitempty"`      // planned: what the steps are to take

	Outcome *outcome `json:"outcome,omitempty"` // finished

	Warning string `json:"warning,omitempty"` // warned
}

// outcome is how a run ended, beside its metrics.
type outcome struct {
	Diverged   string         `json:"diverged,omitempty"` // what was found where
	Rollbacks  int            `json:"rollbacks,omitempty"`
	Batches    int            `json:"batches"` // in an epoch
	Seconds    float64        `json:"seconds"`
	EvalTime   float64        `json:"eval_seconds"`
	StateBytes int64          `json:"state_bytes"`
	Parameters int            `json:"parameters"`
	TrainFloor Number         `json:"train_floor"`
	TestFloor  Number         `json:"test_floor"`
	Settings   catalog.Values `json:"settings"` // of the run, every default spelled out
}

const (
	eventBegun    = "begun"
	eventPlanned  = "planned"
	eventStarted  = "started"
	eventFinished = "finished"
	eventWarned   = "warned"
)

type runKey struct {
	contender string
	seed      uint32
}

// records are what a comparison's journal says.
type records struct {
	file     *journal.File
	header   *header // nil: there is no journal yet
	planned  map[string]record
	started  map[runKey]record
	finished map[runKey]record
	warnings []string // of the header, and of later
}

// readJournal reads the journal of a folder. A last line that was cut is left out; any
// other that isn't one is an error for which errors.Is(err, dataset.ErrData) holds.
func readJournal(dir string) (*records, error) {
	j := &records{planned: map[string]record{}, started: map[runKey]record{}, finished: map[runKey]record{}}
	var err error
	j.file, err = journal.Read(filepath.Join(dir, JournalName), func(line []byte, number int) error {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		return j.note(r, number)
	})
	if err != nil {
		return nil, err
	}
	return j, nil
}

// note takes a line.
func (j *records) note(r record, number int) error {
	key := runKey{r.Contender, r.Seed}
	switch {
	case (number == 1) != (r.Event == eventBegun):
		return fmt.Errorf("event %q; the first line, and no other, has event %s", r.Event, eventBegun)
	case r.Event == eventBegun && r.Comparison == nil:
		return errors.New("says nothing about the comparison")
	case r.Event == eventBegun && r.Comparison.Version != journalVersion:
		return fmt.Errorf("journal of version %d; this program reads version %d", r.Comparison.Version, journalVersion)
	case r.Event == eventBegun:
		j.header, j.warnings = r.Comparison, slices.Clone(r.Comparison.Warnings)
	case r.Event == eventWarned:
		j.warnings = append(j.warnings, r.Warning)
	case r.Event == eventPlanned:
		j.planned[r.Contender] = r
	case r.Event == eventStarted:
		j.started[key] = r
	case r.Event == eventFinished && r.Outcome == nil:
		return errors.New("says nothing about how the run ended")
	case r.Event == eventFinished:
		j.finished[key] = r
	default:
		return fmt.Errorf("unknown event %q", r.Event)
	}
	return nil
}

// add writes a line through to the disk.
func (j *records) add(r record) error {
	number := 2
	if r.Event == eventBegun {
		number = 1
	}
	if err := j.file.Add(r); err != nil {
		return err
	}
	return j.note(r, number)
}

// differences compares what a journal says of a comparison with what is asked for now, a
// line for each difference.
func (h *header) differences(now *header) error {
	var errs []error
	add := func(prefix string, list ...journal.Difference) {
		for _, d := range list {
			errs = append(errs, errors.New(prefix+d.String()))
		}
	}
	differ := func(what, there, here string) {
		if there != here {
			add("", journal.Difference{What: what, There: there, Here: here})
		}
	}
	differ("length", h.Length, now.Length)
	differ("list of seeds", fmt.Sprint(h.Seeds), fmt.Sprint(now.Seeds))
	differ("list of target losses", fmt.Sprint(h.Targets), fmt.Sprint(now.Targets))
	differ("list of contenders", h.names(), now.names())
	differ("number of evaluations", strconv.Itoa(h.Often), strconv.Itoa(now.Often))
	add("", journal.Differences(h.Problem, now.Problem)...)
	for _, c := range h.Contenders {
		for _, d := range now.Contenders {
			if c.Name == d.Name {
				add("contender "+c.Name+": ", journal.Differences(c.Settings, d.Settings)...)
				differ("contender "+c.Name+": suited", strconv.FormatBool(c.Suited), strconv.FormatBool(d.Suited))
			}
		}
	}
	return errors.Join(errs...)
}

func (h *header) names() string {
	var list []string
	for _, c := range h.Contenders {
		list = append(list, c.Name)
	}
	return strings.Join(list, ", ")
}
