package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// terminalWidth is the number of columns of the terminal that w writes to, 0 where it
// is none.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// colourful tells whether w is a terminal that should get colours: not where NO_COLOR
// is set (no-color.org) or the terminal is a simple one.
func colourful(w io.Writer) bool {
	return terminalWidth(w) > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
