package plan_test

import (
	"errors"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The error of a job is divergence where the job says what its numbers may not allow, and
// else stays what it is, with the layer's number.
func TestJobErrors(t *testing.T) {
	cause := errors.New("no inverse")
	pool := plan.NewPool(2)
	defer pool.Close()
	fails := func(layer int, what string) error {
		return pool.Run(plan.NewJobPhase("test", []plan.Job{
			{Task: plan.Task{Layer: 1, Cost: 1}, Scratch: 3, Do: func(s []float32) error {
				if len(s) < 3 {
					return errors.New("too little scratch")
				}
				return nil
			}},
			{Task: plan.Task{Layer: layer}, What: what, Do: func([]float32) error { return cause }},
		}))
	}
	err := fails(2, "preconditioner")
	var diverged *plan.DivergedError
	require.ErrorAs(t, err, &diverged)
	assert.Equal(t, plan.DivergedError{Layer: 2, What: "preconditioner", Err: cause}, *diverged)
	require.EqualError(t, err, "preconditioner of layer 2: no inverse")
	require.ErrorIs(t, err, cause)

	require.EqualError(t, fails(-1, "sum"), "sum: no inverse")
	err = fails(2, "")
	require.EqualError(t, err, "layer 2: no inverse")
	require.ErrorIs(t, err, cause)
	require.NotErrorAs(t, err, &diverged)
	require.EqualError(t, fails(-1, ""), "no inverse")
}

// Stages of different lengths end together, in the order of the layers.
func TestStages(t *testing.T) {
	stage := func(layer int, whats ...string) (jobs []plan.Job) {
		for _, w := range whats {
			jobs = append(jobs, plan.Job{Task: plan.Task{Layer: layer}, What: w})
		}
		return jobs
	}
	lined := plan.Stages(
		[][]plan.Job{stage(0, "update")},
		[][]plan.Job{stage(1, "moment", "gradient"), stage(1, "inverse"), stage(1, "solution", "")},
		nil,
		[][]plan.Job{stage(3, "product"), stage(3, "")},
	)
	var got [][]string
	for _, jobs := range lined {
		var whats []string
		for _, j := range jobs {
			whats = append(whats, j.What)
		}
		got = append(got, whats)
	}
	assert.Equal(t, [][]string{{"moment", "gradient"}, {"inverse", "product"}, {"update", "solution", "", ""}}, got)
	assert.True(t, plan.MayDiverge(lined[1]))
	assert.False(t, plan.MayDiverge(stage(0, "", "")))
}

func TestBackup(t *testing.T) {
	n, err := nn.New(nn.Arch{Widths: []int{3, 5, 2}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity}})
	require.NoError(t, err)
	n.Init(nn.Glorot, 1)
	pool := plan.NewPool(2)
	defer pool.Close()
	b := plan.NewBackup(n, 2)
	require.NoError(t, b.Keep(pool))
	want := make([][]float32, 2)
	for ℓ, w := range n.Weights() {
		want[ℓ] = append(want[ℓ], w.Data...)
		for i := range w.Data {
			w.Data[i]++
		}
		assert.Equal(t, want[ℓ], b.Before(ℓ).Data)
	}
	b.Undo()
	for ℓ, w := range n.Weights() {
		assert.Equal(t, want[ℓ], w.Data)
	}
	var none *plan.Backup
	require.NoError(t, none.Keep(pool))
	none.Undo()
}
