package main

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/lmittmann/tint"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// reporter shows how a run goes on.
type reporter interface {
	step(p train.Progress)
	epoch(m train.Metrics)
	say(line string) // at any moment
	close()
}

// newReporter returns bars on a terminal, log lines elsewhere.
func newReporter(w io.Writer, epochs int) reporter {
	if terminalWidth(w) > 0 {
		return &bars{w: w, epochs: epochs}
	}
	return &logLines{w: w, log: slog.New(tint.NewTextHandler(w, &tint.Options{TimeFormat: time.TimeOnly, NoColor: !colourful(w)})), epochs: epochs}
}

// quietFor is how long an epoch may go on before a line tells where it stands.
const quietFor = 10 * time.Second

// logLines writes a line for each evaluation, and one every ten seconds within epochs.
type logLines struct {
	w      io.Writer
	log    *slog.Logger
	epochs int
	last   time.Time // of the last line
}

func (l *logLines) step(p train.Progress) {
	if l.last.IsZero() {
		l.last = time.Now()
	}
	if time.Since(l.last) < quietFor {
		return
	}
	l.last = time.Now()
	l.log.Info(fmt.Sprintf("epoch %d of %d", p.Epoch, l.epochs), "batch", fmt.Sprintf("%d/%d", p.Batch, p.Batches),
		"batch_loss", figure(p.Loss), "lr", figure(p.Rate), "seconds", figure(p.Seconds))
}

func (l *logLines) epoch(m train.Metrics) {
	l.last = time.Now()
	l.log.Info(fmt.Sprintf("epoch %d of %d done", m.Epoch, l.epochs), attributes(m)...)
}

func (l *logLines) say(line string) { fmt.Fprintln(l.w, line) }

func (l *logLines) close() {}

// attributes are an evaluation's figures for a log line.
func attributes(m train.Metrics) []any {
	list := []any{
		"train_loss", figure(m.TrainLoss), "test_loss", figure(m.TestLoss),
		"train_excess", figure(m.TrainExcess), "test_excess", figure(m.TestExcess),
	}
	if m.TrainAccuracy != nil {
		list = append(list, "train_accuracy", figure(*m.TrainAccuracy), "test_accuracy", figure(*m.TestAccuracy))
	}
	return append(list, "lr", figure(m.LR), "seconds", figure(m.Seconds))
}

// figure writes a number for people.
func figure(x float64) string { return fmt.Sprintf("%.5g", x) }

// redraw is the least time between two moves of a bar: small networks make many steps
// in it.
const redraw = 50 * time.Millisecond

// bars shows a bar for the epoch being trained, and a line for each evaluation.
type bars struct {
	w        io.Writer
	epochs   int
	progress *mpb.Progress // of one epoch: lines are written only when nothing else draws
	bar      *mpb.Bar
	of       int           // the epoch of bar
	loss     atomic.Uint64 // of the last batch, as bits: the bar is drawn by another goroutine
	last     time.Time     // when bar was last moved
}

func (b *bars) step(p train.Progress) {
	if b.bar == nil || b.of != p.Epoch {
		b.close()
		b.of = p.Epoch
		b.progress = mpb.New(mpb.WithOutput(b.w), mpb.WithAutoRefresh())
		b.bar = b.progress.AddBar(int64(p.Batches), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(fmt.Sprintf("epoch %d of %d ", p.Epoch, b.epochs))),
			mpb.AppendDecorators(
				decor.Any(func(decor.Statistics) string {
					return fmt.Sprintf(" loss %.3f ", math.Float64frombits(b.loss.Load()))
				}),
				decor.CountersNoUnit("%d/%d "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	b.loss.Store(math.Float64bits(p.Loss))
	if p.Batch < p.Batches && time.Since(b.last) < redraw {
		return
	}
	b.last = time.Now()
	b.bar.SetCurrent(int64(p.Batch))
}

func (b *bars) epoch(m train.Metrics) {
	b.close()
	line := fmt.Sprintf("epoch %*d of %d   train %9.4f (excess %8.4f)   test %9.4f (excess %8.4f)", len(fmt.Sprint(b.epochs)), m.Epoch, b.epochs,
		m.TrainLoss, m.TrainExcess, m.TestLoss, m.TestExcess)
	if m.TestAccuracy != nil {
		line += fmt.Sprintf("   accuracy %.2f %% and %.2f %%", 100**m.TrainAccuracy, 100**m.TestAccuracy)
	}
	fmt.Fprintf(b.w, "%s   %.1f s\n", line, m.Seconds)
}

// say prints a line above the bar.
func (b *bars) say(line string) {
	if b.bar != nil {
		if _, err := fmt.Fprintln(b.progress, line); err == nil {
			return
		}
	}
	fmt.Fprintln(b.w, line)
}

// close takes the bar away.
func (b *bars) close() {
	if b.bar != nil {
		b.bar.Abort(true)
		b.progress.Wait()
		b.bar = nil
	}
}
