package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

func TestReport(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--diagnose", "2", "--out", "r")...)
	succeeds(t, dir, small(data, "--seed", "7", "--out", "s")...)
	out := succeeds(t, dir, "report", "r", "s", "--out", "both.html", "--pictures", "p", "--workers=1")
	assert.Equal(t, "both.html\n44 pictures in p\n", out.stdout)
	assert.Empty(t, out.stderr)
	page := string(read(t, dir, "both.html"))
	for _, part := range []string{
		"<title>2 runs</title>", `<tr class="marked"><th scope="row">seed</th><td>1</td><td>7</td></tr>`,
		"<h2>Layers</h2>", "s: 10 test images of idx above their reconstructions", "data:image/png;base64,", "<h2>Machine</h2>",
	} {
		holds(t, page, part)
	}
	assert.True(t, regexp.MustCompile(`>2 of \d+ settings differ`).MatchString(page), "the seed, and that one run was diagnosed")
	pictures := tree(t, filepath.Join(dir, "p"))
	assert.Len(t, pictures, 44)
	for _, name := range []string{"test-loss-by-epoch.png", "train-excess-by-seconds-of-training.svg", "r-norm-of-the-update-by-step.png", "s-reconstructions.svg"} {
		assert.Contains(t, pictures, name)
	}
	for _, name := range pictures {
		checkPictureFile(t, filepath.Join(dir, "p", name))
	}

	// Names that differ in signs alone give files of their own.
	require.NoError(t, os.CopyFS(filepath.Join(dir, "a.b"), os.DirFS(filepath.Join(dir, "s"))))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "a-b"), os.DirFS(filepath.Join(dir, "s"))))
	succeeds(t, dir, "report", "a.b", "a-b", "--out", "both.html", "--pictures", "q", "--workers=1")
	assert.Subset(t, tree(t, filepath.Join(dir, "q")), []string{"a-b-reconstructions.png", "a-b-reconstructions-2.png"})

	out = succeeds(t, dir, "report", "--workers", "1", "r")
	assert.Equal(t, filepath.Join("r", "report.html")+"\n", out.stdout)
	holds(t, string(read(t, dir, "r", "report.html")), "<title>Run r</title>")
}

// holds requires a part of a page, which is too long to be printed.
func holds(t *testing.T, page, part string) {
	t.Helper()
	assert.True(t, strings.Contains(page, part), part)
}

// checkPictureFile reads a picture whole.
func checkPictureFile(t *testing.T, path string) {
	t.Helper()
	content := read(t, path)
	if strings.HasSuffix(path, ".png") {
		_, err := png.Decode(bytes.NewReader(content))
		require.NoError(t, err, path)
		return
	}
	for d := xml.NewDecoder(bytes.NewReader(content)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err, path)
	}
}

func TestReportOfAClassifier(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, "train", "--preset", "curves", "--dataset", "idx", "--data", data, "--target", "label", "--batch", "30",
		"--arch", "64,20,3", "--epochs", "20", "--warmup-steps", "5", "--lr", "1e-3", "--out", "r")
	succeeds(t, dir, "report", "r", "--pictures", "p")
	page := string(read(t, dir, "r", "report.html"))
	assert.True(t, regexp.MustCompile(`confusion matrix of 40 test examples of idx: (3[7-9]|40) right, [0-3] wrong`).MatchString(page))
	holds(t, page, "test accuracy")
	assert.Contains(t, tree(t, filepath.Join(dir, "p")), "r-confusion.svg")
}

// A run that is killed within a line, and one whose data are gone, are still reported.
func TestReportOfPartsOfARun(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--out", "r", "--diagnose", "4")...)
	for _, name := range []string{"metrics.jsonl", "layers.jsonl", "machine.jsonl"} {
		content := read(t, dir, "r", name)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "r", name), append(content, content[:len(content)/3]...)[:len(content)+20], 0o666))
	}
	require.NoError(t, os.Rename(data, data+"-away"))
	out := succeeds(t, dir, "report", "r")
	assert.Contains(t, out.stderr, "locoprop: no picture of r: "+data)
	page := string(read(t, dir, "r", "report.html"))
	assert.False(t, strings.Contains(page, "<figure>"))
	holds(t, page, "<td>12</td>")

	require.NoError(t, os.RemoveAll(filepath.Join(dir, "r", "model.safetensors")))
	out = succeeds(t, dir, "report", "r")
	assert.Empty(t, out.stderr, "no model, no picture")
	require.NoError(t, os.Remove(filepath.Join(dir, "r", "metrics.jsonl")))
	succeeds(t, dir, "report", "r")
	holds(t, string(read(t, dir, "r", "report.html")), "not evaluated yet")
}

func TestReportRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o777))
	refuses(t, dir, exitData, []string{"runs/x: no such folder"}, "report", "runs/x")
	refuses(t, dir, exitData, []string{"empty: holds no run: there is none of config.toml, metrics.jsonl, model.safetensors, checkpoints/last"},
		"report", "empty", "--out", "x.html")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o666))
	refuses(t, dir, exitData, []string{"file: not a folder; a run is one"}, "report", "file")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty", "metrics.jsonl"), []byte("{}\n{]\n{}\n"), 0o666))
	refuses(t, dir, exitData, []string{filepath.Join("empty", "metrics.jsonl") + ": line 2: invalid character ']'"}, "report", "empty")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty", "metrics.jsonl"), []byte("{}\n"), 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty", "config.toml"), []byte("a = ["), 0o666))
	refuses(t, dir, exitData, []string{filepath.Join("empty", "config.toml") + ": toml: "}, "report", "empty")
	require.NoError(t, os.Remove(filepath.Join(dir, "empty", "config.toml")))
	refuses(t, dir, exitFailed, []string{"writing no/x.html: no such file or directory"}, "report", "empty", "--out", "no/x.html")
	assert.Equal(t, []string{"empty", "empty/metrics.jsonl", "file"}, tree(t, dir), "nothing is left behind")
}

// machine.jsonl tells of each process; the other files are the same without it.
func TestMachineFile(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--out", "r", "--epochs", "2", "--schedule-epochs", "3", "--workers", "1")...)
	succeeds(t, dir, "train", "--resume", "r", "--epochs", "3", "--workers", "2")
	var lines []report.Machine
	for text := range bytes.Lines(read(t, dir, "r", report.MachineName)) {
		var m report.Machine
		require.NoError(t, json.Unmarshal(text, &m))
		lines = append(lines, m)
	}
	require.Len(t, lines, 4)
	assert.Equal(t, []string{report.EventStart, report.EventEnd, report.EventStart, report.EventEnd},
		[]string{lines[0].Event, lines[1].Event, lines[2].Event, lines[3].Event})
	assert.Equal(t, []int{1, 2, 8, 4}, []int{lines[0].Workers, lines[2].Workers, lines[1].Steps, lines[3].Steps})
	assert.NotEmpty(t, lines[0].Backend)
	assert.NotEmpty(t, lines[0].Detail)
	assert.NotEmpty(t, lines[0].Version)
	assert.Positive(t, lines[0].CPUs)
	for _, i := range []int{1, 3} {
		assert.Positive(t, lines[i].Seconds)
		assert.False(t, lines[i].Time.Before(lines[i-1].Time))
	}
}

func TestFlagsFirst(t *testing.T) {
	t.Parallel()
	commands := []*cli.Command{
		{Name: "plain"},
		{Name: "takes", ArgsUsage: "X", Flags: []cli.Flag{&cli.StringFlag{Name: "out"}, &cli.BoolFlag{Name: "on"}}},
	}
	for _, c := range []struct{ args, want string }{
		{"p", "p"},
		{"p plain a --out b", "p plain a --out b"},
		{"p takes a --out b c --on d", "p takes --out b --on -- a c d"},
		{"p takes --out=b a", "p takes --out=b -- a"},
		{"p takes a -out b", "p takes -out b -- a"},
		{"p takes a --out", "p takes --out"},
		{"p takes a --no b", "p takes --no -- a b"},
		{"p takes a -- --out b", "p takes -- a --out b"},
		{"p takes - --on", "p takes --on -- -"},
	} {
		assert.Equal(t, strings.Fields(c.want), flagsFirst(commands, strings.Fields(c.args)), c.args)
	}
}
