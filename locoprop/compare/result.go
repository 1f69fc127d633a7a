package compare

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// Number is a float64 whose JSON is null where it isn't finite.
type Number float64

// MarshalJSON writes the number, or null.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads what MarshalJSON writes; null becomes NaN.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// Stat is a mean over seeds and the sample standard deviation around it. Without values
// the mean is NaN, and with fewer than two the spread is.
type Stat struct {
	Mean   Number `json:"mean"`
	Spread Number `json:"spread"`
	Count  int    `json:"count"`
	// Diverged are runs that have no part in it because they diverged.
	Diverged int `json:"diverged,omitempty"`
}

func statOf(values []float64) Stat {
	n := float64(len(values))
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	mean, squares := sum/n, 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	s := Stat{Mean: Number(mean), Spread: Number(math.NaN()), Count: len(values)}
	if len(values) > 1 {
		s.Spread = Number(math.Sqrt(squares / (n - 1)))
	}
	return s
}

// Verdict tells how one mean stands to another where less is better: -1 for better, by
// more than either spread, 1 for worse by as much, 0 for neither. Without spreads, of one
// seed each, and with means that aren't finite, nothing is told apart but a number from
// none. What has runs that diverged is never the better.
func (s Stat) Verdict(other Stat) int {
	verdict := s.byMean(other)
	if verdict < 0 && s.Diverged > 0 || verdict > 0 && other.Diverged > 0 {
		return 0
	}
	return verdict
}

func (s Stat) byMean(other Stat) int {
	a, b := float64(s.Mean), float64(other.Mean)
	spread := max(float64(s.Spread), float64(other.Spread))
	switch {
	case s.Count == 0 && other.Count == 0:
		return 0
	case other.Count == 0:
		return -1
	case s.Count == 0:
		return 1
	case a < b-spread:
		return -1
	case a > b+spread:
		return 1
	}
	return 0 // NaN too
}

// Hit is where a run first met a target.
type Hit struct {
	Target  float64 `json:"target"`
	Reached bool    `json:"reached"`
	Epochs  Number  `json:"epochs"` // with the part of an epoch that isn't completed
	Seconds Number  `json:"seconds"`
}

// RunResult is what one run reached. Losses are of its last evaluation, and null where it
// diverged.
type RunResult struct {
	Contender   string          `json:"contender"`
	Seed        uint32          `json:"seed"`
	Folder      string          `json:"folder"` // relative to the comparison's
	Diverged    string          `json:"diverged,omitempty"`
	Rollbacks   int             `json:"rollbacks,omitempty"` // returns to a checkpoint, at half the rate
	Batch       string          `json:"batch"`
	Steps       int             `json:"steps"`
	Epochs      Number          `json:"epochs"`
	Seconds     float64         `json:"seconds"`
	EvalSeconds float64         `json:"eval_seconds"`
	StepSeconds Number          `json:"step_seconds"`
	TrainLoss   Number          `json:"train_loss"`
	TestLoss    Number          `json:"test_loss"`
	TrainExcess Number          `json:"train_excess"`
	TestExcess  Number          `json:"test_excess"`
	BestTrain   Number          `json:"best_train_loss"`
	BestTest    Number          `json:"best_test_loss"`
	StateBytes  int64           `json:"state_bytes"`
	Parameters  int             `json:"parameters"`
	Targets     []Hit           `json:"targets"`
	Settings    catalog.Values  `json:"settings"`
	History     []train.Metrics `json:"-"`
	Batches     int             `json:"batches"` // in an epoch
}

// TargetStat is where the runs of a contender first met a target: means over those that
// did.
type TargetStat struct {
	Target  float64 `json:"target"`
	Reached int     `json:"reached"` // runs
	Runs    int     `json:"runs"`
	Epochs  Stat    `json:"epochs"`
	Seconds Stat    `json:"seconds"`
}

// Summary is what the runs of a contender reached: means over those that didn't diverge.
type Summary struct {
	Name        string         `json:"name"`
	Title       string         `json:"title"`
	Source      string         `json:"source,omitempty"`
	Settings    catalog.Values `json:"settings"` // as they were given
	Runs        int            `json:"runs"`
	Diverged    int            `json:"diverged"`
	Rollbacks   int            `json:"rollbacks,omitempty"` // of all runs
	TrainLoss   Stat           `json:"train_loss"`
	TestLoss    Stat           `json:"test_loss"`
	TrainExcess Stat           `json:"train_excess"`
	TestExcess  Stat           `json:"test_excess"`
	BestTrain   Stat           `json:"best_train_loss"`
	BestTest    Stat           `json:"best_test_loss"`
	StepSeconds Stat           `json:"step_seconds"`
	Seconds     Stat           `json:"seconds"`
	Steps       int            `json:"steps"` // of a run that didn't diverge
	Epochs      Number         `json:"epochs"`
	StateBytes  int64          `json:"state_bytes"`
	Targets     []TargetStat   `json:"targets"`
}

