package plan

// exampleChunk is how many examples a task of the forward and backward pass takes at
// most. Fixed, so that results don't depend on the number of workers.
const exampleChunk = 64

// ExampleTasks cuts batch examples into tasks of about equal size, a multiple of 4 and
// at most 64 examples each.
func ExampleTasks(batch int, costPerExample float64) []Task {
	count := (batch + exampleChunk - 1) / exampleChunk
	size := (batch + count - 1) / count
	size = (size + 3) &^ 3
	return cut(-1, batch, size, costPerExample)
}

// UnitTasks cuts the units of a layer into blocks; the last may be short. A layer whose
// units are coupled is one task.
func UnitTasks(layer, units, block int, coupled bool, costPerUnit float64) []Task {
	if coupled {
		block = units
	}
	return cut(layer, units, block, costPerUnit)
}

func cut(layer, total, size int, cost float64) []Task {
	var tasks []Task
	for lo := 0; lo < total; lo += size {
		hi := min(lo+size, total)
		tasks = append(tasks, Task{Layer: layer, Lo: lo, Hi: hi, Cost: cost * float64(hi-lo)})
	}
	return tasks
}
