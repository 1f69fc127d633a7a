package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/experiment"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// toy compares two contenders with two seeds, five steps each of three batches an epoch.
func toy(dir string) Options {
	return Options{
		Dir: dir, Problem: catalog.Values{"arch": "9,5,9", "workers": "1", "eval-steps": "2", "checkpoint-every": "1h"},
		Contenders: []Contender{
			{Name: "fast", Settings: catalog.Values{"batch": "20"}},
			{Name: "adam", Title: "Adam", Source: "a paper", Settings: catalog.Values{"method": "backprop", "optimizer": "adam", "lr": "0.01", "batch": "20"}},
		},
		Seeds: []uint32{1, 2}, Length: Length{Steps: 5}, Targets: []float64{7, 1},
		Data:   tiny(),
		Encode: func(e *catalog.Experiment) ([]byte, error) { return []byte(fmt.Sprint(e.Values())), nil },
	}
}

// tiny are images of 3 × 3 values.
func tiny() *dataset.Data {
	split := func(n int) dataset.Split {
		values := make([]byte, 9*n)
		for i := range values {
			values[i] = byte(i * i * 7 % 251)
		}
		s, err := dataset.NewBytes(values, []int{3, 3}, 255, nil)
		if err != nil {
			panic(err)
		}
		return s
	}
	return &dataset.Data{Name: "tiny", Train: split(60), Test: split(20), Height: 3, Width: 3, Scale: 255}
}

// asJSON is a result as JSON, in which numbers that aren't any are equal.
func asJSON(t *testing.T, r *Result) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	return b.String()
}

func compare(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Run(context.Background(), o)
	require.NoError(t, err)
	return r
}

// events are the lines of a journal in short.
func events(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	for line := range bytes.Lines(readFile(t, dir, JournalName)) {
		var r record
		require.NoError(t, json.Unmarshal(line, &r))
		text := r.Event
		if r.Contender != "" {
			text += " " + r.Contender
		}
		if r.Seed > 0 {
			text += fmt.Sprintf("-%d", r.Seed)
		}
		list = append(list, text)
	}
	return list
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return b
}

