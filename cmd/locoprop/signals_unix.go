//go:build unix

package main

import (
	"os"
	"syscall"
)

// statusSignals make a training program say where it stands.
var statusSignals = []os.Signal{syscall.SIGUSR1}

const statusHelp = "\nSIGUSR1 (kill -USR1 PROCESS) makes it print where it stands."
