package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/journal"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/tune"
	"github.com/urfave/cli/v2"
)

const (
	rateEpochs        = 3
	rateBatch         = 250
	rateBatchBackprop = 100
	ratesJournal      = "journal.jsonl"
	ratesTable        = "locoprop/catalog/rates_table.go"
	ratesPage         = "docs/rates.md"
)

// ratesCommand is what `make rates` runs, in the folder of the source.
func ratesCommand() *cli.Command {
	return &cli.Command{
		Name:      "rates",
		Usage:     "find the default rate of every pair of method and optimiser",
		UsageText: "locoprop rates [--only NAME]...",
		Hidden:    true,
		Description: "Trains preset curves' network for 3 epochs with each rate of {1, 3}·10^j until two past the\n" +
			"best, for every pair but those whose rate is known. The journal lies in runs/rates, so that an\n" +
			"interrupted search goes on. Pairs without a method or optimiser that --only names keep\n" +
			"the rates they have. At the end it writes " + ratesTable + " and " + ratesPage + ".",
		Flags: append(flagsFor("workers", "backend"),
			&cli.StringSliceFlag{Name: "only", Usage: "`NAME` of a method or an optimiser to search for; may be repeated", DefaultText: "all"}),
		Action: findRates,
	}
}

// trial is one line of the journal: what a rate reached.
type trial struct {
	Method    string   `json:"method"`
	Optimizer string   `json:"optimizer"`
	Variant   string   `json:"variant,omitempty"`
	Eta       float64  `json:"eta"`
	TestLoss  *float64 `json:"test_loss"` // null: diverged
}

func (t trial) pair() catalog.Pair {
	return catalog.Pair{Method: t.Method, Optimizer: t.Optimizer, Variant: t.Variant}
}

// rateSearch runs trials that the journal doesn't hold.
type rateSearch struct {
	data    *dataset.Data
	kernels backend.Kernels
	workers int
	journal *journal.File
	done    map[catalog.Pair]map[float64]float64
	log     func(format string, args ...any)
}

func findRates(c *cli.Context) error {
	if _, err := os.Stat(ratesTable); err != nil {
		return usagef("rates: run it in the folder of the source, which has %s: %w", ratesTable, err)
	}
	kernels, err := openBackend(c.String("backend"))
	if err != nil {
		return err
	}
	defer closeBackend(kernels)
	s := &rateSearch{kernels: kernels, done: map[catalog.Pair]map[float64]float64{}}
	e, _, err := catalog.Resolve(flagLayer(c))
	if err != nil {
		return &usageError{err}
	}
	if s.workers, err = workersFor(e.Workers, kernels); err != nil {
		return err
	}
	s.log = func(format string, args ...any) { fmt.Fprintf(c.App.ErrWriter, format+"\n", args...) }
	if err := s.open(filepath.Join("runs", "rates")); err != nil {
		return err
	}
	defer s.journal.Close() // every line is on the disk
	s.data = dataset.Curves(1, dataset.CurvesTrain, dataset.CurvesTest)
	table := catalog.FixedRates()
	only := c.StringSlice("only")
	for _, r := range catalog.Rates() {
		if r.Source == "" && !named(only, r.Pair) {
			table = append(table, r)
		}
	}
	for _, p := range catalog.Pairs() {
		if !named(only, p) {
			continue
		}
		if slices.ContainsFunc(table, func(r catalog.Rate) bool { return r.Pair == p }) {
			continue
		}
		rate, found, err := s.best(c.Context, p)
		if err != nil {
			return err
		}
		if !found {
			s.log("%v: every rate diverged", p)
			continue
		}
		s.log("%v: best rate %g, test loss %.3f", p, rate.Eta, rate.TestLoss)
		table = append(table, rate)
	}
	return writeRates(table)
}

// named reports whether a list names a pair's method or optimiser, as an empty one does.
func named(only []string, p catalog.Pair) bool {
	return len(only) == 0 || slices.Contains(only, p.Method) || p.Optimizer != "" && slices.Contains(only, p.Optimizer)
}

// open reads the journal of a folder and opens it for more.
func (s *rateSearch) open(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var err error
	s.journal, err = openJournal(filepath.Join(dir, ratesJournal), func(line []byte, _ int) error {
		var t trial
		if err := json.Unmarshal(line, &t); err != nil {
			return err
		}
		s.note(t)
		return nil
	})
	return err
}

func (s *rateSearch) note(t trial) {
	loss := math.NaN()
	if t.TestLoss != nil {
		loss = *t.TestLoss
	}
	if s.done[t.pair()] == nil {
		s.done[t.pair()] = map[float64]float64{}
	}
	s.done[t.pair()][t.Eta] = loss
}

