package report

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runFolder is a run's folder with files of given content.
func runFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666))
	}
	return dir
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := runFolder(t, map[string]string{
		"config.toml":   "lr = 1e-05\ndrop-last = true\narch = '2,1,2'\n[layers.3]\ngamma = 2.5\n",
		"metrics.jsonl": `{"epoch":0,"step":0,"test_loss":3}` + "\n" + `{"epoch":1,"step":4,"test_loss":null}` + "\n" + `{"epoch":2`,
		"layers.jsonl":  `{"step":0,"layer":1,"gradient_norm":2}` + "\n",
		"machine.jsonl": `{"event":"start","workers":2}` + "\n" + `{"event":"en` + "\n" + `{"event":"start"}` + "\n",
	})
	runs, err := Read(dir)
	require.NoError(t, err)
	r := runs[0]
	assert.Equal(t, filepath.Base(dir), r.Name)
	assert.Equal(t, map[string]string{"lr": "1e-05", "drop-last": "true", "arch": "2,1,2", "layers.3.gamma": "2.5"}, r.Config)
	require.Len(t, r.Metrics, 2)
	assert.True(t, math.IsNaN(r.Metrics[1].TestLoss))
	assert.Equal(t, 1, r.Layers[0].Layer)
	assert.Equal(t, []Machine{{Event: EventStart, Workers: 2}, {Event: EventStart}}, r.Machines, "what a killed process left is skipped")

	again, err := Read(dir, dir+"/.", t.TempDir())
	require.ErrorIs(t, err, dataset.ErrData)
	assert.Nil(t, again)
	again, err = Read(dir, dir)
	require.NoError(t, err)
	assert.Equal(t, []string{dir, dir}, []string{again[0].Name, again[1].Name}, "the same name twice: the paths")
}

func TestAppendMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := Machine{Event: EventStart, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), CPU: "x", Workers: 2}
	require.NoError(t, first.Append(dir))
	path := filepath.Join(dir, MachineName)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, `{"event":"start","time":"2026-01-02T03:04:05Z","cpu":"x","workers":2}`+"\n", string(content))
	require.NoError(t, os.WriteFile(path, content[:len(content)-9], 0o666))
	second := Machine{Event: EventEnd, Steps: 3, PeakMemory: 1 << 40}
	require.NoError(t, second.Append(dir))
	found, err := readMachines(dir)
	require.NoError(t, err)
	assert.Equal(t, []Machine{second}, found, "the line that was cut is lost, the next is not")

	err = second.Append(filepath.Join(dir, "missing"))
	assert.ErrorContains(t, err, filepath.Join("missing", MachineName))
}

func sampleRuns() []*Run {
	accuracy := 0.5
	return []*Run{
		{
			Name: "a", Config: map[string]string{"lr": "1", "seed": "1", "batch": "9"},
			Metrics: []train.Metrics{
				{Epoch: 0, TestLoss: 9, TestExcess: 8},
				{Epoch: 1, Step: 4, TestLoss: 3, TestExcess: 2, Seconds: 1.25, TestAccuracy: &accuracy},
				{Epoch: 2, Step: 8, TestLoss: 4, TestExcess: 3, Seconds: 2.5},
			},
			Layers: []plan.LayerReport{{Step: 0, Layer: 1, GradientNorm: 2}, {Step: 0, Layer: 0, GradientNorm: 1}, {Step: 3, Layer: 0, GradientNorm: 4}},
			Machines: []Machine{
				{Event: EventStart, Version: "v1", CPU: "chip", CPUs: 2},
				{Event: EventEnd, Steps: 5, PeakMemory: 3e8},
				{Event: EventStart, Version: "v2"},
				{Event: EventStart, Version: "v3"},
				{Event: EventEnd, Steps: 7},
				{Event: EventEnd, Steps: 8},
			},
		},
		{Name: "b", Config: map[string]string{"lr": "2", "seed": "1"}},
	}
}

