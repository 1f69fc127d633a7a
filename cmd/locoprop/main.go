// Command locoprop trains, evaluates and applies networks with LocoProp from the
// command line. `locoprop help` lists its commands; all that it computes is done by
// the library.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/urfave/cli/v2"
)

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// run is the whole program; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := interruptible(context.Background(), stderr)
	defer stop()
	app := newApp(stdout, stderr)
	return tell(app.RunContext(ctx, flagsFirst(app.Commands, args)), stderr)
}

func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:  "locoprop",
		Usage: "train networks layer by layer on local losses (LocoProp), on the CPU",
		Description: "With no flags, `locoprop train` trains a deep autoencoder on data that it generates itself.\n" +
			"`locoprop COMMAND --help` explains a command's flags.\n\n" +
			"Exit codes: " + exitSummary() + ".",
		Version:   version(),
		Writer:    stdout,
		ErrWriter: stderr,
		Commands: []*cli.Command{
			trainCommand(), compareCommand(), tuneCommand(), evalCommand(), predictCommand(),
			reportCommand(), reconstructCommand(), encodeCommand(), weightsCommand(),
			benchCommand(), infoCommand(), dataCommand(), configCommand(), completionCommand(),
			studyCommand(), ratesCommand(), referenceCommand(), completeCommand(),
		},
		OnUsageError:   onUsageError,
		ExitErrHandler: func(*cli.Context, error) {}, // tell does it
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return unknownCommand(c.Args().First(), c.App.Commands)
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, c := range app.Commands {
		prepare(c)
	}
	return app
}

// prepare gives a command and those under it the program's way with wrong usage.
func prepare(c *cli.Command) {
	c.OnUsageError = onUsageError
	c.HideHelpCommand = true
	for _, sub := range c.Subcommands {
		prepare(sub)
	}
	if act := c.Action; act != nil {
		c.Action = func(ctx *cli.Context) error {
			if c.ArgsUsage == "" && ctx.Args().Present() && !c.SkipFlagParsing {
				return usagef("%s takes flags only, but found %q", ctx.Command.HelpName, ctx.Args().First())
			}
			return inPlace(ctx, act(ctx))
		}
		return
	}
	c.Action = func(ctx *cli.Context) error {
		if ctx.Args().Present() {
			return unknownCommand(ctx.Args().First(), ctx.Command.Subcommands)
		}
		return cli.ShowSubcommandHelp(ctx)
	}
}

func unknownCommand(name string, commands []*cli.Command) error {
	var known []string
	for _, c := range commands {
		if !c.Hidden {
			known = append(known, c.Name)
		}
	}
	return &usageError{&catalog.UnknownError{What: "command", Name: name, Known: known}}
}

// onUsageError turns the flag parser's messages into ours.
func onUsageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	if name, found := strings.CutPrefix(text, "flag provided but not defined: "); found {
		name = strings.TrimLeft(name, "-")
		var known []string
		for _, f := range c.Command.Flags {
			known = append(known, f.Names()[0])
		}
		hint := fmt.Sprintf("; `%s --help` lists the flags", c.Command.HelpName)
		if near := catalog.Suggest(name, known); near != "" {
			hint = fmt.Sprintf("; did you mean --%s?", near)
		}
		return usagef("unknown flag --%s%s", name, hint)
	}
	if name, found := strings.CutPrefix(text, "flag needs an argument: "); found {
		return usagef("--%s needs a value", strings.TrimLeft(name, "-"))
	}
	return &usageError{err}
}

// release is set by release builds: -ldflags "-X main.release=1.2.3".
var release string

// version is the release, or what Go recorded about the build.
func version() string {
	if release != "" {
		return release
	}
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := b.Main.Version
	if v == "" {
		v = "(devel)"
	}
	for _, s := range b.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(v, s.Value[:min(12, len(s.Value))]) {
			v += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}
