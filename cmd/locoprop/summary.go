package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

const (
	pictureName  = "reconstructions.png"
	pictureCount = 10 // examples shown
)

// conclude says what a run has reached. With --json it does so on standard error, since
// standard output is for data, and with --quiet nowhere.
func (r *training) conclude(ctx context.Context, result train.Result) error {
	out := r.stdout
	switch {
	case r.verbosity == quiet:
		out = io.Discard
	case r.json:
		out = r.stderr
	}
	compute := train.Compute{Backend: r.kernels, Workers: r.e.Workers}
	meanTrain, meanTest, err := train.MeanPredictor(ctx, r.data, r.e.Target, r.e.Loss, compute)
	if err != nil {
		return err
	}
	if limit := r.e.TimeLimit; limit > 0 && result.Seconds >= limit.Seconds() {
		fmt.Fprintf(out, "\nstopped by --time-limit %v\n", limit)
	}
	if err := printSummary(out, result, meanTrain, meanTest); err != nil {
		return err
	}
	switch loss := result.Last.TrainLoss; {
	case r.start > 0 && loss > r.start:
		r.warn(fmt.Errorf("training loss %.5g is above %.5g, where it was before training: the steps were too large; lower %s", loss, r.start, r.lengthOfSteps()))
	case loss > meanTrain:
		fmt.Fprintf(out, "no better than the mean predictor yet: train longer, or, where the loss doesn't fall, lower %s\n", r.lengthOfSteps())
	}
	files := []string{train.ModelName, train.MetricsName, train.ConfigName, train.CheckpointName}
	if r.data.Height > 0 && r.e.Target == model.Input {
		if err := r.reconstruct(ctx, out, compute); err != nil {
			return err
		}
		files = append(files, pictureName)
	}
	if r.events != nil {
		files = append(files, eventsName)
	}
	dir := r.folder.Dir()
	fmt.Fprintf(out, "files in %s:", dir)
	for _, name := range files {
		fmt.Fprintf(out, " %s", name)
	}
	fmt.Fprintf(out, "\nmeasure it again with: locoprop eval --model %s%s\n", quote(filepath.Join(dir, train.ModelName)), r.dataFlags())
	fmt.Fprintf(out, "see how it went with: locoprop report %s\n", quote(dir))
	if against := r.e.MeasuredAgainst(); against != "" {
		fmt.Fprintf(out, "preset %s was measured against %s\n", r.e.Preset, against)
	}
	return nil
}

// lengthOfSteps names the settings that shorten the run's steps.
func (r *training) lengthOfSteps() string {
	if !catalog.IsLocal(r.e.Method) {
		return "--lr"
	}
	switch r.e.Form {
	case locoprop.FormAuto, locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel, locoprop.FormSpectral:
		return "--lr or --gamma"
	}
	return "--gamma"
}

func printSummary(out io.Writer, result train.Result, meanTrain, meanTest float64) error {
	last := result.Last
	within := ""
	if result.Batch > 0 {
		within = fmt.Sprintf(" and %d of %d batches", result.Batch, result.Batches)
	}
	fmt.Fprintf(out, "\nreached after %d epochs%s (%d steps, %.1f s training, %.1f s evaluating):\n",
		result.Epoch, within, result.Step, result.Seconds, result.EvalSeconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, training, test float64, about string) {
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t  %s\n", name, training, test, about)
	}
	fmt.Fprint(w, "\ttrain\ttest\t\n")
	line("loss", last.TrainLoss, last.TestLoss, "mean over examples of the sum over outputs")
	line("excess", last.TrainExcess, last.TestExcess, fmt.Sprintf("over the least possible, %.4f and %.4f", result.TrainFloor, result.TestFloor))
	line("mean predictor", meanTrain, meanTest, "the loss of giving the training targets' mean for every example")
	if last.TrainAccuracy != nil {
		line("accuracy", *last.TrainAccuracy, *last.TestAccuracy, "share of examples put into their class")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if best := result.Best; best.Step > 0 && best.Step < result.Step {
		fmt.Fprintf(out, "best test loss %.4f, after %d epochs (%d steps): %s\n", best.TestLoss, best.Epoch, best.Step, train.BestName)
	}
	if n := len(result.Rollbacks); n > 0 {
		fmt.Fprintf(out, "diverged and rolled back %d times; lr was %g in the end\n", n, result.Rollbacks[n-1].Rate)
	}
	return nil
}

// dataFlags are the flags that name the run's data.
func (r *training) dataFlags() string {
	all := r.e.Values()
	text := ""
	for _, key := range dataKeys {
		if v := all[key]; v != "" && v != defaultValue(key) {
			text += fmt.Sprintf(" --%s %s", key, quote(v))
		}
	}
	return text
}

func defaultValue(key string) string {
	e := defaultExperiment()
	return e.Values()[key]
}

// reconstruct shows originals over what the network makes of them: as a file, and on a
// terminal in characters.
func (r *training) reconstruct(ctx context.Context, out io.Writer, compute train.Compute) error {
	images, err := reconstructions(ctx, r.data, r.trainer.Model(), pictureCount, compute)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := images.writePNG(&b); err != nil {
		return err
	}
	if err := r.folder.WriteFile(pictureName, b.Bytes()); err != nil {
		return err
	}
	if width := terminalWidth(out); width > 0 {
		fmt.Fprintf(out, "\noriginals, and below them what the network makes of them:\n%s\n", halfBlocks(images.rows, width, colourful(out)))
	}
	return nil
}