// same requires that two comparisons reached the same: the bits of the models, and all
// numbers but times.
func same(t *testing.T, want, got string, about any) {
	t.Helper()
	a, err := Read(want)
	require.NoError(t, err)
	b, err := Read(got)
	require.NoError(t, err)
	require.Len(t, b.Runs, len(a.Runs), about)
	for i := range a.Runs {
		assert.Equal(t, readFile(t, want, a.Runs[i].Folder, train.ModelName), readFile(t, got, b.Runs[i].Folder, train.ModelName), about)
		require.Len(t, b.Runs[i].History, len(a.Runs[i].History), about)
		for k, m := range a.Runs[i].History {
			assert.Equal(t, []float64{float64(m.Step), m.TrainLoss, m.TestLoss},
				[]float64{float64(b.Runs[i].History[k].Step), b.Runs[i].History[k].TrainLoss, b.Runs[i].History[k].TestLoss}, about)
		}
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	o := toy(dir)
	var jobs []string
	steps := 0
	o.OnBegin = func(j Job) {
		jobs = append(jobs, fmt.Sprintf("%d/%d %s %d: %d", j.Number, j.Of, j.Contender, j.Seed, j.Epochs))
	}
	o.OnStep = func(train.Progress) { steps++ }
	r := compare(t, o)
	assert.Equal(t, []string{"1/4 fast 1: 2", "2/4 adam 1: 2", "3/4 fast 2: 2", "4/4 adam 2: 2"}, jobs)
	assert.Equal(t, 20, steps)
	assert.Equal(t, []string{
		"begun", "started fast-1", "finished fast-1", "started adam-1", "finished adam-1", "started fast-2", "finished fast-2", "started adam-2", "finished adam-2",
	}, events(t, dir))
	assert.NoFileExists(t, filepath.Join(dir, lockName))
	assert.True(t, r.Complete)
	require.Len(t, r.Runs, 4)
	for _, run := range r.Runs {
		var at []int
		for _, m := range run.History {
			at = append(at, m.Step)
		}
		assert.Equal(t, []int{0, 2, 3, 4, 5}, at)
		assert.Equal(t, 5, run.Steps)
		assert.InDelta(t, 5.0/3, float64(run.Epochs), 1e-12)
		assert.Positive(t, run.Seconds)
		assert.InDelta(t, run.Seconds/5, float64(run.StepSeconds), 1e-12)
		assert.Positive(t, run.StateBytes)
		assert.Equal(t, "20", run.Batch)
		assert.True(t, run.Targets[0].Reached == (float64(run.BestTest) <= 7))
		assert.False(t, run.Targets[1].Reached)
	}
	assert.Equal(t, r.Runs[0].History[0].TestLoss, r.Runs[1].History[0].TestLoss, "the same initial weights")
	assert.NotEqual(t, r.Runs[0].History[0].TestLoss, r.Runs[2].History[0].TestLoss, "others for another seed")

	// A run is the one that `train` would make.
	e, err := o.Resolve(&o.Contenders[1], 2, 0)
	require.NoError(t, err)
	c, err := experiment.Config(&e, o.Data, nil)
	require.NoError(t, err)
	trainer, err := train.New(t.Context(), c)
	require.NoError(t, err)
	defer trainer.Close()
	alone, err := trainer.Run(context.Background())
	require.NoError(t, err)
	assert.Equal(t, alone.Last.TestLoss, float64(r.Runs[3].TestLoss))
	assert.Equal(t, []byte(fmt.Sprint(e.Values())), readFile(t, dir, "runs/adam-2", train.ConfigName))

	again := compare(t, o)
	assert.Equal(t, asJSON(t, r), asJSON(t, again), "nothing is left to do")
	assert.Equal(t, 20, steps)
	assert.Len(t, jobs, 4)
}

// A journal that was cut after any line, or within one, goes on to the same result, and
// no finished run is repeated.
func TestCutJournal(t *testing.T) {
	straight := t.TempDir()
	compare(t, toy(straight))
	lines := bytes.SplitAfter(readFile(t, straight, JournalName), []byte("\n"))
	lines = lines[:len(lines)-1]
	for keep := range len(lines) {
		for _, part := range []int{0, len(lines[keep]) - 1} {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(straight)))
			cut := append(bytes.Join(lines[:keep], nil), lines[keep][:part]...)
			require.NoError(t, os.WriteFile(filepath.Join(dir, JournalName), cut, 0o666))
			o := toy(dir)
			made := 0
			o.OnBegin = func(Job) { made++ }
			compare(t, o)
			same(t, straight, dir, fmt.Sprint(keep, part))
			assert.Equal(t, 4-max(keep-1, 0)/2, made)
			assert.Len(t, events(t, dir), len(lines))
		}
	}
}

// A comparison that is interrupted after any step goes on from there.
func TestInterrupted(t *testing.T) {
	straight := t.TempDir()
	compare(t, toy(straight))
	for stop := 1; stop < 20; stop += 3 {
		dir := t.TempDir()
		o := toy(dir)
		ctx, cancel := context.WithCancel(context.Background())
		steps := 0
		o.OnStep = func(train.Progress) {
			steps++
			if steps == stop {
				cancel()
			}
		}
		_, err := Run(ctx, o)
		require.ErrorIs(t, err, train.ErrInterrupted, "after %d", stop)
		r, err := Read(dir)
		require.NoError(t, err)
		assert.False(t, r.Complete)
		assert.Len(t, r.Runs, (stop-1)/5)
		compare(t, o)
		assert.Equal(t, 20, steps, "no step is made twice")
		same(t, straight, dir, stop)
	}
}

