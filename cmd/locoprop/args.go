package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst puts the flags of a command that takes arguments before them, as the flag
// parser wants it, wherever they stand; what follows -- are arguments.
func flagsFirst(commands []*cli.Command, args []string) []string {
	if len(args) < 2 {
		return args
	}
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[1]) && c.ArgsUsage != "" })
	if i < 0 {
		return args
	}
	var flags, plain []string
	for rest := args[2:]; len(rest) > 0; rest = rest[1:] {
		switch arg := rest[0]; {
		case arg == "--":
			plain, rest = append(plain, rest[1:]...), rest[:1]
		case len(arg) < 2 || arg[0] != '-':
			plain = append(plain, arg)
		default:
			flags = append(flags, arg)
			if valueFlag(commands[i], strings.TrimLeft(arg, "-")) == nil {
				continue
			}
			if len(rest) == 1 { // the parser misses its value
				return slices.Concat(args[:2], flags)
			}
			flags, rest = append(flags, rest[1]), rest[1:]
		}
	}
	return slices.Concat(args[:2], flags, []string{"--"}, plain)
}
