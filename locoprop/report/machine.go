package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
)

// MachineName is the file in which a run's processes say where they ran.
const MachineName = "machine.jsonl"

// Machine is a line of machine.jsonl: a process began to work on the run, or ended. It
// is a file of its own so that the others of a run are the same on every machine.
type Machine struct {
	Event string    `json:"event"` // EventStart or EventEnd
	Time  time.Time `json:"time"`

	// At the start.
	Version string `json:"version,omitempty"` // of the program, with its commit
	Go      string `json:"go,omitempty"`
	OS      string `json:"os,omitempty"`
	Arch    string `json:"arch,omitempty"`
	CPU     string `json:"cpu,omitempty"`  // model name, "" where it can't be told
	CPUs    int    `json:"cpus,omitempty"` // threads of the machine
	Workers int    `json:"workers,omitempty"`
	Batches int    `json:"batches,omitempty"` // in an epoch of the run
	Backend string `json:"backend,omitempty"`
	Detail  string `json:"detail,omitempty"` // libraries of the backend and what of the CPU they use

	// At the end: what this process has done, not the whole run.
	Seconds     float64 `json:"seconds,omitempty"` // training
	EvalSeconds float64 `json:"eval_seconds,omitempty"`
	Steps       int     `json:"steps,omitempty"`
	PeakMemory  int64   `json:"peak_memory,omitempty"` // bytes; 0 where it can't be told
}

// Events of a Machine.
const (
	EventStart = "start"
	EventEnd   = "end"
)

// Append adds the line to the machine.jsonl of a run's folder. Where the last line there
// isn't whole, since its writer was killed, the new one still begins a line.
func (m Machine) Append(dir string) (err error) {
	path := filepath.Join(dir, MachineName)
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err // names the file
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	last := []byte{'\n'}
	if size > 0 {
		if _, err := f.ReadAt(last, size-1); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
	}
	if last[0] != '\n' {
		text = append([]byte{'\n'}, text...)
	}
	if _, err := f.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// readMachines reads those lines that are whole: one cut by the end of its writer may
// stand between others.
func readMachines(dir string) ([]Machine, error) {
	path := filepath.Join(dir, MachineName)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &dataset.Error{Path: path, Err: err}
	}
	var list []Machine
	for text := range bytes.Lines(content) {
		var m Machine
		if json.Unmarshal(text, &m) == nil {
			list = append(list, m)
		}
	}
	return list, nil
}
