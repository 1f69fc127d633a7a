package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

func trainCommand() *cli.Command {
	return &cli.Command{
		Name:      "train",
		Usage:     "train a network",
		UsageText: "locoprop train [flags]\nlocoprop train --config FILE [flags]\nlocoprop train --plan [flags]\nlocoprop train --resume DIR [--epochs N|--steps N] [--time-limit TIME] [--workers N] [--data DIR] [--checkpoint-every INTERVAL] [--keep N] [--on-divergence NAME] [--json] [--tensorboard] [--quiet|--verbose]",
		Description: "With no flags: preset " + catalog.DefaultPreset + ", whose settings are the defaults shown below. Flags override the\n" +
			"preset, or the file that --config names; environment variables (LOCOPROP_BATCH for --batch) stand\n" +
			"between them. `locoprop config show` tells what comes of it.\n" +
			"Another method or optimiser without --lr takes the documented rate of the two, and prints it.\n" +
			"Ctrl-C finishes the step in hand, saves, and exits with 130; --resume goes on from there, bit for bit.\n" +
			"A run's folder holds config.toml, metrics.jsonl, model.safetensors, checkpoints/last, those before it\n" +
			"(checkpoints/step-N) and the best one (checkpoints/best), and for autoencoders of images reconstructions.png." + statusHelp,
		Flags: append(flagsFor(),
			configFlag(),
			&cli.StringFlag{Name: "out", Category: groupOutput, Usage: "`FOLDER` for the run's files", DefaultText: "runs/PRESET-SEED, or with -2, -3, ... where that exists"},
			&cli.StringFlag{
				Name: "resume", Category: groupExperiment, DefaultText: "none",
				Usage: "`FOLDER` of a run to go on with, from its last checkpoint; only --" + strings.Join(resumeFlags, ", --") + " may stand beside it",
			},
			&cli.BoolFlag{Name: "plan", Category: groupOutput, Usage: "print what a step would do, layer by layer, and train nothing"},
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print the lines of metrics.jsonl, and nothing else, on standard output; with --plan one JSON object"},
			&cli.BoolFlag{Name: "tensorboard", Category: groupOutput, Usage: "write metrics as TensorBoard event files too, into RUN/" + eventsName + "; a run that has some goes on with them by itself"},
			&cli.BoolFlag{Name: "quiet", Category: groupOutput, Usage: "print warnings and errors only, and with --json the data"},
			&cli.BoolFlag{Name: "verbose", Category: groupOutput, Usage: "print a line for every step, in place of the live view or of a line every 10 s"},
		),
		Action: trainAction,
	}
}

func configFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "config", Category: groupExperiment, DefaultText: "none",
		Usage: "`FILE` of settings in place of a preset, such as a run's config.toml: repeats that run bit for bit",
	}
}

// resumeFlags may stand beside --resume: they change where the run ends, what it runs
// on, what it saves and prints, but no number that it computes.
var resumeFlags = []string{"epochs", "steps", "time-limit", "workers", "data", "test-data", "checkpoint-every", "keep", "on-divergence", "json", "tensorboard", "quiet", "verbose"}

func trainAction(c *cli.Context) error {
	r := &training{
		stdout: c.App.Writer, stderr: c.App.ErrWriter, json: c.Bool("json"), tensorboard: c.Bool("tensorboard"),
		out: c.String("out"), resume: c.String("resume"),
	}
	switch {
	case c.Bool("quiet") && c.Bool("verbose"):
		return usagef("--quiet with --verbose: give one of them")
	case c.Bool("quiet"):
		r.verbosity = quiet
	case c.Bool("verbose"):
		r.verbosity = verbose
	}
	if c.IsSet("out") && r.out == "" {
		return usagef("--out : must be a folder")
	}
	if c.IsSet("resume") {
		if err := checkResumeFlags(c); err != nil {
			return err
		}
	}
	if c.Bool("plan") {
		if err := checkPlanFlags(c); err != nil {
			return err
		}
	}
	defer r.closeFolder()
	if err := r.settle(c); err != nil {
		return err
	}
	if c.Bool("plan") {
		return r.printPlan(c.Context)
	}
	return r.run(c.Context)
}

func checkResumeFlags(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if name == "resume" || name == "help" || !c.IsSet(name) {
			continue
		}
		if !slices.Contains(resumeFlags, name) {
			return usagef("--resume with --%s: a run goes on as it was begun; only --%s may change (--config starts another run from its settings)",
				name, strings.Join(resumeFlags, ", --"))
		}
	}
	return nil
}

// settle makes the experiment of flags, of files, and of both.
func (r *training) settle(c *cli.Context) error {
	var layers []catalog.Layer
	var err error
	r.source = c.String("config")
	if c.IsSet("resume") {
		r.source = filepath.Join(r.resume, train.ConfigName)
		if r.folder, err = train.Open(r.resume); err != nil {
			return err
		}
		path := filepath.Join(r.resume, train.ConfigName)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return &dataset.Error{Path: path, Reason: "no such file, though the folder holds parts of a run"}
		}
		layers, err = above(path, []catalog.Layer{flagLayer(c)}) // it goes on as it was begun, whatever the environment says now
	} else {
		layers, err = runLayers(c)
	}
	if err != nil {
		return err
	}
	if r.e, r.rate, err = catalog.Resolve(layers...); err != nil {
		return &usageError{err}
	}
	if err := locateData(&r.e); err != nil {
		return err
	}
	if r.source != "" {
		r.before = readArithmetic(r.source)
	}
	return r.settleBackend()
}

