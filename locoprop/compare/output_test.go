package compare

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fabricated writes the folder of a comparison with numbers that are easy to check: runs
// of 10 steps, 4 an epoch, evaluated at steps 0, 5 and 10.
func fabricated(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	j, err := readJournal(dir)
	require.NoError(t, err)
	add := func(r record) { require.NoError(t, j.add(r)) }
	add(record{Event: eventBegun, Comparison: &header{
		Version: 1, Problem: catalog.Values{"dataset": "curves"}, Seeds: []uint32{1, 2}, Length: "10 steps", Targets: []float64{30, 12, 1},
		Contenders: []headerEntry{{Name: "a"}, {Name: "b", Title: "Bee"}, {Name: "c"}, {Name: "d"}},
		Warnings:   []string{"batches differ"},
	}})
	run := func(name string, seed uint32, seconds float64, diverged string, losses ...float64) {
		add(record{Event: eventStarted, Contender: name, Seed: seed})
		var lines []byte
		for i, l := range losses {
			m := train.Metrics{
				Epoch: 5 * i / 4, Step: 5 * i, TestLoss: l, TrainLoss: l - 2, TestExcess: l - 5, TrainExcess: l - 4,
				Seconds: seconds * float64(i) / 2, EvalSeconds: 0.5,
			}
			line, err := json.Marshal(m)
			require.NoError(t, err)
			lines = append(append(lines, line...), '\n')
		}
		folder := filepath.Join(dir, folderName(name, seed))
		require.NoError(t, os.MkdirAll(folder, 0o777))
		require.NoError(t, os.WriteFile(filepath.Join(folder, train.MetricsName), lines, 0o666))
		add(record{Event: eventFinished, Contender: name, Seed: seed, Steps: 5 * (len(losses) - 1), Outcome: &outcome{
			Diverged: diverged, Batches: 4, Seconds: seconds, EvalTime: 0.5, StateBytes: 2_500_000, Parameters: 7, TrainFloor: 2, TestFloor: 5,
			Settings: catalog.Values{"batch": "50"},
		}})
	}
	run("a", 1, 2, "", 40, 10, 20)
	run("a", 2, 4, "", 40, 14, 24)
	run("b", 1, 8, "", 40, 30, 10)
	run("b", 2, 8, "", 40, 31, 10)
	run("c", 1, 1, "diverged in epoch 2", 40, 5, math.NaN())
	run("c", 2, 1, "", 40, 6, 6)
	return dir
}

func TestTable(t *testing.T) {
	r, err := Read(fabricated(t))
	require.NoError(t, err)
	columns, rows := r.Table()
	assert.Equal(t, []string{
		"contender", "test loss", "best", "train loss", "best", "test excess", "epochs", "s", "ms/step", "state MB",
		"epochs to 30", "s to 30", "epochs to 12", "s to 12", "epochs to 1", "s to 1",
	}, columns)
	assert.Equal(t, [][]string{
		{"b", "10.00 ± 0.00", "10.00 ± 0.00", "8.00 ± 0.00", "8.00 ± 0.00", "5.00 ± 0.00", "2.5", "8.0 ± 0.0", "800.00", "2.5", "1.9", "6.0", "2.5", "8.0", "not reached", "not reached"},
		{"a", "22.00 ± 2.83", "12.00 ± 2.83", "20.00 ± 2.83", "10.00 ± 2.83", "17.00 ± 2.83", "2.5", "3.0 ± 1.4", "300.00", "2.5", "1.2", "1.5", "1.2 (1 of 2)", "1.0 (1 of 2)", "not reached", "not reached"},
		{"c", "6.00 (1 of 2 diverged)", "6.00", "4.00", "4.00", "1.00", "2.5", "1.0", "100.00", "2.5", "1.2 (1 of 2)", "0.5 (1 of 2)", "1.2 (1 of 2)", "0.5 (1 of 2)", "not reached", "not reached"},
		{"d", "not run", "not run", "not run", "not run", "not run", "–", "not run", "–", "0.0", "not reached", "not reached", "not reached", "not reached", "not reached", "not reached"},
	}, rows)
	var b strings.Builder
	require.NoError(t, r.WriteTable(&b))
	for _, want := range []string{"contender  test loss", "Some runs are missing", "Warning: batches differ.", "length 10 steps", "Targets: the first evaluation at or below that test loss."} {
		assert.Contains(t, b.String(), want)
	}
}

// Times that can't be trusted, and runs that were rolled back, are told of.
func TestTimesAreToldOf(t *testing.T) {
	dir := fabricated(t)
	j, err := readJournal(dir)
	require.NoError(t, err)
	require.NoError(t, j.add(record{Event: eventPlanned, Contender: "a", Seconds: 2.7}))
	require.NoError(t, j.add(record{Event: eventPlanned, Contender: "b", Seconds: 8.1, Loaded: true}))
	f := j.finished[runKey{"b", 1}]
	f.Outcome.Rollbacks = 2
	require.NoError(t, j.add(f))
	r, err := Read(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"batches differ", "a: its runs took 3 s on average, and were planned for 2.7 s",
		"b: the machine was loaded while the time of a step was measured: it has fewer steps than fit",
	}, r.Warnings)
	_, rows := r.Table()
	assert.Equal(t, "10.00 ± 0.00 (rolled back: 2)", rows[0][1])

	own := &runner{workers: 2}
	assert.Equal(t, 4.0, own.mostLoad(4))
	own.worked = true
	assert.Equal(t, 6.5, own.mostLoad(4), "its own part is in it")
}

