package report_test

import (
	"fmt"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/report"
)

func ExamplePage_Write() {
	page := report.Page{
		Title: "Two rates",
		Sections: []report.Section{
			{Plots: []report.Plot{{Charts: []report.Chart{
				{X: "epoch", Y: "loss", Series: []report.Series{{Name: "a", X: []float64{0, 1}, Y: []float64{3, 2}}}},
			}}}},
			{Tables: []report.Table{{Head: []string{"rate", "loss"}, Rows: []report.Row{{Cells: []string{"0.1", "2"}}}}}},
		},
	}
	var file strings.Builder
	if err := page.Write(&file); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Count(file.String(), "<table>"), "table")
	// Output: 1 table
}

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
