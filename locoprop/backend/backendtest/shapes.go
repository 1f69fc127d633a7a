package backendtest

import (
	_ "embed" // shapes.txt
	"fmt"
	"strings"
)

//go:embed shapes.txt
var shapesFile string

// Shape is the size of one layer's batch: B examples, N inputs without the bias
// column, M units.
type Shape struct{ B, N, M int }

func (s Shape) String() string { return fmt.Sprintf("%dx%dx%d", s.B, s.N, s.M) }

// Shapes lists the shapes of shapes.txt, which the C++ tests read too.
func Shapes() []Shape {
	var shapes []Shape
	for i, line := range strings.Split(shapesFile, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var s Shape
		if n, err := fmt.Sscan(line, &s.B, &s.N, &s.M); n != 3 {
			panic(fmt.Sprintf("backendtest: shapes.txt:%d: %v", i+1, err))
		}
		shapes = append(shapes, s)
	}
	return shapes
}

// upTo lists the shapes with at most so many multiplications in a product.
func upTo(size int) []Shape {
	var kept []Shape
	for _, s := range Shapes() {
		if s.B*s.N*s.M <= size {
			kept = append(kept, s)
		}
	}
	return kept
}
