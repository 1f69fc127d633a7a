package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

var updatePages = flag.Bool("update", false, "write testdata/pages anew, as the program is")

// asGolden compares a part of a page with its file in testdata.
func asGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "pages", name)
	if *updatePages {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	assert.Equal(t, string(read(t, path)), got, "-update writes the file anew")
}

const partOfForms, partOfScaling = "locoprop bench forms", "locoprop bench scaling"

func TestWritePage(t *testing.T) {
	t.Parallel()
	begin, end := marksOf(partOfForms)
	assert.Equal(t, []string{"<!-- locoprop bench forms: begin -->", "<!-- locoprop bench forms: end -->"}, []string{begin, end})
	part := begin + "\n\nnew\n\n" + end
	otherBegin, otherEnd := marksOf(partOfScaling)
	other := otherBegin + "\nits own\n" + otherEnd + "\n"
	path := filepath.Join(t.TempDir(), "page.md")
	for name, c := range map[string]struct{ before, after string }{
		"empty":            {"", part + "\n"},
		"without the part": {"# Page\n\ntext\n", "# Page\n\ntext\n\n" + part + "\n"},
		"no end of line":   {"text", "text\n\n" + part + "\n"},
		"old part":         {"above\n" + begin + "\nold\n" + end + "\nbelow\n", "above\n" + part + "\nbelow\n"},
		"empty part":       {"above\n" + begin + end + "below", "above\n" + part + "below"},
		"another's part":   {other, other + "\n" + part + "\n"},
		"both parts":       {other + begin + "\nold\n" + end + "\n" + other, other + part + "\n" + other},
	} {
		require.NoError(t, os.WriteFile(path, []byte(c.before), 0o600))
		for range 2 { // written again, it is the same
			require.NoError(t, writePage(path, partOfForms, "\nnew\n"))
			assert.Equal(t, c.after, string(read(t, path)), name)
		}
	}
	fresh := filepath.Join(t.TempDir(), "fresh.md")
	require.NoError(t, writePage(fresh, partOfForms, "new"))
	assert.Equal(t, part+"\n", string(read(t, fresh)))
}

// A page that couldn't be written is refused before anything is measured, and stays.
func TestPageRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"forms", "figures", "scaling", "schedule"} {
		begin, end := marksOf("locoprop bench " + name)
		for _, text := range []string{begin, end, end + begin, begin + end + begin, begin + end + end, end + begin + end} {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "page.md"), []byte(text), 0o600))
			refuses(t, dir, exitUsage, []string{"--page page.md: needs one", begin, end}, "bench", name, "--page", "page.md")
			assert.Equal(t, text, string(read(t, dir, "page.md")))
		}
		dir := t.TempDir()
		other, _ := marksOf("locoprop bench other")
		nested := begin + other + end
		require.NoError(t, os.WriteFile(filepath.Join(dir, "page.md"), []byte(nested), 0o600))
		refuses(t, dir, exitUsage, []string{"--page page.md: another command's part", begin, end}, "bench", name, "--page", "page.md")
		assert.Equal(t, nested, string(read(t, dir, "page.md")))
		refuses(t, dir, exitFailed, []string{"writing none/page.md: "}, "bench", name, "--page", "none/page.md")
		refuses(t, dir, exitFailed, []string{"writing .: it is a folder"}, "bench", name, "--page", ".")
		if name == "scaling" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "images"), nil, 0o600))
			refuses(t, dir, exitFailed, []string{"folder of the charts: images is a file"}, "bench", name, "--page", "new.md", "--charts")
			assert.NoFileExists(t, filepath.Join(dir, "new.md"))
		}
	}
}

// A page that is a link is written where the link leads.
func TestPageBehindLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "docs"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "docs", "page.md"), []byte("above\n"), 0o600))
	link := filepath.Join(dir, "link.md")
	if err := os.Symlink(filepath.Join("docs", "page.md"), link); err != nil {
		t.Skip("needs a file system with symbolic links: ", err)
	}
	succeeds(t, dir, "bench", "scaling", "--arch", "6,4,6", "--batch", "8", "--rounds", "1", "--backend", "gonum", "--workers", "1",
		"--axes", "width", "--page", "link.md", "--charts")
	assert.Contains(t, string(read(t, dir, "docs", "page.md")), "above\n\n<!-- locoprop bench scaling: begin -->")
	assert.FileExists(t, filepath.Join(dir, "docs", "images", "scaling-width.svg"))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink)
}

