package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// verbosity is how much a training run prints for people.
type verbosity uint8

const (
	normal  verbosity = iota // a live view on a terminal, elsewhere a line now and then
	quiet                    // warnings and errors only
	verbose                  // a line for every step
)

// reporter shows how a run goes on.
type reporter interface {
	step(p train.Progress)
	epoch(m train.Metrics)
	say(line string) // at any moment
	close()
}

// newReporter returns a live view on a terminal, log lines elsewhere.
func newReporter(w io.Writer, m *meter, v verbosity) reporter {
	switch {
	case v == quiet:
		return silence{w}
	case v == normal && terminalWidth(w) > 0:
		return &liveView{w: w, meter: m}
	}
	every := quietFor
	if v == verbose {
		every = 0
	}
	return &logLines{w: w, log: slog.New(tint.NewTextHandler(w, &tint.Options{TimeFormat: time.TimeOnly, NoColor: !colourful(w)})), meter: m, every: every}
}

// silence shows nothing but what must be said.
type silence struct{ w io.Writer }

func (silence) step(train.Progress) {}

func (silence) epoch(train.Metrics) {}

func (s silence) say(line string) { fmt.Fprintln(s.w, line) }

func (silence) close() {}

// quietFor is how long an epoch may go on before a line tells where it stands.
const quietFor = 10 * time.Second

// logLines writes a line for each evaluation, and within epochs one every so often.
type logLines struct {
	w     io.Writer
	log   *slog.Logger
	meter *meter
	every time.Duration // between lines within epochs; 0: one for each step
	last  time.Time     // of the last line
}

func (l *logLines) step(p train.Progress) {
	if l.last.IsZero() {
		l.last = time.Now()
	}
	f := l.meter.step(p)
	if time.Since(l.last) < l.every {
		return
	}
	l.last = time.Now()
	list := []any{
		"batch", fmt.Sprintf("%d/%d", p.Batch, p.Batches), "batch_loss", figure(p.Loss), "batch_excess", figure(f.excess),
		"lr", figure(p.Rate), "seconds", figure(p.Seconds),
	}
	if f.examples > 0 {
		list = append(list, "examples_per_s", figure(f.examples))
	}
	if f.flops > 0 {
		list = append(list, "gflops", figure(f.flops/1e9))
	}
	if f.left > 0 {
		list = append(list, "eta", f.left.Round(time.Second))
	}
	l.log.Info(fmt.Sprintf("epoch %d of %d", p.Epoch, l.meter.epochs), append(list, "memory_mb", figure(float64(residentMemory())/1e6))...)
}

func (l *logLines) epoch(m train.Metrics) {
	l.last = time.Now()
	l.log.Info(strings.Join(strings.Fields(l.meter.place(m)), " ")+" done", attributes(m)...)
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
