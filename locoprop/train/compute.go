package train

import (
	"fmt"
	"runtime"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
)

// MaxWorkers is the largest number of workers under any backend: each has scratch
// memory of its own, and OpenBLAS serves no more threads of calls than about so many.
const MaxWorkers = 128

const ownLimit = "every worker needs memory of its own"

// Compute says where arithmetic runs. Its zero value is the pure-Go backend with as
// many workers as GOMAXPROCS.
type Compute struct {
	Backend backend.Kernels // nil: gonum.New()
	// Workers is the number of workers; results don't depend on it. 0: GOMAXPROCS, or
	// the limit where that is lower. The limit is the least of MaxWorkers and the
	// backend's own. Steps are fastest where GOMAXPROCS is one more (see plan.Pool):
	// then give Workers too.
	Workers int
}

// resolve fills in defaults and checks the number of workers.
func (c Compute) resolve() (backend.Kernels, int, error) {
	k := c.Backend
	if k == nil {
		k = gonum.New()
	}
	limit, reason := MaxWorkers, ownLimit
	if info := k.Info(); info.MaxWorkers > 0 && info.MaxWorkers < limit {
		limit, reason = info.MaxWorkers, info.LimitedBy
	}
	switch {
	case c.Workers == 0:
		return k, min(runtime.GOMAXPROCS(0), limit), nil
	case c.Workers < 0 || c.Workers > limit:
		return nil, 0, fmt.Errorf("%d workers; must be 1 to %d with backend %s (%s)", c.Workers, limit, k.Info().Name, reason)
	}
	return k, c.Workers, nil
}
