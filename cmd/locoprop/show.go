package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/urfave/cli/v2"
)

// fromEnvironment is the place of settings that environment variables name.
const fromEnvironment = "environment"

// variableOf is the environment variable of a setting.
func variableOf(key string) string {
	return "LOCOPROP_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// environment collects the settings among keys that environment variables name; an empty
// variable names none. The folder of data isn't among them: its variable counts where
// nothing else names one, since it is the same for all data sets and runs.
func environment(keys []string) catalog.Layer {
	l := catalog.Layer{Source: fromEnvironment, Named: variableOf, Values: catalog.Values{}}
	for _, key := range keys {
		if text := os.Getenv(variableOf(key)); text != "" && variableOf(key) != dataVariable {
			l.Values[key] = text
		}
	}
	return l
}

// inPlace makes an error that begins with a flag's name begin with the environment variable
// instead, where that has set what the flag didn't.
func inPlace(c *cli.Context, err error) error {
	if err == nil || c.IsSet("resume") { // it goes on as it was begun
		return err
	}
	rest, found := strings.CutPrefix(err.Error(), "--")
	key, _, _ := strings.Cut(rest, " ")
	key = strings.TrimSuffix(key, ":")
	if !found || !slices.Contains(catalog.Keys(), key) || c.IsSet(key) || os.Getenv(variableOf(key)) == "" {
		return err
	}
	return &placedError{err, variableOf(key) + strings.TrimPrefix(rest, key)}
}

// placedError is an error that names another place.
type placedError struct {
	err  error
	text string
}

func (e *placedError) Error() string { return e.text }

func (e *placedError) Unwrap() error { return e.err }

func configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "what a run would be",
		Subcommands: []*cli.Command{{
			Name:      "show",
			Usage:     "print the settings that train would have, and where each comes from",
			UsageText: "locoprop config show [flags of train]",
			Description: "The output is a file for --config. Flags go before environment variables (LOCOPROP_BATCH for --batch),\n" +
				"these before the file that --config names, and that before the preset. " + dataVariable + " alone is asked last.",
			Flags:  append(flagsFor(), configFlag()),
			Action: showConfig,
		}},
	}
}

func showConfig(c *cli.Context) error {
	layers, err := runLayers(c)
	if err != nil {
		return err
	}
	r := &training{stdout: c.App.Writer, stderr: c.App.ErrWriter}
	var origins map[string]catalog.Origin
	if r.e, r.rate, origins, err = catalog.Explain(layers...); err != nil {
		return &usageError{err}
	}
	named := r.e.Values()
	if err := locateData(&r.e); err != nil {
		return err
	}
	if err := r.settleBackend(); err != nil {
		return err
	}
	defer closeBackend(r.kernels)
	content, err := encodeConfig(&r.e, "")
	if err != nil {
		return err
	}
	from := func(key string) string {
		switch o, found := origins[key]; {
		case key == "data" && named[key] == "":
			return dataVariable
		case named[key] == "":
			return "this machine"
		case !found:
			return "default"
		case o.Layer == nil:
			return o.Why
		case o.Layer.Source == "":
			return "flag"
		case o.Layer.Source == fromEnvironment:
			return variableOf(key)
		default:
			return o.Layer.Source
		}
	}
	return annotate(r, content, from)
}

// annotate prints a configuration with a comment on each of its settings.
func annotate(r *training, content []byte, from func(key string) string) error {
	w := tabwriter.NewWriter(r.stdout, 0, 0, 2, ' ', tabwriter.DiscardEmptyColumns)
	table := ""
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		line := lines.Text()
		key, _, setting := strings.Cut(line, " = ")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			table = strings.Trim(line, "[]") + "."
			fmt.Fprintln(w, line)
		case setting:
			fmt.Fprintf(w, "%s\t# %s\n", line, from(table+key))
		default:
			fmt.Fprintln(w, line)
		}
	}
	return w.Flush()
}
