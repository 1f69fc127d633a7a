package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/train"
)

// status is where a run stands, for whoever asks while it goes on. Everything that is
// printed meanwhile goes through it, so that one goroutine at a time prints.
type status struct {
	mu       sync.Mutex
	reporter reporter // nil: the run hasn't begun, or is over
	lastStep train.Progress
	lastLine *train.Metrics
}

// show makes a reporter show how the run goes on.
func (s *status) show(r reporter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reporter = r
}

func (s *status) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reporter.close()
	s.reporter = nil
}

func (s *status) step(p train.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastStep = p
	s.reporter.step(p)
}

func (s *status) epoch(m train.Metrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastLine = &m
	s.reporter.epoch(m)
}

// say prints a line for people.
func (s *status) say(w io.Writer, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reporter != nil {
		s.reporter.say(line)
		return
	}
	fmt.Fprintln(w, line)
}

// where says where the run stands.
func (r *training) where() string {
	s := &r.status
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf("locoprop: process %d: ", os.Getpid())
	switch p := s.lastStep; {
	case s.reporter == nil:
		return text + "not training"
	case p.Step == 0:
		text += "before the first step"
	default:
		text += fmt.Sprintf("epoch %d of %d, batch %d of %d, %d steps, batch loss %.5g, %.1f s of training",
			p.Epoch, r.runEpochs(), p.Batch, p.Batches, p.Step, p.Loss, p.Seconds)
	}
	if m := s.lastLine; m != nil {
		text += fmt.Sprintf("; after epoch %d train loss %.5g, test loss %.5g", m.Epoch, m.TrainLoss, m.TestLoss)
	}
	if info, err := os.Stat(filepath.Join(r.folder.Dir(), filepath.FromSlash(train.CheckpointName))); err == nil {
		text += fmt.Sprintf("; saved %s ago", time.Since(info.ModTime()).Round(time.Second))
	}
	return text
}

// answerSignals makes the program say where the run stands when it is sent a
// statusSignal, until stop is called.
func (r *training) answerSignals() (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	if len(statusSignals) > 0 { // of none, Notify would make all
		signal.Notify(signals, statusSignals...)
	}
	go func() {
		for {
			select {
			case <-done:
				return
			case <-signals:
				r.status.say(r.stderr, r.where())
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