// Each command writes its part of a page beside those of the others.
func TestBenchPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{"bench", "schedule", "--arch", "6,4,6", "--batch", "8", "--rounds", "1", "--backend", "gonum", "--blocks", "2", "--simulate", "1", "--page", "page.md"}
	out := succeeds(t, dir, append(args, "--json")...)
	assert.Contains(t, out.stdout, `"command": "locoprop bench schedule `)
	page := string(read(t, dir, "page.md"))
	assert.Contains(t, page, "\n    locoprop bench schedule --arch 6,4,6 --batch 8 --backend gonum --preset paper --blocks 2 --simulate 1 --rounds 1\n")
	assert.Contains(t, page, "The step: arch 6,4,6, activation tanh, ")

	succeeds(t, dir, "bench", "scaling", "--arch", "6,4,6", "--batch", "8", "--rounds", "1", "--backend", "gonum", "--workers", "1",
		"--axes", "width,workers", "--page", "page.md", "--charts")
	page = string(read(t, dir, "page.md"))
	assert.Contains(t, page, "<!-- locoprop bench schedule: begin -->")
	assert.Contains(t, page, "](images/scaling-width.svg)")
	assert.NotContains(t, page, "scaling-workers.svg", "one value is no chart")
	assert.Contains(t, string(read(t, dir, "images", "scaling-width.svg")), "predicted by flops")

	succeeds(t, dir, "bench", "forms", "--shapes", "6x5x20", "--problems", "locoprop-s sgd", "--local-steps", "2", "--rounds", "1", "--workers", "1", "--page", "page.md")
	page = string(read(t, dir, "page.md"))
	assert.Contains(t, page, `    locoprop bench forms --shapes 6x5x20 --problems "locoprop-s sgd" --local-steps 2 --rounds 1 --limit 5s --budget 0s --workers 1 --backend `)
	assert.Contains(t, page, "#### locoprop-s sgd\n")
}

// brokenWriter takes nothing.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

// Where the output is lost, the page isn't.
func TestPageWithoutOutput(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	err := newApp(brokenWriter{}, io.Discard).RunContext(context.Background(), []string{
		"locoprop", "bench", "schedule", "--arch", "6,4,6", "--batch", "8", "--rounds", "1", "--backend", "gonum", "--blocks", "2", "--page", path,
	})
	assert.ErrorContains(t, err, "broken")
	assert.Contains(t, string(read(t, path)), "Its tasks were timed")
}

// The command line on a page makes the same measurements, wherever it is run.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	of := func(args string) (line string) {
		app := newApp(io.Discard, io.Discard)
		for _, c := range app.Command("bench").Subcommands {
			c.Action = func(ctx *cli.Context) error {
				line = commandLine(ctx, map[string]string{"workers": "3", "backend": "gonum", "preset": "paper"})
				return nil
			}
		}
		require.NoError(t, app.RunContext(context.Background(), strings.Fields(args)))
		return line
	}
	for args, want := range map[string]string{
		"locoprop bench figures --page x.md --json":             "locoprop bench figures --rounds 5 --workers 3 --backend gonum",
		"locoprop bench forms --candidates --limit 2s":          "locoprop bench forms --candidates --local-steps 10 --rounds 5 --limit 2s --budget 0s --workers 3 --backend gonum",
		"locoprop bench scaling --batch 7 --charts":             "locoprop bench scaling --batch 7 --workers 3 --backend gonum --preset paper --rounds 5 --limit 10s",
		"locoprop bench schedule --preset fast --backend gonum": "locoprop bench schedule --backend gonum --preset fast --blocks 32,64,128,256,512 --simulate 2,16,64,128 --rounds 5",
	} {
		got := of(args)
		assert.Equal(t, want, got)
		assert.Equal(t, got, of(got), "given, the settings are the same")
	}
}

func testOrigin(command string) origin {
	return origin{
		Version: "1.2.3", Command: command, Date: "2026-12-31",
		Machine: bench.Machine{CPU: "Some CPU", CPUs: 2, OS: "linux", Arch: "amd64", Go: "go1.26"},
	}
}

func exactly(median, least, most float64) bench.Spread {
	return bench.Spread{Median: median, Min: least, Max: most, Count: 3}
}

func TestFormsPage(t *testing.T) {
	t.Parallel()
	form := func(name string, ms, ofSgemm, over float64) bench.FormTime {
		return bench.FormTime{Form: name, Flops: 1e9, Seconds: exactly(ms/1e3, ms/1.1e3, ms/0.9e3), OfSgemm: ofSgemm, Over: over}
	}
	late := bench.FormTime{Form: "kernel", Flops: 1e12, Skipped: "expected to take 9 s for a batch, above the limit of 5 s"}
	refused := bench.FormTime{Form: "implicit", Skipped: "solver newton needs few inputs"}
	r := &formsReport{origin: testOrigin("locoprop bench forms --rounds 3"), Compiler: "c++ 1.0", FormsReport: &bench.FormsReport{
		Backend: "native", Detail: "Some BLAS", Workers: 1, Rounds: 3, Sgemm: exactly(80e9, 79e9, 82e9), SgemmSize: 512,
		Compared: 2, Worst: 1.25, Mean: 1.118,
		Layers: []bench.LayerForms{
			{
				Shape: bench.Shape{Inputs: 30, Units: 250, Batch: 64}, Problem: "locoprop-s sgd", Auto: "gram", Ratio: 1,
				Forms: []bench.FormTime{form("direct", 2, 0.8, 0.5), form("gram", 1, 0.6, 1), form("kernel", 123.4, 0.25, 1/123.4), form("exact", 3, 0.05, 0)},
			},
			{
				Shape: bench.Shape{Inputs: 4000, Units: 250, Batch: 64}, Problem: "locoprop-s sgd", Auto: "direct", Ratio: 1.25,
				Forms: []bench.FormTime{form("direct", 1.25, 0.8, 1), form("gram", 15, 0.6, 1.25/15), form("kernel", 1, 0.5, 1.25), form("exact", 3, 0.05, 0)},
			},
			{
				Shape: bench.Shape{Inputs: 4000, Units: 4000, Batch: 4096}, Problem: "locoprop-s sgd", Auto: "kernel",
				Forms: []bench.FormTime{form("direct", 1, 0.9, 0), form("gram", 2, 0.6, 0), late, form("exact", 3, 0.05, 0)},
			},
			{
				Shape: bench.Shape{Inputs: 30, Units: 250, Batch: 64}, Problem: "locoprop-m momentum", Auto: "direct",
				Forms: []bench.FormTime{{Form: "direct", Flops: 1e12, Skipped: "expected to take 9 s"}, late, refused},
			},
		},
		Skipped: []string{"locoprop-m momentum 1x2x3"},
	}}
	asGolden(t, "forms.md", formsPage(r))
	r.Layers, r.Skipped = nil, nil
	assert.Contains(t, formsPage(r), "0 times were measured, 0 not.\n", "nothing was begun")
}

