package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary be the program: tests run it as a process of its
// own, with its exit code, its streams and its signals.
const asProgram = "LOCOPROP_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// outcome is how a process ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// command is the program as a process in a folder.
func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Args[0] = "locoprop"
	cmd.Dir = dir
	settings := strings.TrimSuffix(dataVariable, "DATA") // those of this machine are none of the test's
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, settings) })
	cmd.Env = append(cmd.Env, asProgram+"=1", "NO_COLOR=")
	return cmd
}

// program runs the program to its end.
func program(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	cmd := command(t, dir, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	return outcome{exitOf(t, cmd.Run()), stdout.String(), stderr.String()}
}

func exitOf(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	require.NoError(t, err)
	return 0
}

// succeeds runs the program and requires that it ends well.
func succeeds(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	out := program(t, dir, args...)
	require.Equal(t, exitDone, out.code, "%v\n%s", args, out.stderr)
	return out
}

// refuses runs the program and requires an exit code and parts of its message.
func refuses(t *testing.T, dir string, code int, parts []string, args ...string) {
	t.Helper()
	out := program(t, dir, args...)
	assert.Equal(t, code, out.code, "%v\n%s", args, out.stderr)
	assert.Empty(t, out.stdout, "%v", args)
	for _, part := range parts {
		assert.Contains(t, out.stderr, part, "%v", args)
	}
	assert.NotContains(t, out.stderr, "goroutine", "%v", args)
}

const (
	side       = 8
	trainCount = 120
	testCount  = 40
	classCount = 3
)

// writeData writes a small data set of IDX files: images of 8 × 8 pixels, each a bright
// band whose place is its label, with some texture.
func writeData(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, s := range []struct {
		name string
		n    int
	}{{"train", trainCount}, {"t10k", testCount}} {
		pix, labels := make([]byte, 0, s.n*side*side), make([]byte, 0, s.n)
		for i := range s.n {
			label := i % classCount
			labels = append(labels, byte(label))
			for p := range side * side {
				v := 10 + (p*7+i*13)%40
				if p/side/3 == label {
					v += 180
				}
				pix = append(pix, byte(v))
			}
		}
		writeIDX(t, filepath.Join(dir, s.name+"-images-idx3-ubyte"), pix, s.n, side, side)
		writeIDX(t, filepath.Join(dir, s.name+"-labels-idx1-ubyte"), labels, s.n)
	}
	return dir
}

func writeIDX(t *testing.T, path string, data []byte, shape ...int) {
	t.Helper()
	b := []byte{0, 0, 8, byte(len(shape))}
	for _, d := range shape {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	require.NoError(t, os.WriteFile(path, append(b, data...), 0o644))
}

// small are the flags of an experiment that takes a moment, on the data of writeData.
func small(data string, more ...string) []string {
	return append([]string{
		"train", "--preset", "curves", "--dataset", "idx", "--data", data, "--arch", "64,24,6:identity,24,64",
		"--batch", "30", "--epochs", "3", "--warmup-steps", "4", "--lr", "1e-4",
	}, more...)
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return b
}

// edit replaces text in a file that has it.
func edit(t *testing.T, path, from, to string) {
	t.Helper()
	text := string(read(t, path))
	require.Contains(t, text, from)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(text, from, to, 1)), 0o644))
}

// tree lists the files and folders under a folder.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	}))
	return names
}

