package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/train"
)

// The figures stand in a page between these lines.
const (
	pageBegin = "<!-- locoprop bench figures: begin -->"
	pageEnd   = "<!-- locoprop bench figures: end -->"
)

// page is a Markdown file, without its figures.
type page struct{ before, after string }

// readPage reads a page; one that doesn't exist is empty.
func readPage(path string) (page, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return page{}, nil
	}
	if err != nil {
		return page{}, err
	}
	text := string(content)
	before, rest, begun := strings.Cut(text, pageBegin)
	_, after, ended := strings.Cut(rest, pageEnd)
	switch {
	case begun && ended && !strings.Contains(after, pageBegin):
		return page{before, after}, nil
	case !begun && !strings.Contains(text, pageEnd):
		return page{strings.TrimRight(text, "\n") + "\n\n", "\n"}, nil
	default:
		return page{}, usagef("--page %s: needs one %q and after it one %q, or neither", path, pageBegin, pageEnd)
	}
}

// writePage writes the figures into a page, all of it or nothing.
func writePage(path string, r *figuresReport) error {
	p, err := readPage(path)
	if err != nil {
		return err
	}
	return train.WriteFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, p.before+pageBegin+"\n"+figuresPage(r)+pageEnd+p.after)
		return err
	})
}

// figuresPage is the figures as Markdown.
func figuresPage(r *figuresReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n    locoprop bench figures --workers %d --rounds %d\n\n", r.Workers, r.Rounds)
	fmt.Fprintf(&b, "%s, %d threads, %s/%s; %s", or(r.Machine.CPU, "CPU unknown"), r.Machine.CPUs, r.Machine.OS, r.Machine.Arch, r.Backend.Detail)
	if r.Backend.Compiler != "" {
		fmt.Fprintf(&b, "; %s", r.Backend.Compiler)
	}
	fmt.Fprintf(&b, "; %s; locoprop %s. Medians of %d rounds, least and largest; ratios are formed within a round.\n", r.Machine.Go, r.Version, r.Rounds)
	b.WriteString("OpenBLAS packs inside its products, so packing is part of them.\n\n")
	b.WriteString("| figure | median | min | max | ought to be |\n|---|---|---|---|---|\n")
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.Name, f.text(f.Median), f.text(f.Min), f.text(f.Max), f.verdict())
	}
	b.WriteByte('\n')
	for i, row := range stepRows(r) {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	b.WriteByte('\n')
	return b.String()
}