func TestScalingPage(t *testing.T) {
	t.Parallel()
	point := func(axis, value string, ms, predicted float64) bench.PointTime {
		return bench.PointTime{
			Axis: axis, Value: value, Workers: 2, Flops: predicted * 1e8, Seconds: exactly(ms/1e3, ms/1.1e3, ms/0.9e3), Rate: 1e11,
			Predicted: predicted / 1e3, Ratio: exactly(ms/predicted, ms/predicted/1.1, ms/predicted/0.9),
		}
	}
	late := point("width", "4", 0, 11000)
	late.Seconds, late.Ratio, late.Rate, late.Skipped = bench.Spread{}, bench.Spread{}, 0, "expected to take 11 s, the limit is 10 s"
	r := &scalingReport{
		origin: testOrigin("locoprop bench scaling --rounds 3"), Backend: backend.Info{Detail: "Some BLAS"}, Rounds: 3, Step: "arch 6,4,6, batch 8",
		ScalingReport: &bench.ScalingReport{
			Base:   bench.PointTime{Axis: "base", Workers: 2, Flops: 1e10, Seconds: exactly(0.1, 0.09, 0.11), Rate: 1e11, Predicted: 0.1},
			Points: []bench.PointTime{point("batch", "32", 5, 3), point("batch", "1000", 99, 100), point("width", "2", 290, 300), late, point("workers", "1", 190, 200)},
		},
	}
	dir := t.TempDir()
	charts, err := writeScalingCharts(filepath.Join(dir, "page.md"), r.ScalingReport)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"batch": "images/scaling-batch.svg", "width": "images/scaling-width.svg"}, charts)
	assert.Contains(t, string(read(t, dir, charts["batch"])), ">examples in a batch<")
	asGolden(t, "scaling.md", scalingPage(r, charts))

	chart := scalingChart(scalingAxis{name: "width", unit: "times"}, onAxis(r.ScalingReport, "width"))
	assert.True(t, chart.Log && chart.LogX)
	assert.Equal(t, [][]float64{{2, 4}, {0.3, 11}}, [][]float64{chart.Series[0].X, chart.Series[0].Y})
	assert.Equal(t, [][]float64{{2}, {0.29}}, [][]float64{chart.Series[1].X, chart.Series[1].Y}, "where it was measured")
	require.NoError(t, chart.Check())
}

func TestSchedulePage(t *testing.T) {
	t.Parallel()
	cut := func(block, tasks int, seconds ...float64) bench.Scheduled {
		s := bench.Scheduled{Block: block, Tasks: tasks, Phases: 6, Longest: 0.0123, Work: exactly(1.4, 1.3, 1.5)}
		for i, x := range seconds {
			s.Simulated = append(s.Simulated, bench.Simulated{Workers: []int{2, 16}[i], Seconds: x, Efficiency: 0.7 / x / []float64{1, 8}[i]})
		}
		return s
	}
	r := &scheduleReport{
		origin: testOrigin("locoprop bench schedule --rounds 3"), Backend: backend.Info{Detail: "Some BLAS"}, Rounds: 3, Step: "arch 6,4,6, batch 8",
		Blocks: []bench.Scheduled{cut(32, 100, 0.8, 0.1), cut(128, 25, 0.72, 0.11)},
	}
	asGolden(t, "schedule.md", schedulePage(r))
	r.Blocks = nil
	assert.NotPanics(t, func() { schedulePage(r) })
}

// What describes a step has the settings that are given and those that the preset has.
func TestDescribeStep(t *testing.T) {
	t.Parallel()
	text, err := describeStep(map[string]string{"batch": "7"}, "block")
	require.NoError(t, err)
	assert.Contains(t, text, "arch 784,1000,500,250,30:identity,")
	assert.Contains(t, text, ", batch 7")
	assert.NotContains(t, text, "block")
	assert.NotContains(t, text, "workers")
	_, err = describeStep(map[string]string{"batch": "0"})
	assert.Error(t, err)
}
