package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/tune"
	"github.com/urfave/cli/v2"
)

// Exit codes, which scripts rely on.
const (
	exitDone        = 0
	exitFailed      = 1   // the run failed: output that can't be written, for example
	exitUsage       = 2   // flags, unknown names, configurations, limits
	exitData        = 3   // data, models and checkpoints: missing, damaged, of a wrong shape
	exitDiverged    = 4   // training left the finite numbers
	exitInterrupted = 130 // Ctrl-C or SIGTERM
)

// usageError is wrong usage of the program.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// exitCode classes an error. An interruption outranks what it led to.
func exitCode(err error) int {
	var (
		usage    *usageError
		config   *train.ConfigError
		unknown  *catalog.UnknownError
		diverged *train.DivergedError
		parser   cli.ExitCoder // the flag library's own: no such help topic
	)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, train.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &diverged), errors.Is(err, errAllRunsDiverged), errors.Is(err, tune.ErrAllDiverged):
		return exitDiverged
	case errors.Is(err, dataset.ErrData):
		return exitData
	case errors.As(err, &usage), errors.As(err, &config), errors.As(err, &unknown), errors.As(err, &parser):
		return exitUsage
	}
	return exitFailed
}

// tell prints an error, a line for each thing that is wrong, and returns the exit
// code.
func tell(err error, stderr io.Writer) int {
	if errors.Is(err, context.Canceled) {
		err = train.ErrInterrupted // what the first signal led to tells nothing more
	}
	if err != nil {
		for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
			fmt.Fprintln(stderr, "locoprop:", strings.TrimPrefix(line, "locoprop: ")) // as the library's package begins its own
		}
	}
	return exitCode(err)
}
