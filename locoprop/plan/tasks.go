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

// A tile has at most tileSide rows and columns: enough for a product to run at nearly the
// rate of a large one. A matrix that would make fewer than fewTiles is cut further, down
// to tiles of about smallTile, so that more than one worker has something to do. Fixed,
// and applied to shapes alone: the tiles decide the bits of the result.
const (
	tileSide  = 256
	smallTile = 64
	fewTiles  = 4
)

// Tiles cuts a layer's rows × cols matrix, a row per example, into tiles of nearly equal
// size whose columns begin on multiples of 16, which is where cache lines do. cost is that
// of an element.
func Tiles(layer, rows, cols int, cost float64) []Task {
	down, across := (rows+tileSide-1)/tileSide, (cols+tileSide-1)/tileSide
	for down*across < fewTiles {
		if rows/down >= cols/across && rows/down > smallTile {
			down++
		} else if cols/across > smallTile {
			across++
		} else {
			break
		}
	}
	tasks := make([]Task, 0, down*across)
	for i := range down {
		lo, hi := edge(rows, i, down), edge(rows, i+1, down)
		for j := range across {
			left, right := edge(cols, j, across), edge(cols, j+1, across)
			tasks = append(tasks, Task{
				Layer: layer, Lo: lo, Hi: hi, Left: left, Right: right,
				Cost: cost * float64(hi-lo) * float64(right-left),
			})
		}
	}
	return tasks
}

// edge is where the i-th of count parts of total begins: its even share rounded up to a
// multiple of 16, by which no part becomes larger than tileSide.
func edge(total, i, count int) int { return min(total, (i*total/count+15)&^15) }
