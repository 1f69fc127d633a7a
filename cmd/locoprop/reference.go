package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/report"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

// exitMeanings are the exit codes in the order in which help and reference show them.
var exitMeanings = []struct {
	code           int
	short, example string
}{
	{exitDone, "done", ""},
	{exitFailed, "failed", "the run failed: a folder that can't be written to, a full disk"},
	{exitUsage, "wrong usage", "an unknown flag, name or configuration key; flags that contradict each other; a limit exceeded"},
	{exitData, "bad data", "a file of data, a model or a checkpoint is missing, cut, damaged or of the wrong shape; NaN in the data"},
	{exitDiverged, "diverged", "a loss or weight became NaN or infinite; a layer's matrix has no inverse in finite numbers"},
	{exitInterrupted, "interrupted", "Ctrl-C or SIGTERM; a run can be resumed"},
}

// exitSummary is a line of all exit codes.
func exitSummary() string {
	var items []string
	for _, m := range exitMeanings {
		items = append(items, fmt.Sprintf("%d %s", m.code, m.short))
	}
	return strings.Join(items, ", ")
}

// runFile is a file that a run may leave in its folder.
type runFile struct{ name, about string }

// filesOfRun are all of them.
var filesOfRun = []runFile{
	{train.ConfigName, "every setting of the run; a file for `--config`"},
	{train.MetricsName, "a JSON line per evaluated epoch"},
	{train.LayersName, "with `--diagnose`: a JSON line per layer of every batch that is measured"},
	{report.MachineName, "JSON lines: where each process that trained began and what it did"},
	{train.ModelName, "the model, for `eval` and `predict`"},
	{train.CheckpointName, "what `--resume` goes on from"},
	{"checkpoints/step-N", "the checkpoints before that one, as many as `--keep` says"},
	{train.BestName, "the checkpoint of the epoch with the least test loss"},
	{train.LockName, "there while a process trains: which one"},
	{eventsName + "/", "with `--tensorboard`: event files for TensorBoard, one for each start of the run"},
	{pictureName, "for autoencoders of images: test images above what the network makes of them"},
}

// referenceCommand prints the page that docs/cli.md is.
func referenceCommand() *cli.Command {
	return &cli.Command{
		Name:   "reference",
		Usage:  "print this program's reference, as it is in docs/cli.md",
		Hidden: true,
		Action: func(c *cli.Context) error {
			writeReference(c.App.Writer, c.App)
			return nil
		},
	}
}

// writeReference writes every command that isn't hidden, with its flags, and what they
// have in common. It depends on the program alone, not on the machine.
func writeReference(w io.Writer, app *cli.App) {
	fmt.Fprintf(w, `# Command line reference

Written by `+"`make docs`"+` from the program itself; a test compares. [guide.md](guide.md) goes through it task by task.

`+"`locoprop COMMAND --help`"+` prints the same. A flag is given as `+"`--flag value`"+` or `+"`--flag=value`"+`; one without a value in the
tables is a switch, `+"`--flag`"+` or `+"`--flag=false`"+`.

Settings of a run come from flags, before environment variables, before the file that `+"`--config`"+` names, before the preset.
An empty variable counts as none, and `+"`%s`"+` is asked only where neither flag nor file names a folder.
`+"`NO_COLOR`"+` and `+"`TERM=dumb`"+` turn colours off.

`, dataVariable)
	eachCommand(app.Commands, app.Name, func(path string, c *cli.Command) {
		fmt.Fprintf(w, "* [%s](#%s): %s\n", path, strings.ReplaceAll(path, " ", "-"), c.Usage)
	})
	var ofTrain []string
	for _, f := range visibleFlags(app.Command("train")) {
		ofTrain = append(ofTrain, flagRow(f))
	}
	eachCommand(app.Commands, app.Name, func(path string, c *cli.Command) { writeCommand(w, path, c, ofTrain) })

	fmt.Fprint(w, "\n## Files of a run\n\n`train` writes into `runs/PRESET-SEED`, with `-2`, `-3`, … behind it where that exists, or into the folder that `--out` names:\n\n| file | |\n|---|---|\n")
	for _, f := range filesOfRun {
		fmt.Fprintf(w, "| `%s` | %s |\n", f.name, f.about)
	}
	fmt.Fprint(w, "\n## Exit codes\n\n| code | meaning | for example |\n|---|---|---|\n")
	for _, m := range exitMeanings {
		fmt.Fprintf(w, "| %d | %s | %s |\n", m.code, m.short, m.example)
	}
}

