package compare

import (
	"context"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/stretchr/testify/assert"
)

// cancelling ends a context when it is read.
type cancelling struct {
	dataset.Split
	cancel context.CancelFunc
}

func (c cancelling) Rows(dst backend.Mat, index []int) error {
	c.cancel()
	return c.Split.Rows(dst, index)
}

// An interruption while the data are looked at is none of a contender's faults.
func TestInterruptedInTheCheck(t *testing.T) {
	o := toy(t.TempDir())
	o.Contenders = o.Contenders[:1]
	ctx, cancel := context.WithCancel(t.Context())
	o.Data.Train = cancelling{o.Data.Train, cancel}
	_, err := Run(ctx, o)
	assert.ErrorIs(t, err, train.ErrInterrupted)
	assert.EqualError(t, err, "interrupted: context canceled")
}
