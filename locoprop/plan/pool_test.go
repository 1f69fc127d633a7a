package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var workerCounts = []int{1, 2, 3, 8, 40}

func TestPoolRunsEveryTaskOnce(t *testing.T) {
	for _, workers := range workerCounts {
		pool := plan.NewPool(workers)
		assert.Equal(t, workers, pool.Workers())
		for _, count := range []int{0, 1, 2, 7, 100} {
			runs := make([]atomic.Int32, count)
			tasks := make([]plan.Task, count)
			for i := range tasks {
				tasks[i] = plan.Task{ID: i}
			}
			phase := plan.NewPhase("count", tasks, 0, func(task *plan.Task, _ []float32) error {
				runs[task.ID].Add(1)
				return nil
			})
			for round := range int32(3) {
				require.NoError(t, pool.Run(phase))
				for i := range runs {
					assert.Equal(t, round+1, runs[i].Load(), "%d workers, task %d of %d", workers, i, count)
				}
			}
		}
		pool.Close()
	}
	pool := plan.NewPool(-3)
	assert.Equal(t, 1, pool.Workers())
	pool.Close()
}

// The phase is over when the last task is: what tasks wrote can be read without a lock.
func TestPoolWaits(t *testing.T) {
	pool := plan.NewPool(4)
	defer pool.Close()
	written := make([]int, 64)
	tasks := make([]plan.Task, len(written))
	for i := range tasks {
		tasks[i] = plan.Task{ID: i}
	}
	phase := plan.NewPhase("write", tasks, 0, func(task *plan.Task, _ []float32) error {
		written[task.ID]++
		return nil
	})
	for round := range 100 {
		require.NoError(t, pool.Run(phase))
		for _, w := range written {
			require.Equal(t, round+1, w)
		}
	}
}

// Longest first, ties in the order given: what one worker does.
func TestPhaseOrder(t *testing.T) {
	tasks := []plan.Task{{ID: 0, Cost: 1}, {ID: 1, Cost: 5}, {ID: 2, Cost: 1}, {ID: 3, Cost: 7}, {ID: 4, Cost: 5}}
	var order []int
	phase := plan.NewPhase("order", tasks, 0, func(task *plan.Task, _ []float32) error {
		order = append(order, task.ID)
		return nil
	})
	pool := plan.NewPool(1)
	defer pool.Close()
	require.NoError(t, pool.Run(phase))
	assert.Equal(t, []int{3, 1, 4, 0, 2}, order)
}

// Of several errors that of the earliest task is returned, for any number of workers,
// and the pool can be used afterwards.
func TestPoolErrors(t *testing.T) {
	errOf := make([]error, 50)
	tasks := make([]plan.Task, len(errOf))
	for i := range errOf {
		errOf[i], tasks[i] = fmt.Errorf("task %d", i), plan.Task{ID: i}
	}
	for _, workers := range workerCounts {
		pool := plan.NewPool(workers)
		for _, bad := range [][]int{{0}, {49}, {7, 8, 9}, {3, 30}, {13, 14, 49}} {
			var begun atomic.Int32
			phase := plan.NewPhase("fail", tasks, 0, func(task *plan.Task, _ []float32) error {
				begun.Add(1)
				if slices.Contains(bad, task.ID) {
					return errOf[task.ID]
				}
				return nil
			})
			for range 20 {
				begun.Store(0)
				require.ErrorIs(t, pool.Run(phase), errOf[bad[0]], "%d workers, tasks %v", workers, bad)
				if workers == 1 {
					assert.Equal(t, bad[0]+1, int(begun.Load()), "no task begins after an error")
				}
			}
		}
		ok := plan.NewPhase("fine", tasks, 0, func(*plan.Task, []float32) error { return nil })
		assert.NoError(t, pool.Run(ok))
		pool.Close()
	}
}

// Each worker has scratch of its own, aligned, of at least the phase's size.
func TestPoolScratch(t *testing.T) {
	pool := plan.NewPool(3)
	defer pool.Close()
	errScratch := errors.New("scratch isn't this task's own")
	for _, size := range []int{1, 1000, 17} {
		tasks := make([]plan.Task, 30)
		for i := range tasks {
			tasks[i].ID = i
		}
		phase := plan.NewPhase("scratch", tasks, size, func(task *plan.Task, scratch []float32) error {
			if len(scratch) < size || uintptr(unsafe.Pointer(&scratch[0]))%64 != 0 {
				return fmt.Errorf("%d floats at %p", len(scratch), &scratch[0])
			}
			for i := range size {
				scratch[i] = float32(task.ID)
			}
			for i := range size {
				if scratch[i] != float32(task.ID) {
					return errScratch
				}
			}
			return nil
		})
		require.NoError(t, pool.Run(phase))
		assert.Zero(t, testing.AllocsPerRun(10, func() { _ = pool.Run(phase) }))
	}
}

