package main

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/urfave/cli/v2"
)

// filterCount is how many filters are drawn unless more or fewer are asked for.
const filterCount = 100

func weightsCommand() *cli.Command {
	return &cli.Command{
		Name:      "weights",
		Usage:     "draw the weights of a model's first layer as images",
		UsageText: "locoprop weights --model FILE --output FILE.png [--shape HEIGHTxWIDTH] [--count NUMBER]",
		Description: "An image for each of the first units, in the shape of the inputs: middle grey is 0, white the unit's weight of\n" +
			"the largest size, black as much below 0. Biases aren't shown.",
		Flags: []cli.Flag{
			modelFlag(), pictureFlag(), shapeFlag("a square"),
			&cli.IntFlag{Name: "count", Value: filterCount, Usage: fmt.Sprintf("`NUMBER` of units at most, 1 to %d", mostPictures)},
		},
		Action: drawWeights,
	}
}

func drawWeights(c *cli.Context) error {
	if err := checkPictures(c); err != nil {
		return err
	}
	m, err := loadModel(c)
	if err != nil {
		return err
	}
	inputs := m.Network.Inputs()
	side := int(math.Sqrt(float64(inputs)))
	height, width, err := shapeOf(c, side, side, inputs, "the first layer's units have")
	if err != nil {
		return err
	}
	if err := checkWritable(c.String("output")); err != nil {
		return err
	}
	return writePicture(c, "output", filters(m.EvalWeights()[0], height, width, c.Int("count")))
}

// filters are the rows of W̃ without the bias as images of 0 … 1, 1/2 where a weight is 0.
func filters(w backend.Mat, height, width, count int) sheet {
	n := min(count, w.Rows)
	s := sheet{title: fmt.Sprintf("weights of %d of %d units in the first layer", n, w.Rows), stem: "weights"}
	columns := int(math.Ceil(math.Sqrt(float64(n))))
	for u := range n {
		row := w.Data[u*w.Stride : u*w.Stride+w.Cols-1]
		var largest float32
		for _, v := range row {
			largest = max(largest, v, -v)
		}
		p := picture{height, width, make([]float32, len(row))}
		for i, v := range row {
			p.at[i] = 0.5
			if largest > 0 {
				p.at[i] += v / largest / 2
			}
		}
		if u%columns == 0 {
			s.rows = append(s.rows, nil)
		}
		s.rows[len(s.rows)-1] = append(s.rows[len(s.rows)-1], p)
	}
	return s
}