func TestCSV(t *testing.T) {
	r, err := Read(fabricated(t))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, r.WriteCSV(&b))
	rows, err := csv.NewReader(&b).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 7)
	assert.Equal(t, "contender,seed,batch,steps,epochs,seconds,eval_seconds,step_seconds,train_loss,test_loss,train_excess,test_excess,best_train_loss,best_test_loss,"+
		"state_bytes,diverged,epochs_to_30,seconds_to_30,epochs_to_12,seconds_to_12,epochs_to_1,seconds_to_1", strings.Join(rows[0], ","))
	assert.Equal(t, "a,1,50,10,2.5,2,0.5,0.2,18,20,16,15,8,10,2500000,,1.25,1,1.25,1,,", strings.Join(rows[1], ","))
	assert.Equal(t, "c,1,50,10,2.5,1,0.5,0.1,,,,,,,2500000,diverged in epoch 2,,,,,,", strings.Join(rows[3], ","))
}

func TestJSON(t *testing.T) {
	r, err := Read(fabricated(t))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	var got struct {
		Complete   bool
		Contenders []struct {
			Name, Title string
			TestLoss    map[string]any `json:"test_loss"`
			Targets     []struct{ Reached, Runs int }
		}
		Runs []map[string]any
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &got))
	assert.False(t, got.Complete)
	assert.Equal(t, "Bee", got.Contenders[0].Title)
	assert.Equal(t, map[string]any{"mean": 10.0, "spread": 0.0, "count": 2.0}, got.Contenders[0].TestLoss)
	assert.Equal(t, map[string]any{"mean": 6.0, "spread": nil, "count": 1.0, "diverged": 1.0}, got.Contenders[2].TestLoss)
	assert.Equal(t, 1, got.Contenders[1].Targets[1].Reached)
	assert.Nil(t, got.Runs[2]["test_loss"], "it diverged")
	assert.Equal(t, "runs/c-1", got.Runs[2]["folder"])
	var again Result
	require.NoError(t, json.Unmarshal(b.Bytes(), &again))
	assert.Equal(t, b.String(), asJSON(t, &again))
}

func TestCharts(t *testing.T) {
	dir := fabricated(t)
	r, err := Read(dir)
	require.NoError(t, err)
	c := r.ChartByEpoch()
	require.Len(t, c.Series, 3)
	assert.Equal(t, []float64{0, 1.25, 2.5}, c.Series[1].X)
	assert.Equal(t, []float64{40, 12, 22}, c.Series[1].Y)
	assert.Equal(t, []float64{40, 10, 20}, c.Series[1].Low)
	assert.Equal(t, []float64{40, 14, 24}, c.Series[1].High)
	assert.Nil(t, c.Series[2].Low, "one run is left")
	assert.Equal(t, "c (without 1 of 2 that diverged)", c.Series[2].Name)
	assert.Equal(t, []float64{0, 1.5, 3}, r.ChartBySeconds().Series[1].X)

	names, err := r.WriteFiles(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{"results.csv", "results.json", "loss-by-epoch.svg", "loss-by-epoch.png", "loss-by-seconds.svg", "loss-by-seconds.png"}, names)
	_, err = png.Decode(bytes.NewReader(readFile(t, dir, "loss-by-epoch.png")))
	require.NoError(t, err)
	for d := xml.NewDecoder(bytes.NewReader(readFile(t, dir, "loss-by-seconds.svg"))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}

func TestVerdict(t *testing.T) {
	stat := func(values ...float64) Stat { return statOf(values) }
	cut := func(values ...float64) Stat { // of a run that diverged, and others
		s := statOf(values)
		s.Diverged = 1
		return s
	}
	for i, c := range []struct {
		a, b Stat
		want int
	}{
		{stat(1, 1.2), stat(2, 2.2), -1},
		{stat(2, 2.2), stat(1, 1.2), 1},
		{stat(1, 1.2), stat(1.1, 1.3), 0},
		{stat(1, 1), stat(1.1, 3), 0}, // within the other's spread
		{stat(1), stat(2), 0},         // of one seed each
		{stat(1, 1), stat(), -1},
		{stat(), stat(1, 1), 1},
		{stat(), stat(), 0},
		{cut(1, 1), stat(2, 2), 0},
		{cut(3, 3), stat(2, 2), 1},
		{cut(1, 1), cut(2, 2), 0},
		{cut(1, 1), cut(), 0},
	} {
		assert.Equal(t, c.want, c.a.Verdict(c.b), fmt.Sprint(i))
		assert.Equal(t, -c.want, c.b.Verdict(c.a), fmt.Sprint(i))
	}
}

// Without test examples training losses take their place.
func TestWithoutTestExamples(t *testing.T) {
	o := toy(t.TempDir())
	o.Data.Test = nil
	o.Targets = []float64{6.45}
	r := compare(t, o)
	assert.False(t, r.Tested)
	columns, rows := r.Table()
	assert.Equal(t, []string{"contender", "train loss", "best", "train excess", "epochs", "s", "ms/step", "state MB", "epochs to 6.45", "s to 6.45"}, columns)
	assert.Len(t, rows[0], len(columns))
	assert.Less(t, float64(r.Contenders[0].TrainLoss.Mean), float64(r.Contenders[1].TrainLoss.Mean))
	assert.Equal(t, "training loss", r.ChartByEpoch().Y)
}
