// Package contexttest has a context that ends at a place of a test's choice, without a clock.
package contexttest

import (
	"context"
	"sync/atomic"
)

// EndsAfter returns a context that ends once its error has been asked for n times. Its Done
// is that of parent.
func EndsAfter(parent context.Context, n int) context.Context {
	c := &endsAfter{Context: parent}
	c.left.Store(int64(n))
	return c
}

type endsAfter struct {
	context.Context
	left atomic.Int64
}

func (c *endsAfter) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return c.Context.Err()
}
