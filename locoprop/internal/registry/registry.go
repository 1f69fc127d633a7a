// Package registry keeps what a program registers under names of its own: transfer
// functions, losses.
package registry

import (
	"fmt"
	"regexp"
	"slices"
	"sync"
)

// Registry maps names to values of one kind. Use by several goroutines at once is fine.
type Registry[T any] struct {
	what    string   // of errors: transfer function, loss
	builtIn []string // names that are taken
	mu      sync.RWMutex
	own     map[string]*T
}

// New makes an empty registry; what names its kind in errors.
func New[T any](what string, builtIn []string) *Registry[T] {
	return &Registry[T]{what: what, builtIn: builtIn, own: map[string]*T{}}
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// Add registers a value. It returns an error for a name that is taken or isn't made of
// lower-case letters, digits, - and _, a letter first.
func (r *Registry[T]) Add(name string, v T) (*T, error) {
	switch {
	case !validName.MatchString(name):
		return nil, fmt.Errorf("%s %q: a name needs lower-case letters, digits, - and _, a letter first", r.what, name)
	case slices.Contains(r.builtIn, name):
		return nil, fmt.Errorf("%s %q is built in", r.what, name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own[name] != nil {
		return nil, fmt.Errorf("%s %q is registered already", r.what, name)
	}
	r.own[name] = &v
	return &v, nil
}

// Get returns what is registered under a name, nil where nothing is.
func (r *Registry[T]) Get(name string) *T {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.own[name]
}

// Known lists the names that are built in, then the registered ones in order.
func (r *Registry[T]) Known() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	known := slices.Clone(r.builtIn)
	for name := range r.own {
		known = append(known, name)
	}
	slices.Sort(known[len(r.builtIn):])
	return known
}