// Runs of a given time have as many steps as were measured, and their schedules are as
// long.
func TestTime(t *testing.T) {
	dir := t.TempDir()
	o := toy(dir)
	delete(o.Problem, "eval-steps")
	o.Length = Length{Time: 3 * time.Second}
	measured := 0
	o.time = func(_ context.Context, c *Contender) (int, float64, error) {
		measured++
		return len(c.Name) + measured, 0.5, nil // 5 and 6
	}
	r := compare(t, o)
	assert.Equal(t, []string{"begun", "planned fast", "planned adam", "started fast-1"}, events(t, dir)[:4])
	assert.Equal(t, []int{5, 6}, []int{r.Runs[0].Steps, r.Runs[1].Steps})
	assert.Equal(t, []string{"5", "6"}, []string{r.Runs[0].Settings["schedule-steps"], r.Runs[1].Settings["schedule-steps"]})
	assert.Len(t, r.Runs[0].History, 6, "evaluated after each of so few steps")
	compare(t, o)
	assert.Equal(t, 2, measured, "once only")
	o.Length.Time = 4 * time.Second
	_, err := Run(context.Background(), o)
	assert.ErrorContains(t, err, "length is 3s of training there and 4s of training here")
}

// What fits is measured by a run whose files and steps are nowhere to be seen.
func TestFit(t *testing.T) {
	dir := t.TempDir()
	o := toy(dir)
	o.Contenders, o.Seeds = o.Contenders[1:], o.Seeds[:1]
	o.Length = Length{Time: 20 * time.Millisecond}
	var told []string
	o.Log = func(text string) { told = append(told, text) }
	r := compare(t, o)
	assert.Positive(t, r.Runs[0].Steps)
	assert.Contains(t, strings.Join(told, "\n"), fmt.Sprintf("so that %d steps fit into 20ms", r.Runs[0].Steps))
	assert.Contains(t, strings.Join(told, "\n"), "warning: one seed")
}

func TestFitting(t *testing.T) {
	times := func(each ...float64) []float64 {
		sum := 0.0
		for i, x := range each {
			sum += x
			each[i] = sum
		}
		return each
	}
	many := make([]float64, 100) // 1 s each, every 20th 21 s: 2 s on average
	for i := range many {
		many[i] = 1
		if i%20 == 0 {
			many[i] = 21
		}
	}
	busy := slices.Repeat([]float64{1}, 80) // the last ten 4 s each
	for i := 70; i < 80; i++ {
		busy[i] = 4
	}
	for name, c := range map[string]struct {
		seconds []float64
		total   float64
		cycle   plan.Cycle
		steps   int
		per     float64
	}{
		"one step":         {times(2), 10, plan.Cycle{Length: 1}, 5, 2},
		"a slow start":     {times(10, 1, 1, 1), 23, plan.Cycle{Length: 1}, 14, 1},
		"longer than all":  {times(10, 10), 5, plan.Cycle{Length: 1}, 1, 10},
		"rounds of twenty": {times(slices.Clone(many)...), 300, plan.Cycle{Length: 20}, 150, 2},
		"a busy moment":    {times(busy...), 200, plan.Cycle{Length: 1}, 170, 1},
		"a costly start":   {times(slices.Clone(many[:60])...), 300, plan.Cycle{Begin: 7, Length: 20}, 150, 2},
		"shorter than all": {times(5, 1, 1, 1), 6.5, plan.Cycle{Length: 1}, 2, 1},
		"met exactly":      {times(1, 1, 1), 2, plan.Cycle{Length: 1}, 2, 1},
		"no time at all":   {times(0, 0), 5, plan.Cycle{Length: 1}, 2, 0},
	} {
		steps, per := fitting(c.seconds, c.total, c.cycle)
		assert.Equal(t, c.steps, steps, name)
		assert.InDelta(t, c.per, per, 1e-12, name)
	}
	steps, _ := fitting([]float64{1e-12, 2e-12}, 1e9, plan.Cycle{Length: 1})
	assert.LessOrEqual(t, steps, catalog.MaxCount)
}

// A run that diverges is a result: the contender comes last and reaches nothing.
func TestDiverged(t *testing.T) {
	dir := t.TempDir()
	o := toy(dir)
	o.Contenders[0] = Contender{Name: "wild", Settings: catalog.Values{"method": "backprop", "optimizer": "sgd", "lr": "1e45", "batch": "20"}}
	var ends []string
	o.OnEnd = func(j Job, err error) {
		if err != nil {
			ends = append(ends, j.Contender)
		}
	}
	r := compare(t, o)
	assert.Equal(t, []string{"wild", "wild"}, ends)
	assert.Equal(t, []string{"adam", "wild"}, []string{r.Contenders[0].Name, r.Contenders[1].Name})
	assert.Equal(t, 2, r.Contenders[1].Diverged)
	assert.Contains(t, r.Runs[0].Diverged, "diverged in epoch 1")
	_, rows := r.Table()
	assert.Equal(t, []string{"wild", "diverged"}, rows[1][:2])
	assert.Len(t, r.ChartByEpoch().Series, 1)
}

