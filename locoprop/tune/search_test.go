package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var space = []Dimension{
	{Key: "lr", Low: 1e-4, High: 1, Log: true},
	{Key: "batch", Choices: []string{"50", "100", "200"}},
	{Key: "momentum", Low: 0, High: 1},
}

// bowl is a loss with its least at lr 0.01, whatever the batch, which falls with length;
// above lr 0.3 it diverges.
func bowl(t Trial, length int) float64 {
	lr, err := strconv.ParseFloat(t.Point["lr"], 64)
	if err != nil || lr > 0.3 {
		return math.NaN()
	}
	return math.Abs(math.Log10(lr)+2) + 1/float64(length)
}

// counted is a search of the bowl that counts what it evaluates.
type counted struct {
	Options
	calls []string
	spent int
	at    map[int]int // by trial, its length
}

func newCounted() *counted {
	c := &counted{at: map[int]int{}}
	c.Options = Options{
		Space: space, Default: map[string]string{"lr": "0.1"}, Trials: 10, Length: 9, Seed: 1,
		Evaluate: func(_ context.Context, t Trial, length int) (float64, error) {
			c.calls = append(c.calls, fmt.Sprintf("%d@%d", t.Number, length))
			c.spent += length - c.at[t.Number]
			c.at[t.Number] = length
			return bowl(t, length), nil
		},
	}
	return c
}

func TestPointsCoverTheSpace(t *testing.T) {
	points := Points(space, 30, 7)
	seen := map[string]int{}
	thirds := [3]int{}
	for _, p := range points {
		for _, d := range space {
			require.NoError(t, d.Contains(p[d.Key]))
		}
		seen[p["batch"]]++
		momentum, err := strconv.ParseFloat(p["momentum"], 64)
		require.NoError(t, err)
		thirds[min(int(momentum*3), 2)]++
	}
	assert.Equal(t, map[string]int{"50": 10, "100": 10, "200": 10}, seen, "30 points of base 3: each third ten times")
	for _, n := range thirds {
		assert.InDelta(t, 10, n, 2)
	}
	assert.Equal(t, points[:4], Points(space, 4, 7), "the first points don't depend on their number")
	assert.Equal(t, points, Points(space, 30, 7))
	assert.NotEqual(t, points, Points(space, 30, 8))
	assert.Empty(t, Points(space, 0, 7))
	assert.Equal(t, []map[string]string{{}, {}}, Points(nil, 2, 7))
}

func TestRungs(t *testing.T) {
	for _, c := range []struct {
		full, trials, reduction int
		want                    []int
	}{
		{9, 9, 3, []int{3, 9}},
		{9, 27, 3, []int{1, 3, 9}},
		{9, 3, 3, []int{9}},
		{9, 27, 1, []int{9}},
		{3, 100, 3, []int{1, 3}},
		{1, 100, 3, []int{1}},
		{10, 9, 3, []int{4, 10}},
		{10, 0, 3, []int{10}},
		{8, 8, 2, []int{2, 4, 8}},
	} {
		assert.Equal(t, c.want, Rungs(c.full, c.trials, c.reduction), "%+v", c)
	}
}

func TestSearchFindsTheBest(t *testing.T) {
	c := newCounted()
	c.Trials = 28
	var reported []Result
	dropped := map[int]bool{}
	c.OnResult = func(r Result) { reported = append(reported, r) }
	c.OnDropped = func(tr Trial) { dropped[tr.Number] = true }
	c.Probes, c.Probe = 2, func(best Result) []Trial {
		return []Trial{{Label: "half", Point: map[string]string{"lr": "0.5"}}, {Label: "double", Point: map[string]string{"lr": "0.01"}}}
	}
	out, err := Search(context.Background(), c.Options)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 3, 9}, out.Rungs)
	want := math.Inf(1) // the best of all, had all run to the end
	for i, p := range Points(space, 27, 1) {
		if loss := bowl(Trial{Number: i + 1, Point: p}, 9); loss < want {
			want = loss
		}
	}
	assert.Equal(t, want, out.Best.Loss)
	assert.Equal(t, 9, out.Best.Length)
	assert.Equal(t, Result{Trial{0, "", c.Default}, 9, bowl(Trial{Point: c.Default}, 9)}, out.Default)
	require.Len(t, out.Results, 28)
	assert.Equal(t, out.Best, out.Results[0])
	ends := map[int]int{}
	for i, r := range out.Results {
		ends[r.Length]++
		assert.Equal(t, r.Length < 9, dropped[r.Trial.Number], "trial %d", r.Trial.Number)
		if i > 0 && r.Length == out.Results[i-1].Length {
			assert.LessOrEqual(t, byLoss(out.Results[i-1], r), 0)
		}
	}
	assert.Equal(t, map[int]int{1: 18, 3: 6, 9: 4}, ends, "27, 9 and 3 of the space, and the default point")
	assert.Len(t, reported, len(c.calls))

	// What was spent is what was planned, but for what diverged: the half, as it was made here.
	assert.Equal(t, Budget{Trials: 28, Probes: 2, Full: 9, Length: 27*1 + 9*2 + 3*6 + 9*3}, out.Budget)
	assert.Equal(t, out.Budget.Length, c.spent)
	assert.Equal(t, []bool{true, false}, []bool{out.Probes[0].Diverged(), out.Probes[1].Diverged()})
	assert.Equal(t, []int{28, 29}, []int{out.Probes[0].Trial.Number, out.Probes[1].Trial.Number})
	assert.Equal(t, []string{fmt.Sprintf("double is better still: loss 0.111 against %s", Number(want))}, out.Warnings[len(out.Warnings)-1:])
}