// Loss is what contenders are ranked by: the test loss at the end, or the training loss
// where there are no test examples.
func (s *Summary) Loss(r *Result) Stat {
	if r.Tested {
		return s.TestLoss
	}
	return s.TrainLoss
}

// Result is what a comparison reached so far.
type Result struct {
	Problem    catalog.Values    `json:"problem"`
	Length     string            `json:"length"`
	Seeds      []uint32          `json:"seeds"`
	Targets    []float64         `json:"target_losses"`
	Machine    map[string]string `json:"machine,omitempty"`
	Warnings   []string          `json:"warnings"`
	Complete   bool              `json:"complete"` // no run is missing
	Tested     bool              `json:"tested"`   // there are test examples
	TrainFloor Number            `json:"train_floor"`
	TestFloor  Number            `json:"test_floor"`
	Contenders []Summary         `json:"contenders"` // the best first; any with a run that diverged after all without
	Runs       []RunResult       `json:"runs"`       // in the order in which they are made
}

// Read returns what the folder of a comparison holds: runs that are finished, and nothing
// of others. For a folder without a comparison, and for damaged files, errors.Is(err,
// dataset.ErrData) holds.
func Read(dir string) (*Result, error) {
	j, err := readJournal(dir)
	if err != nil {
		return nil, err
	}
	if j.header == nil {
		return nil, &dataset.Error{Path: dir, Reason: "holds no comparison: there is no " + JournalName + ", or nothing in it"}
	}
	h := j.header
	r := &Result{
		Problem: h.Problem, Length: h.Length, Seeds: h.Seeds, Targets: h.Targets, Machine: h.Machine, Warnings: slices.Clone(j.warnings),
		Complete: true, TrainFloor: Number(math.NaN()), TestFloor: Number(math.NaN()),
	}
	for _, seed := range h.Seeds {
		for _, c := range h.Contenders {
			f, found := j.finished[runKey{c.Name, seed}]
			if !found {
				r.Complete = false
				continue
			}
			history, err := readMetrics(filepath.Join(dir, folderName(c.Name, seed), train.MetricsName))
			if err != nil {
				return nil, err
			}
			r.TrainFloor, r.TestFloor = f.Outcome.TrainFloor, f.Outcome.TestFloor
			r.Tested = r.Tested || !math.IsNaN(float64(f.Outcome.TestFloor))
			r.Runs = append(r.Runs, runResult(&f, history, h.Targets))
		}
	}
	for _, c := range h.Contenders {
		r.Contenders = append(r.Contenders, r.summary(c))
	}
	r.warnOfTimes(j)
	slices.SortStableFunc(r.Contenders, func(a, b Summary) int { return r.order(&a, &b) })
	return r, nil
}

// offPlan is the share by which runs of a given time may miss it unsaid.
const offPlan = 0.1

// warnOfTimes warns of runs that began on a loaded machine, and of contenders whose runs
// took another time than planned.
func (r *Result) warnOfTimes(j *records) {
	warn := func(format string, args ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...)) }
	loaded := 0
	for _, s := range j.started {
		if s.Loaded {
			loaded++
		}
	}
	if loaded > 0 {
		warn("%d of %d runs began while the machine was loaded: their times are too long", loaded, len(j.started))
	}
	for i := range r.Contenders {
		s := &r.Contenders[i]
		plan := j.planned[s.Name]
		if plan.Loaded {
			warn("%s: the machine was loaded while the time of a step was measured: it has fewer steps than fit", s.Name)
		}
		if seconds := float64(s.Seconds.Mean); plan.Seconds > 0 && math.Abs(seconds-plan.Seconds) > offPlan*plan.Seconds {
			warn("%s: its runs took %.4g s on average, and were planned for %.4g s", s.Name, seconds, plan.Seconds)
		}
	}
}

// order puts contenders that have finished runs first, of those the ones without
// divergence, and of those the one with the least loss.
func (r *Result) order(a, b *Summary) int {
	rank := func(s *Summary) int {
		switch {
		case s.Runs == 0:
			return 2
		case s.Diverged > 0:
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), compareLoss(a.Loss(r).Mean, b.Loss(r).Mean))
}

// compareLoss is cmp.Compare with NaN above all else.
func compareLoss(a, b Number) int {
	switch x, y := math.IsNaN(float64(a)), math.IsNaN(float64(b)); {
	case x && y:
		return 0
	case x:
		return 1
	case y:
		return -1
	}
	return cmp.Compare(a, b)
}

