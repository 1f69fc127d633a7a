package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/report"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

// page is a Markdown file around the part that a command writes. The part stands between
// two comments that name the command, so that several commands share a page; the rest is
// written by hand and stays.
type page struct{ before, after string }

// pageFlag is the flag that names a page.
func pageFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "page", Category: groupOutput, Usage: "write the figures into `FILE`, too, in Markdown", TakesFile: true, DefaultText: "none",
	}
}

// aboutPages is what the commands with that flag say of it.
func aboutPages(command string) string {
	return fmt.Sprintf("--page replaces the part of a Markdown file between two comments, locoprop %s: begin\n"+
		"and end; where it has none, it is added.", command)
}

// marksOf are the comments around the part of a command, such as locoprop bench forms.
func marksOf(command string) (begin, end string) {
	return "<!-- " + command + ": begin -->", "<!-- " + command + ": end -->"
}

// pageOf is the file that --page names, "" for none. Where that is a link to a file, it is
// what the link leads to, so that writing keeps the link.
func pageOf(c *cli.Context) string {
	path := c.String("page")
	if file, err := filepath.EvalSymlinks(path); err == nil && path != "" {
		return file
	}
	return path
}

// readPage reads a page; one that doesn't exist is empty.
func readPage(path, command string) (page, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return page{after: "\n"}, nil
	}
	if err != nil {
		return page{}, err
	}
	begin, end := marksOf(command)
	text := string(content)
	before, rest, begun := strings.Cut(text, begin)
	own, after, ended := strings.Cut(rest, end)
	switch {
	case begun && ended && strings.Contains(own, "<!-- locoprop "):
		return page{}, usagef("--page %s: another command's part lies between %q and %q, or begins there; move it", path, begin, end)
	case begun && ended && !strings.Contains(before, end) && !strings.Contains(after, begin) && !strings.Contains(after, end):
		return page{before, after}, nil
	case !begun && !strings.Contains(text, end):
		if text = strings.TrimRight(text, "\n"); text != "" {
			text += "\n\n"
		}
		return page{text, "\n"}, nil
	default:
		return page{}, usagef("--page %s: needs one %q and after it one %q, or neither", path, begin, end)
	}
}

// checkPage finds what would keep the page that --page names from being written, before
// minutes are spent on what goes into it.
func checkPage(c *cli.Context) error {
	path := pageOf(c)
	if path == "" {
		return nil
	}
	if err := checkWritable(path); err != nil {
		return err
	}
	if dir := chartDir(path); c.Bool("charts") {
		switch info, err := os.Stat(dir); {
		case errors.Is(err, fs.ErrNotExist): // is made where the page is, which can be written to
		case err != nil:
			return fmt.Errorf("folder of the charts: %w", err)
		case !info.IsDir():
			return fmt.Errorf("folder of the charts: %s is a file", dir)
		default:
			if err := checkWritable(filepath.Join(dir, "scaling.svg")); err != nil {
				return err
			}
		}
	}
	_, err := readPage(path, c.Command.HelpName)
	return err
}

// writePage writes a command's part of the page at path, all of it or nothing. The page is
// read anew, since somebody may have written in it while the command measured.
func writePage(path, command, part string) error {
	p, err := readPage(path, command)
	if err != nil {
		return err
	}
	begin, end := marksOf(command)
	return train.WriteFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, p.before+begin+"\n\n"+strings.Trim(part, "\n")+"\n\n"+end+p.after)
		return err
	})
}

// deliver prints what a command measured, as JSON where that is wanted, and writes its
// part of the page that --page names. Neither failing keeps the other back.
func deliver(c *cli.Context, object any, text func(w io.Writer) error, part func() (string, error)) error {
	var errs []error
	if c.Bool("json") {
		errs = append(errs, printJSON(c.App.Writer, object))
	} else {
		errs = append(errs, text(c.App.Writer))
	}
	if path := pageOf(c); path != "" {
		content, err := part()
		if err == nil {
			err = writePage(path, c.Command.HelpName, content)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// chartDir is the folder of a page's charts.
func chartDir(page string) string { return filepath.Join(filepath.Dir(page), "images") }

// writeChart draws a chart into the folder images beside a page.
func writeChart(page, name string, chart report.Chart) error {
	dir := chartDir(page)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("folder of the charts: %w", err)
	}
	return train.WriteFile(filepath.Join(dir, name), chart.WriteSVG)
}

// origin tells which command made measurements, when and where.
type origin struct {
	Version string        `json:"version"`
	Command string        `json:"command"`
	Date    string        `json:"date"` // in UTC, year first
	Machine bench.Machine `json:"machine"`
}

// originOf is that of a command's measurements on a backend and a number of workers.
func originOf(c *cli.Context, k backend.Kernels, workers int) origin {
	return origin{
		Version: version(), Machine: bench.ThisMachine(), Date: time.Now().UTC().Format(time.DateOnly),
		Command: commandLine(c, map[string]string{"workers": strconv.Itoa(workers), "backend": k.Info().Name, "preset": benchPreset}),
	}
}

// outputFlags don't change what is measured.
var outputFlags = []string{"page", "charts", "json"}

// commandLine is a command with all its settings, those that nobody gave among them.
// usual has the values of flags that the flag itself doesn't know; those that the machine
// or the environment decides hold in any case.
func commandLine(c *cli.Context, usual map[string]string) string {
	words := []string{c.Command.HelpName}
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if slices.Contains(outputFlags, name) {
			continue
		}
		value := c.String(name)
		if value == "" || name == "workers" || name == "backend" {
			value = usual[name]
		}
		_, toggle := f.(*cli.BoolFlag)
		switch {
		case value == "" || toggle && value == "false":
		case toggle:
			words = append(words, "--"+name)
		default:
			words = append(words, "--"+name, quote(value))
		}
	}
	return strings.Join(words, " ")
}

// heading begins a part of a page: the command, and where, with what and when it measured.
func (o *origin) heading(k backend.Info, rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s\n\n%s, %d threads, %s/%s; %s", o.Command, or(o.Machine.CPU, "CPU unknown"), o.Machine.CPUs, o.Machine.OS, o.Machine.Arch, k.Detail)
	if k.Compiler != "" {
		fmt.Fprintf(&b, "; %s", k.Compiler)
	}
	fmt.Fprintf(&b, "; %s; locoprop %s; %s. Medians over %d rounds, with least and largest; ratios are formed within a round.\n\n",
		o.Machine.Go, o.Version, o.Date, rounds)
	return b.String()
}

// threeDigits is a number with three digits, or as many as stand before its point: columns of
// numbers with exponents are hard to read.
func threeDigits(x float64) string {
	places := 0
	if x != 0 {
		places = max(0, 2-int(math.Floor(math.Log10(math.Abs(x)))))
	}
	return strconv.FormatFloat(x, 'f', places, 64)
}

// spreadText is a median with least and largest in brackets, all of them times a factor.
func spreadText(s bench.Spread, factor float64) string {
	return fmt.Sprintf("%s (%s to %s)", threeDigits(factor*s.Median), threeDigits(factor*s.Min), threeDigits(factor*s.Max))
}