// A diverged trial never goes on, and the default point goes on although it is the worst.
func TestPromote(t *testing.T) {
	r := func(number int, loss float64) Result { return Result{Trial: Trial{Number: number}, Loss: loss} }
	numbers := func(trials []Trial) (list []int) {
		for _, tr := range trials {
			list = append(list, tr.Number)
		}
		return list
	}
	up, dropped := promote([]Result{r(0, 9), r(1, math.Inf(1)), r(2, 3), r(3, math.Inf(1)), r(4, 2), r(5, 1), r(6, 4)}, 3)
	assert.Equal(t, []int{0, 4, 5}, numbers(up))
	assert.ElementsMatch(t, []int{1, 2, 3, 6}, numbers(dropped))
	up, _ = promote([]Result{r(0, math.Inf(1)), r(1, 1), r(2, 1)}, 3)
	assert.Equal(t, []int{1}, numbers(up), "of equals the first")
	up, dropped = promote([]Result{r(0, math.Inf(1)), r(1, math.Inf(1))}, 3)
	assert.Empty(t, up)
	assert.Len(t, dropped, 2)
}

func TestSearchWarnsOfEdges(t *testing.T) {
	c := newCounted()
	c.Trials = 40
	c.Evaluate = func(_ context.Context, tr Trial, _ int) (float64, error) {
		return strconv.ParseFloat(tr.Point["lr"], 64)
	}
	out, err := Search(context.Background(), c.Options)
	require.NoError(t, err)
	require.NotEmpty(t, out.Warnings)
	assert.Contains(t, out.Warnings[0], "is at the low end of its range, 0.0001 to 1: the best may lie beyond")
}

func TestSearchWhereAllDiverge(t *testing.T) {
	c := newCounted()
	c.Evaluate = func(context.Context, Trial, int) (float64, error) { return math.Inf(-1), nil }
	out, err := Search(context.Background(), c.Options)
	require.ErrorIs(t, err, ErrAllDiverged)
	assert.Len(t, out.Results, 10)
	assert.Empty(t, out.Best.Trial.Point)
}

// A search that stops anywhere, by an error or because its journal was cut within any of
// its lines, goes on to the same outcome and evaluates nothing twice that it has recorded.
func TestSearchGoesOn(t *testing.T) {
	probe := func(best Result) []Trial { return []Trial{{Label: "half", Point: best.Trial.Point}} }
	whole := newCounted()
	whole.Probes, whole.Probe = 1, probe
	whole.Journal = filepath.Join(t.TempDir(), "journal.jsonl")
	want, err := Search(context.Background(), whole.Options)
	require.NoError(t, err)
	journal, err := os.ReadFile(whole.Journal)
	require.NoError(t, err)

	stop := errors.New("stop")
	for k := range whole.calls {
		c := newCounted()
		c.Probes, c.Probe = 1, probe
		c.Journal = filepath.Join(t.TempDir(), "journal.jsonl")
		evaluate := c.Evaluate
		left := k
		c.Evaluate = func(ctx context.Context, tr Trial, length int) (float64, error) {
			if left == 0 {
				return 0, stop
			}
			left--
			return evaluate(ctx, tr, length)
		}
		_, err := Search(context.Background(), c.Options)
		require.ErrorIs(t, err, stop)
		c.Evaluate = evaluate
		got, err := Search(context.Background(), c.Options)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Equal(t, whole.calls, c.calls)
		again, err := os.ReadFile(c.Journal)
		require.NoError(t, err)
		assert.Equal(t, string(journal), string(again))
	}
	for _, cut := range cuts(journal) {
		c := newCounted()
		c.Probes, c.Probe = 1, probe
		c.Journal = filepath.Join(t.TempDir(), "journal.jsonl")
		require.NoError(t, os.WriteFile(c.Journal, journal[:cut], 0o600))
		got, err := Search(context.Background(), c.Options)
		require.NoError(t, err)
		require.Equal(t, want, got, "cut at %d", cut)
		lines := strings.Count(string(journal[:cut]), "\n")
		require.Len(t, c.calls, len(whole.calls)-max(lines-1, 0), "cut at %d", cut)
	}
}

