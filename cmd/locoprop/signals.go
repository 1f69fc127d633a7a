package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// teller is who prints lines meanwhile, where a live view draws on the same terminal.
type teller struct {
	say atomic.Pointer[func(line string)]
}

type tellerKey struct{}

// tellBy makes an interruption of ctx, which interruptible made, be told by say.
func tellBy(ctx context.Context, say func(line string)) {
	if t, ok := ctx.Value(tellerKey{}).(*teller); ok {
		t.say.Store(&say)
	}
}

// interruptible returns a context that ends at the first Ctrl-C or SIGTERM, so that
// the step in hand can be finished and saved. The second one ends the program at once:
// files are replaced as wholes, so none is left half written. stop restores the usual
// effect of the signals.
func interruptible(parent context.Context, stderr io.Writer) (ctx context.Context, stop func()) {
	var teller teller
	ctx, cancel := context.WithCancel(context.WithValue(parent, tellerKey{}, &teller))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			select {
			case <-done:
				return
			case <-signals:
			}
			if !first {
				os.Exit(exitInterrupted)
			}
			cancel()
			const text = "locoprop: interrupted; finishing what is in hand (once more to leave at once)"
			if say := teller.say.Load(); say != nil {
				go (*say)(text) // not here: a terminal that is held up mustn't hold up the second signal
			} else {
				fmt.Fprintln(stderr, "\n"+text)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
