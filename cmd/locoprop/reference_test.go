package main

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

// docs/cli.md is what the program says of itself.
func TestReference(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the page is of systems with signals: run it on one of them")
	}
	out := succeeds(t, t.TempDir(), "reference")
	page := string(read(t, "..", "..", "docs", "cli.md"))
	if page == out.stdout {
		return
	}
	old, now := strings.Split(page, "\n"), strings.Split(out.stdout, "\n")
	for i := range min(len(old), len(now)) {
		if old[i] != now[i] {
			require.Equal(t, now[i], old[i], "docs/cli.md, line %d: the program says otherwise; run `make docs`", i+1)
		}
	}
	require.Len(t, old, len(now), "docs/cli.md: the program says otherwise; run `make docs`")
}

// Nothing that a user may type is missing from the reference.
func TestReferenceIsWhole(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	app := newApp(io.Discard, io.Discard)
	writeReference(&b, app)
	page := b.String()
	flags := 0
	eachCommand(app.Commands, app.Name, func(path string, c *cli.Command) {
		_, section, found := strings.Cut(page, "\n## "+path+"\n")
		require.True(t, found, path)
		section, _, _ = strings.Cut(section, "\n## ")
		for _, f := range c.Flags {
			flags++
			name := f.Names()[0]
			if regexp.MustCompile("(?m)^As for \\[train\\].*`--" + name + "`").MatchString(section) {
				continue // told once
			}
			row := regexp.MustCompile("(?m)^\\| `--" + name + "[ `].*\\|$").FindString(section)
			require.NotEmpty(t, row, "%s --%s", path, name)
			cells := strings.Split(strings.ReplaceAll(row, `\|`, ""), "|")
			require.Len(t, cells, 5, row)
			for _, c := range cells[1:4] {
				assert.NotEmpty(t, strings.TrimSpace(c), "%s: %s", path, row)
			}
		}
	})
	assert.Greater(t, flags, 150)
	for _, part := range []string{
		"LOCOPROP_BATCH", dataVariable, "LOCOPROP_BACKEND", "\n## locoprop data fetch mnist\n", "\n| 130 | interrupted |",
		"`" + train.LayersName + "`", "`" + train.BestName + "`",
	} {
		assert.Contains(t, page, part)
	}
	assert.NotContains(t, page, "locoprop rates")
	assert.Contains(t, app.Description, exitSummary())
	// eval takes the machine's variables, and no others.
	_, section, _ := strings.Cut(page, "\n## locoprop eval\n")
	section, _, _ = strings.Cut(section, "\n## ")
	assert.Contains(t, section, "Environment: `LOCOPROP_DATA`, `LOCOPROP_WORKERS`, `LOCOPROP_BACKEND`.\n")
}

// A run leaves no file that the reference doesn't name.
func TestReferenceOfFiles(t *testing.T) {
	t.Parallel()
	data, dir := writeData(t), t.TempDir()
	succeeds(t, dir, small(data, "--diagnose", "2", "--keep", "3", "--out", "r")...)
	known := map[string]bool{"checkpoints": true}
	for _, f := range filesOfRun {
		known[f.name] = true
	}
	steps := regexp.MustCompile(`step-\d+$`)
	for _, name := range tree(t, filepath.Join(dir, "r")) {
		assert.True(t, known[steps.ReplaceAllString(name, "step-N")], name)
	}
}