func TestRefuses(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"no folder":     func(o *Options) { o.Dir = "" },
		"no contenders": func(o *Options) { o.Contenders = nil },
		"no seeds":      func(o *Options) { o.Seeds = nil },
		"no data":       func(o *Options) { o.Data = nil },
		`contender "a/b": a name has letters, digits, points, underscores and hyphens, and begins with one of the first two`: func(o *Options) { o.Contenders[0].Name = "a/b" },
		"contender adam is there twice":                                                              func(o *Options) { o.Contenders[0].Name = "adam" },
		"contender fast: arch belongs to the problem, which all contenders share":                    func(o *Options) { o.Contenders[0].Settings["arch"] = "9,4,9" },
		"contender fast: on-divergence belongs to the problem, which all contenders share":           func(o *Options) { o.Contenders[0].Settings["on-divergence"] = "rollback" },
		"seed 1 is there twice":                                                                      func(o *Options) { o.Seeds = []uint32{1, 1} },
		"length of 2 epochs, 5 steps and 0s; only one of them can be set":                            func(o *Options) { o.Length.Epochs = 2 },
		"length of 0 epochs, -5 steps and 0s; must not be below 0":                                   func(o *Options) { o.Length.Steps = -5 },
		"problem: seed is for the comparison to say":                                                 func(o *Options) { o.Problem["seed"] = "4" },
		"problem: steps is for the comparison to say":                                                func(o *Options) { o.Problem["steps"] = "4" },
		"contender fast: --batch 61: must be 1 to 60, the number of training examples":               func(o *Options) { o.Contenders[0].Settings["batch"] = "61" },
		"contender adam: contender adam: lr -1: must be a finite number above 0":                     func(o *Options) { o.Contenders[1].Settings["lr"] = "-1" },
		"contender fast: schedule paper goes by epochs; it takes no planned length in steps (got 5)": func(o *Options) { o.Contenders[0].Settings["schedule"] = "paper" },
	} {
		o := toy(t.TempDir())
		change(&o)
		_, err := Run(context.Background(), o)
		var wrong *train.ConfigError
		assert.ErrorAs(t, err, &wrong, want)
		assert.EqualError(t, err, want)
		if o.Dir != "" {
			assert.NoFileExists(t, filepath.Join(o.Dir, JournalName), "nothing was begun")
		}
	}
}

// A folder of another comparison is refused, and the message names all that differs.
func TestAnotherComparison(t *testing.T) {
	dir := t.TempDir()
	compare(t, toy(dir))
	before := readFile(t, dir, JournalName)
	o := toy(dir)
	o.Seeds, o.Targets, o.Length = []uint32{1}, nil, Length{Epochs: 3}
	o.Problem["data-seed"] = "2"
	o.Contenders[0].Name = "fast2"
	o.Contenders[1].Settings = catalog.Values{"method": "backprop", "optimizer": "adam", "lr": "0.02"}
	_, err := Run(context.Background(), o)
	var wrong *train.ConfigError
	assert.ErrorAs(t, err, &wrong)
	assert.EqualError(t, err, dir+` holds another comparison: length is 5 steps there and 3 epochs here
list of seeds is [1 2] there and [1] here
list of target losses is [7 1] there and [] here
list of contenders is fast, adam there and fast2, adam here
data-seed is not set there and 2 here
contender adam: batch is 20 there and not set here
contender adam: lr is 0.01 there and 0.02 here`)
	assert.Equal(t, before, readFile(t, dir, JournalName))
}

