package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// redraw is the least time between two looks at what is to be shown: small networks make
// many steps in it.
const redraw = 50 * time.Millisecond

// liveView shows a bar for the run, one for the epoch being trained, and figures below
// them; each evaluation leaves a line above.
type liveView struct {
	w        io.Writer
	meter    *meter
	progress *mpb.Progress // nil: nothing is drawn, so lines can be written
	rows     *mpb.Bar
	shown    atomic.Pointer[moment] // drawn by another goroutine
	last     time.Time              // when shown was last changed
}

// moment is what is shown at one time.
type moment struct {
	train.Progress
	speeds
	epochs   int
	peakName string
	resident uint64
}

func (v *liveView) step(p train.Progress) {
	s := v.meter.step(p)
	if v.progress != nil && p.Batch < p.Batches && time.Since(v.last) < redraw {
		return
	}
	v.last = time.Now()
	v.shown.Store(&moment{p, s, v.meter.epochs, v.meter.peakName, residentMemory()})
	if v.progress == nil {
		v.open()
	}
}

// open begins to draw. The rows are a single bar without an end to the library, which
// knows the terminal's size at each moment and moves the cursor.
func (v *liveView) open() {
	row := func(text func(m *moment, width int) string, end string) mpb.BarFiller {
		return mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
			_, err := io.WriteString(w, text(v.shown.Load(), s.AvailableWidth)+end)
			return err
		})
	}
	v.progress = mpb.New(mpb.WithConsoleWriter(consoleOf(v.w)), mpb.WithAutoRefresh())
	bar, err := v.progress.Add(-1, row((*moment).runRow, ""), mpb.BarFillerTrim(),
		mpb.BarBtmExtender(row((*moment).epochRow, "\n"), row((*moment).figuresRow, "\n")))
	if err != nil { // can't happen: progress is new
		v.progress = nil
		return
	}
	v.rows = bar
}

// consoleOf is mpb's own console on w, which also goes to the start of the line first:
// the terminal may have shown ^C since.
func consoleOf(w io.Writer) mpb.ConsoleWriter {
	console := cupwriter.New(fromStart{w}, false)
	if f, ok := w.(*os.File); ok {
		console.SetTermFd(int(f.Fd()))
	}
	return console
}

// fromStart begins whatever is written at the start of the line.
type fromStart struct{ w io.Writer }

func (s fromStart) Write(b []byte) (int, error) {
	n, err := s.w.Write(append([]byte{'\r'}, b...))
	return max(n-1, 0), err
}

// close takes the rows away.
func (v *liveView) close() {
	if v.progress != nil {
		v.rows.Abort(true)
		v.progress.Wait()
		v.progress = nil
	}
}

func (v *liveView) epoch(m train.Metrics) {
	line := fmt.Sprintf("%s   train %9.4f (excess %8.4f)   test %9.4f (excess %8.4f)", v.meter.place(m),
		m.TrainLoss, m.TrainExcess, m.TestLoss, m.TestExcess)
	if m.TestAccuracy != nil {
		line += fmt.Sprintf("   accuracy %.2f %% and %.2f %%", 100**m.TrainAccuracy, 100**m.TestAccuracy)
	}
	v.say(fmt.Sprintf("%s   %.1f s", line, m.Seconds))
}

// say prints a line above the rows, which come back with the next step.
func (v *liveView) say(line string) {
	v.close()
	fmt.Fprintln(v.w, line)
}

func (m *moment) runRow(width int) string {
	right := percent(m.done)
	if m.left > 0 {
		right += fmt.Sprintf(", %v left", m.left.Round(time.Second))
	}
	return barRow(fmt.Sprintf("run    epoch %d of %d", m.Epoch, m.epochs), right, m.done, width)
}

func (m *moment) epochRow(width int) string {
	share := float64(m.Batch) / float64(max(m.Batches, 1))
	return barRow(fmt.Sprintf("epoch  step %d of %d", m.Batch, m.Batches), percent(share), share, width)
}

// figuresRow has as many figures as fit.
func (m *moment) figuresRow(width int) string {
	list := []string{fmt.Sprintf("loss %.3f", m.Loss)}
	if !math.IsNaN(m.excess) {
		list = append(list, fmt.Sprintf("excess %.3f", m.excess))
	}
	if m.examples > 0 {
		list = append(list, fmt.Sprintf("%.4g examples/s", m.examples))
	}
	if m.flops > 0 {
		text := fmt.Sprintf("%.1f GF/s", m.flops/1e9)
		if m.share > 0 {
			text += fmt.Sprintf(", %.0f %% of %s", 100*m.share, m.peakName)
		}
		list = append(list, text)
	}
	list = append(list, fmt.Sprintf("%.0f MB", float64(m.resident)/1e6))
	row := fit(list[0], width)
	for _, text := range list[1:] {
		longer := row + "  " + text
		if utf8.RuneCountInString(longer) > width {
			break
		}
		row = longer
	}
	return row
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// leastBar is the number of columns below which a bar says nothing.
const leastBar = 10

// barRow is text on both sides of a bar; what doesn't fit is left out, the bar first.
func barRow(left, right string, share float64, width int) string {
	const column = 24 // where bars begin, below each other
	if width >= column+leastBar+len(right) {
		left = fmt.Sprintf("%-*s", column-1, left)
	}
	free := width - utf8.RuneCountInString(left) - utf8.RuneCountInString(right) - 2
	switch {
	case free >= leastBar:
		return left + " " + bar(share, free) + " " + right
	case free >= 0:
		return left + "  " + right
	}
	return fit(left, width)
}

// bar draws a share on so many columns, at least 2.
func bar(share float64, width int) string {
	inner := width - 2
	full := int(math.Round(float64(inner) * share))
	full = min(max(full, 0), inner)
	tip := ""
	if full > 0 && full < inner {
		full, tip = full-1, ">"
	}
	return "[" + strings.Repeat("=", full) + tip + strings.Repeat("-", inner-full-len(tip)) + "]"
}

// fit cuts text to so many columns.
func fit(text string, width int) string {
	r := []rune(text)
	return string(r[:min(max(width, 0), len(r))])
}