// cuts are the lengths of a journal cut at the beginning, within and at the end of lines.
func cuts(journal []byte) (list []int) {
	begin := 0
	for line := range strings.Lines(string(journal)) {
		list = append(list, begin, begin+1, begin+len(line)/2, begin+len(line)-1)
		begin += len(line)
	}
	return list[:len(list)-1]
}

func TestSearchEndsWithItsContext(t *testing.T) {
	c := newCounted()
	ctx, cancel := context.WithCancel(context.Background())
	c.OnResult = func(r Result) {
		if r.Trial.Number == 2 {
			cancel()
		}
	}
	_, err := Search(ctx, c.Options)
	require.ErrorIs(t, err, context.Canceled)
	assert.Len(t, c.calls, 3)
}

func TestJournalOfAnotherSearch(t *testing.T) {
	c := newCounted()
	c.Journal = filepath.Join(t.TempDir(), "journal.jsonl")
	c.Settings = map[string]string{"dataset": "curves", "seed": "1"}
	_, err := Search(context.Background(), c.Options)
	require.NoError(t, err)
	for _, change := range []struct {
		to   func(*Options)
		want string
	}{
		{func(o *Options) { o.Trials = 11 }, "trials is 10 there and 11 here"},
		{func(o *Options) { o.Seed = 2 }, "seed is 1 there and 2 here"},
		{func(o *Options) { o.Settings = map[string]string{"dataset": "mnist"} }, "setting dataset is curves there and mnist here; setting seed is 1 there and not set here"},
		{func(o *Options) { o.Space = o.Space[:2] }, "space is lr 0.0001 to 1 (log); batch 50 | 100 | 200; momentum 0 to 1 there and lr 0.0001 to 1 (log); batch 50 | 100 | 200 here"},
		{func(o *Options) { o.Default = nil }, "default lr is 0.1 there and not set here"},
	} {
		o := c.Options
		change.to(&o)
		_, err := Search(context.Background(), o)
		require.ErrorIs(t, err, ErrJournal)
		assert.ErrorContains(t, err, "is of another search: "+change.want)
	}
	for text, want := range map[string]string{
		"x\n":  "line 1: invalid character",
		"{}\n": "is of another search",
		"[]\n": "line 1: json",
	} {
		path := filepath.Join(t.TempDir(), "journal.jsonl")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		o := c.Options
		o.Journal = path
		_, err := Search(context.Background(), o)
		require.ErrorIs(t, err, ErrJournal)
		assert.ErrorContains(t, err, want)
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, text, string(left), "what isn't understood stays")
	}
	old, err := os.ReadFile(c.Journal)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.Journal, append(old, "{\"trial\": true}\n"...), 0o600))
	_, err = Search(context.Background(), c.Options)
	require.ErrorIs(t, err, ErrJournal)
	require.ErrorIs(t, err, dataset.ErrData)
	assert.ErrorContains(t, err, fmt.Sprintf("journal %s: line %d: ", c.Journal, strings.Count(string(old), "\n")+1))

	o := c.Options
	o.Journal = filepath.Join(t.TempDir(), "missing", "journal.jsonl")
	_, err = Search(context.Background(), o)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestJournalInUse(t *testing.T) {
	c := newCounted()
	c.Journal = filepath.Join(t.TempDir(), "journal.jsonl")
	evaluate := c.Evaluate
	tried := false
	c.Evaluate = func(ctx context.Context, tr Trial, length int) (float64, error) {
		if !tried {
			tried = true
			_, err := Search(ctx, c.Options)
			require.ErrorIs(t, err, ErrJournal)
			assert.ErrorContains(t, err, "is in use")
		}
		return evaluate(ctx, tr, length)
	}
	_, err := Search(context.Background(), c.Options)
	require.NoError(t, err)
	assert.True(t, tried)
}

func TestOptionsRefuse(t *testing.T) {
	_, err := Search(context.Background(), Options{Reduction: -1, Probes: 1, Default: map[string]string{"x": "1"}, Space: []Dimension{{Key: "lr"}}})
	for _, want := range []string{
		"dimension lr goes from 0 to 0", "0 trials; must be 1 or more", "length 0; must be 1 or more", "reduction -1; must be 1 or more",
		"nothing evaluates trials", "1 probes, and nothing that makes them", "default point has x, which isn't in the space",
	} {
		assert.ErrorContains(t, err, want)
	}
	c := newCounted()
	c.Trials = MostTrials + 1
	_, err = Search(context.Background(), c.Options)
	require.ErrorContains(t, err, "10001 trials; must be at most 10000")
	c = newCounted()
	c.Probes, c.Probe = 2, func(Result) []Trial { return nil }
	_, err = Search(context.Background(), c.Options)
	assert.ErrorContains(t, err, "0 probes were made; must be 2")
}
