package plan_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Tasks name the rows that they write and never depend on the number of workers, so
// that results don't either.
func Example() {
	sums := make([]int, 3)
	tasks := plan.UnitTasks(0, 10, 4, false, 1) // 10 units in blocks of 4
	for i := range tasks {
		tasks[i].ID = i
	}
	phase := plan.NewPhase("sums", tasks, 0, func(t *plan.Task, _ []float32) error {
		for u := t.Lo; u < t.Hi; u++ {
			sums[t.ID] += u
		}
		return nil
	})
	pool := plan.NewPool(4)
	defer pool.Close()
	fmt.Println(pool.Run(phase), sums)
	for _, t := range phase.Tasks {
		fmt.Printf("units %d to %d\n", t.Lo, t.Hi-1)
	}
	// Output:
	// <nil> [6 22 17]
	// units 0 to 3
	// units 4 to 7
	// units 8 to 9
}
