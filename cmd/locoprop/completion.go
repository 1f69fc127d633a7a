package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/urfave/cli/v2"
)

// shells are those for which there is a completion script.
var shells = []string{"bash", "zsh", "fish", "powershell"}

// completionScripts ask the program itself, by its hidden command complete, so that they
// never fall behind it.
//
//go:embed completion
var completionScripts embed.FS

func completionCommand() *cli.Command {
	command := &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes commands, flags and their values in a shell",
		UsageText: "locoprop completion " + strings.Join(shells, "|"),
		Description: "To have it in every new shell:\n\n" +
			"    bash         locoprop completion bash > ~/.local/share/bash-completion/completions/locoprop\n" +
			"    zsh          locoprop completion zsh > FOLDER/_locoprop, with FOLDER in fpath\n" +
			"    fish         locoprop completion fish > ~/.config/fish/completions/locoprop.fish\n" +
			"    powershell   locoprop completion powershell >> $PROFILE\n\n" +
			"Only for this one: source <(locoprop completion bash), or the like.",
	}
	for _, shell := range shells {
		command.Subcommands = append(command.Subcommands, &cli.Command{
			Name:  shell,
			Usage: "print the script for " + shell,
			Action: func(c *cli.Context) error {
				script, err := completionScripts.ReadFile("completion/locoprop." + shell)
				if err == nil {
					_, err = c.App.Writer.Write(script)
				}
				return err
			},
		})
	}
	return command
}

// completeCommand answers completion scripts. Its arguments are the words after the
// program's name, the last of them the one that is being typed. It prints what that word
// may become, one a line, and last a line with a colon and what else may stand there:
// file, folder, or nothing.
func completeCommand() *cli.Command {
	return &cli.Command{
		Name:            "complete",
		Usage:           "answer a completion script",
		UsageText:       "locoprop complete WORD...",
		Hidden:          true,
		SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if n := len(words); n > 0 && words[n-1] == `""` {
				words[n-1] = "" // which some versions of PowerShell can't pass
			}
			list, other := complete(c.App.Commands, words)
			for _, word := range list {
				fmt.Fprintln(c.App.Writer, word)
			}
			fmt.Fprintf(c.App.Writer, ":%s\n", other)
			return nil
		},
	}
}

// complete returns what the last word may become, and what else may stand there.
func complete(commands []*cli.Command, words []string) (list []string, other string) {
	if len(words) == 0 {
		words = []string{""}
	}
	var command *cli.Command
	var flag cli.Flag // the one whose value comes next
	for _, word := range words[:len(words)-1] {
		switch {
		case flag != nil:
			flag = nil
		case strings.HasPrefix(word, "-"):
			if command != nil && !strings.Contains(word, "=") {
				flag = valueFlag(command, strings.TrimLeft(word, "-"))
			}
		case command != nil && command.ArgsUsage != "": // one of its arguments
		default:
			i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == word })
			if i < 0 {
				return nil, "" // the program refuses the line
			}
			command, commands = commands[i], commands[i].Subcommands
		}
	}
	typed := words[len(words)-1]
	name, value, assigned := strings.Cut(typed, "=")
	switch {
	case flag != nil:
		return completeValue(flag, typed, "")
	case assigned && command != nil && strings.HasPrefix(name, "-"):
		if flag := flagOf(command, strings.TrimLeft(name, "-")); flag != nil {
			return completeValue(flag, value, name+"=")
		}
		return nil, ""
	case strings.HasPrefix(typed, "-"):
		list = flagNames(command)
	case command != nil && command.ArgsUsage != "":
		return nil, pathKind(command.ArgsUsage)
	default:
		for _, c := range commands {
			if !c.Hidden {
				list = append(list, c.Name)
			}
		}
		if len(list) == 0 {
			list = flagNames(command)
		}
	}
	return beginning(list, typed), ""
}

func flagNames(command *cli.Command) []string {
	list := []string{"--help"}
	if command == nil {
		return append(list, "--version")
	}
	for _, f := range visibleFlags(command) {
		list = append(list, "--"+f.Names()[0])
	}
	slices.Sort(list)
	return list
}

// flagOf is a command's flag of a name, nil where it has none.
func flagOf(command *cli.Command, name string) cli.Flag {
	for _, f := range command.Flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// valueFlag is the same of a flag whose value is the next word.
func valueFlag(command *cli.Command, name string) cli.Flag {
	if f, ok := flagOf(command, name).(documented); ok && f.TakesValue() {
		return f
	}
	return nil
}

// completeValue completes a flag's value; before is what the word has in front of it.
func completeValue(f cli.Flag, typed, before string) (list []string, other string) {
	name := f.Names()[0]
	list, other = valuesOf(f)
	head := ""
	if name == "backends" || name == "methods" { // names with commas between
		head = typed[:strings.LastIndex(typed, ",")+1]
	}
	if main, keys, found := strings.Cut(typed, ":"); found && (name == "optimizer" || name == "method") {
		list = catalog.MethodKeysOf(main)
		if name == "optimizer" {
			list = catalog.OptimizerKeysOf(main)
		}
		list = slices.Clone(list)
		for i := range list {
			list[i] += "="
		}
		head = main + ":" + keys[:strings.LastIndex(keys, ",")+1]
	}
	for i := range list {
		list[i] = before + head + list[i]
	}
	return beginning(list, before+typed), other
}

// valuesOf returns the names that a flag's value may be, and what else it may be.
func valuesOf(flag cli.Flag) (list []string, other string) {
	f, ok := flag.(documented)
	if !ok {
		return nil, ""
	}
	name := f.Names()[0]
	switch value, _ := placeholder(f.GetUsage()); {
	case !f.TakesValue():
		return []string{"true", "false"}, ""
	case name == "data": // of csv and npy it may be a file
		other = "file"
	default:
		other = pathKind(value)
	}
	switch name {
	case "backend", "backends":
		return slices.Clone(backendNames), other
	case "methods":
		return contenderNames(), other
	case "split":
		return slices.Clone(splitNames), other
	case "problems":
		return problemNames(), other
	}
	return catalog.Choices(name), other
}

// pathKind tells by the name of a value whether it is that of a file or of a folder.
func pathKind(value string) string {
	switch {
	case strings.HasPrefix(value, "FILE"):
		return "file"
	case strings.HasPrefix(value, "FOLDER"), strings.HasPrefix(value, "DIR"), strings.HasPrefix(value, "RUN"):
		return "folder"
	}
	return ""
}

// beginning keeps the words that begin with what was typed.
func beginning(words []string, typed string) []string {
	var list []string
	for _, w := range words {
		if strings.HasPrefix(w, typed) {
			list = append(list, w)
		}
	}
	return list
}
