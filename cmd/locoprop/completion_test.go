package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestComplete(t *testing.T) {
	t.Parallel()
	app := newApp(io.Discard, io.Discard)
	for _, c := range []struct {
		typed string // the last word follows the last space
		want  []string
		other string
	}{
		{"tra", []string{"train"}, ""},
		{"--v", []string{"--version"}, ""},
		{"data ", []string{"fetch", "list"}, ""},
		{"data fetch f", []string{"fashion-mnist"}, ""},
		{"data fetch mnist --t", []string{"--to"}, ""},
		{"data fetch mnist --to ", nil, "folder"},
		{"train --optimizer=ada", []string{"--optimizer=adagrad", "--optimizer=adam", "--optimizer=adamw"}, ""},
		{"train --optimizer ams", []string{"amsgrad"}, ""},
		{"train --optimizer rmsprop:v", []string{"rmsprop:variant="}, ""},
		{"train --optimizer rmsprop:variant=tf1,m", []string{"rmsprop:variant=tf1,momentum="}, ""},
		{"train --method=kfac:d", []string{"--method=kfac:damping="}, ""},
		{"train --method kbfgs:variant=x,me", []string{"kbfgs:variant=x,memory="}, ""},
		{"train --prox a", []string{"auto"}, ""},
		{"train --json=", []string{"--json=true", "--json=false"}, ""},
		{"train --json --preset pap", []string{"paper", "paper-wide", "paper-deep"}, ""},
		{"train --epochs ", nil, ""},
		{"train --config ", nil, "file"},
		{"train --resume ", nil, "folder"},
		{"train --data ", nil, "file"},
		{"eval --model=", nil, "file"},
		{"report ", nil, "folder"},
		{"report runs/a ru", nil, "folder"},
		{"report runs/a --o", []string{"--out"}, ""},
		{"report runs/a --out ", nil, "file"},
		{"eval --mod", []string{"--model"}, ""},
		{"info --", []string{"--backend", "--help", "--peak", "--workers"}, ""},
		{"bench --backends gonum,na", []string{"gonum,native"}, ""},
		{"compare --methods=fast,adam", []string{"--methods=fast,adam", "--methods=fast,adamw"}, ""},
		{"tune --methods foo", []string{"foof"}, ""},
		{"encode --split t", []string{"train", "test"}, ""},
		{"bench f", []string{"forms", "figures"}, ""},
		{"no such ", nil, ""},
		{"train --nope=", nil, ""},
	} {
		list, other := complete(app.Commands, strings.Split(c.typed, " "))
		assert.Equal(t, c.want, list, c.typed)
		assert.Equal(t, c.other, other, c.typed)
	}
	all, _ := complete(app.Commands, nil)
	assert.Contains(t, all, "train")
	assert.NotContains(t, all, "complete", "it is hidden")
	flags, _ := complete(app.Commands, []string{"train", ""})
	for _, f := range trainCommand().Flags {
		assert.Contains(t, flags, "--"+f.Names()[0])
	}
}

// Every flag whose help lists names, and whose value is one of them, completes them.
func TestValuesOf(t *testing.T) {
	t.Parallel()
	listed := 0
	for _, f := range trainCommand().Flags {
		name := f.Names()[0]
		list, _ := valuesOf(f)
		if catalog.Choices(name) != nil || name == "backend" {
			listed++
			assert.NotEmpty(t, list, name)
		}
	}
	assert.Greater(t, listed, 15)
}

// commandFolder is a folder for PATH with the program in it.
func commandFolder(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	script := "#!/bin/sh\n" + asProgram + "=1 exec '" + exe + "' \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "locoprop"), []byte(script), 0o755))
	return dir
}

// inShell runs a shell's script after sourcing the completion, in a folder that holds
// the file run.toml and the folder runs, and returns its lines, sorted.
func inShell(t *testing.T, shell string, args []string, script string) []string {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("no %s here (%v): install it to run this", shell, err)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "run.toml"), nil, 0o644))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "runs"), 0o755))
	file := filepath.Join(t.TempDir(), "completion")
	out := succeeds(t, dir, "completion", shell)
	require.NoError(t, os.WriteFile(file, []byte(out.stdout), 0o644))
	cmd := exec.CommandContext(t.Context(), path, append(slices.Clone(args), strings.ReplaceAll(script, "SCRIPT", file))...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+commandFolder(t)+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+dir)
	shown, err := cmd.CombinedOutput()
	require.NoError(t, err, string(shown))
	lines := strings.Fields(string(shown))
	slices.Sort(lines)
	return lines
}