func TestCurves(t *testing.T) {
	t.Parallel()
	p := Curves(sampleRuns())
	require.Len(t, p.Charts, 6*3, "four losses, one accuracy, the rate; by three")
	bySeconds := p.Charts[1]
	assert.Equal(t, []string{"test loss", "seconds of training"}, []string{bySeconds.Y, bySeconds.X})
	assert.Equal(t, Series{Name: "a", X: []float64{0, 1.25, 2.5}, Y: []float64{9, 3, 4}}, bySeconds.Series[0])
	assert.Equal(t, Series{Name: "b"}, bySeconds.Series[1])
	assert.Empty(t, Curves(nil).Charts[0].Series)
}

// Evaluations within an epoch stand at their place in it.
func TestCurvesWithinEpochs(t *testing.T) {
	t.Parallel()
	r := &Run{Metrics: []train.Metrics{{}, {Step: 3}, {Epoch: 1, Step: 4}, {Epoch: 1, Step: 7, TestLoss: -1}, {Epoch: 2, Step: 8}}}
	want := []float64{0, 0.75, 1, 1.75, 2}
	assert.Equal(t, want, Curves([]*Run{r}).Charts[0].Series[0].X, "by the end of an epoch")
	assert.Equal(t, "1.75", reached([]*Run{r}).Rows[0].Cells[9])
	r.Machines = []Machine{{Event: EventStart, Batches: 4}}
	r.Metrics = r.Metrics[:2]
	assert.Equal(t, want[:2], Curves([]*Run{r}).Charts[0].Series[0].X, "by what the process said")
	r.Machines = nil
	assert.Equal(t, []float64{0, 0}, Curves([]*Run{r}).Charts[0].Series[0].X, "nothing tells")
}

func TestLayerPlots(t *testing.T) {
	t.Parallel()
	plots := LayerPlots(sampleRuns())
	require.Len(t, plots, 1, "of one run nothing is known")
	assert.Equal(t, "a", plots[0].Title)
	require.Len(t, plots[0].Charts, 1, "only what isn't 0 everywhere")
	assert.Equal(t, "norm of the gradient", plots[0].Charts[0].Y)
	assert.Equal(t, []Series{
		{Name: "layer 0", X: []float64{0, 3}, Y: []float64{1, 4}},
		{Name: "layer 1", X: []float64{0}, Y: []float64{2}},
	}, plots[0].Charts[0].Series)

	long := &Run{}
	for i := range 2*mostPoints + 1 {
		long.Layers = append(long.Layers, plan.LayerReport{Step: i, GradientNorm: 1})
	}
	s := LayerPlots([]*Run{long})[0].Charts[0].Series[0]
	assert.LessOrEqual(t, len(s.X), mostPoints)
	assert.Equal(t, []float64{0, 3, 6}, s.X[:3])
}

func TestPageOfRuns(t *testing.T) {
	t.Parallel()
	runs := sampleRuns()
	p := Of(runs, map[int][]Picture{1: {{Caption: "c"}}})
	var names []string
	for _, s := range p.Sections {
		names = append(names, s.Title)
	}
	assert.Equal(t, []string{"Reached", "Curves", "Pictures", "Layers", "Settings", "Machine"}, names)
	assert.Equal(t, "b: c", p.Sections[2].Pictures[0].Caption)

	settings := p.Sections[4]
	assert.Equal(t, "2 of 3 settings differ between the runs; they come first.", settings.Text)
	assert.Equal(t, []Row{
		{Cells: []string{"batch", "9", "–"}, Marked: true},
		{Cells: []string{"lr", "1", "2"}, Marked: true},
		{Cells: []string{"seed", "1", "1"}},
	}, settings.Tables[0].Rows)

	reached := p.Sections[0].Tables[0]
	assert.Equal(t, []string{"a", "2", "8", "2.5 s", "0", "4", "0", "3", "3", "1"}, reached.Rows[0].Cells)
	assert.Equal(t, []string{"b", "not evaluated yet"}, reached.Rows[1].Cells)

	machines := p.Sections[5].Tables[0].Rows
	require.Len(t, machines, 3)
	assert.Contains(t, machines[0].Cells, "chip, 2 threads")
	assert.Equal(t, []string{"5", "300 MB"}, machines[0].Cells[8:])
	assert.Equal(t, []string{"–", "–"}, machines[1].Cells[8:], "killed")
	assert.Equal(t, []string{"7", "–"}, machines[2].Cells[8:])

	assert.Equal(t, "Run a", Of(runs[:1], nil).Title)
	assert.NotEmpty(t, pageOf(t, p))
}