// best searches the rate of a pair.
func (s *rateSearch) best(ctx context.Context, p catalog.Pair) (catalog.Rate, bool, error) {
	gamma := 0.0
	if catalog.IsLocal(p.Method) {
		gamma = locoprop.DefaultGamma
	}
	point, loss, found, err := tune.Best(startOf(p), func(eta float64) (float64, error) {
		if loss, ok := s.done[p][eta]; ok {
			return loss, nil
		}
		loss, err := s.run(ctx, p, eta)
		if err != nil {
			return 0, err
		}
		s.log("%v, rate %g: test loss %.3f", p, eta, loss)
		t := trial{Method: p.Method, Optimizer: p.Optimizer, Variant: p.Variant, Eta: eta}
		if !math.IsNaN(loss) {
			t.TestLoss = &loss
		}
		s.note(t)
		return loss, s.journal.Add(t)
	})
	return catalog.Rate{Pair: p, Eta: tune.Rate(point), Gamma: gamma, TestLoss: loss}, found, err
}

// baselineStart has a grid point near the best for methods with steps of their own.
var baselineStart = map[string]int{"shampoo": -3, "muon": -3, "kbfgs": -1, "sm3": -2, "foof": -4, "adafactor": -4}

// startOf guesses a grid point near the best, which shortens a search.
func startOf(p catalog.Pair) int {
	local := catalog.IsLocal(p.Method)
	if start, known := baselineStart[p.Method]; known {
		return start
	}
	switch {
	case p.Optimizer == "rmsprop" && p.Variant == "tf1":
		return -10 // 1e-5: momentum 0.999 adds up a thousand steps
	case p.Optimizer == "sgd" && !local:
		return -2
	case local:
		return -8
	}
	return -6
}

// run trains with one rate and returns the test loss, NaN where it diverged.
func (s *rateSearch) run(ctx context.Context, p catalog.Pair, eta float64) (float64, error) {
	e, err := catalog.Preset("curves")
	if err != nil {
		return 0, err
	}
	if err := e.SetPair(p); err != nil {
		return 0, err
	}
	e.Eta, e.Epochs, e.Batch = eta, rateEpochs, rateBatch
	if p.Method == "backprop" {
		e.Batch = rateBatchBackprop
	}
	if e.Optimizer.Kind.Averages() {
		e.Schedule = schedule.Constant // the average takes the place of a decay
	}
	arch, err := e.FitArch(s.data)
	if err != nil {
		return 0, err
	}
	net, err := nn.New(arch)
	if err != nil {
		return 0, err
	}
	net.Init(e.Init, e.Seed)
	method, err := e.BuildMethod()
	if err != nil {
		return 0, err
	}
	sched, err := e.BuildSchedule()
	if err != nil {
		return 0, err
	}
	t, err := train.New(ctx, train.Config{
		Network: net, Loss: e.Loss, Method: method, Backend: s.kernels, Data: s.data, Target: e.Target,
		Batch: e.Batch, Epochs: e.Epochs, EvalEvery: e.Epochs, Schedule: sched, Seed: e.Seed, Workers: s.workers,
	})
	if err != nil {
		return 0, err
	}
	defer t.Close()
	var diverged *train.DivergedError
	result, err := t.Run(ctx)
	switch {
	case errors.As(err, &diverged):
		return math.NaN(), nil
	case err != nil:
		return 0, err
	}
	return result.Last.TestLoss, nil
}

// writeRates writes the table that the catalog compiles in, and the page that shows it.
func writeRates(table []catalog.Rate) error {
	source, err := catalog.FormatRates(table)
	if err != nil {
		return err
	}
	if err := writeBytes(ratesTable, source); err != nil {
		return err
	}
	return writeBytes(ratesPage, ratesText(table))
}

// ratesText is the page on the rates of a table, in the order of the catalog's pairs.
func ratesText(table []catalog.Rate) []byte {
	var page bytes.Buffer
	fmt.Fprintf(&page, "# Default rates\n\n"+
		"A learning rate belongs to a pair of method and optimiser. These are the defaults that\n"+
		"`locoprop train` takes where `--method` or `--optimizer` is changed and no `--lr` given.\n\n"+
		"Found by `make rates`, which writes this page: preset `curves`' network and data, %d epochs, linear\n"+
		"decay after 50 warm-up steps (schedule-free: no decay), one seed; batches of %d (backprop: %d), γ = %d; η over {1, 3}·10ʲ until\n"+
		"two past the best test loss. The mean-image predictor's test loss is 123.87, the floor 24.99:\n"+
		"a pair that is near the first or above it hasn't begun to learn in so short a run, at any rate tried.\n"+
		"A row that names a source instead [wasn't searched for](choosing.md#rates-that-werent-searched-for). Methods without an optimiser (–) have their variant\n"+
		"beside them; `locoprop rates --only NAME` searches for the pairs of one method or optimiser.\n\n"+
		"| method | optimiser | η | test loss, or source |\n|---|---|---|---|\n",
		rateEpochs, rateBatch, rateBatchBackprop, locoprop.DefaultGamma)
	for _, p := range catalog.Pairs() {
		for _, r := range table {
			if r.Pair != p {
				continue
			}
			name := p.Optimizer
			if name == "" {
				name = "–"
			}
			if p.Variant != "" {
				name += " " + p.Variant
			}
			found := r.Source
			if found == "" {
				found = fmt.Sprintf("%.2f", r.TestLoss)
			}
			fmt.Fprintf(&page, "| %s | %s | %g | %s |\n", p.Method, name, r.Eta, found)
		}
	}
	return page.Bytes()
}

func writeBytes(path string, content []byte) error {
	return train.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}
