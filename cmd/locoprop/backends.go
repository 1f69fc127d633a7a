package main

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// backendNames are all backends, whether this build has them or not; of those it has
// the first is the default.
var backendNames = []string{"native", "gonum", "netlib"}

// mostWorkers is the limit under any backend.
const mostWorkers = train.MaxWorkers

// openBackend returns the backend of a name, "" for the best that there is.
func openBackend(name string) (backend.Kernels, error) {
	if name == "" {
		i := slices.IndexFunc(backendNames, func(n string) bool { return openers[n] != nil })
		name = backendNames[i]
	}
	if !slices.Contains(backendNames, name) {
		return nil, &usageError{fmt.Errorf("--backend: %w", &catalog.UnknownError{What: "backend", Name: name, Known: backendNames})}
	}
	open := openers[name]
	if open == nil {
		return nil, usagef("--backend %s: %s", name, whyPure)
	}
	return open(), nil
}

// closeBackend gives back what a backend holds, such as OpenBLAS's number of threads.
func closeBackend(k backend.Kernels) {
	if c, ok := k.(interface{ Close() }); ok {
		c.Close()
	}
}

// startProcs is GOMAXPROCS as the program found it.
var startProcs = runtime.GOMAXPROCS(0)

// spareProc gives Go's scheduler one more of GOMAXPROCS than there are workers, where they would take
// all; see plan.Pool.
func spareProc(workers int) {
	if workers == startProcs {
		runtime.GOMAXPROCS(workers + 1)
	}
}

// workersFor checks a number of workers, 0 for the default: GOMAXPROCS, within the
// limit, and sees to a processor to spare beside them.
func workersFor(workers int, k backend.Kernels) (int, error) {
	limit, reason := mostWorkers, "every worker needs memory of its own"
	info := k.Info()
	if info.MaxWorkers > 0 && (info.MaxWorkers < limit || info.MaxWorkers == limit && info.LimitedBy != "") {
		limit, reason = info.MaxWorkers, info.LimitedBy
	}
	switch {
	case workers == 0:
		workers = min(startProcs, limit)
	case workers < 1 || workers > limit:
		return 0, usagef("--workers %d: must be 1 to %d with backend %s: %s", workers, limit, info.Name, reason)
	}
	spareProc(workers)
	return workers, nil
}