// A comparison goes on with the data it was begun with, and tells where the rest of it was
// made on another machine.
func TestGoesOnElsewhere(t *testing.T) {
	o := toy(t.TempDir())
	o.Machine = map[string]string{"cpu": "slow"}
	ctx, cancel := context.WithCancel(context.Background())
	o.OnEnd = func(Job, error) { cancel() }
	_, err := Run(ctx, o)
	require.ErrorIs(t, err, train.ErrInterrupted)

	o = toy(o.Dir)
	o.Data.Test = o.Data.Train
	_, err = Run(context.Background(), o)
	var wrong *train.ConfigError
	require.ErrorAs(t, err, &wrong)
	assert.ErrorContains(t, err, "holds a comparison on other data: tiny, 60 and 20 examples, digest ")

	o = toy(o.Dir)
	o.Machine = map[string]string{"cpu": "fast"}
	assert.Contains(t, compare(t, o).Warnings, "cpu was slow when the comparison was begun, and is fast for a part of it: times differ by that, too")
	o.Machine = nil
	assert.NotContains(t, strings.Join(compare(t, o).Warnings, "\n"), "is not set for a part", "nothing was left to do")

	o = toy(t.TempDir())
	o.Length, o.Fitting = Length{Time: time.Second}, map[string]int{"fast": 2, "adam": 2}
	compare(t, o)
	o.Evaluations = 7
	_, err = Run(context.Background(), o)
	assert.ErrorContains(t, err, "number of evaluations is 20 there and 7 here")
}

// Damage and folders without a comparison are data errors that name file and line.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(dir)
	assert.ErrorIs(t, err, dataset.ErrData)
	assert.ErrorContains(t, err, "holds no comparison")
	compare(t, toy(dir))
	whole := readFile(t, dir, JournalName)
	for want, text := range map[string]string{
		"line 2: invalid character 'x'":                              strings.Replace(string(whole), "\n", "\nx\n", 1),
		`line 2: unknown event "begin"`:                              strings.Replace(string(whole), `"started"`, `"begin"`, 1),
		`line 1: event "started"; the first line, and no other,`:     string(whole[bytes.IndexByte(whole, '\n')+1:]),
		"line 1: journal of version 9; this program reads version 1": strings.Replace(string(whole), `"version":1`, `"version":9`, 1),
		"line 3: says nothing about how the run ended":               strings.Replace(string(whole), `"outcome"`, `"outcom"`, 1),
		"line 1: says nothing about the comparison":                  strings.Replace(string(whole), `"comparison"`, `"other"`, 1),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, JournalName), []byte(text), 0o666))
		for _, err := range []error{second(Read(dir)), second(Run(context.Background(), toy(dir)))} {
			assert.ErrorIs(t, err, dataset.ErrData)
			assert.ErrorContains(t, err, filepath.Join(dir, JournalName)+": "+want)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, JournalName), whole, 0o666))
	require.NoError(t, os.Remove(filepath.Join(dir, RunsName, "adam-1", train.MetricsName)))
	_, err = Read(dir)
	assert.ErrorContains(t, err, "no such file, though the journal says that the run is finished")
}

func second[T any](_ T, err error) error { return err }

// Two processes can't work on one comparison.
func TestLocked(t *testing.T) {
	o := toy(t.TempDir())
	o.OnBegin = func(Job) {
		_, err := Run(context.Background(), toy(o.Dir))
		assert.ErrorIs(t, err, train.ErrRunInUse)
	}
	compare(t, o)
}

func TestWarnings(t *testing.T) {
	o := toy(t.TempDir())
	o.Problem["lr"] = "0.5"
	o.Problem["workers"] = "128"
	o.Seeds = o.Seeds[:1]
	o.Contenders[0].Settings["batch"] = "30"
	o.Contenders[0].Settings["form"] = "auto"
	text := strings.Join(compare(t, o).Warnings, "\n")
	for _, want := range []string{
		"fast: lr 0.5 is given for all contenders at once; a rate that suits one method says nothing about another",
		"batches differ, so that an epoch has more steps for one than for another: 20 (adam); 30 (fast)",
		"one seed: nothing tells a difference between contenders from chance",
		"128 workers on",
	} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "adam: lr", "that names its own")
	o = toy(t.TempDir())
	o.Length = Length{}
	o.Problem["epochs"], o.Problem["schedule-epochs"] = "1", "9"
	assert.Contains(t, strings.Join(compare(t, o).Warnings, "\n"), "adam: its schedule is made for 9 epochs and the run ends after 1")
}
