package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/tune"
)

// studyFile is what a study is asked to be, in TOML.
type studyFile struct {
	Title       string         `toml:"title"`
	Command     string         `toml:"command"` // that makes it, for the page
	Contenders  []string       `toml:"contenders"`
	Seeds       []int64        `toml:"seeds"`
	Trials      int            `toml:"trials"`  // of each contender, its default point counted
	Halving     int            `toml:"halving"` // see tune.Options
	Evaluations int            `toml:"evaluations"`
	Larger      string         `toml:"larger"` // what a larger version takes, for the page
	Problems    []studyProblem `toml:"problem"`
}

// studyProblem is a problem of a study.
type studyProblem struct {
	Name       string      `toml:"name"`
	Title      string      `toml:"title"`
	Seconds    float64     `toml:"seconds"` // planned training time of each run
	TargetLoss []float64   `toml:"target-loss"`
	Settings   *configFile `toml:"settings"`
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

var folderNames = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// read reads a study and lists all that is wrong with it.
func (s *study) read(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return usagef("configuration %s: %w", path, cause(err))
	}
	f := &s.file
	if err := decodeStrictly(content, f); err != nil {
		return &usageError{configError(path, err, func(key []string) []string {
			switch {
			case len(key) > 2 && key[1] == "settings":
				return sharedKeys()
			case len(key) > 1:
				return []string{"name", "title", "seconds", "target-loss", "settings"}
			}
			return []string{"title", "command", "contenders", "seeds", "trials", "halving", "evaluations", "larger", "problem"}
		})}
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(path+": "+format, args...)) }
	for i, name := range f.Contenders {
		c, err := catalog.ContenderNamed(name)
		switch {
		case err != nil:
			bad("contenders: %w", err)
		case slices.Contains(f.Contenders[:i], name):
			bad("contenders: %s is there twice", name)
		}
		s.contenders = append(s.contenders, c)
	}
	if len(f.Contenders) == 0 {
		bad("contenders: there are none")
	}
	for i, v := range f.Seeds {
		if v < 0 || v > math.MaxUint32 || slices.Contains(f.Seeds[:i], v) {
			bad("seeds: %d must be a whole number from 0 to %d, and there once", v, uint32(math.MaxUint32))
		}
	}
	if len(f.Seeds) < 2 {
		bad("seeds: there must be two or more: without a spread nothing is told apart")
	}
	if f.Trials < 1 || f.Trials > tune.MostTrials {
		bad("trials: %d must be a whole number from 1 to %d", f.Trials, tune.MostTrials)
	}
	if f.Halving < 0 || f.Evaluations < 0 {
		bad("halving %d and evaluations %d: neither can be below 0", f.Halving, f.Evaluations)
	}
	if len(f.Problems) == 0 {
		bad("problem: there is none")
	}
	for i, p := range f.Problems {
		if !folderNames.MatchString(p.Name) || slices.ContainsFunc(f.Problems[:i], func(q studyProblem) bool { return q.Name == p.Name }) {
			bad("problem %q: a name has small letters, digits and hyphens, and is there once", p.Name)
		}
		if !(p.Seconds > 0 && p.Seconds <= catalog.MaxCount) {
			bad("problem %s: seconds: %v must be above 0, at most %d", p.Name, p.Seconds, catalog.MaxCount)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &usageError{err}
	}
	return nil
}
