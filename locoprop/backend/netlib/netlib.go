//go:build cgo && !purego

package netlib

import (
	"fmt"
	"strings"
	"sync"

	"github.com/locoprop/locoprop-go/bindings"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"gonum.org/v1/netlib/blas/netlib"
)

// Available tells whether this build has the backend.
const Available = true

// maxCallers is how many threads may be inside OpenBLAS at once: beyond its pool of
// buffers it complains on stderr and in the end gives up.
const maxCallers = 128

// Backend implements backend.Kernels. It is safe for concurrent use, except for Close.
type Backend struct {
	*gonum.Backend
	close sync.Once
}

// New returns the backend, with OpenBLAS set to one thread until Close. The link flags
// come with package bindings; netlib has none of its own.
func New() *Backend {
	bindings.AcquireSingleThread()
	built := bindings.GetInfo()
	info := backend.Info{
		Name:       "netlib",
		Detail:     fmt.Sprintf("Go loops over %s, %s", release(built.OpenBLAS), built.Core),
		Arithmetic: fmt.Sprintf("OpenBLAS = %s, CPU kernel = %s", strings.TrimPrefix(release(built.OpenBLAS), "OpenBLAS "), built.Core),
		MaxWorkers: maxCallers,
		LimitedBy:  fmt.Sprintf("more than %d threads in OpenBLAS at once run out of its buffers", maxCallers),
	}
	if 0 < built.MaxThreads && built.MaxThreads < maxCallers {
		info.MaxWorkers = built.MaxThreads
		info.LimitedBy = fmt.Sprintf("this OpenBLAS was built for at most %d threads", built.MaxThreads)
	}
	return &Backend{Backend: gonum.NewWith(netlib.Implementation{}, info)}
}

// release is the name and version at the front of OpenBLAS's description of itself.
func release(config string) string {
	words := strings.Fields(config)
	return strings.Join(words[:min(2, len(words))], " ")
}

// Close gives OpenBLAS's thread setting back. The backend mustn't be used afterwards.
func (k *Backend) Close() { k.close.Do(bindings.ReleaseSingleThread) }
