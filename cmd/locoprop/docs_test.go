package main

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

// written is a command line in a document.
type written struct {
	where string // file and line
	words []string
}

// Every command line in the documents is one that the program takes: its commands and
// flags are there, and the settings that flags name make an experiment.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	files := []string{"../../README.md"}
	require.NoError(t, filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") && filepath.Base(path) != "cli.md" {
			files = append(files, path)
		}
		return err
	}))
	seen, dryRun := 0, dryRunner()
	for _, file := range files {
		for _, w := range commandLines(file, string(read(t, file))) {
			seen++
			assert.NoError(t, dryRun(w.words), "%s: locoprop %s", w.where, strings.Join(w.words, " "))
		}
	}
	assert.Greater(t, seen, 100)
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	text := "Say `bin/locoprop eval --datta m`, or\n\n    bin/locoprop train --bacth 3   # comment\n\n    LOCOPROP_DATA=x locoprop train --optimizer adma > out\n" +
		"    locoprop data lst\n    locoprop train here\n    locoprop train --out 'a b' [--seed S] --form F | head\n    --prox maybe     how\n"
	var errs []string
	dryRun := dryRunner()
	for _, w := range commandLines("f", text) {
		errs = append(errs, fmt.Sprint(w.where, ": ", dryRun(w.words)))
	}
	require.Len(t, errs, 7)
	for i, want := range []string{
		"f:1: unknown flag --datta", "f:3: unknown flag --bacth", `f:5: --optimizer adma: unknown optimizer "adma"`, `f:6: unknown command "lst"`,
		`f:7: found "here"`, "f:8: <nil>", "f:9: --prox maybe: must be off",
	} {
		assert.Contains(t, errs[i], want)
	}
}

var (
	inlineCommand = regexp.MustCompile("`(?:bin/)?locoprop ([^`]+)`")
	// blockCommand is a line of a code block: after variables and shell words a call of the program, or
	// flags of train alone.
	blockCommand = regexp.MustCompile(`^(?:    |\t)(?:[A-Z_]+=\S+ |for .* do |time )*(?:(?:bin/)?locoprop (.+)|(--[a-z].*))$`)
	// placeholderWord stands for a value of which the text around it tells.
	placeholderWord = regexp.MustCompile(`^(\p{Lu}+|\p{Greek})$`)
	shellWord       = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
)

// commandLines finds the calls of the program in a document.
func commandLines(file, text string) (list []written) {
	add := func(line int, command string) {
		var words []string
		for _, word := range shellWord.FindAllString(command, -1) {
			if strings.HasPrefix(word, "#") || strings.ContainsAny(word[:1], "|>;&()…") {
				break
			}
			word = strings.Trim(word, `'"[]`)
			if n := len(words); n > 0 && strings.HasPrefix(words[n-1], "--") && placeholderWord.MatchString(word) {
				word = "1"
				if names := catalog.Choices(words[n-1][2:]); names != nil {
					word = names[0]
				}
			}
			words = append(words, word)
		}
		if len(words) > 0 && strings.ToUpper(words[0]) != words[0] { // COMMAND stands for any
			list = append(list, written{fmt.Sprintf("%s:%d", file, line), words})
		}
	}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		first, line := i+1, lines[i]
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + strings.TrimSpace(lines[i])
		}
		if m := blockCommand.FindStringSubmatch(line); m != nil {
			if m[2] != "" { // what it is for follows after some room
				flags, _, _ := strings.Cut(m[2], "  ")
				m[1] = "train " + flags
			}
			add(first, m[1])
			continue
		}
		for _, m := range inlineCommand.FindAllStringSubmatch(line, -1) {
			add(first, m[1])
		}
	}
	return list
}

// dryRunner returns a function that takes a command line without doing anything.
func dryRunner() func(words []string) error {
	app := newApp(io.Discard, io.Discard)
	var disarm func(c *cli.Command)
	disarm = func(c *cli.Command) {
		for _, sub := range c.Subcommands {
			disarm(sub)
		}
		under := c.Subcommands
		c.Action = func(ctx *cli.Context) error {
			switch {
			case ctx.Args().Present() && len(under) > 0:
				return unknownCommand(ctx.Args().First(), under)
			case ctx.Args().Present() && !takesArguments(ctx):
				return usagef("found %q", ctx.Args().First())
			case flagOf(ctx.Command, "method") == nil || ctx.IsSet("config") || ctx.IsSet("resume"):
				return nil
			}
			_, _, err := catalog.Resolve(flagLayer(ctx))
			return err
		}
	}
	for _, c := range app.Commands {
		disarm(c)
	}
	return func(words []string) error { return app.Run(append([]string{"locoprop"}, words...)) }
}

// takesArguments tells whether a command takes more than flags, by its usage.
func takesArguments(c *cli.Context) bool {
	return regexp.MustCompile(`locoprop [a-z ]+[A-Z]+`).MatchString(c.Command.UsageText)
}