// rowsOf lists the rows that tasks write, which must not occur twice.
func rowsOf(t require.TestingT, tasks []plan.Task) map[int]bool {
	rows := map[int]bool{}
	for _, task := range tasks {
		require.Less(t, task.Lo, task.Hi)
		for r := task.Lo; r < task.Hi; r++ {
			require.False(t, rows[r], "row %d is written by two tasks", r)
			rows[r] = true
		}
	}
	return rows
}

func checkCover(t require.TestingT, tasks []plan.Task, total int) {
	rows := rowsOf(t, tasks)
	require.Len(t, rows, total)
	for r := range total {
		require.True(t, rows[r], "row %d is written by no task", r)
	}
}

func TestExampleTasksCover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch := rapid.IntRange(1, 3000).Draw(t, "batch")
		tasks := plan.ExampleTasks(batch, 2)
		checkCover(t, tasks, batch)
		for i, task := range tasks {
			require.Equal(t, -1, task.Layer)
			require.LessOrEqual(t, task.Hi-task.Lo, 64)
			require.InDelta(t, 2*(task.Hi-task.Lo), task.Cost, 0)
			require.True(t, i == len(tasks)-1 || (task.Hi-task.Lo)%4 == 0)
			require.Equal(t, i*tasks[0].Hi, task.Lo, "tasks are found by Lo / size")
		}
	})
}

func TestUnitTasksCover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units, block := rapid.IntRange(1, 2000).Draw(t, "units"), rapid.IntRange(1, 300).Draw(t, "block")
		tasks := plan.UnitTasks(3, units, block, false, 5)
		checkCover(t, tasks, units)
		for j, task := range tasks {
			require.Equal(t, plan.Task{Layer: 3, Lo: j * block, Hi: min((j+1)*block, units), Cost: 5 * float64(task.Hi-task.Lo)}, task)
		}
		coupled := plan.UnitTasks(3, units, block, true, 5)
		require.Len(t, coupled, 1)
		checkCover(t, coupled, units)
	})
}

func TestPoolObserved(t *testing.T) {
	for _, workers := range workerCounts {
		pool := plan.NewPool(workers)
		phase := plan.NewPhase("spin", make([]plan.Task, 3), 0, func(*plan.Task, []float32) error {
			for start := time.Now(); time.Since(start) < time.Millisecond; {
			}
			return nil
		})
		require.NoError(t, pool.Run(phase))
		var seen []plan.Timing
		pool.Observe(func(x plan.Timing) { seen = append(seen, x) })
		require.NoError(t, pool.Run(phase))
		pool.Observe(nil)
		require.NoError(t, pool.Run(phase))
		require.Len(t, seen, 1)
		assert.Equal(t, "spin", seen[0].Phase)
		assert.GreaterOrEqual(t, seen[0].Busy, 3*time.Millisecond, "all tasks count")
		assert.LessOrEqual(t, seen[0].Busy, time.Duration(workers)*seen[0].Wall)
		pool.Close()
	}
}

// A phase that costs little starts no more workers than are worth it, whatever their number.
func TestPhaseWorkers(t *testing.T) {
	for _, c := range []struct {
		name  string
		tasks []plan.Task
		want  int
	}{
		{"unknown cost", make([]plan.Task, 3), 0},
		{"next to nothing", []plan.Task{{Cost: 10}, {Cost: 10}, {Cost: 10}}, 1},
		{"enough for two", []plan.Task{{Cost: 1e5}, {Cost: 1e5}, {Cost: 1e5}}, 2},
		{"large", []plan.Task{{Cost: 1e9}, {Cost: 1e9}, {Cost: 1e9}}, 3},
	} {
		ph := plan.NewPhase(c.name, c.tasks, 0, func(*plan.Task, []float32) error { return nil })
		assert.Equal(t, c.want, ph.Workers, c.name)
		pool := plan.NewPool(4)
		require.NoError(t, pool.Run(ph), c.name)
		pool.Close()
	}

	// Run by the caller alone, tasks need no lock.
	done := 0
	ph := plan.NewPhase("small", []plan.Task{{Cost: 1}, {Cost: 1}, {Cost: 1}}, 0, func(*plan.Task, []float32) error {
		done++
		return nil
	})
	pool := plan.NewPool(4)
	defer pool.Close()
	for range 100 {
		require.NoError(t, pool.Run(ph))
	}
	assert.Equal(t, 300, done)
}