func readMetrics(path string) ([]train.Metrics, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &dataset.Error{Path: path, Reason: "no such file, though the journal says that the run is finished"}
	}
	if err != nil {
		return nil, err
	}
	var list []train.Metrics
	for line := range bytes.Lines(content) {
		var m train.Metrics
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, &dataset.Error{Path: path, Reason: fmt.Sprintf("line %d: %v", len(list)+1, err)}
		}
		list = append(list, m)
	}
	return list, nil
}

// runResult makes a run's result of its line of the journal and its metrics.
func runResult(f *record, history []train.Metrics, targets []float64) RunResult {
	o := f.Outcome
	nan := Number(math.NaN())
	r := RunResult{
		Contender: f.Contender, Seed: f.Seed, Folder: filepath.ToSlash(folderName(f.Contender, f.Seed)), Diverged: o.Diverged, Rollbacks: o.Rollbacks,
		Batch: o.Settings["batch"], Steps: f.Steps, Batches: o.Batches, Epochs: Number(float64(f.Steps) / float64(o.Batches)),
		Seconds: o.Seconds, EvalSeconds: o.EvalTime, StepSeconds: Number(o.Seconds / float64(f.Steps)),
		TrainLoss: nan, TestLoss: nan, TrainExcess: nan, TestExcess: nan, BestTrain: nan, BestTest: nan,
		StateBytes: o.StateBytes, Parameters: o.Parameters, Settings: o.Settings, History: history,
	}
	tested := !math.IsNaN(float64(o.TestFloor))
	for _, target := range targets {
		r.Targets = append(r.Targets, firstHit(history, target, tested, o.Batches))
	}
	if r.Diverged != "" || len(history) == 0 {
		return r
	}
	last := history[len(history)-1]
	r.TrainLoss, r.TestLoss = Number(last.TrainLoss), Number(last.TestLoss)
	r.TrainExcess, r.TestExcess = Number(last.TrainExcess), Number(last.TestExcess)
	for _, m := range history {
		r.BestTrain, r.BestTest = least(r.BestTrain, m.TrainLoss), least(r.BestTest, m.TestLoss)
	}
	return r
}

// least is the lesser of two numbers, the other one where one is NaN.
func least(a Number, b float64) Number {
	if math.IsNaN(float64(a)) || b < float64(a) {
		return Number(b)
	}
	return a
}

func firstHit(history []train.Metrics, target float64, tested bool, batches int) Hit {
	for _, m := range history {
		loss := m.TrainLoss
		if tested {
			loss = m.TestLoss
		}
		if loss <= target {
			return Hit{target, true, Number(float64(m.Step) / float64(batches)), Number(m.Seconds)}
		}
	}
	return Hit{target, false, Number(math.NaN()), Number(math.NaN())}
}

// summary sums up the runs of a contender. The hits of a run that diverged don't count.
func (r *Result) summary(c headerEntry) Summary {
	s := Summary{Name: c.Name, Title: cmp.Or(c.Title, c.Name), Source: c.Source, Settings: c.Settings, Epochs: Number(math.NaN())}
	var good []RunResult
	for _, run := range r.Runs {
		if run.Contender != c.Name {
			continue
		}
		s.Runs++
		s.StateBytes = run.StateBytes
		s.Rollbacks += run.Rollbacks
		if run.Diverged != "" {
			s.Diverged++
			continue
		}
		s.Steps, s.Epochs = run.Steps, run.Epochs
		good = append(good, run)
	}
	over := func(of func(*RunResult) Number) Stat {
		var values []float64
		for i := range good {
			values = append(values, float64(of(&good[i])))
		}
		stat := statOf(values)
		stat.Diverged = s.Diverged
		return stat
	}
	s.TrainLoss, s.TestLoss = over(func(x *RunResult) Number { return x.TrainLoss }), over(func(x *RunResult) Number { return x.TestLoss })
	s.TrainExcess, s.TestExcess = over(func(x *RunResult) Number { return x.TrainExcess }), over(func(x *RunResult) Number { return x.TestExcess })
	s.BestTrain, s.BestTest = over(func(x *RunResult) Number { return x.BestTrain }), over(func(x *RunResult) Number { return x.BestTest })
	s.StepSeconds = over(func(x *RunResult) Number { return x.StepSeconds })
	s.Seconds = over(func(x *RunResult) Number { return Number(x.Seconds) })
	for i, target := range r.Targets {
		t := TargetStat{Target: target, Runs: s.Runs}
		var epochs, seconds []float64
		for _, run := range good {
			if hit := run.Targets[i]; hit.Reached {
				epochs, seconds = append(epochs, float64(hit.Epochs)), append(seconds, float64(hit.Seconds))
			}
		}
		t.Reached, t.Epochs, t.Seconds = len(epochs), statOf(epochs), statOf(seconds)
		s.Targets = append(s.Targets, t)
	}
	return s
}