// runLayers are the settings of a new run: those of the file that --config names, over
// them those of the environment, and over them the flags.
func runLayers(c *cli.Context) ([]catalog.Layer, error) {
	layers := []catalog.Layer{environment(catalog.Keys()), flagLayer(c)}
	if !c.IsSet("config") {
		return layers, nil
	}
	for _, l := range layers {
		if l.Values["preset"] != "" {
			return nil, usagef("--config with --preset or %s: the file names its own preset; give one of them", variableOf("preset"))
		}
	}
	return above(c.String("config"), layers)
}

// above puts layers over a configuration file.
func above(path string, layers []catalog.Layer) ([]catalog.Layer, error) {
	l, err := readConfig(path)
	return append([]catalog.Layer{l}, layers...), err
}

// settleBackend opens the backend and settles the number of workers, so that the
// configuration of the run names both.
func (r *training) settleBackend() error {
	var err error
	if r.kernels, err = openBackend(r.e.Backend); err != nil {
		return err
	}
	r.e.Backend = r.kernels.Info().Name
	r.e.Workers, err = workersFor(r.e.Workers, r.kernels)
	return err
}

// makeFolder makes the folder of a new run and writes its configuration, so that the
// run can be resumed from its first moment, and an output that can't be written shows
// before the work.
func (r *training) makeFolder() error {
	if r.folder != nil {
		return nil
	}
	dir := r.out
	if dir == "" {
		var err error
		if dir, err = freeFolder(filepath.Join("runs", fmt.Sprintf("%s-%d", r.e.Preset, r.e.Seed))); err != nil {
			return err
		}
		r.made = dir
	} else if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		r.made = dir
	}
	folder, err := train.Create(dir)
	if errors.Is(err, train.ErrRunExists) {
		return usagef("--out %s: the folder holds a run; go on with it by --resume %s, or name another folder", dir, quote(dir))
	}
	if err != nil {
		return err
	}
	r.folder = folder
	return r.writeConfig()
}

// closeFolder lets others use the folder.
func (r *training) closeFolder() {
	if r.folder == nil {
		return
	}
	if err := r.folder.Close(); err != nil {
		r.warn(err)
	}
}

// freeFolder makes and returns the first of base, base-2, base-3, … that doesn't exist.
func freeFolder(base string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(base), 0o777); err != nil {
		return "", fmt.Errorf("folder of the run: %w", err)
	}
	for n := 1; ; n++ {
		dir := base
		if n > 1 {
			dir = fmt.Sprintf("%s-%d", base, n)
		}
		err := os.Mkdir(dir, 0o777)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("folder of the run: %w", err)
		}
		return dir, nil
	}
}

// then separates, in a configuration, what a run was computed with from what it went on
// with.
const then = " | "

// arithmetic is what the run is computed with, after all that it was computed with before.
func (r *training) arithmetic() string {
	now := train.Arithmetic(r.kernels, r.e.Block)
	switch {
	case r.resume == "" || r.before == "":
		return now
	case len(r.changes()) == 0:
		return r.before
	}
	return r.before + then + now
}

// changes tells what differs between how the run is computed and how the one of the
// configuration was that it repeats or goes on with.
func (r *training) changes() []string {
	parts := strings.Split(r.before, then)
	return train.ArithmeticChanges(parts[len(parts)-1], train.Arithmetic(r.kernels, r.e.Block))
}

// warnOfBits says why a run may not be that of its configuration bit for bit.
func (r *training) warnOfBits() {
	if changes := r.changes(); len(changes) > 0 {
		r.warn(fmt.Errorf("bits may differ from the run of %s: %s", r.source, strings.Join(changes, ", ")))
	} else if strings.Contains(r.before, then) && r.resume == "" {
		r.warn(fmt.Errorf("bits may differ from the run of %s: it was itself computed in more than one way", r.source))
	}
}

// writeConfig writes the configuration as it stands.
func (r *training) writeConfig() error {
	content, err := encodeConfig(&r.e, r.arithmetic())
	if err != nil {
		return err
	}
	return r.folder.WriteFile(train.ConfigName, content)
}

// abandon removes what was made for a run that never began, so that a mistyped flag
// leaves nothing behind; whatever else lies in the folder stays.
func (r *training) abandon() {
	if r.folder == nil || r.resume != "" {
		return
	}
	r.closeFolder() // removes its lock
	dir := r.folder.Dir()
	_ = os.Remove(filepath.Join(dir, train.ConfigName))
	_ = os.Remove(filepath.Dir(filepath.Join(dir, filepath.FromSlash(train.CheckpointName)))) // only if empty
	if r.made != "" {
		_ = os.Remove(r.made) // only if empty
	}
}
