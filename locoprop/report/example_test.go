package report_test

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/report"
)

func ExampleChart_Text() {
	c := report.Chart{
		Title: "loss", X: "epoch", Log: true,
		Series: []report.Series{
			{Name: "fast", X: []float64{0, 1, 2}, Y: []float64{100, 10, 1}},
			{Name: "slow", X: []float64{0, 1, 2}, Y: []float64{100, 60, 40}},
		},
	}
	fmt.Print(c.Text(32, 10))
	// Output:
	// loss
	// 100┤++++++++++
	//  50┤  ●●●●    ++++++++++++++++++
	//    │      ●●●                  +
	//  20┤         ●●●●
	//  10┤            ●●●●
	//   5┤               ●●●●
	//    │                   ●●●
	//   2┤                      ●●●●
	//   1┤                         ●●●
	//     0            1             2
	// over epoch
	// ● fast   + slow
}
