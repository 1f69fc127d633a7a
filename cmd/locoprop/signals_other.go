//go:build !unix

package main

import "os"

// statusSignals is empty: this system has no signal to spare.
var statusSignals []os.Signal

const statusHelp = ""