// waitFor reads lines until one holds a text; deadline bounds a test that went wrong.
func waitFor(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	var seen []string
	for {
		select {
		case line, open := <-lines:
			seen = append(seen, line)
			if strings.Contains(line, text) {
				return
			}
			require.True(t, open, "ended before %q:\n%s", text, strings.Join(seen, "\n"))
		case <-deadline:
			require.Fail(t, "no line with "+text, "%s", strings.Join(seen, "\n"))
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		want string
	}{
		{"trian", `unknown command "trian"; did you mean train?`},
		{"data lst", `unknown command "lst"; did you mean list?`},
		{"completion bsh", `unknown command "bsh"; did you mean bash?`},
		{"help trian", "No help topic for 'trian'"},
		{"train here", `locoprop train takes flags only, but found "here"`},
		{"train --bacth 3", "unknown flag --bacth; did you mean --batch?"},
		{"train --qqq", "unknown flag --qqq; `locoprop train --help` lists the flags"},
		{"eval --lr 1", "unknown flag --lr"},
		{"--nope", "unknown flag --nope"},
		{"train --batch", "--batch needs a value"},
		{"train --json=perhaps", "invalid boolean value"},
		{"train --preset papr", `--preset: unknown preset "papr"; did you mean paper?`},
		{"train --preset quick", `unknown preset "quick"`},
		{"train --dataset mnits", `unknown data set "mnits"; did you mean mnist?`},
		{"train --method locopro-m", `unknown method "locopro-m"; did you mean locoprop-m?`},
		{"train --optimizer adma", `unknown optimizer "adma"; did you mean adam?`},
		{"train --optimizer adam:beta3=1", `unknown key "beta3"; did you mean beta1?`},
		{"train --loss squard", `unknown loss "squard"; did you mean squared?`},
		{"train --activation tanhh", `unknown transfer function "tanhh"; did you mean tanh?`},
		{"train --init glorto", `unknown initialisation "glorto"; did you mean glorot?`},
		{"train --schedule liner", `unknown schedule "liner"; did you mean linear?`},
		{"train --target labels", `unknown target "labels"; did you mean label?`},
		{"train --backend nativ", `unknown backend "nativ"; did you mean native?`},
		{"train --method backprop --gamma 5 --lr 1", "--gamma: method backprop has no local problems"},
		{"train --method backprop --local-steps 5 --lr 1", "--local-steps: method backprop has no local problems"},
		{"train --method backprop --block 5 --lr 1", "--block: method backprop has no local problems"},
		{"train --method backprop --form direct --lr 1", "--form: method backprop has no local problems"},
		{"train --method backprop --reset-state --lr 1", "--reset-state: method backprop has no local problems"},
		{"train --form gram", "locoprop: layer 0: form gram needs the squared local loss (locoprop-s)\n"},
		{"train --form exact --prox auto", "form exact needs the squared local loss"},
		{"train --form metric --optimizer sgd", "--optimizer: only forms auto, direct, gram, kernel and spectral have an optimizer"},
		{"train --solver newton", "--solver: only form implicit has a solver"},
		{"train --local-floor 1.5", "--local-floor 1.5: must be a number from 0 to 1"},
		{"train --preset curves --metric-every 4", "--metric-every: only form metric has it"},
		{"train --plan --out a", "--plan with --out: a plan trains nothing"},
		{"train --plan --tensorboard", "--plan with --tensorboard: a plan trains nothing"},
		{"train --plan --resume a", "--resume with --plan"},
		{"train --plan --batch 20001", "--batch 20001: must be 1 to 20000, the number of training examples"},
		{"train --plan --dataset mnist --arch 784,3,783", "the last width is 783; target input needs 784"},
		{"train --plan --form implicit --solver newton --prox 1 --batch 600", "newton"},
		{"train --target label", "data set curves has no labels"},
		{"train --schedule paper --warmup-steps 5", "it takes no warm-up steps"},
		{"train --workers 1000", "--workers 1000: must be 1 to"},
		{"train --workers 0", "--workers 0: must be a whole number"},
		{"train --epochs -1", "--epochs -1: must be a whole number from 0"},
		{"train --checkpoint-every 5", "--checkpoint-every 5: must be epochs (1epoch, 5epochs), steps (500steps) or a time (10m, 1h30m), above 0"},
		{"train --keep 0", "--keep 0: must be a whole number from 1"},
		{"train --on-divergence rolback", `--on-divergence rolback: unknown policy "rolback"; did you mean rollback?`},
		{"train --batch 0", "--batch 0: must be a whole number from 1"},
		{"train --lr nan", "--lr nan: must be a finite number above 0"},
		{"train --arch 784,9999999,784", `width 2 is "9999999"; must be a whole number, 1 to 1048576`},
		{"train --config missing.toml", "configuration missing.toml: no such file"},
		{"train --resume a --seed 3", "--resume with --seed: a run goes on as it was begun"},
		{"train --resume a --out b", "--resume with --out"},
		{"train --config a --preset paper", "--config with --preset"},
		{"train --quiet --verbose", "--quiet with --verbose: give one of them"},
		{"train --out=", "--out : must be a folder"},
		{"eval", "locoprop eval needs --model FILE"},
		{"predict --model m", "locoprop predict needs --output FILE.npy"},
		{"predict --model m --output o.csv", "--output o.csv: must end in .npy"},
		{"predict --model m --output o.npy --input a --dataset mnist", "--input with --dataset"},
		{"info --workers 1000 --peak", "--workers 1000"},
		{"report", "locoprop report needs the folder of a run, as in runs/fast-curves-1"},
		{"report --out o.html", "locoprop report needs the folder of a run"},
		{"report run --otu o.html", "unknown flag --otu; did you mean --out?"},
		{"report run --out", "--out needs a value"},
		{"reconstruct --output o.png", "locoprop reconstruct needs --model FILE"},
		{"reconstruct --model m", "locoprop reconstruct needs --output FILE.png"},
		{"reconstruct --model m --output o.gif", "--output o.gif: must end in .png or .svg, the formats that are written"},
		{"reconstruct --model m --output o.png --count 0", "--count 0: must be 1 to 1000"},
		{"encode --output o.npy", "locoprop encode needs --model FILE"},
		{"encode --model m", "locoprop encode needs --output FILE.npy or FILE.csv"},
		{"encode --model m --output o.txt", "--output o.txt: must end in .npy or .csv, the formats that are written"},
		{"encode --model m --output o.npy --split tets", `--split: unknown split "tets"; did you mean test?`},
		{"encode --model m --output o.npy --scatter o", "--scatter o: must end in .png or .svg"},
		{"weights --output o.png", "locoprop weights needs --model FILE"},
		{"weights --model m --output o", "--output o: must end in .png or .svg"},
		{"weights --model m --output o.png --count 1001", "--count 1001: must be 1 to 1000"},
	} {
		refuses(t, dir, exitUsage, []string{"locoprop: ", c.want}, strings.Fields(c.args)...)
	}
	assert.Empty(t, tree(t, dir), "wrong usage leaves nothing behind")
}

func TestUsageOfTheLimit(t *testing.T) {
	t.Parallel()
	k, err := openBackend("")
	require.NoError(t, err)
	defer closeBackend(k)
	info := k.Info()
	_, err = workersFor(1000, k)
	require.Error(t, err)
	assert.Contains(t, err.Error(), info.LimitedBy)
	n, err := workersFor(0, k)
	require.NoError(t, err)
	assert.Positive(t, n)
}

func TestHelp(t *testing.T) {
	t.Parallel()
	out := succeeds(t, t.TempDir())
	for _, name := range []string{"train", "eval", "predict", "bench", "info", "data"} {
		assert.Contains(t, out.stdout, "\n   "+name+" ")
	}
	out = succeeds(t, t.TempDir(), "train", "--help")
	for _, f := range trainCommand().Flags {
		assert.Contains(t, out.stdout, "--"+f.Names()[0])
	}
	assert.Equal(t, strings.Count(out.stdout, "\n   --"), strings.Count(out.stdout, "(default: "), "every flag has a default")
	out = succeeds(t, t.TempDir(), "--version")
	assert.Contains(t, out.stdout, "locoprop version")
}

func TestInfoAndData(t *testing.T) {
	t.Parallel()
	out := succeeds(t, t.TempDir(), "info")
	for _, part := range []string{"go1.", "backend gonum", "cpu features", "memory"} {
		assert.Contains(t, out.stdout, part)
	}
	out = succeeds(t, t.TempDir(), "data", "list")
	for _, name := range []string{"curves", "mnist", "fashion-mnist", "idx"} {
		assert.Contains(t, out.stdout, "\n"+name+" ")
	}
}