// eachCommand calls f for each command that isn't hidden and does something, and for
// those under it.
func eachCommand(commands []*cli.Command, parent string, f func(path string, c *cli.Command)) {
	for _, c := range commands {
		if c.Hidden || c.Name == "help" {
			continue
		}
		path := parent + " " + c.Name
		f(path, c)
		eachCommand(c.Subcommands, path, f)
	}
}

// writeCommand writes a command's section. Flags whose rows are among ofTrain are only
// named, but for train itself.
func writeCommand(w io.Writer, path string, c *cli.Command, ofTrain []string) {
	fmt.Fprintf(w, "\n## %s\n\n%s.\n", path, capital(c.Usage))
	usage := c.UsageText
	if usage == "" {
		usage = path
		if len(c.Subcommands) > 0 {
			usage += " COMMAND"
		}
		if len(visibleFlags(c)) > 0 {
			usage += " [flags]"
		}
	}
	fmt.Fprintf(w, "\n    %s\n", strings.ReplaceAll(usage, "\n", "\n    "))
	if c.Description != "" {
		fmt.Fprintf(w, "\n%s\n", c.Description)
	}
	flags := visibleFlags(c)
	var shared []string
	own := slices.DeleteFunc(slices.Clone(flags), func(f documented) bool {
		same := c.Name != "train" && slices.Contains(ofTrain, flagRow(f))
		if same {
			shared = append(shared, "`--"+f.Names()[0]+"`")
		}
		return same
	})
	for len(own) > 0 {
		category := own[0].GetCategory()
		n := slices.IndexFunc(own, func(f documented) bool { return f.GetCategory() != category })
		if n < 0 {
			n = len(own)
		}
		if category != "" {
			_, category, _ = strings.Cut(category, ". ")
			fmt.Fprintf(w, "\n**%s**\n", category)
		}
		fmt.Fprint(w, "\n| flag | default | |\n|---|---|---|\n")
		for _, f := range own[:n] {
			fmt.Fprintln(w, flagRow(f))
		}
		own = own[n:]
	}
	if len(shared) > 0 {
		fmt.Fprintf(w, "\nAs for [train](#locoprop-train): %s.\n", strings.Join(shared, ", "))
	}
	switch variables := variablesOf(flags); {
	case len(variables) == 0:
	case len(shared) > 0 && len(variables) > len(ofTrain)/2:
		fmt.Fprintln(w, "\nEnvironment: as for train.")
	default:
		fmt.Fprintf(w, "\nEnvironment: `%s`.\n", strings.Join(variables, "`, `"))
	}
}

// flagRow is the row of a flag in a table.
func flagRow(f documented) string {
	value, usage := placeholder(f.GetUsage())
	name := "--" + f.Names()[0]
	if f.TakesValue() {
		name += " " + value
	}
	fallback := f.GetDefaultText()
	if fallback == "" {
		fallback = f.GetValue()
	}
	return "| `" + cell(name) + "` | " + cell(fallback) + " | " + cell(usage) + " |"
}

// documented is a flag as its documentation needs it.
type documented interface {
	cli.DocGenerationFlag
	cli.CategorizableFlag
}

// visibleFlags are a command's flags in the order of their groups, and within them in
// that of their names.
func visibleFlags(c *cli.Command) []documented {
	var flags []documented
	for _, f := range c.Flags {
		if d, ok := f.(documented); ok && d.Names()[0] != "help" {
			flags = append(flags, d)
		}
	}
	slices.SortStableFunc(flags, func(a, b documented) int {
		return cmp.Or(cmp.Compare(a.GetCategory(), b.GetCategory()), cmp.Compare(a.Names()[0], b.Names()[0]))
	})
	return flags
}

// variablesOf are the environment variables that a command with such flags reads: those
// of all settings where it makes a run of them, those of the machine where it computes
// with what is there already.
func variablesOf(flags []documented) []string {
	has := func(name string) bool {
		return slices.ContainsFunc(flags, func(f documented) bool { return f.Names()[0] == name })
	}
	all := has("config")
	var variables []string
	for _, key := range catalog.Keys() {
		if has(key) && (all || key == "data" || !has("method") && (key == "workers" || key == "backend")) {
			variables = append(variables, variableOf(key))
		}
	}
	return variables
}

// placeholder is what a flag's usage has in back quotes, the name of its value, and the
// usage without them.
func placeholder(usage string) (value, plain string) {
	before, rest, _ := strings.Cut(usage, "`")
	value, after, _ := strings.Cut(rest, "`")
	return value, before + value + after
}

// cell is text in a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "*", `\*`, "<", `\<`).Replace(text)
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
