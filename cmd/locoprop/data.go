package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/urfave/cli/v2"
)

func dataCommand() *cli.Command {
	return &cli.Command{
		Name:  "data",
		Usage: "what there is to train on",
		Subcommands: []*cli.Command{fetchCommand(), {
			Name:        "list",
			Usage:       "list the data sets that --dataset names",
			Description: "Files lie in the folder that --data or the environment variable " + dataVariable + " names.",
			Action: func(c *cli.Context) error {
				w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "NAME\tTRAIN\tTEST\tEXAMPLE\tCLASSES\tDESCRIPTION\tFILES")
				for _, d := range dataset.List() {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Name, known(d.Train), known(d.Test), size(d), classes(d), d.Description, files(d))
				}
				return w.Flush()
			},
		}},
	}
}

// known writes a count, or that it depends on the files.
func known(n int) string {
	if n == 0 {
		return "any"
	}
	return fmt.Sprint(n)
}

func size(d dataset.Info) string {
	if d.Height == 0 {
		return "any"
	}
	return fmt.Sprintf("%dx%d", d.Height, d.Width)
}

func classes(d dataset.Info) string {
	if d.Generated && d.Classes == 0 {
		return "none"
	}
	return known(d.Classes)
}

func files(d dataset.Info) string {
	if d.Generated {
		return "none: generated"
	}
	return d.Files
}