func TestCompletionBash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line, words string // words as bash cuts them, the last being completed
		want        []string
	}{
		{"locoprop tra", "locoprop tra", []string{"train"}},
		{"locoprop data ", "locoprop data ''", []string{"fetch", "list"}},
		{"locoprop train --optimizer ada", "locoprop train --optimizer ada", []string{"adagrad", "adam", "adamw"}},
		{"locoprop train --optimizer=ada", "locoprop train --optimizer = ada", []string{"adagrad", "adam", "adamw"}},
		{"locoprop train --gamma-rule=", "locoprop train --gamma-rule =", []string{"fisher", "fixed"}},
		{"locoprop train --optimizer rmsprop:r", "locoprop train --optimizer rmsprop : r", []string{"rho="}},
		{"locoprop train --config run", "locoprop train --config run", []string{"run.toml", "runs"}},
		{"locoprop train --resume run", "locoprop train --resume run", []string{"runs"}},
		{"locoprop train --epochs ", "locoprop train --epochs ''", []string{}},
	} {
		got := inShell(t, "bash", []string{"--noprofile", "--norc", "-c"}, "source SCRIPT; complete -p locoprop >/dev/null || exit\n"+
			"COMP_LINE='"+c.line+"'; COMP_POINT=${#COMP_LINE}; COMP_WORDS=("+c.words+"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"+
			"_locoprop; ((${#COMPREPLY[@]})) && printf '%s\\n' \"${COMPREPLY[@]}\"; exit 0")
		assert.Equal(t, c.want, got, c.line)
	}
}

func TestCompletionZsh(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		words string
		want  []string
	}{
		{"locoprop tra", []string{"train"}},
		{"locoprop data ''", []string{"fetch", "list"}},
		{"locoprop train --optimizer=ada", []string{"--optimizer=adagrad", "--optimizer=adam", "--optimizer=adamw"}},
		{"locoprop train --optimizer rmsprop:r", []string{"rmsprop:rho="}},
		{"locoprop train --config ''", []string{"FILES"}},
		{"locoprop train --resume ''", []string{"-/", "FILES"}},
		{"locoprop train --epochs ''", []string{}},
	} {
		got := inShell(t, "zsh", []string{"-f", "-c"}, "compdef() { [[ $1 == _locoprop && $2 == locoprop ]] || print wrong }; source SCRIPT\n"+
			"compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -l -- \"$@\" }; _files() { print -l FILES \"$@\" }\n"+
			"words=("+c.words+"); CURRENT=$#words; _locoprop; exit 0")
		assert.Equal(t, c.want, got, c.words)
	}
}

func TestCompletionFish(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want []string
	}{
		{"locoprop tra", []string{"train"}},
		{"locoprop data ", []string{"fetch", "list"}},
		{"locoprop train --optimizer=ada", []string{"--optimizer=adagrad", "--optimizer=adam", "--optimizer=adamw"}},
		{"locoprop train --optimizer rmsprop:r", []string{"rmsprop:rho="}},
		{"locoprop train --config run", []string{"run.toml", "runs/"}},
		{"locoprop train --resume run", []string{"runs/"}},
		{"locoprop train --epochs ", []string{}},
	} {
		got := inShell(t, "fish", []string{"--no-config", "-c"}, "source SCRIPT; complete -C '"+c.line+"' | string replace -r '\\t.*' ''; exit 0")
		assert.Equal(t, c.want, got, c.line)
	}
}

func TestCompletionPowerShell(t *testing.T) {
	t.Parallel()
	out := succeeds(t, t.TempDir(), "completion", "powershell")
	assert.Contains(t, out.stdout, "Register-ArgumentCompleter -Native -CommandName locoprop")
	out = succeeds(t, t.TempDir(), "complete", "data", `""`)
	assert.Equal(t, "fetch\nlist\n:\n", out.stdout, "as it gives an empty word")
}
